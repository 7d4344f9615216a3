//! The keys that are listed and not yet deleted or shown. The listing never waits here: the spool takes what memory does
//! not hold. If the spool cannot take it, the listing is told to give the walk up.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::spool::{FileQueue, Place, Queue, Spool};

/// A source of batches.
pub(super) trait Batches {
    /// The next batch, or `None` after the last. A caller may drop the future while it waits: no batch is lost.
    ///
    /// # Errors
    /// The rest of the batches cannot be read; then there are no more.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// The two ends of a new backlog. Memory holds `waiting` batches until the spool has taken them.
pub(super) fn backlog(spool: &Spool, waiting: usize) -> (Filler, Drainer) {
    let state = Mutex::new(State { head_max: spool.batches(), ..State::default() });
    let shared = Arc::new(Shared { state, ready: Notify::new(), work: Condvar::new() });
    (Filler { shared: Arc::clone(&shared), unopened: Some(spool.place()), waiting, is_full: false }, Drainer { shared })
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the drainer: there is a batch, or there will be no more.
    ready: Notify,
    /// Wakes the spool's thread: there is a batch to move, or the backlog has ended.
    work: Condvar,
}

/// Oldest first: `head`, then the queue of the spool, then `tail`.
#[derive(Default)]
struct State {
    head: VecDeque<Bytes>,
    /// How many batches the head holds; it is filled again when half of it is empty.
    head_max: usize,
    /// Batches in the queue.
    spooled: usize,
    tail: VecDeque<Bytes>,
    /// The filler is gone: there will be no more batches.
    filled: bool,
    /// No more batches come out: the drainer is gone, or the queue cannot be read.
    ended: bool,
    /// Why the queue takes no more batches.
    unwritable: Option<io::Error>,
    /// Why a batch in the queue cannot be read.
    unreadable: Option<io::Error>,
    /// The queue, if the tasks of the operation use it.
    queue: Option<Box<dyn Queue>>,
}

/// A batch to move.
enum Step {
    /// The oldest of the queue, to the head.
    Take,
    /// The oldest of the tail, to the queue.
    Put(Bytes),
}

/// What became of a batch to move.
enum Moved {
    Taken(io::Result<Bytes>),
    Put,
    NotPut(Bytes, io::Error),
}

impl Step {
    fn run(self, queue: &mut dyn Queue) -> Moved {
        match self {
            Self::Take => Moved::Taken(queue.take()),
            Self::Put(batch) => match queue.put(batch.clone()) {
                Ok(()) => Moved::Put,
                Err(error) => Moved::NotPut(batch, error),
            },
        }
    }
}

impl State {
    /// The next batch to move, if there is one.
    fn step(&mut self) -> Option<Step> {
        if self.ended {
            return None;
        }
        if self.spooled > 0 && self.head.len() < self.head_max.div_ceil(2) {
            return Some(Step::Take);
        }
        if self.unwritable.is_some() {
            return None;
        }
        let batch = self.tail.pop_front()?;
        // It is counted before it is put, so that the drainer does not take a newer batch of the tail first.
        self.spooled += 1;
        Some(Step::Put(batch))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that hold the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the batches that are due, here or on the spool's thread.
    fn move_batches(&self, state: &mut State) {
        let Some(mut queue) = state.queue.take() else { return self.work.notify_one() };
        while let Some(step) = state.step() {
            self.settle(state, step.run(&mut *queue));
        }
        state.queue = Some(queue);
    }

    fn settle(&self, state: &mut State, moved: Moved) {
        match moved {
            Moved::Put => return,
            Moved::Taken(Ok(batch)) => {
                state.spooled -= 1;
                state.head.push_back(batch);
            }
            Moved::Taken(Err(error)) => {
                state.unreadable = Some(error);
                state.ended = true;
                state.spooled = 0;
                state.tail.clear();
            }
            Moved::NotPut(batch, error) => {
                state.spooled -= 1;
                state.tail.push_front(batch);
                state.unwritable = Some(error);
            }
        }
        self.ready.notify_one();
    }
}

/// The end that takes batches in.
pub(super) struct Filler {
    shared: Arc<Shared>,
    /// The place of the spool, until it is opened.
    unopened: Option<Place>,
    /// How many batches memory holds for the spool.
    waiting: usize,
    /// A batch left no room for the next one.
    is_full: bool,
}

impl Filler {
    /// Takes a batch without waiting. Returns false if there is no room for the next one ([`Self::trouble`] says why),
    /// or if no more batches come out.
    pub(super) fn push(&mut self, batch: Bytes) -> bool {
        let mut state = self.shared.lock();
        if state.ended {
            return false;
        }
        if state.spooled == 0 && state.tail.is_empty() && state.head.len() < state.head_max {
            state.head.push_back(batch);
            self.shared.ready.notify_one();
            return true;
        }
        state.tail.push_back(batch);
        match self.unopened.take() {
            None => {}
            Some(Place::Queue(open)) => match open() {
                Ok(queue) => state.queue = Some(queue),
                Err(error) => state.unwritable = Some(error),
            },
            Some(Place::File(open)) => {
                let shared = Arc::clone(&self.shared);
                let thread = std::thread::Builder::new().name("mcflush-spool".into());
                if let Err(error) = thread.spawn(move || keep_in_file(&shared, open())) {
                    state.unwritable = Some(error);
                }
            }
        }
        self.shared.move_batches(&mut state);
        let has_room = state.unwritable.is_none() && state.tail.len() < self.waiting;
        self.is_full |= !has_room;
        has_room
    }

