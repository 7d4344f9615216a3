//! `get`, `gets`, `gat`, `gats`.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;
use super::call::{Call, Heard, Other, Parts};
use crate::error::Error;
use crate::protocol::retrieval::{Keys, Retrieve, Value};
use crate::protocol::{Exptime, Key, Reply, Request};

impl Call<Option<Value>> {
    /// `get` of one key.
    #[must_use]
    #[inline]
    pub fn get(key: Key) -> Self {
        Self::retrieve_one(Retrieve::new(key))
    }

    /// `gets` of one key: the item comes with its CAS.
    #[must_use]
    pub fn gets(key: Key) -> Self {
        Self::retrieve_one(Retrieve { with_cas: true, ..Retrieve::new(key) })
    }

    /// `gat` of one key: the item gets a new expiry.
    #[must_use]
    pub fn gat(key: Key, exptime: Exptime) -> Self {
        Self::retrieve_one(Retrieve { touch: Some(exptime), ..Retrieve::new(key) })
    }

    /// `gats` of one key: the item comes with its CAS, and gets a new expiry.
    #[must_use]
    pub fn gats(key: Key, exptime: Exptime) -> Self {
        Self::retrieve_one(Retrieve { with_cas: true, touch: Some(exptime), ..Retrieve::new(key) })
    }

    #[inline]
    fn retrieve_one(retrieve: Retrieve) -> Self {
        Self::of_many(name(&retrieve), Request::Retrieve(retrieve), 1, |heard| match heard {
            Heard::One(Reply::End) => Ok(None),
            Heard::Item(value) => Ok(Some(value)),
            heard => Err(Box::new(heard.last()?)),
        })
    }
}

impl Call<Vec<Value>> {
    /// Any of the four commands, for several keys at once.
    #[must_use]
    pub fn retrieve(retrieve: Retrieve) -> Self {
        let asked = retrieve.keys.as_slice().len();
        Self::of_many(name(&retrieve), Request::Retrieve(retrieve), asked, values)
    }
}

fn values(heard: Heard) -> Result<Vec<Value>, Other> {
    match heard {
        Heard::One(Reply::End) => Ok(Vec::new()),
        Heard::Item(value) => Ok(vec![value]),
        Heard::Several(replies) => match *replies {
            (Parts::Values(values), Reply::End) => Ok(values),
            (_, last) => Err(Box::new(last)),
        },
        heard => Err(Box::new(heard.last()?)),
    }
}

const fn name(retrieve: &Retrieve) -> &'static str {
    match (retrieve.with_cas, retrieve.touch) {
        (false, None) => "get",
        (true, None) => "gets",
        (false, Some(_)) => "gat",
        (true, Some(_)) => "gats",
    }
}

/// Retrieval. A [`Value`] is a slice of the read buffer and keeps it in memory: copy a value that you keep for long.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// `get`: the item, or `None` for a miss.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn get(&mut self, key: Key) -> Result<Option<Value>, Error> {
        self.run(Call::get(key)).await
    }

    /// `gets`: the item with its CAS, or `None` for a miss.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn gets(&mut self, key: Key) -> Result<Option<Value>, Error> {
        self.run(Call::gets(key)).await
    }

    /// `gat` (since 1.5.3): the item, or `None` for a miss. The item gets a new expiry.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn gat(&mut self, key: Key, exptime: Exptime) -> Result<Option<Value>, Error> {
        self.run(Call::gat(key, exptime)).await
    }

    /// `gats`: as [`Self::gat`], with the item's CAS.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn gats(&mut self, key: Key, exptime: Exptime) -> Result<Option<Value>, Error> {
        self.run(Call::gats(key, exptime)).await
    }

    /// `get` of several keys in one request: the items that exist, each with its key, in the server's order.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn get_many(&mut self, keys: Keys) -> Result<Vec<Value>, Error> {
        self.retrieve(Retrieve { keys, with_cas: false, touch: None }).await
    }

    /// `get`, `gets`, `gat` or `gats` of several keys in one request, as [`Self::get_many`].
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn retrieve(&mut self, retrieve: Retrieve) -> Result<Vec<Value>, Error> {
        self.run(Call::retrieve(retrieve)).await
    }
}
