//! The one place that bounds how long a server is waited for: [`at_most`] for a silence, [`Timer`] for the many waits of a
//! client, [`TimeLimit`] for steps that have a time together. An operation that is stopped drops the wait.

mod timer;

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

pub(crate) use self::timer::Timer;
use crate::error::Problem;

/// Waits for so long at most; None when the time is up.
// Everywhere else, clippy.toml denies tokio's own.
#[allow(clippy::disallowed_methods)]
pub(crate) async fn at_most<T>(time: Duration, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = pin!(wait);
    // Most of what is waited for is there already, and needs no timer.
    match wait.as_mut().now_or_never() {
        Some(done) => Some(done),
        None => tokio::time::timeout(time, wait).await.ok(),
    }
}

/// A time that several steps have together, as all that opening a connection takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimit {
    began: Instant,
    /// How long they have.
    pub(crate) within: Duration,
}

impl TimeLimit {
    /// A time that begins now.
    pub(crate) fn new(within: Duration) -> Self {
        Self { began: Instant::now(), within }
    }

    /// How much of it is left.
    pub(crate) fn left(self) -> Duration {
        self.within.saturating_sub(self.began.elapsed())
    }

    /// Works until it is done, or the time is over.
    ///
    /// # Errors
    /// The work's own, or [`Problem::Silence`].
    pub(crate) async fn keep<T>(
        self,
        doing: &'static str,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let silence = Err(Problem::Silence { doing, after: self.within });
        at_most(self.left(), work).await.unwrap_or(silence)
    }
}
