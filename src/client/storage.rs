//! `set`, `add`, `replace`, `append`, `prepend`, `cas`; `delete` and `touch`.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;
use super::call::{Call, Heard, Other};
use crate::error::Error;
use crate::protocol::item::{Delete, Touch};
use crate::protocol::storage::{Store, StoreVerb};
use crate::protocol::{Cas, Exptime, ItemFlags, Key, Reply, Request};

/// An item to store.
///
/// ```
/// use mcflush::client::NewItem;
/// use mcflush::protocol::Key;
///
/// let item = NewItem::new(Key::new("greeting")?, "hello").expiring(60.into());
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    key: Key,
    data: Bytes,
    flags: ItemFlags,
    exptime: Exptime,
}

impl NewItem {
    /// An item without flags and without an expiry.
    pub fn new(key: Key, data: impl Into<Bytes>) -> Self {
        Self { key, data: data.into(), flags: ItemFlags::default(), exptime: Exptime::NEVER }
    }

    /// Sets the 32 bits of flags that a client stores beside its data.
    #[must_use]
    pub fn flagged(self, flags: ItemFlags) -> Self {
        Self { flags, ..self }
    }

    /// Sets the expiry.
    #[must_use]
    pub fn expiring(self, exptime: Exptime) -> Self {
        Self { exptime, ..self }
    }

    fn store(self, verb: StoreVerb) -> Request {
        let Self { key, data, flags, exptime } = self;
        Request::Store(Store { verb, key, flags, exptime, data, noreply: false })
    }
}

/// The result of an `add`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum AddOutcome {
    /// The item was stored.
    Stored,
    /// There is an item already; it stays.
    Exists,
}

/// The result of a `replace`, an `append` or a `prepend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ReplaceOutcome {
    /// The item was stored.
    Stored,
    /// There is no item, and none was stored.
    Missing,
}

/// The result of a `cas`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum CasOutcome {
    /// The item was stored.
    Stored,
    /// The item has another CAS; it stays.
    Exists,
    /// There is no item, and none was stored.
    Missing,
}

/// The result of a `delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum DeleteOutcome {
    /// The item was deleted.
    Deleted,
    /// There was no item.
    Missing,
}

/// The result of a `touch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum TouchOutcome {
    /// The item has the new expiry.
    Touched,
    /// There is no item.
    Missing,
}

impl Call<()> {
    /// `set`: stores an item, whether or not there is one.
    #[must_use]
    pub fn set(item: NewItem) -> Self {
        Self::of_one("set", item.store(StoreVerb::Set), |heard| match heard.last()? {
            Reply::Stored => Ok(()),
            reply => Err(Box::new(reply)),
        })
    }
}

impl Call<AddOutcome> {
    /// `add`: stores an item if there is none.
    #[must_use]
    pub fn add(item: NewItem) -> Self {
        Self::of_one("add", item.store(StoreVerb::Add), |heard| match heard.last()? {
            Reply::Stored => Ok(AddOutcome::Stored),
            Reply::NotStored => Ok(AddOutcome::Exists),
            reply => Err(Box::new(reply)),
        })
    }
}

impl Call<ReplaceOutcome> {
    /// `replace`: stores an item if there is one.
    #[must_use]
    pub fn replace(item: NewItem) -> Self {
        Self::of_one("replace", item.store(StoreVerb::Replace), replaced)
    }

    /// `append`: adds data after that of the existing item, which keeps its flags and expiry.
    #[must_use]
    pub fn append(key: Key, data: impl Into<Bytes>) -> Self {
        Self::of_one("append", NewItem::new(key, data).store(StoreVerb::Append), replaced)
    }

    /// `prepend`: adds data before that of the existing item, which keeps its flags and expiry.
    #[must_use]
    pub fn prepend(key: Key, data: impl Into<Bytes>) -> Self {
        Self::of_one("prepend", NewItem::new(key, data).store(StoreVerb::Prepend), replaced)
    }
}

