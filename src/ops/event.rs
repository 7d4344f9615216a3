//! What an operation tells while it runs.

use std::time::Duration;

use super::Strategy;

/// Something an operation tells while it runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A failed try is made again on a fresh connection.
    Retry {
        /// What had failed.
        error: String,
        /// The wait before.
        after: Duration,
    },
    /// How the keys are listed, and why so.
    Strategy {
        /// The way.
        strategy: Strategy,
        /// Why.
        why: String,
    },
    /// Keys were deleted, confirmed by the server.
    Deleted(u64),
    /// Keys were listed.
    Listed {
        /// How many.
        keys: u64,
        /// How many of them in scope.
        in_scope: u64,
    },
    /// It is over.
    Done {
        /// Whether it may be called complete.
        complete: bool,
    },
    /// A pass begins; the first is 1.
    Pass(u32),
    /// What the passes so far come to.
    Evidence {
        /// Keys in scope that the last pass found and that may have been stored before the clear began.
        old: u64,
        /// The probability that a pass misses a key, as it is estimated so far.
        miss_rate: Option<f64>,
        /// How many old keys are expected to be left.
        doubt: Option<f64>,
    },
    /// The operation begins.
    Started,
    /// Something that changes what the result means to others.
    Warning(&'static str),
    /// The temporary file for listed keys could not be used; the walk is given up, and made again when what is held has
    /// been deleted.
    Spool(String),
    /// The server is waited for.
    Waiting {
        /// Why.
        why: &'static str,
        /// How long.
        after: Duration,
    },
}

/// Takes the events of an operation. It is called in the middle of the work, so it must not wait.
#[derive(Clone, Default)]
pub struct Events(Option<std::sync::Arc<dyn Fn(Event) + Send + Sync>>);

impl Events {
    /// Events go to a function.
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
        f.write_str(if self.0.is_some() { "Events(to a listener)" } else { "Events(to nobody)" })
    }
}
