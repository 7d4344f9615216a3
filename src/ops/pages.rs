//! Carries pages of keys from a listing to the caller that shows them.

use tokio::sync::mpsc;

use super::keys::Page;

/// The end into which a listing puts its pages.
#[derive(Debug, Clone)]
pub struct PageSender(mpsc::Sender<Page>);

/// The end from which the pages come, in order.
#[derive(Debug)]
pub struct PageReceiver(mpsc::Receiver<Page>);

/// A channel for pages, with room for this many (at least one) that the receiver has not taken.
#[must_use]
pub fn pages(room: usize) -> (PageSender, PageReceiver) {
    let (sender, receiver) = mpsc::channel(room.max(1));
    (PageSender(sender), PageReceiver(receiver))
}

/// The receiver of the pages is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiver of the pages is gone")]
pub struct ReceiverGone;

impl PageSender {
    /// Sends a page, as soon as there is room.
    ///
    /// # Errors
    /// The receiver is gone.
    pub async fn send(&self, page: Page) -> Result<(), ReceiverGone> {
        self.0.send(page).await.map_err(|_| ReceiverGone)
    }
}

impl PageReceiver {
    /// The next page, or `None` if every sender is gone.
    pub async fn recv(&mut self) -> Option<Page> {
        self.0.recv().await
    }

    /// As [`Self::recv`], for a thread outside the runtime.
    ///
    /// # Panics
    /// If called inside an asynchronous task.
    pub fn blocking_recv(&mut self) -> Option<Page> {
        self.0.blocking_recv()
    }
}
