//! `incr` and `decr`.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;
use super::call::Call;
use crate::error::Error;
use crate::protocol::item::{Arithmetic, Direction};
use crate::protocol::{Key, Reply, Request};

impl Call<Option<u64>> {
    /// `incr`: adds to the number, and wraps around to 0 after the largest 64-bit number.
    #[must_use]
    pub fn incr(key: Key, delta: u64) -> Self {
        Self::count(Direction::Incr, key, delta)
    }

    /// `decr`: subtracts from the number, down to 0 at the lowest.
    #[must_use]
    pub fn decr(key: Key, delta: u64) -> Self {
        Self::count(Direction::Decr, key, delta)
    }

    fn count(direction: Direction, key: Key, delta: u64) -> Self {
        let request = Request::Arithmetic(Arithmetic { direction, key, delta, noreply: false });
        Self::of_one(name(direction), request, |heard| match heard.last()? {
            Reply::Number(number) => Ok(Some(number)),
            Reply::NotFound => Ok(None),
            reply => Err(Box::new(reply)),
        })
    }
}

pub(super) const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Incr => "incr",
        Direction::Decr => "decr",
    }
}

/// Arithmetic, on items whose data is a decimal number.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// `incr`: the new number, or `None` if there is no item. After the largest 64-bit number it wraps around to 0.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`]; the item's data is not a number.
    pub async fn incr(&mut self, key: Key, delta: u64) -> Result<Option<u64>, Error> {
        self.run(Call::incr(key, delta)).await
    }

    /// `decr`: the new number, 0 at the lowest, or `None` if there is no item.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`]; the item's data is not a number.
    pub async fn decr(&mut self, key: Key, delta: u64) -> Result<Option<u64>, Error> {
        self.run(Call::decr(key, delta)).await
    }
}
