//! An item with a key that only this process knows. It is stored before a flush and must be gone afterwards; its CAS
//! shows which items are older.

use crate::client::Client;
use crate::error::{Error, Problem};
use crate::ops::Chance;
use crate::protocol::storage::{Store, StoreVerb};
use crate::protocol::{Exptime, Key, KeyError, Reply, Request};

/// The item's time to live in seconds, in case mcflush is killed.
const SECONDS: i64 = 60;

#[derive(Debug, Clone)]
pub(super) struct Probe {
    key: Key,
    cas: u64,
}

impl Probe {
    /// A new key for a probe.
    pub(super) fn key(chance: &Chance) -> Result<Key, KeyError> {
        Key::new(format!("mcflush:probe:{:016x}{:016x}", chance.next(), chance.next()))
    }

    /// Stores a probe by commands that every version knows.
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

    /// The probe's CAS; none on a server without CAS (-C).
    pub(super) fn cas(&self) -> Option<u64> {
        Some(self.cas).filter(|cas| *cas > 0)
    }

    pub(super) async fn is_there(&self, client: &mut Client) -> Result<bool, Error> {
        Ok(client.gets(self.key.clone()).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Otherwise a flush that is killed would leave an item for ever.
    #[tokio::test]
    async fn a_probe_expires_by_itself() {
        let (near, mut far) = duplex(1024);
        far.write_all(b"STORED\r\nEND\r\n").await.unwrap();
        let mut client = Client::new(Box::new(near) as _, "in-memory".parse().unwrap(), Duration::from_secs(5));
        let probe = Probe::store(&mut client, &Chance::default()).await.unwrap();
        drop(client);
        let mut sent = String::new();
        far.read_to_string(&mut sent).await.unwrap();
        assert_eq!(sent, format!("set {0} 0 60 1\r\nx\r\ngets {0}\r\n", probe.key));
    }
}
