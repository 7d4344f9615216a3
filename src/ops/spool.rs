//! Where a listing keeps the keys that memory does not hold.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;

/// How many bytes a batch should have: large enough that the cost of handing it on is small beside the work on it.
pub(super) const BATCH: usize = 16 * 1024;

/// Half a megabyte: some 20,000 keys.
const MEMORY: usize = 512 * 1024;

/// Batches of keys of one walk, outside of memory. The oldest is taken first.
pub trait Queue: Send {
    /// Adds a batch.
    ///
    /// # Errors
    /// The queue has no room. The walk is given up, unless this was its last batch: this queue gets no further batch, and
    /// gives out those that it has. Then [`clear`](super::clear::clear) walks again, with a new queue;
    /// [`keys`](super::keys::keys) fails.
    fn put(&mut self, batch: Bytes) -> io::Result<()>;

    /// Removes the oldest batch. The caller takes no more batches than it put.
    ///
    /// # Errors
    /// The batch cannot be read. The operation fails, and does not use this queue again.
    fn take(&mut self) -> io::Result<Bytes>;
}

/// Opens a queue.
type Open = dyn Fn() -> io::Result<Box<dyn Queue>> + Send + Sync;

/// Where an operation keeps the listed keys that memory does not hold: by default in temporary files without names, each
/// written and read by a thread of its own. A walk whose keys fit into memory opens none.
///
/// ```
/// use std::collections::VecDeque;
/// use std::io;
///
/// use bytes::Bytes;
/// use mcflush::ops::{Context, Queue, Spool};
///
/// /// A store with room for a hundred batches.
/// struct Store(VecDeque<Bytes>);
///
/// impl Queue for Store {
///     fn put(&mut self, batch: Bytes) -> io::Result<()> {
///         if self.0.len() == 100 {
///             return Err(io::ErrorKind::StorageFull.into());
///         }
///         self.0.push_back(batch);
///         Ok(())
///     }
///
///     fn take(&mut self) -> io::Result<Bytes> {
///         self.0.pop_front().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
///     }
/// }
///
/// let context = Context::default().with_spool(Spool::by(|| Ok(Box::new(Store(VecDeque::new())))));
/// ```
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

    /// Uses the queues that this function opens; a test can give queues in memory. Both the function and the queues are
    /// called in the task of the operation, so they must not block it.
    #[must_use]
    pub fn by(open: impl Fn() -> io::Result<Box<dyn Queue>> + Send + Sync + 'static) -> Self {
        Self::at(Place::Queue(Arc::new(open)))
    }

    /// Uses the files that this function opens.
    #[cfg(test)]
    pub(super) fn in_files(open: fn() -> io::Result<File>) -> Self {
        Self::at(Place::File(open))
    }

    /// How many bytes of keys memory holds, about, before the spool is used: half a megabyte by default, and at least one
    /// batch of 16 KiB. On top come keys on their way into a temporary file, up to 4 MB in a clear and 16 MB in
    /// [`keys`](super::keys::keys), and in a clear up to 16 batches whose deletes the server has not confirmed.
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// How many batches memory holds.
    pub(super) fn batches(&self) -> usize {
        (self.memory / BATCH).max(1)
    }

    pub(super) fn place(&self) -> Place {
        self.place.clone()
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
    fn put(&mut self, batch: Bytes) -> io::Result<()> {
        let length = u32::try_from(batch.len()).map_err(io::Error::other)?;
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&batch)?;
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
