//! An item that only this process knows: stored before a flush, it has to be gone after it, and its CAS tells what is older.

use crate::client::Client;
use crate::error::{Error, Problem};
use crate::ops::Chance;
use crate::protocol::storage::{Store, StoreVerb};
use crate::protocol::{Exptime, Key, KeyError, Reply, Request};

/// Seconds after which the server drops the item, whatever happens.
const SECONDS: i64 = 60;

#[derive(Debug, Clone)]
pub(super) struct Probe {
    key: Key,
    cas: u64,
}

impl Probe {
    /// A key for it.
    pub(super) fn key(chance: &Chance) -> Result<Key, KeyError> {
        Key::new(format!("mcflush:probe:{:016x}{:016x}", chance.next(), chance.next()))
    }

    /// Stores it, by commands that every version knows.
    pub(super) async fn store(client: &mut Client, chance: &Chance) -> Result<Self, Error> {
        let key = Self::key(chance).map_err(|error| client.error(Problem::Incomplete(error.to_string())))?;
        let store = Store { exptime: Exptime::new(SECONDS), ..Store::new(StoreVerb::Set, key.clone(), "x") };
        match client.call("set", Request::Store(store)).await? {
            Reply::Stored => {}
            reply => return Err(client.refused(reply)),
        }
        let found = client.gets(key.clone()).await?;
        let cas = found.and_then(|value| value.cas()).map(u64::from).unwrap_or_default();
        Ok(Self { key, cas })
    }

    /// Its CAS; none on a server without (-C).
    pub(super) fn cas(&self) -> Option<u64> {
        Some(self.cas).filter(|cas| *cas > 0)
    }

    pub(super) async fn is_there(&self, client: &mut Client) -> Result<bool, Error> {
        Ok(client.gets(self.key.clone()).await?.is_some())
    }
}
