//! The keys that are listed and not yet deleted or shown. The listing never waits here: an unlinked temporary file
//! takes what memory does not hold. If the file cannot take it, the listing is told to give the walk up.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// How many bytes a batch should have: large enough that the cost of handing it on is small beside the work on it.
pub(super) const BATCH: usize = 16 * 1024;

/// Batches held in memory for the drainer: half a megabyte, some 20,000 keys.
const HEAD: usize = 32;

/// A source of batches.
pub(super) trait Batches {
    /// The next batch, or `None` after the last. A caller may drop the future while it waits: no batch is lost.
    ///
    /// # Errors
    /// The rest of the batches cannot be read.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// The two ends of a new backlog. Memory holds `waiting` batches until the file has taken them.
pub(super) fn backlog(open: Opener, waiting: usize) -> (Filler, Drainer) {
    let shared = Arc::new(Shared::default());
    (Filler { shared: Arc::clone(&shared), open: Some(open), waiting, is_full: false }, Drainer { shared })
}

/// Opens the temporary file; called on the backlog's own thread, at the first batch that memory does not hold.
pub(super) type Opener = fn() -> io::Result<File>;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the drainer: there is a batch, or there will be no more.
    ready: Notify,
    /// Wakes the spool's thread: there is a batch to move, or the backlog has ended.
    work: Condvar,
}

/// Oldest first: `head`, then the file, then `tail`.
#[derive(Debug, Default)]
struct State {
    head: VecDeque<Bytes>,
    /// Batches in the file.
    spooled: usize,
    tail: VecDeque<Bytes>,
    /// The filler is gone: there will be no more batches.
    filled: bool,
    /// The drainer is gone.
    abandoned: bool,
    /// Why the file takes no more batches.
    unwritable: Option<io::Error>,
    /// Why a batch in the file cannot be read.
    unreadable: Option<io::Error>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that hold the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that takes batches in.
#[derive(Debug)]
pub(super) struct Filler {
    shared: Arc<Shared>,
    open: Option<Opener>,
    /// How many batches memory holds for the file.
    waiting: usize,
    /// A batch left no room for the next one.
    is_full: bool,
}

impl Filler {
    /// Takes a batch without waiting. Returns false if there is no room for the next one ([`Self::trouble`] says why),
    /// or if the drainer is gone.
    pub(super) fn push(&mut self, batch: Bytes) -> bool {
        if self.shared.lock().abandoned {
            return false;
        }
        let has_room = self.put(batch);
        self.is_full |= !has_room;
        has_room
    }

    fn put(&mut self, batch: Bytes) -> bool {
        let mut state = self.shared.lock();
        if state.spooled == 0 && state.tail.is_empty() && state.head.len() < HEAD {
            state.head.push_back(batch);
            self.shared.ready.notify_one();
            return true;
        }
        state.tail.push_back(batch);
        let room = state.unwritable.is_none() && state.tail.len() < self.waiting;
        drop(state);
        if let Some(open) = self.open.take() {
            let shared = Arc::clone(&self.shared);
            let spawned = std::thread::Builder::new().name("mcflush-spool".into()).spawn(move || spool(&shared, open));
            if let Err(error) = spawned {
                self.shared.lock().unwritable = Some(error);
                return false;
            }
        }
        self.shared.work.notify_one();
        room
    }

