//! How fast the codecs are, compared with a bare split of the same bytes at newlines (the limit) and with the parsers of
//! other crates that can do the same work: `make bench`. Compare the ratios of one run, not the times.

// A bench may print, and may panic.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod page;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mcflush::codec::{ClientCodec, ServerCodec};
use mcflush::protocol::retrieval::ValueBlock;
use mcflush_bench::async_memcached_parser as peer;
use memcache_proto::ResponseBytes;
use page::{Spread, Table};
use tokio_util::codec::{Decoder, Encoder};

/// The lines of an answer: many times the size of one read.
const LINES: usize = 5_000;

/// The number of turns of each contestant, of which the best counts.
const TURNS: usize = 200;

/// The size of a read.
const READ: usize = 64 * 1024;

fn codec(request: &str) -> ClientCodec {
    let mut asked = BytesMut::from(request);
    let request = ServerCodec::default().decode(&mut asked).unwrap().unwrap().request;
    let mut codec = ClientCodec::default();
    codec.encode(request, &mut BytesMut::new()).unwrap();
    codec
}

/// As [`ours`], but borrows the items of a listing instead of taking them.
fn visited(request: &str, wire: &[u8], read: usize) -> usize {
    let mut codec = codec(request);
    let mut buffer = BytesMut::with_capacity(read);
    let mut frames = 0;
    for chunk in wire.chunks(read) {
        buffer.extend_from_slice(chunk);
        loop {
            frames += codec.visit(&mut buffer, |item| {
                black_box(&item);
                ControlFlow::Continue(())
            }) as usize;
            if !the_rest(&mut codec, &mut buffer) {
                break;
            }
            frames += 1;
        }
    }
    frames
}

/// A separate function, so that the loop in [`ours`] contains the only call, as in a program.
#[inline(never)]
fn the_rest(codec: &mut ClientCodec, buffer: &mut BytesMut) -> bool {
    codec.decode(buffer).unwrap().is_some()
}

/// Decodes everything, in reads of this size. As with a socket, the buffer is filled again when it is empty.
fn ours(request: &str, wire: &[u8], read: usize) -> usize {
    let mut codec = codec(request);
    let mut buffer = BytesMut::with_capacity(read);
    let mut frames = 0;
    for chunk in wire.chunks(read) {
        buffer.extend_from_slice(chunk);
        while let Some(answer) = codec.decode(&mut buffer).unwrap() {
            black_box(&answer);
            frames += 1;
        }
    }
    frames
}

/// The same reads into the same buffer, but only the search for line ends.
fn split(wire: &[u8], read: usize) -> usize {
    let mut buffer = BytesMut::with_capacity(read);
    let mut lines = 0;
    for chunk in wire.chunks(read) {
        buffer.clear();
        buffer.extend_from_slice(chunk);
        let mut rest = &buffer[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            black_box(&rest[..end]);
            rest = &rest[end + 1..];
            lines += 1;
        }
    }
    lines
}

/// Another crate's parser over all bytes at once. This spares it the extra work of its client, which parses an incomplete
/// answer again.
fn theirs<T, E: std::fmt::Debug>(wire: &[u8], parse: impl Fn(&[u8]) -> Result<Option<(usize, T)>, E>) -> usize {
    let mut rest = wire;
    let mut frames = 0;
    while !rest.is_empty() {
        let (length, frame) = parse(rest).unwrap().unwrap();
        black_box(&frame);
        rest = &rest[length..];
        frames += 1;
    }
    frames
}

/// Only the parser: one block after another in a complete text, without the codec's buffer.
fn blocks(wire: &[u8]) -> usize {
    let mut rest = wire;
    let mut frames = 0;
    while let Some((block, length)) = ValueBlock::new(rest) {
        black_box(&block);
        rest = &rest[length..];
        frames += 1;
    }
    assert_eq!(rest, b"END\r\n");
    frames
}

/// How many times as long the first takes as the second, by the best of many turns. Both are measured in turn, so that
/// other load on the machine affects both alike.
fn ratio(mut one: impl FnMut() -> usize, mut other: impl FnMut() -> usize) -> String {
    let time = |work: &mut dyn FnMut() -> usize| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    };
    let (first, second): (Vec<_>, Vec<_>) = (0..TURNS).map(|_| (time(&mut one), time(&mut other))).unzip();
    format!("{:.2}", Spread::of(&first).least / Spread::of(&second).least)
}

fn main() {
    // `cargo test --benches` only checks that the bench builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut table = Table::new(&["what", "taken", "borrowed", "goal"]);
    listings(&mut table);
    small_values(&mut table);
    large_values(&mut table);
    conversations(&mut table);
    table.note(&format!("Ratios of one run, by the best of {TURNS} turns."));
    page::show("codecs", &table);
}

