//! Bounds how long a server may be silent; what a [`Client`](crate::client::Client) waits for is bounded by its own timer.
//! Whoever can stop an operation drops the wait.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;

/// Waits for so long at most; None when the time is up.
pub(crate) async fn at_most<T>(time: Duration, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = pin!(wait);
    // Most of what is waited for is there already, and needs no timer.
    match wait.as_mut().now_or_never() {
        Some(done) => Some(done),
        None => tokio::time::timeout(time, wait).await.ok(),
    }
}