impl Call<CasOutcome> {
    /// `cas`: stores an item if the existing one has this CAS.
    #[must_use]
    pub fn cas(item: NewItem, cas: Cas) -> Self {
        Self::of_one("cas", item.store(StoreVerb::Cas(cas)), |heard| match heard.last()? {
            Reply::Stored => Ok(CasOutcome::Stored),
            Reply::Exists => Ok(CasOutcome::Exists),
            Reply::NotFound => Ok(CasOutcome::Missing),
            reply => Err(Box::new(reply)),
        })
    }
}

impl Call<DeleteOutcome> {
    /// `delete`.
    #[must_use]
    pub fn delete(key: Key) -> Self {
        Self::of_one("delete", Request::Delete(Delete::new(key)), |heard| match heard.last()? {
            Reply::Deleted => Ok(DeleteOutcome::Deleted),
            Reply::NotFound => Ok(DeleteOutcome::Missing),
            reply => Err(Box::new(reply)),
        })
    }
}

impl Call<TouchOutcome> {
    /// `touch`: gives an item a new expiry.
    #[must_use]
    pub fn touch(key: Key, exptime: Exptime) -> Self {
        let touch = Touch { key, exptime, noreply: false };
        Self::of_one("touch", Request::Touch(touch), |heard| match heard.last()? {
            Reply::Touched => Ok(TouchOutcome::Touched),
            Reply::NotFound => Ok(TouchOutcome::Missing),
            reply => Err(Box::new(reply)),
        })
    }
}

fn replaced(heard: Heard) -> Result<ReplaceOutcome, Other> {
    match heard.last()? {
        Reply::Stored => Ok(ReplaceOutcome::Stored),
        Reply::NotStored => Ok(ReplaceOutcome::Missing),
        reply => Err(Box::new(reply)),
    }
}

pub(super) const fn name(verb: StoreVerb) -> &'static str {
    match verb {
        StoreVerb::Set => "set",
        StoreVerb::Add => "add",
        StoreVerb::Replace => "replace",
        StoreVerb::Append => "append",
        StoreVerb::Prepend => "prepend",
        StoreVerb::Cas(_) => "cas",
    }
}

/// Storage. A server that refuses the line of one of these commands (`CLIENT_ERROR`) may read its data as commands, so
/// the client is then poisoned. After a `SERVER_ERROR`, such as `object too large for cache`, it can be used further.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// `set`: stores an item, whether or not there is one.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn set(&mut self, item: NewItem) -> Result<(), Error> {
        self.run(Call::set(item)).await
    }

    /// `add`: stores an item if there is none.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn add(&mut self, item: NewItem) -> Result<AddOutcome, Error> {
        self.run(Call::add(item)).await
    }

    /// `replace`: stores an item if there is one.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn replace(&mut self, item: NewItem) -> Result<ReplaceOutcome, Error> {
        self.run(Call::replace(item)).await
    }

    /// `append`: adds data after that of the existing item.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn append(&mut self, key: Key, data: impl Into<Bytes>) -> Result<ReplaceOutcome, Error> {
        self.run(Call::append(key, data)).await
    }

    /// `prepend`: adds data before that of the existing item.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn prepend(&mut self, key: Key, data: impl Into<Bytes>) -> Result<ReplaceOutcome, Error> {
        self.run(Call::prepend(key, data)).await
    }

    /// `cas`: stores an item if the existing one has this CAS, as given by [`Self::gets`].
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn cas(&mut self, item: NewItem, cas: Cas) -> Result<CasOutcome, Error> {
        self.run(Call::cas(item, cas)).await
    }

    /// `delete`.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn delete(&mut self, key: Key) -> Result<DeleteOutcome, Error> {
        self.run(Call::delete(key)).await
    }

    /// `touch` (since 1.4.8): gives an item a new expiry.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn touch(&mut self, key: Key, exptime: Exptime) -> Result<TouchOutcome, Error> {
        self.run(Call::touch(key, exptime)).await
    }
}