    /// Why the file could not be used or had no room for more; `None` if all went well.
    pub(super) fn trouble(&self) -> Option<String> {
        let slow = || self.is_full.then(|| "it takes keys more slowly than the server lists them".into());
        self.shared.lock().unwritable.as_ref().map(ToString::to_string).or_else(slow)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.shared.lock().filled = true;
        self.shared.ready.notify_one();
        self.shared.work.notify_one();
    }
}

/// The end that gives batches out.
#[derive(Debug)]
pub(super) struct Drainer {
    shared: Arc<Shared>,
}

impl Drainer {
    /// The next batch, or `None` after the last.
    ///
    /// # Errors
    /// A batch in the file cannot be read.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            {
                let mut state = self.shared.lock();
                if let Some(batch) = state.head.pop_front() {
                    if state.spooled > 0 {
                        self.shared.work.notify_one();
                    }
                    return Ok(Some(batch));
                }
                if let Some(error) = state.unreadable.take() {
                    return Err(error);
                }
                if state.spooled == 0 {
                    // The file holds no batch that is older, so the tail is next.
                    let tail = std::mem::take(&mut state.tail);
                    state.head = tail;
                    if !state.head.is_empty() {
                        continue;
                    }
                    if state.filled {
                        return Ok(None);
                    }
                }
            }
            self.shared.ready.notified().await;
        }
    }
}

impl Batches for Drainer {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        Self::next(self).await
    }
}

impl Drop for Drainer {
    fn drop(&mut self) {
        self.shared.lock().abandoned = true;
        self.shared.work.notify_one();
    }
}