fn listings(table: &mut Table) {
    let metadump: String = (0..LINES)
        .map(|n| format!("key=shop%3Aproduct%3A{n} exp=-1 la=1795448769 cas={n} fetch=no cls=1 size=66\n"))
        .chain(["END\r\n".to_owned()])
        .collect();
    let mgdump: String = (0..LINES).map(|n| format!("mg shop:product:{n}\r\n")).chain(["EN\r\n".to_owned()]).collect();
    let stats: String =
        (0..LINES).map(|n| format!("STAT items:{n}:number {n}\r\n")).chain(["END\r\n".to_owned()]).collect();

    for (name, request, wire) in [
        ("metadump lines", "lru_crawler metadump all\r\n", &metadump),
        ("mgdump lines", "lru_crawler mgdump all\r\n", &mgdump),
        ("`STAT` lines", "stats\r\n", &stats),
    ] {
        let wire = wire.as_bytes();
        table.row(&[
            format!("{name}, × a bare split at line ends"),
            ratio(|| ours(request, wire, READ), || split(wire, READ)),
            ratio(|| visited(request, wire, READ), || split(wire, READ)),
            "4".to_owned(),
        ]);
        let peer = match name {
            "metadump lines" => |wire: &[u8]| theirs(wire, peer::parse_ascii_metadump_response),
            "`STAT` lines" => |wire: &[u8]| theirs(wire, peer::parse_ascii_stats_response),
            _ => continue,
        };
        table.row(&[
            format!("{name}, times as fast as async-memcached's parser"),
            ratio(|| peer(wire), || ours(request, wire, READ)),
            ratio(|| peer(wire), || visited(request, wire, READ)),
            "5".to_owned(),
        ]);
    }
}

fn small_values(table: &mut Table) {
    let wire: String = (0..LINES)
        .map(|n| format!("VALUE shop:product:{n} 0 20 {n}\r\n01234567890123456789\r\n"))
        .chain(["END\r\n".to_owned()])
        .collect();
    let bytes = Bytes::copy_from_slice(wire.as_bytes());
    let wire = wire.as_bytes();
    let request = "gets a\r\n";
    let peer = || theirs(wire, peer::parse_ascii_response);
    table.row(&[
        "small values, times as fast as async-memcached's parser",
        &ratio(peer, || ours(request, wire, READ)),
        &ratio(peer, || visited(request, wire, READ)),
        "5",
    ]);
    // Their parser needs no copy into a read buffer.
    let without_copy = ratio(peer, || blocks(wire));
    table.row(&["the same, without the copy into the read buffer", "", &without_copy, "5"]);
    let other = || ResponseBytes::parse(bytes.clone()).unwrap().1;
    let taken = ratio(other, || ours(request, wire, READ));
    table.row(&["small values, times as fast as memcache-proto", &taken, "", ""]);
}

/// A value of a megabyte in reads of 16 KiB, compared with copying the same reads into a large enough buffer.
fn large_values(table: &mut Table) {
    const LENGTH: usize = 1 << 20;
    let mut wire = format!("VALUE k 0 {LENGTH}\r\n").into_bytes();
    wire.resize(wire.len() + LENGTH, b'x');
    wire.extend_from_slice(b"\r\nEND\r\n");
    let copy = || {
        let mut buffer = BytesMut::with_capacity(wire.len());
        for chunk in wire.chunks(16 * 1024) {
            buffer.extend_from_slice(chunk);
        }
        black_box(&buffer).len()
    };
    let taken = ratio(|| ours("get k\r\n", &wire, 16 * 1024), copy);
    table.row(&["values of 1 MiB in reads of 16 KiB, × copying them", &taken, "", "1.2"]);
}

/// Single commands, as a server reads them, and their answers, as a client reads them.
fn conversations(table: &mut Table) {
    let requests: String = (0..LINES / 5)
        .map(|n| {
            format!(
                "get shop:product:{n} shop:price:{n}\r\nset shop:product:{n} 0 300 5\r\nhello\r\n\
                 incr shop:seen:{n} 1\r\nmg shop:product:{n} v t c\r\nmd shop:product:{n} q O{n}\r\n"
            )
        })
        .collect();
    let replies: String = (0..LINES / 5)
        .map(|n| format!("STORED\r\nDELETED\r\n{n}\r\nHD c{n} t300 O{n}\r\nVA 5 c{n} t300\r\nhello\r\n"))
        .collect();
    let asked = ["set k 0 0 1\r\nx\r\n", "delete k\r\n", "incr k 1\r\n", "mg k c t\r\n", "mg k c t v\r\n"]
        .map(|request| ServerCodec::default().decode(&mut request.into()).unwrap().unwrap().request);
    let read_requests = || {
        let (mut codec, mut buffer, mut frames) = (ServerCodec::default(), BytesMut::with_capacity(READ), 0);
        for chunk in requests.as_bytes().chunks(READ) {
            buffer.extend_from_slice(chunk);
            while let Some(asked) = codec.decode(&mut buffer).unwrap() {
                black_box(&asked);
                frames += 1;
            }
        }
        frames
    };
    let read_replies = || {
        let (mut codec, mut buffer, mut frames) = (ClientCodec::default(), BytesMut::with_capacity(READ), 0);
        let mut wire = BytesMut::with_capacity(LINES * 64);
        for _ in 0..LINES / 5 {
            asked.iter().for_each(|request| codec.encode(request.clone(), &mut wire).unwrap());
        }
        for chunk in replies.as_bytes().chunks(READ) {
            buffer.extend_from_slice(chunk);
            while let Some(answer) = codec.decode(&mut buffer).unwrap() {
                black_box(&answer);
                frames += 1;
            }
        }
        frames
    };
    assert_eq!((read_requests(), read_replies()), (LINES, LINES));
    let taken = ratio(read_requests, || split(requests.as_bytes(), READ));
    table.row(&["requests as a server reads them, × a bare split", &taken, "", ""]);
    let taken = ratio(read_replies, || split(replies.as_bytes(), READ));
    table.row(&["their replies, and writing what they answer, × a bare split", &taken, "", ""]);
}
