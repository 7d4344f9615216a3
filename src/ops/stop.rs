//! Stops operations.

use tokio_util::sync::CancellationToken;

/// Tells operations to stop at their next safe point: no command is cut in half. All clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Tells the operations to stop.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the operations were told to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the operations are told to stop.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Runs `work` to its end; returns `None` if the operations are told to stop first.
    // clippy.toml denies tokio-util's method everywhere else. This is no async function, because that would hold
    // `work`, which is large, a second time.
    #[allow(clippy::disallowed_methods)]
    pub fn run_until_cancelled<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        self.0.run_until_cancelled(work)
    }
}
