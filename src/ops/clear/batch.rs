//! Keys on their way from the listing to the deletes: many in one buffer, a length byte before each.

use bytes::{BufMut, Bytes, BytesMut};

use crate::ops::backlog::BATCH;
use crate::ops::listing::Listed;
use crate::protocol::PercentError;
use crate::scope::Scope;

/// Some keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    records: Bytes,
}

impl Batch {
    /// Large enough that a fence costs nothing beside its deletes; small enough that the answers to a few batches fit
    /// into any socket's buffer, so that neither side has to wait for the other.
    pub(super) const BYTES: usize = BATCH;

    /// The records, for keeping them elsewhere.
    pub(super) fn into_bytes(self) -> Bytes {
        self.records
    }

    /// What [`Self::into_bytes`] gave.
    pub(super) const fn from_bytes(records: Bytes) -> Self {
        Self { records }
    }

    /// Splits off at most so many keys from its start; gives their number.
    pub(super) fn split(&mut self, most: usize) -> (Self, usize) {
        let mut end = 0;
        let mut count = 0;
        while count < most
            && let Some(length) = self.records.get(end)
        {
            end += usize::from(*length) + 1;
            count += 1;
        }
        (Self { records: self.records.split_to(end.min(self.records.len())) }, count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Its keys, slices of its buffer.
    pub(super) fn keys(&self) -> impl Iterator<Item = Bytes> + use<> {
        let mut rest = self.records.clone();
        std::iter::from_fn(move || {
            let length = usize::from(*rest.first()?);
            let record = rest.split_to(rest.len().min(length + 1));
            Some(record.slice(1..))
        })
    }
}

/// Gathers keys into a batch.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    records: BytesMut,
}

impl BatchBuilder {
    /// Takes an item's key if it is in scope, and says whether it was.
    ///
    /// # Errors
    /// The key is not encoded as a server would.
    pub(super) fn take(&mut self, item: Listed<'_>, scope: &Scope) -> Result<bool, PercentError> {
        let start = self.records.len();
        self.records.put_u8(0);
        let decoded = item.append_key(&mut self.records);
        let key = self.records.get(start + 1..).unwrap_or_default();
        // A key has at most 250 bytes: decoding saw to that.
        let length = u8::try_from(key.len()).unwrap_or_default();
        if decoded.is_err() || !scope.contains(key) {
            self.records.truncate(start);
            return decoded.map(|()| false);
        }
        if let Some(first) = self.records.get_mut(start) {
            *first = length;
        }
        Ok(true)
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= Batch::BYTES
    }

    /// What was gathered, if anything.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        let records = self.records.split().freeze();
        self.records.reserve(Batch::BYTES + 256);
        (!records.is_empty()).then_some(Batch { records })
    }
}
