//! Random numbers of an operation.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The source of an operation's random numbers. They vary the waits between clients and make a name unique. By default
/// they come from the standard library's random hash keys, which are random enough for both.
///
/// ```
/// use mcflush::ops::{Chance, Context};
/// // Every run of a test waits equally long.
/// let context = Context::default().with_chance(Chance::by(|| 7));
/// ```
#[derive(Clone, Default)]
pub struct Chance(Option<Arc<dyn Fn() -> u64 + Send + Sync>>);

impl Chance {
    /// Takes the numbers from a function.
    #[must_use]
    pub fn by(next: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(next)))
    }

    pub(super) fn next(&self) -> u64 {
        match &self.0 {
            Some(next) => next(),
            None => RandomState::new().hash_one(0),
        }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Chance(a function)" } else { "Chance(of the system)" })
    }
}
