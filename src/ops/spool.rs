//! Where a listing keeps the keys that memory does not hold.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;

use super::backlog::BATCH;

/// Batches of keys outside of memory. They are taken in the order in which they were put.
pub trait Queue: Send {
    /// Adds a batch.
    ///
    /// # Errors
    /// There is no room for the batch: the listing is given up, and no batch is put again.
    fn put(&mut self, batch: &[u8]) -> io::Result<()>;

    /// Removes the oldest batch. It is called at most once for each batch that was put.
    ///
    /// # Errors
    /// The batch cannot be read: the operation fails.
    fn take(&mut self) -> io::Result<Bytes>;
}

/// Opens a queue.
type Open = dyn Fn() -> io::Result<Box<dyn Queue>> + Send + Sync;

/// Half a megabyte: some 20,000 keys.
const MEMORY: usize = 512 * 1024;

/// Keeps the keys that an operation has listed and not yet deleted or shown: the first half megabyte of each listing in
/// memory, the rest in queues. By default the queues are temporary files without names, each on a thread of its own. A
/// listing that fits into memory opens none.
#[derive(Clone)]
pub struct Spool {
    memory: usize,
    place: Place,
}

/// Where the queues are.
#[derive(Clone)]
pub(super) enum Place {
    /// A file, on a thread of its own.
    File(fn() -> io::Result<File>),
    /// Anything, in the task of the operation.
    Queue(Arc<Open>),
}

impl Default for Spool {
    fn default() -> Self {
        Self::at(Place::File(tempfile::tempfile))
    }
}

impl Spool {
    fn at(place: Place) -> Self {
        Self { memory: MEMORY, place }
    }

    /// Takes the queues from a function, such as queues in memory in a test. Both the function and the queues are called
    /// in the task of the operation, so they must not block it.
    #[must_use]
    pub fn by(open: impl Fn() -> io::Result<Box<dyn Queue>> + Send + Sync + 'static) -> Self {
        Self::at(Place::Queue(Arc::new(open)))
    }

    /// Takes the files from a function.
    #[cfg(test)]
    pub(super) fn in_files(open: fn() -> io::Result<File>) -> Self {
        Self::at(Place::File(open))
    }

    /// Keeps about so many bytes of keys in memory, at least one batch (16 KiB).
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// How many batches memory holds.
    pub(super) fn batches(&self) -> usize {
        (self.memory / BATCH).max(1)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.place {
            Place::File(_) => "Spool(temporary files)",
            Place::Queue(_) => "Spool(a function)",
        })
    }
}

/// Batches in a file, each after its length: written at the end of the file, read from its start.
#[derive(Debug)]
pub(super) struct FileQueue {
    file: File,
    read: u64,
    written: u64,
}

impl FileQueue {
    pub(super) fn new(file: File) -> Self {
        Self { file, read: 0, written: 0 }
    }
}

impl Queue for FileQueue {
    fn put(&mut self, batch: &[u8]) -> io::Result<()> {
        let length = u32::try_from(batch.len()).map_err(io::Error::other)?;
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(batch)?;
        self.written += 4 + u64::from(length);
        Ok(())
    }

    fn take(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        let mut records = vec![0; length as usize];
        self.file.read_exact(&mut records)?;
        self.read += 4 + u64::from(length);
        if self.read == self.written {
            // All batches are read: give the space back to the file system.
            self.file.set_len(0)?;
            (self.read, self.written) = (0, 0);
        }
        Ok(Bytes::from(records))
    }
}
