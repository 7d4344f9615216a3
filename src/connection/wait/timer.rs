//! A timer for a client that waits again and again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that stays set, and is moved on only when it fires. Nearly every wait ends long before that, and setting and
/// removing a timer would cost more than the rest of a call.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits for at most `time`; `None` if the time is up.
    pub(crate) async fn at_most<T>(&mut self, time: Duration, wait: impl Future<Output = T>) -> Option<T> {
        let mut wait = pin!(wait);
        let mut end = None;
        poll_fn(|context| {
            if let Poll::Ready(done) = wait.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            // If the end is too far away for the clock, it never comes.
            let Some(end) = *end.get_or_insert_with(|| Instant::now().checked_add(time)) else { return Poll::Pending };
            let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(end)));
            if timer.deadline() > end || timer.is_elapsed() {
                timer.as_mut().reset(end);
            }
            while timer.as_mut().poll(context).is_ready() {
                if timer.deadline() >= end {
                    return Poll::Ready(None);
                }
                // It was set for an earlier wait.
                timer.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_end() {
        let mut timer = Timer::default();
        for (seconds, waits) in [(5, true), (3, false), (1, true), (7, true), (2, true)] {
            let (start, time) = (Instant::now(), Duration::from_secs(seconds));
            if waits {
                assert_eq!(timer.at_most(time, pending::<()>()).await, None);
                assert_eq!(start.elapsed(), time);
            } else {
                assert_eq!(timer.at_most(time, ready(())).await, Some(()));
            }
        }
        // A wait that ends in time leaves the timer set, which must not cut the next wait short.
        let half = tokio::time::sleep(Duration::from_secs(1));
        assert_eq!(timer.at_most(Duration::from_secs(2), half).await, Some(()));
        let start = Instant::now();
        assert_eq!(timer.at_most(Duration::from_secs(4), pending::<()>()).await, None);
        assert_eq!(start.elapsed(), Duration::from_secs(4));
        assert_eq!(timer.at_most(Duration::MAX, ready(())).await, Some(()));
    }
}
