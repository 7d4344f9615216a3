//! Keys on their way from the listing to the deletes: many in one buffer, each after a length byte and, where it is
//! needed, before its CAS.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::ops::listing::ListedItem;
use crate::ops::spool::BATCH;
use crate::protocol::PercentError;

/// Whether the records of a batch have a CAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchFormat {
    /// Keys alone.
    Keys,
    /// Each key with the CAS that the listing gave, or 0 if it gave none.
    KeysWithCas,
}

impl BatchFormat {
    /// How many bytes follow a key.
    const fn cas_bytes(self) -> usize {
        match self {
            Self::Keys => 0,
            Self::KeysWithCas => 8,
        }
    }
}

/// A key to delete, and the CAS that it was listed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Bytes,
    /// 0 in a batch of keys alone.
    pub(super) cas: u64,
}

/// Some keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    format: BatchFormat,
    records: Bytes,
}

impl Batch {
    /// Large enough that a fence costs little beside its deletes, small enough that a lost connection leaves little to
    /// repeat.
    pub(super) const BYTES: usize = BATCH;

    /// The records, to be stored elsewhere.
    pub(super) fn into_bytes(self) -> Bytes {
        self.records
    }

    /// A batch of this format from the bytes that [`Self::into_bytes`] gave.
    pub(super) const fn from_bytes(format: BatchFormat, records: Bytes) -> Self {
        Self { format, records }
    }

    /// Splits off up to `most` keys from the start. Returns them with their number.
    pub(super) fn split(&mut self, most: usize) -> (Self, usize) {
        let mut end = 0;
        let mut count = 0;
        while count < most
            && let Some(length) = self.records.get(end)
        {
            end += usize::from(*length) + 1 + self.format.cas_bytes();
            count += 1;
        }
        (Self { format: self.format, records: self.records.split_to(end.min(self.records.len())) }, count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records; their keys are slices of this batch's buffer.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let mut rest = self.records.clone();
        let cas_bytes = self.format.cas_bytes();
        std::iter::from_fn(move || {
            let end = usize::from(*rest.first()?) + 1;
            let mut record = rest.split_to(rest.len().min(end + cas_bytes));
            record.advance(1);
            let key = record.split_to(record.len().min(end - 1));
            let cas = if record.len() == 8 { record.get_u64() } else { 0 };
            Some(Record { key, cas })
        })
    }
}

/// Gathers keys into a batch.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    format: BatchFormat,
    records: BytesMut,
}

impl BatchBuilder {
    pub(super) fn new(format: BatchFormat) -> Self {
        Self { format, records: BytesMut::new() }
    }

    /// Adds an item's key if `is_wanted` accepts it (decoded). Returns whether it did.
    ///
    /// # Errors
    /// The key is not encoded as a server encodes keys.
    pub(super) fn take(
        &mut self,
        item: ListedItem<'_>,
        is_wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Result<bool, PercentError> {
        let start = self.records.len();
        self.records.put_u8(0);
        let decoded = item.append_key(&mut self.records);
        // Decoding ensures that a key has 1 to 250 bytes; an empty or longer one is never deleted.
        let key = decoded.ok().and_then(|()| self.records.get(start + 1..)).filter(|key| !key.is_empty());
        let length = key.and_then(|key| u8::try_from(key.len()).ok()).ok_or(PercentError);
        let is_wanted = key.is_some_and(is_wanted);
        let (true, Ok(length), Some(first)) = (is_wanted, length, self.records.get_mut(start)) else {
            self.records.truncate(start);
            return length.map(|_| false);
        };
        *first = length;
        if self.format == BatchFormat::KeysWithCas {
            self.records.put_u64(item.cas().unwrap_or_default());
        }
        Ok(true)
    }

    /// Adds a key; leaves it out if it is longer than a length byte can say.
    pub(super) fn put(&mut self, key: &[u8]) {
        if let Ok(length) = u8::try_from(key.len()) {
            self.records.put_u8(length);
            self.records.put_slice(key);
            if self.format == BatchFormat::KeysWithCas {
                self.records.put_u64(0);
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= Batch::BYTES
    }

    /// The batch gathered so far; `None` if it is empty.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        let records = self.records.split().freeze();
        self.records.reserve(Batch::BYTES + 512);
        (!records.is_empty()).then_some(Batch { format: self.format, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::crawler::MetadumpLine;

    fn batch(format: BatchFormat, lines: &[&'static str]) -> Batch {
        let mut builder = BatchBuilder::new(format);
        for line in lines {
            let item = ListedItem::Metadump(MetadumpLine::new(line.as_bytes()).unwrap());
            builder.take(item, |key| key.starts_with(b"a")).unwrap();
        }
        builder.finish().unwrap()
    }

    fn pairs(batch: &Batch) -> Vec<(Bytes, u64)> {
        batch.records().map(|record| (record.key, record.cas)).collect()
    }

    #[test]
    fn records_come_back_as_they_went_in() {
        let lines = ["key=a cas=7", "key=b cas=8", "key=a%20b cas=18446744073709551615", "key=ac exp=-1"];
        let with_cas = batch(BatchFormat::KeysWithCas, &lines);
        let keys = ["a", "a b", "ac"].map(Bytes::from);
        assert_eq!(pairs(&with_cas), [(keys[0].clone(), 7), (keys[1].clone(), u64::MAX), (keys[2].clone(), 0)]);
        let alone = batch(BatchFormat::Keys, &lines);
        assert_eq!(pairs(&alone), keys.map(|key| (key, 0)));
        for (format, mut whole) in [(BatchFormat::KeysWithCas, with_cas), (BatchFormat::Keys, alone)] {
            let all = pairs(&whole);
            let (first, count) = whole.split(2);
            assert_eq!((count, pairs(&first), pairs(&whole)), (2, all[..2].to_vec(), all[2..].to_vec()));
            let again = Batch::from_bytes(format, whole.into_bytes());
            assert_eq!(pairs(&again), all[2..]);
        }
    }
}
