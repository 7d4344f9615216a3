//! The watermark: a CAS that the server gave out after the clear began. An item with this CAS or a lower one was stored
//! before.

use std::sync::atomic::Ordering::Relaxed;

use super::Shared;
use super::batch::{Batch, Record};
use crate::client::{Client, MetaDeleteOutcome, ReplaceOutcome};
use crate::error::Error;
use crate::ops::dialect::Language;
use crate::protocol::meta::{MetaDelete, MetaGet};
use crate::protocol::{Cas, Key, MetaKey};

/// How many keys of a batch are tried, one after the other. If another client has deleted them all meanwhile, a later
/// batch gives the watermark; items stored until then count as old.
const TRIED: usize = 8;

/// Gives a key of the batch a new CAS, without storing anything new; the caller deletes the key next. Returns `None` if
/// none of the tried keys is there any more; if new items are kept, all keys of the batch are tried. The CAS is 0 on a
/// server without CAS (-C).
pub(super) async fn take(
    client: &mut Client,
    shared: &Shared<'_>,
    language: Language,
    batch: &Batch,
) -> Result<Option<Record>, Error> {
    let tried = if shared.options.keep_new { usize::MAX } else { TRIED };
    let is_filtered = !shared.options.filter.is_none();
    for Record { key, cas } in batch.records().take(tried) {
        // With a filter, an item stored after the listing may not meet it, so the mark compares.
        let listed = is_filtered.then_some(cas);
        let cas = match language {
            Language::Meta => {
                let Ok(key) = MetaKey::for_bytes(key.clone()) else { continue };
                by_meta(client, shared, key, listed).await?
            }
            Language::Classic => {
                let Ok(key) = Key::new(key.clone()) else { continue };
                by_classic(client, shared, key).await?
            }
        };
        if let Some(cas) = cas {
            return Ok(Some(Record { key, cas }));
        }
    }
    Ok(None)
}

/// `md KEY I` marks the item as stale and gives it a new CAS; it allocates no memory. `listed` is the CAS that the item
/// must have, if any.
async fn by_meta(
    client: &mut Client,
    shared: &Shared<'_>,
    key: MetaKey,
    listed: Option<u64>,
) -> Result<Option<u64>, Error> {
    let mark = MetaDelete { invalidate: true, cas: listed.map(Cas), ..MetaDelete::new(key.clone()) };
    if !matches!(client.meta_delete(mark).await?, MetaDeleteOutcome::Deleted(_)) {
        return Ok(None);
    }
    let get = MetaGet { cas: true, no_bump: true, ..MetaGet::new(key) };
    let found = client.meta_get(get).await?;
    if found.is_some() {
        // The server counts it as a read.
        shared.own_uses.fetch_add(1, Relaxed);
    }
    Ok(found.and_then(|item| item.flags().cas()).map(u64::from))
}

/// `append` of an empty value leaves the item's value as it is and gives the item a new CAS, which `gets` reads. It
/// allocates an item: a full server may evict the oldest item of that slab class.
async fn by_classic(client: &mut Client, shared: &Shared<'_>, key: Key) -> Result<Option<u64>, Error> {
    if client.append(key.clone(), "").await? == ReplaceOutcome::Missing {
        shared.own_uses.fetch_add(1, Relaxed);
        return Ok(None);
    }
    let found = client.gets(key).await?;
    shared.own_uses.fetch_add(1 + u64::from(found.is_some()), Relaxed);
    Ok(found.and_then(|value| value.cas()).map(u64::from))
}