    /// Why the spool could not be used or had no room for more; `None` if all went well.
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
pub(super) struct Drainer {
    shared: Arc<Shared>,
}

impl Drainer {
    /// The next batch, or `None` after the last.
    ///
    /// # Errors
    /// A batch in the spool cannot be read.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            {
                let mut state = self.shared.lock();
                if let Some(batch) = state.head.pop_front() {
                    if state.spooled > 0 {
                        self.shared.move_batches(&mut state);
                    }
                    return Ok(Some(batch));
                }
                if let Some(error) = state.unreadable.take() {
                    return Err(error);
                }
                if state.spooled == 0 {
                    // The queue holds no batch that is older, so the tail is next.
                    let tail = std::mem::take(&mut state.tail);
                    state.head = tail;
                    if !state.head.is_empty() {
                        continue;
                    }
                    if state.filled || state.ended {
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
        self.shared.lock().ended = true;
        self.shared.work.notify_one();
    }
}

/// Moves batches from the tail into a file, and from the file to the head. It runs on a thread of its own, so that only
/// that thread waits for a slow disk.
fn keep_in_file(shared: &Shared, opened: io::Result<File>) {
    let mut state = shared.lock();
    let mut queue = match opened {
        Ok(file) => FileQueue::new(file),
        Err(error) => {
            state.unwritable = Some(error);
            return;
        }
    };
    loop {
        if let Some(step) = state.step() {
            drop(state);
            let moved = step.run(&mut queue);
            state = shared.lock();
            shared.settle(&mut state, moved);
        } else if state.ended || (state.filled && state.spooled == 0 && state.tail.is_empty()) {
            return;
        } else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::fs::OpenOptions;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::ops::scripted::Disk;

    /// Batches that memory holds by default.
    const HEAD: usize = 32;
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
            let (mut filler, mut drainer) = backlog(&Spool::default(), WAITING);
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
        let (mut filler, mut drainer) = backlog(&Spool::default(), WAITING);
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
        let (mut filler, _drainer) = backlog(&Spool::default(), WAITING);
        assert!((0..HEAD as u32).all(|number| filler.push(batch(number))) && filler.unopened.is_some());
        assert!(filler.push(batch(HEAD as u32)) && filler.unopened.is_none());
    }

    #[test]
    fn memory_holds_the_head_alone_once_the_file_has_the_rest() {
        let (mut filler, drainer) = backlog(&Spool::default(), WAITING);
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
        let (mut filler, mut drainer) =
            backlog(&Spool::in_files(|| Err(io::ErrorKind::PermissionDenied.into())), WAITING);
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
            backlog(&Spool::in_files(|| OpenOptions::new().read(true).write(true).open("/dev/full")), WAITING);
        let pushed = fill(&mut filler);
        until(|| filler.shared.lock().unwritable.is_some());
        drop(filler);
        assert!(drain(&mut drainer).0 == numbered(pushed));
    }

    #[test]
    fn a_batch_that_cannot_be_read_back_is_an_error() {
        // The file can be written but not read.
        let (mut filler, mut drainer) =
            backlog(&Spool::in_files(|| OpenOptions::new().write(true).open("/dev/null")), WAITING);
        for number in 0..1_000 {
            filler.push(batch(number));
        }
        until(|| filler.shared.lock().spooled > 0);
        drop(filler);
        let (out, failure) = drain(&mut drainer);
        assert!(out.len() < 1_000 && failure.is_some());
    }

    #[test]
    fn the_queues_of_a_caller_are_used_without_a_thread() {
        // Without room for all batches, and with room for exactly as many as memory does not hold.
        for room in [0, 7, 1_000 - HEAD] {
            let (mut filler, mut drainer) = backlog(&Disk::of(room).spool(), WAITING);
            let pushed = (0..1_000).find(|number| !filler.push(batch(*number))).map_or(1_000, |number| number + 1);
            assert_eq!(pushed as usize, (HEAD + room + 1).min(1_000), "one batch finds out that there is no room");
            assert_eq!(filler.trouble().is_none(), pushed == 1_000, "{room}");
            drop(filler);
            for number in 0..pushed {
                let next = drainer.next().now_or_never().expect("no thread has to bring it");
                assert_eq!(next.unwrap(), Some(batch(number)), "{room}");
            }
            assert_eq!(drainer.next().now_or_never().unwrap().unwrap(), None);
        }
    }

    #[test]
    fn what_comes_before_an_unreadable_batch_comes_out() {
        let (mut filler, mut drainer) = backlog(&Disk::of(1_000).with_readable(3).spool(), WAITING);
        assert!((0..100).all(|number| filler.push(batch(number))));
        let (out, failure) = drain(&mut drainer);
        assert!(out == numbered(HEAD as u32 + 3) && failure.is_some(), "{}", out.len());
        assert!(!filler.push(batch(100)), "no batch comes out any more");
    }

    #[test]
    fn without_a_drainer_the_thread_ends() {
        let (mut filler, drainer) = backlog(&Spool::default(), WAITING);
        for number in 0..1_000 {
            filler.push(batch(number));
        }
        drop(drainer);
        // Only the filler holds it once the thread has ended.
        until(|| Arc::strong_count(&filler.shared) == 1);
    }
}
