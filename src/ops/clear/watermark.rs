//! The watermark: a CAS that the server gave out after the clear began. What has a CAS up to it was stored before.

use std::sync::atomic::Ordering::Relaxed;

use super::Shared;
use super::batch::{Batch, Record};
use crate::client::{Client, MetaDeleteOutcome, ReplaceOutcome};
use crate::error::Error;
use crate::ops::dialect::Language;
use crate::protocol::meta::{MetaDelete, MetaGet};
use crate::protocol::{Cas, Key, MetaKey};

/// Keys of a batch that are asked one after the other whether they are still there. When another client has deleted them
/// all meanwhile, a later batch gives the watermark; what is stored until then counts as old.
const TRIED: usize = 8;

/// Gives a key of the batch a fresh CAS, without storing anything new; the key is deleted next. None when none of the keys
/// tried is there any more: where new items are kept, these are all. The CAS is 0 on a server without (-C).
pub(super) async fn take(
    client: &mut Client,
    shared: &Shared<'_>,
    language: Language,
    batch: &Batch,
) -> Result<Option<Record>, Error> {
    let tried = if shared.options.keep_new { usize::MAX } else { TRIED };
    let is_filtered = !shared.options.filter.is_none();
    for Record { key, cas } in batch.records().take(tried) {
        // What was stored since it was listed may be none of those that are meant.
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

/// `md KEY I` marks the item as stale and gives it a fresh CAS; it allocates nothing. `listed` is the CAS that the item has to
/// have, if any.
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
        // The server counts it among its reads.
        shared.own_uses.fetch_add(1, Relaxed);
    }
    Ok(found.and_then(|item| item.flags().cas()).map(u64::from))
}

/// `append` of nothing leaves the value as it is and gives it a fresh CAS, which `gets` reads. It allocates an item: on a
/// full server the oldest one of its slab class may be evicted for it.
async fn by_classic(client: &mut Client, shared: &Shared<'_>, key: Key) -> Result<Option<u64>, Error> {
    if client.append(key.clone(), "").await? == ReplaceOutcome::Missing {
        shared.own_uses.fetch_add(1, Relaxed);
        return Ok(None);
    }
    let found = client.gets(key).await?;
    shared.own_uses.fetch_add(1 + u64::from(found.is_some()), Relaxed);
    Ok(found.and_then(|value| value.cas()).map(u64::from))
}
