//! Pages of keys on their way from a listing to whatever shows them.

use tokio::sync::mpsc;

use super::keys::Page;

/// Where a listing puts its pages.
#[derive(Debug, Clone)]
pub struct PageSender(mpsc::Sender<Page>);

/// Where its pages come out, in their order.
#[derive(Debug)]
pub struct PageReceiver(mpsc::Receiver<Page>);

/// A way for pages, with room for so many (at least one) that nobody has taken yet.
#[must_use]
pub fn pages(room: usize) -> (PageSender, PageReceiver) {
    let (sender, receiver) = mpsc::channel(room.max(1));
    (PageSender(sender), PageReceiver(receiver))
}

/// Nobody takes pages any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes pages any more")]
pub struct NobodyReads;

impl PageSender {
    /// Puts a page in when there is room.
    ///
    /// # Errors
    /// The receiver is gone.
    pub async fn send(&self, page: Page) -> Result<(), NobodyReads> {
        self.0.send(page).await.map_err(|_| NobodyReads)
    }
}

impl PageReceiver {
    /// The next page; None when every sender is gone.
    pub async fn recv(&mut self) -> Option<Page> {
        self.0.recv().await
    }

    /// As [`Self::recv`], for a thread outside of the runtime.
    ///
    /// # Panics
    /// Inside of an asynchronous task.
    pub fn blocking_recv(&mut self) -> Option<Page> {
        self.0.blocking_recv()
    }
}
