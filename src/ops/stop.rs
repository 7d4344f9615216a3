//! How an operation is told to stop.

use tokio_util::sync::CancellationToken;

/// Tells operations to stop at their next safe point: no command is cut in half. Its clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Tells them to stop.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether they were told.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until they are told.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Works until it is done, or None when they are told before.
    // Everywhere else, clippy.toml denies tokio-util's own. Not an async function: that would hold the work a second time, and work is large.
    #[allow(clippy::disallowed_methods)]
    pub fn run_until_cancelled<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        self.0.run_until_cancelled(work)
    }
}
