//! Generated lines, valid and not, sent to real servers: whatever comes back decodes, and what the parser calls valid no server
//! answers with `ERROR`, but for the exceptions below.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use bytes::BytesMut;
use mcflush::codec::{Asked, ClientCodec, ServerCodec};
use mcflush::protocol::{ErrorKind, Reply, Request};
use tokio_util::codec::{Decoder, Encoder};

use super::cases::REQUESTS;
use super::support::PATIENCE;
use super::support::server::{Server, Version, each_version};

/// Lines a run. Each has a connection of its own, so that none is read in the light of another's mistakes.
const LINES: u32 = 2000;

/// A small generator with a seed: the same lines on every run and every version.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // Xorshift64: all that is needed here is that it is not regular.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const WORDS: &[&str] = &[
    "a",
    "n",
    "k",
    "nokey",
    "0",
    "1",
    "2",
    "10",
    "-1",
    "100",
    "007",
    "4294967296",
    "18446744073709551616",
    "noreply",
    "abc",
    "all",
    "hash",
    "b",
    "c",
    "f",
    "h",
    "l",
    "O1",
    "q",
    "s",
    "t",
    "v",
    "T30",
    "N30",
    "C1",
    "E2",
    "D2",
    "J3",
    "MI",
    "MD",
    "ME",
    "MA",
    "F7",
    "I",
    "x",
    "!",
    "detail",
    "on",
    "off",
    "dump",
    "items",
    "metadump",
    "mgdump",
    "crawl",
    "enable",
    "sleep",
    "tocrawl",
    "reassign",
    "automove",
    "tune",
    "mode",
    "flat",
    "temp_ttl",
    "0.5",
    "gr\u{f6}\u{df}e",
    "",
];

const VERBS: &[&str] = &[
    "get",
    "gets",
    "gat",
    "gats",
    "delete",
    "incr",
    "decr",
    "touch",
    "mg",
    "md",
    "ma",
    "me",
    "mn",
    "flush_all",
    "version",
    "verbosity",
    "stats",
    "lru_crawler",
    "slabs",
    "lru",
    "cache_memlimit",
    "nonsense",
    "GET",
    "refresh_certs",
    "set",
    "ms",
    "add",
    "cas",
];

/// A line of words; or a valid request, as it is or with one byte changed.
fn line(dice: &mut Dice) -> Vec<u8> {
    if dice.below(3) > 0 {
        let mut line = dice.pick(VERBS).to_owned();
        for _ in 0..dice.below(6) {
            line.push(' ');
            line.push_str(dice.pick(WORDS));
        }
        // A data block for whom it may concern: for all others one more line.
        return format!("{line}\r\nx\r\n").into_bytes();
    }
    let mut line = REQUESTS[dice.below(REQUESTS.len())].as_bytes().to_vec();
    if dice.below(2) == 0 {
        let at = dice.below(line.len());
        line[at] = b" 0az!\x01\xff"[dice.below(7)];
    }
    line
}

/// What is not for a test that wants answers, or that would change the server for those behind it.
fn is_left_out(request: &Request) -> bool {
    matches!(
        request,
        Request::Quit
            | Request::Watch(_)
            | Request::Shutdown(_)
            | Request::CacheMemlimit(_)
            | Request::Crawler(_)
            | Request::Slabs(_)
    )
}

/// What the parser calls valid, and this version answers with `ERROR`. Each line says why.
fn is_excepted(request: &Request, version: Version, text: &str) -> bool {
    match request {
        // Groups that a version does not have: sizes_enable went, proxy came, threads is in none of these builds, and any
        // other word may be a group.
        Request::Stats(_) => true,
        // Commands of managed services, and of builds with other options.
        Request::ConfigGet(_) | Request::RefreshCerts | Request::Extstore(_) => true,
        // Came with 1.6.19.
        Request::Mgdump(_) => version == Version::Debian,
        // Tunings whose sums a server checks: percentages, modes without the maintainer, and automove above 2.
        Request::Lru(_) => true,
        // More than 24 words are too many for a gat, and this crate reads as many as there are.
        Request::Retrieve(_) => text.split(' ').count() > 24,
        // While the table grows, or when nothing may be pipelined.
        Request::Metadump(_) => true,
        _ => false,
    }
}

fn talk(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    // A server that hangs up on what it does not like resets the connection: what it said by then counts.
    let _ = stream.read_to_end(&mut said);
    said
}

fn asked(line: &[u8]) -> Option<Vec<Asked>> {
    let mut codec = ServerCodec::default();
    let mut buffer = BytesMut::from(line);
    let mut asked = Vec::new();
    while let Some(request) = codec.decode(&mut buffer).ok()? {
        asked.push(request);
    }
    Some(asked)
}

fn whatever_comes_back_decodes(version: Version) {
    let server = Server::start(version, &[]);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut valid, mut invalid) = (0, 0);
    for _ in 0..LINES {
        let line = line(&mut dice);
        let text = String::from_utf8_lossy(&line).into_owned();
        let Some(asked) = asked(&line) else { continue };
        // Only what is all of it valid is attributed; behind anything else nobody knows what answers what.
        let known: Vec<_> = asked.iter().filter(|asked| !matches!(asked.request, Request::Unknown(_))).collect();
        if asked.iter().any(|asked| is_left_out(&asked.request)) {
            continue;
        }
        if known.len() < asked.len() || known.is_empty() {
            invalid += 1;
            // The first line alone, where it is valid; all the same, what comes back must be lines that are known.
            let said = talk(server.address(), &line);
            if known.is_empty() {
                errors_only(&said, &text);
            }
            continue;
        }
        valid += 1;
        let mut codec = ClientCodec::default();
        for asked in &asked {
            codec.encode(asked.request.clone(), &mut BytesMut::new()).unwrap();
        }
        let dump = asked.iter().any(|asked| matches!(asked.request, Request::Metadump(_) | Request::Mgdump(_)));
        if dump {
            // Nothing may stand behind a dump, not even the end: the tests of the crawler's answers are elsewhere.
            continue;
        }
        let said = talk(server.address(), &line);
        let mut buffer = BytesMut::from(&said[..]);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(answer)) => {
                    if let Reply::Error(error) = &answer.reply {
                        let excepted = asked.iter().any(|asked| is_excepted(&asked.request, version, &text));
                        assert!(error.kind != ErrorKind::Error || excepted, "{text:?}: {error:?}");
                    }
                }
                Ok(None) => break,
                Err(error) => panic!("{text:?} is answered {:?}: {error}", String::from_utf8_lossy(&said)),
            }
        }
        assert!(buffer.is_empty(), "{text:?}: {buffer:?}");
    }
    assert!(valid > 300 && invalid > 300, "{valid} valid, {invalid} not");
}

/// What is no request gets error lines, or is understood better than by us; it never gets half a line.
fn errors_only(said: &[u8], text: &str) {
    assert!(said.is_empty() || said.ends_with(b"\n"), "{text:?}: {:?}", String::from_utf8_lossy(said));
}

each_version!(whatever_comes_back_decodes);
