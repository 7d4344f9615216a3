//! Events that an operation reports while it runs.

use std::time::Duration;

use super::Strategy;

/// Something that an operation reports while it runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A failed try is repeated over a new connection.
    Retry {
        /// Why the last try failed.
        error: String,
        /// The wait before the next try.
        after: Duration,
    },
    /// How mcflush lists the keys.
    Strategy {
        /// The strategy.
        strategy: Strategy,
        /// Why it was chosen.
        why: String,
    },
    /// The server confirmed this many deletes.
    Deleted(u64),
    /// The server listed keys.
    Listed {
        /// The number of keys.
        keys: u64,
        /// How many of them are in scope.
        in_scope: u64,
    },
    /// The operation has ended.
    Done {
        /// Whether its result is complete.
        complete: bool,
    },
    /// A pass begins; the first is 1.
    Pass(u32),
    /// The evidence from the passes so far.
    Evidence {
        /// Keys in scope that the last pass listed and that may have been stored before the clear began.
        old: u64,
        /// The probability that a pass misses a key, as estimated so far.
        miss_rate: Option<f64>,
        /// How many old keys are expected to be left.
        doubt: Option<f64>,
    },
    /// The operation begins.
    Started,
    /// A fact that changes what the result means, or affects other clients.
    Warning(&'static str),
    /// The spool could not take the listed keys. mcflush gave the walk up, deleted the keys that it held, and walks again.
    Spool(String),
    /// mcflush waits for the server.
    Waiting {
        /// Why.
        why: &'static str,
        /// How long at most.
        after: Duration,
    },
}

/// Receives the events of an operation. It is called in the middle of the work, so it must not block.
#[derive(Clone, Default)]
pub struct Events(Option<std::sync::Arc<dyn Fn(Event) + Send + Sync>>);

impl Events {
    /// Passes the events to a function.
    #[must_use]
    pub fn to(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(std::sync::Arc::new(listener)))
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(listener) = &self.0 {
            listener(event);
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Events(to a listener)" } else { "Events(to no listener)" })
    }
}
