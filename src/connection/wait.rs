//! The one place that bounds waits for a server: [`at_most`] for a single wait, [`Timer`] for the many waits of a
//! client, [`TimeLimit`] for several steps that share a time. Stopping an operation drops the wait.

mod timer;

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

pub(crate) use self::timer::Timer;
use crate::error::Problem;

/// Waits for at most `time`; `None` if the time is up.
// clippy.toml denies tokio's own timeout everywhere else.
#[allow(clippy::disallowed_methods)]
pub(crate) async fn at_most<T>(time: Duration, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = pin!(wait);
    // Most results are there already, and need no timer.
    match wait.as_mut().now_or_never() {
        Some(done) => Some(done),
        None => tokio::time::timeout(time, wait).await.ok(),
    }
}

/// A time shared by several steps, such as those of opening a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimit {
    began: Instant,
    /// The whole time.
    pub(crate) within: Duration,
}

impl TimeLimit {
    /// A time that begins now.
    pub(crate) fn new(within: Duration) -> Self {
        Self { began: Instant::now(), within }
    }

    /// The time left.
    pub(crate) fn left(self) -> Duration {
        self.within.saturating_sub(self.began.elapsed())
    }

    /// Runs `work` until it is done or the time is up.
    ///
    /// # Errors
    /// The error of `work`, or [`Problem::Silence`].
    pub(crate) async fn keep<T>(
        self,
        doing: &'static str,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let silence = Err(Problem::Silence { doing, after: self.within });
        at_most(self.left(), work).await.unwrap_or(silence)
    }
}