/// Moves batches from the tail into the file, and from the file to the head. It runs on a thread of its own, so that
/// only that thread waits for a slow disk.
fn spool(shared: &Shared, open: Opener) {
    let opened = open();
    let mut state = shared.lock();
    let mut file = match opened {
        Ok(file) => Spool { file, read: 0, written: 0 },
        Err(error) => {
            state.unwritable = Some(error);
            return;
        }
    };
    loop {
        if state.abandoned || (state.filled && state.spooled == 0 && state.tail.is_empty()) {
            return;
        }
        if state.spooled > 0 && state.head.len() < HEAD / 2 {
            drop(state);
            let batch = file.take();
            state = shared.lock();
            match batch {
                Ok(batch) => {
                    state.spooled -= 1;
                    state.head.push_back(batch);
                    shared.ready.notify_one();
                }
                Err(error) => {
                    state.unreadable = Some(error);
                    shared.ready.notify_one();
                    return;
                }
            }
        } else if state.unwritable.is_none()
            && let Some(batch) = state.tail.pop_front()
        {
            // It is counted before it is written, so that the drainer does not take a newer batch of the tail first.
            state.spooled += 1;
            drop(state);
            let written = file.put(&batch);
            state = shared.lock();
            if let Err(error) = written {
                state.spooled -= 1;
                state.tail.push_front(batch);
                state.unwritable = Some(error);
                shared.ready.notify_one();
            }
        } else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Batches in a file, each after its length: written at the end of the file, read from its start.
#[derive(Debug)]
struct Spool {
    file: File,
    read: u64,
    written: u64,
}

impl Spool {
    fn put(&mut self, batch: &Bytes) -> io::Result<()> {
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

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::fs::OpenOptions;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    const WAITING: usize = 256;

    /// A batch that holds its own number.
    fn batch(number: u32) -> Bytes {
        let mut records = vec![0; 200 + number as usize % 100];
        records[..4].copy_from_slice(&number.to_le_bytes());
        Bytes::from(records)
    }

    /// The batches that come out before the end or the first error.
    fn drain(drainer: &mut Drainer) -> (Vec<Bytes>, Option<io::Error>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (mut out, mut failure) = (Vec::new(), None);
        runtime.block_on(async {
            loop {
                let next = tokio::time::timeout(Duration::from_secs(30), drainer.next()).await;
                match next.expect("the drainer is told of what there is") {
                    Ok(Some(batch)) => out.push(batch),
                    Ok(None) => break,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
        });
        (out, failure)
    }

    fn numbered(count: u32) -> Vec<Bytes> {
        (0..count).map(batch).collect()
    }

    fn until(what: impl Fn() -> bool) {
        while !what() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn batches_come_out_in_order() {
        for count in [0, 1, HEAD as u32, HEAD as u32 + 1, 5_000] {
            let (mut filler, mut drainer) = backlog(tempfile::tempfile, WAITING);
            let mut had_room = true;
            for number in 0..count {
                let has_room = filler.push(batch(number));
                assert!(has_room || number as usize >= HEAD + WAITING - 1, "{number} of {count}");
                had_room &= has_room;
            }
            assert_eq!(filler.trouble().is_none(), had_room, "{count}");
            drop(filler);
            let (out, failure) = drain(&mut drainer);
            assert!(out == numbered(count) && failure.is_none(), "{count}: {failure:?}");
        }
    }

    #[test]
    fn both_ends_at_once() {
        let (mut filler, mut drainer) = backlog(tempfile::tempfile, WAITING);
        let drained = std::thread::spawn(move || drain(&mut drainer).0);
        for number in 0..20_000 {
            filler.push(batch(number));
            // Now and then the drainer catches up, so that the file is emptied and filled anew.
            if number % 1_000 == 0 {
                let shared = Arc::clone(&filler.shared);
                until(|| {
                    let state = shared.lock();
                    state.head.is_empty() && state.spooled == 0 && state.tail.is_empty()
                });
            }
        }
        drop(filler);
        assert!(drained.join().unwrap() == numbered(20_000));
    }

    #[test]
    fn a_few_batches_need_no_file() {
        let (mut filler, _drainer) = backlog(tempfile::tempfile, WAITING);
        assert!((0..HEAD as u32).all(|number| filler.push(batch(number))) && filler.open.is_some());
        assert!(filler.push(batch(HEAD as u32)) && filler.open.is_none());
    }

    #[test]
    fn memory_holds_the_head_alone_once_the_file_has_the_rest() {
        let (mut filler, drainer) = backlog(tempfile::tempfile, WAITING);
        for number in 0..2_000 {
            filler.push(batch(number));
        }
        until(|| drainer.shared.lock().tail.is_empty());
        let state = drainer.shared.lock();
        assert!(state.head.len() <= HEAD && state.spooled >= 2_000 - HEAD - 1);
    }

    /// Pushes until there is no room.
    fn fill(filler: &mut Filler) -> u32 {
        (1..).find(|number| !filler.push(batch(number - 1))).unwrap()
    }

    #[test]
    fn without_a_file_the_walk_is_given_up_and_nothing_is_lost() {
        let (mut filler, mut drainer) = backlog(|| Err(io::ErrorKind::PermissionDenied.into()), WAITING);
        let pushed = fill(&mut filler);
        assert!(pushed as usize <= HEAD + WAITING, "{pushed}");
        until(|| filler.shared.lock().unwritable.is_some());
        // A walk that is given up still hands on its last lines, when there may be room in front again.
        assert_eq!(drainer.next().now_or_never().unwrap().unwrap(), Some(batch(0)));
        filler.push(batch(pushed));
        drop(filler);
        assert!(drain(&mut drainer).0 == numbered(pushed + 1)[1..]);
    }

    #[test]
    fn on_a_full_disk_the_walk_is_given_up_and_nothing_is_lost() {
        let (mut filler, mut drainer) =
            backlog(|| OpenOptions::new().read(true).write(true).open("/dev/full"), WAITING);
        let pushed = fill(&mut filler);
        until(|| filler.shared.lock().unwritable.is_some());
        drop(filler);
        assert!(drain(&mut drainer).0 == numbered(pushed));
    }

    #[test]
    fn a_batch_that_cannot_be_read_back_is_an_error() {
        // The file can be written but not read.
        let (mut filler, mut drainer) = backlog(|| OpenOptions::new().write(true).open("/dev/null"), WAITING);
        for number in 0..1_000 {
            filler.push(batch(number));
        }
        until(|| filler.shared.lock().spooled > 0);
        drop(filler);
        let (out, failure) = drain(&mut drainer);
        assert!(out.len() < 1_000 && failure.is_some());
    }

    #[test]
    fn without_a_drainer_the_thread_ends() {
        let (mut filler, drainer) = backlog(tempfile::tempfile, WAITING);
        for number in 0..1_000 {
            filler.push(batch(number));
        }
        drop(drainer);
        // Only the filler holds it once the thread has ended.
        until(|| Arc::strong_count(&filler.shared) == 1);
    }
}
