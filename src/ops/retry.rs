//! Repeats failed tries over a new connection.

use std::time::Duration;

use super::{Chance, Context, Event};
use crate::address::ServerAddr;
use crate::error::Error;

/// How many tries are left, and how long to wait before the next.
#[derive(Debug)]
pub(crate) struct Retries<'a> {
    context: &'a Context,
    left: u32,
    backoff: Backoff,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context, left: context.patience.retries, backoff: Backoff::new(Duration::from_millis(100)) }
    }

    /// Tries until a try succeeds. A stop of the operation ends the current try.
    ///
    /// # Errors
    /// The error of the last try, if a further one would not help or none is left; or the operation was stopped.
    pub(crate) async fn until_done<T, F>(&mut self, server: &ServerAddr, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match self.context.unless_stopped(server, attempt()).await {
                Ok(done) => return Ok(done),
                Err(error) => self.after(error).await?,
            }
        }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// Returns the error if a further try would not help or none is left.
    pub(super) async fn after(&mut self, error: Error) -> Result<(), Error> {
        if self.left == 0 || !error.is_worth_a_retry() || self.context.stop.is_cancelled() {
            // On the heap: it is rare and large, and every operation would otherwise reserve room for several of these.
            return Err(Box::pin(self.context.diagnosed(error)).await);
        }
        self.left -= 1;
        let after = self.backoff.next(&self.context.chance);
        self.context.events.tell(Event::Retry { error: error.to_string(), after });
        self.context.pause(&error.server, after).await
    }
}

/// Growing waits. Each lasts between half and all of its nominal length, so that many clients do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    nominal: Duration,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(2);

    pub(super) const fn new(first: Duration) -> Self {
        Self { nominal: first }
    }

    pub(super) fn next(&mut self, chance: &Chance) -> Duration {
        let half = self.nominal / 2;
        let jitter = half.mul_f64(chance.next() as f64 / u64::MAX as f64);
        self.nominal = (self.nominal * 2).min(Self::LONGEST);
        half + jitter
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use tokio::time::Instant;

    use super::*;
    use crate::error::Problem;
    use crate::ops::Events;
    use crate::ops::scripted::address;

    #[test]
    fn waits_grow_to_a_bound_and_are_between_half_and_all_of_it() {
        for (number, milliseconds) in
            [(0, [50, 100, 200, 400, 800, 1000, 1000]), (u64::MAX, [100, 200, 400, 800, 1600, 2000, 2000])]
        {
            let mut backoff = Backoff::new(Duration::from_millis(100));
            let chance = Chance::by(move || number);
            let waits = milliseconds.map(|_| backoff.next(&chance).as_millis());
            assert_eq!(waits, milliseconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_tried_again_so_often_and_a_refusal_is_not() {
        let lost = || Problem::Lost { doing: "version", source: None, like_a_proxy: false };
        let refused = || Problem::NoAge { why: "it is so" };
        for (problem, tries, least) in [(&lost as &dyn Fn() -> Problem, 4, 350), (&refused, 1, 0)] {
            let mut context = Context::default().with_chance(Chance::by(|| 0));
            context.patience.retries = 3;
            let (tried, began) = (AtomicU32::new(0), Instant::now());
            let attempt = || async {
                tried.fetch_add(1, SeqCst);
                Err::<(), _>(Error { server: address(), problem: problem() })
            };
            Retries::new(&context).until_done(&address(), attempt).await.unwrap_err();
            assert_eq!(tried.load(SeqCst), tries);
            assert!((least..least + 50).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_operation_announces_no_further_try() {
        let context = Context::default().with_events(Events::to(|event| panic!("{event:?}")));
        context.stop.cancel();
        let lost = Problem::Lost { doing: "version", source: None, like_a_proxy: false };
        let error = Retries::new(&context).after(Error { server: address(), problem: lost }).await.unwrap_err();
        assert!(matches!(error.problem, Problem::Lost { .. }), "{error}");
    }
}
