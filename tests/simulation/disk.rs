//! The disk that takes the keys that mcflush lists and memory does not hold, and its faults.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mcflush::ops::{Queue, Spool};

use crate::plan::{DiskFaults, Plan};
use crate::world::World;

struct Disk {
    world: World,
    faults: DiskFaults,
    batches: VecDeque<Bytes>,
    used: u64,
}

impl Queue for Disk {
    fn put(&mut self, batch: Bytes) -> io::Result<()> {
        let used = self.used + batch.len() as u64;
        if self.faults.room.is_some_and(|room| used > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.used = used;
        self.world.with(|state| state.oracle.leaves_memory(batch.len()));
        self.batches.push_back(batch);
        Ok(())
    }

    fn take(&mut self) -> io::Result<Bytes> {
        if let Some(readable) = &mut self.faults.readable {
            *readable = readable.checked_sub(1).ok_or(io::ErrorKind::InvalidData)?;
        }
        let batch = self.batches.pop_front().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.world.with(|state| state.oracle.enters_memory(batch.len()));
        if self.batches.is_empty() {
            self.used = 0;
        }
        Ok(batch)
    }
}

pub fn spool(world: World, plan: Arc<Plan>) -> Spool {
    let memory = plan.memory;
    let spool = Spool::by(move || {
        let faults = plan.disk.clone();
        if faults.is_missing {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Box::new(Disk { world: world.clone(), faults, batches: VecDeque::new(), used: 0 }))
    });
    spool.with_memory(memory)
}
