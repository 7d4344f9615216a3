//! The connections between mcflush and the model, and their faults.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::plan::Plan;
use crate::talk::first_command;
use crate::world::{Said, World};

/// The client's end.
pub struct Wire {
    stream: DuplexStream,
    /// The connection ends with a reset.
    is_reset: Arc<AtomicBool>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() == before && self.is_reset.load(SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The server's end.
struct Line {
    stream: DuplexStream,
    chance: Chance,
    /// The bytes in each direction until the connection is cut.
    reads_left: u64,
    writes_left: u64,
    stalls: Option<(u64, Duration)>,
    delayed: u64,
    is_split: bool,
    command_pace: u64,
}

/// The connection is over.
struct Over;

impl Line {
    /// Reads the bytes that the client sent, up to the cut.
    async fn read(&mut self, buffer: &mut Vec<u8>) -> Result<(), Over> {
        if self.reads_left == 0 {
            return Err(Over);
        }
        let mut some = vec![0; 16 * 1024];
        let length = self.stream.read(&mut some).await.map_err(|_| Over)?;
        if length == 0 {
            return Err(Over);
        }
        let taken = self.reads_left.min(length as u64);
        self.reads_left -= taken;
        buffer.extend_from_slice(&some[..taken as usize]);
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Over> {
        while !bytes.is_empty() {
            let most = bytes.len() as u64;
            let piece = if self.is_split { 1 + self.chance.of_any_size(most) } else { most }.min(most);
            let allowed = piece.min(self.writes_left);
            if let Some((bytes, time)) = self.stalls {
                self.stalls = bytes.checked_sub(allowed).map(|bytes| (bytes, time));
                if self.stalls.is_none() {
                    sleep(time).await;
                }
            }
            if self.chance.permille(self.delayed) {
                sleep(self.chance.millis(1, 150)).await;
            }
            let (now, later) = bytes.split_at(allowed as usize);
            self.stream.write_all(now).await.map_err(|_| Over)?;
            self.writes_left -= allowed;
            if allowed < piece {
                return Err(Over);
            }
            if self.is_split && !later.is_empty() {
                tokio::task::yield_now().await;
            }
            bytes = later;
        }
        Ok(())
    }

    async fn serve(mut self, world: World) {
        let mut buffer = Vec::new();
        let mut until_pause = self.command_pace;
        loop {
            while let Some((command, used)) = first_command(&buffer) {
                buffer.drain(..used);
                let written = match world.execute(&command) {
                    Said::Text(said) => self.write(&said).await,
                    Said::Dump(mut dump) => self.dump(&world, &mut dump).await,
                };
                if written.is_err() {
                    return;
                }
                until_pause -= 1;
                if until_pause == 0 {
                    until_pause = self.command_pace;
                    sleep(Duration::from_millis(1)).await;
                }
            }
            if self.read(&mut buffer).await.is_err() {
                return;
            }
        }
    }

    async fn dump(&mut self, world: &World, dump: &mut crate::world::Crawl) -> Result<(), Over> {
        self.write(dump.first_line()).await?;
        let mut sent = Vec::new();
        while let Some(lines) = world.crawl(dump) {
            self.write(&lines).await?;
            sent.extend(lines);
            if dump.is_garbled && self.chance.percent(20) {
                // The server sends a part of its buffer, and then the buffer again from its start.
                let part = self.chance.below(sent.len() as u64) as usize;
                self.write(&sent[..part]).await?;
                self.write(&sent).await?;
            }
            // The server reads a byte to check that the client is still connected, and loses that byte.
            if let Some(read) = self.stream.read(&mut [0]).now_or_never()
                && read.map_or(true, |length| length == 0)
            {
                return Err(Over);
            }
            sleep(Duration::from_millis(1)).await;
        }
        self.write(dump.last_line()).await
    }
}

/// Opens a connection to the model, with the faults of the plan.
pub async fn open(world: World, plan: Arc<Plan>, mut chance: Chance) -> io::Result<Wire> {
    if chance.permille(plan.wire.delayed) {
        sleep(chance.millis(1, 300)).await;
    }
    if world.is_down() || chance.permille(plan.wire.refused) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let (near, far) = duplex(plan.pipe);
    let is_reset = Arc::new(AtomicBool::new(chance.percent(50)));
    let (is_cut, is_of_reads) = (chance.permille(plan.wire.cut), chance.percent(40));
    let cut = |applies, chance: &mut Chance| if applies { chance.of_any_size(20_000) } else { u64::MAX };
    let line = Line {
        stream: far,
        reads_left: cut(is_cut && is_of_reads, &mut chance),
        writes_left: cut(is_cut && !is_of_reads, &mut chance),
        stalls: chance.permille(plan.wire.stalled).then(|| (chance.of_any_size(10_000), chance.millis(500, 12_000))),
        delayed: plan.wire.delayed,
        is_split: plan.wire.is_split,
        command_pace: plan.command_pace,
        chance,
    };
    let life = world.life();
    tokio::spawn(async move { life.run_until_cancelled(line.serve(world)).await });
    Ok(Wire { stream: near, is_reset })
}
