//! Flushes a server that speaks only the binary protocol, and checks the flush without a listing.

use super::probe::Probe;
use super::turn::Until;
use super::{CAS_PAUSE, Flush, FlushProof, Flushed, Flushing, unchecked};
use crate::error::{Error, Problem};
use crate::ops::binary::{self, BinaryFlushed};
use crate::ops::dialect::{Dialect, FlushBy};
use crate::protocol::Key;

impl Flushing<'_> {
    /// Flushes by the binary protocol.
    pub(super) async fn by_binary(&self) -> Result<Flushed, Error> {
        if self.keeps_new() {
            return Err(self.error(Problem::NoAge { why: "the server speaks only the binary protocol" }));
        }
        let probe = if self.verifies() { Some(self.store_probe().await?) } else { None };
        let delay = if let Flush::After(delay) = self.how { delay.get() } else { 0 };
        let first = binary::flush(self.server, delay, self.context).await?;
        let proof = match self.how {
            Flush::Exact { .. } => Some(self.again_by_binary(&first, probe.as_ref()).await.map_err(unchecked)?),
            Flush::Once | Flush::After(_) => None,
        };
        let items_before = first.items_before;
        Ok(Flushed { items_before, delay, swept: None, kept_new: None, proof, walk_failed: None })
    }

    async fn store_probe(&self) -> Result<Key, Error> {
        let key =
            Probe::key(&self.context.chance).map_err(|error| self.error(Problem::Incomplete(error.to_string())))?;
        binary::store(self.server, &key, self.context).await?;
        Ok(key)
    }

    /// Flushes once more, because the first flush may have left items, and checks that the probe is gone.
    async fn again_by_binary(&self, first: &BinaryFlushed, probe: Option<&Key>) -> Result<FlushProof, Error> {
        let compares_cas = |version| Dialect::of(version).flush_by() == FlushBy::Cas;
        let proof = if first.has_cas && first.version.as_ref().is_some_and(compares_cas) {
            self.context.pause(self.server, CAS_PAUSE).await?;
            FlushProof::Cas
        } else {
            self.turn(Until::TheFlushIsPast).await?;
            FlushProof::Twice
        };
        binary::flush(self.server, 0, self.context).await?;
        match probe {
            Some(probe) if binary::has(self.server, probe, self.context).await? => {
                let what = "an item stored before flush_all is still there after its OK";
                return Err(self.error(Problem::Incomplete(what.into())));
            }
            _ => {}
        }
        // Items that other clients store after mcflush has returned have to stay.
        let takes_later = |version| Dialect::of(version).flushes_whole_seconds(first.has_cas);
        if first.version.as_ref().is_none_or(takes_later) {
            self.turn(Until::StoresStay).await?;
        }
        Ok(proof)
    }

    fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::ops::binary::tests::{FLUSH, GET, memcached, server, status};
    use crate::ops::scripted::address;
    use crate::protocol::admin::ServerVersion;

    #[tokio::test(start_paused = true)]
    async fn a_second_flush_comes_after_a_pause_and_an_item_that_outlives_it_is_told() {
        let key = Key::new("mcflush:probe").unwrap();
        let two_turns = Duration::from_millis(2_100);
        for (version, is_there, pause, expected) in [
            ("1.6.18", false, CAS_PAUSE, Some(FlushProof::Cas)),
            ("1.6.18", true, CAS_PAUSE, None),
            ("1.6.45", false, two_turns, Some(FlushProof::Twice)),
        ] {
            let (context, heard) = server(move |opcode, body| match opcode {
                GET => status(GET, u8::from(!is_there)),
                _ => memcached(opcode, body),
            });
            let first =
                BinaryFlushed { items_before: None, version: ServerVersion::new(version.to_owned()), has_cas: true };
            let how = Flush::Exact { verify: true, keep_new: false };
            let began = Instant::now();
            let proof =
                Flushing { server: &address(), how, context: &context }.again_by_binary(&first, Some(&key)).await;
            assert_eq!((heard.count(FLUSH), began.elapsed()), (1, pause), "{version}: {proof:?}");
            match proof {
                Ok(proof) => assert_eq!(Some(proof), expected, "{version}"),
                Err(Error { problem: Problem::Incomplete(what), .. }) => {
                    assert!(expected.is_none() && what.contains("still there"), "{what}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
