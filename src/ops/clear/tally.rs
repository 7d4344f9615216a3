//! Counts what a clear has done so far. The listing and the deletes update it at the same time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

/// Counts over all passes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    matched: AtomicU64,
    bytes: AtomicU64,
    deleted: AtomicU64,
    kept_new: AtomicU64,
    /// Counted for this pass alone, because each pass lists these keys again.
    out_of_reach: AtomicU64,
    example: Mutex<Option<Bytes>>,
}

impl Tally {
    /// Adds keys in scope, and the bytes of their items.
    pub(super) fn matched(&self, keys: u64, bytes: u64) {
        self.matched.fetch_add(keys, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn begin_pass(&self) {
        self.out_of_reach.store(0, Relaxed);
    }

    /// Adds keys that were left because they were stored after the clear began.
    pub(super) fn kept_new(&self, count: u64) {
        self.kept_new.fetch_add(count, Relaxed);
    }

    pub(super) fn deleted(&self, count: u64) {
        self.deleted.fetch_add(count, Relaxed);
    }

    /// Adds a key that no command can name on this server.
    pub(super) fn out_of_reach(&self, key: &Bytes) {
        self.out_of_reach.fetch_add(1, Relaxed);
        if let Ok(mut example) = self.example.lock() {
            example.get_or_insert_with(|| Bytes::copy_from_slice(key));
        }
    }

    pub(super) fn count_kept_new(&self) -> u64 {
        self.kept_new.load(Relaxed)
    }

    pub(super) fn count_out_of_reach(&self) -> u64 {
        self.out_of_reach.load(Relaxed)
    }

    pub(super) fn count_matched(&self) -> u64 {
        self.matched.load(Relaxed)
    }

    pub(super) fn count_bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn count_deleted(&self) -> u64 {
        self.deleted.load(Relaxed)
    }

    /// How many keys no command could name, with an example.
    pub(super) fn unreachable(&self) -> Option<(u64, Bytes)> {
        let count = self.out_of_reach.load(Relaxed);
        let example = self.example.lock().ok()?.clone()?;
        (count > 0).then_some((count, example))
    }
}
