//! Sends generated lines, valid and invalid, to real servers. The codec must decode every answer, and no server may answer
//! `ERROR` to a line that the parser calls valid, except for the exceptions below.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use bytes::BytesMut;
use mcflush::codec::{Answer, Asked, ClientCodec, Role, ServerCodec};
use mcflush::protocol::crawler::CrawlerControl;
use mcflush::protocol::stats::StatsGroup;
use mcflush::protocol::tuning::{Lru, Slabs};
use mcflush::protocol::{ErrorKind, Reply, Request};
use tokio_util::codec::Decoder;

use super::cases::REQUESTS;
use super::support::PATIENCE;
use super::support::server::{Server, Version, each_version};

/// The number of lines in a run. Each line has its own connection, so that a mistake in one does not affect the next.
const LINES: u32 = 4000;

/// A small random generator with a fixed seed: the lines are the same in every run and for every version.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // Xorshift64: the numbers only have to be irregular.
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
    "lru_crawler metadump",
    "lru_crawler mgdump",
    "stats cachedump",
    "extstore",
    "config",
    "shutdown",
    "watch",
    "quit",
];

/// A line of words, with a data block if the command has one; or a valid request, unchanged or with one byte changed.
fn line(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => REQUESTS[dice.below(REQUESTS.len())].as_bytes().to_vec(),
        1 => {
            let mut line = REQUESTS[dice.below(REQUESTS.len())].as_bytes().to_vec();
            let at = dice.below(line.len());
            line[at] = b" 0az!\x01\xff"[dice.below(7)];
            line
        }
        2 => {
            let data = "x".repeat(dice.below(4));
            let mut line = dice.pick(&["set", "add", "replace", "append", "prepend", "cas", "ms"]).to_owned();
            for _ in 0..if line == "ms" { 1 } else { 3 } {
                line.push(' ');
                line.push_str(dice.pick(&["k", "0", "1", "100", "-1", "abc"]));
            }
            line.push_str(&format!(" {}", data.len()));
            for _ in 0..dice.below(3) {
                line.push(' ');
                line.push_str(dice.pick(WORDS));
            }
            format!("{line}\r\n{data}\r\n").into_bytes()
        }
        _ => {
            let mut line = dice.pick(VERBS).to_owned();
            for _ in 0..dice.below(5) {
                line.push(' ');
                line.push_str(dice.pick(WORDS));
            }
            format!("{line}\r\n").into_bytes()
        }
    }
}

/// Requests that are not sent, because they would end the server (`slabs reassign -1 2` crashes 1.6.38 with a segmentation
/// fault) or switch off something that later lines need.
fn is_left_out(request: &Request) -> bool {
    matches!(request, Request::Slabs(Slabs::Reassign { .. }) | Request::Crawler(CrawlerControl::Disable))
}

/// A request that the parser calls valid, and that a version answers with `ERROR`.
struct Exception {
    versions: &'static [Version],
    request: fn(&Request) -> bool,
    says: &'static str,
    why: &'static str,
}

const ALL: &[Version] = &[Version::Debian, Version::Trixie, Version::Sid];

/// Each exception must occur in every run on its versions; remove one that does not.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        versions: ALL,
        request: |request| matches!(request, Request::Stats(StatsGroup::Other(_))),
        says: "ERROR",
        why: "any word may be a group of some server; these have none of that name",
    },
    Exception {
        versions: ALL,
        request: |request| matches!(request, Request::Stats(StatsGroup::Threads)),
        says: "ERROR",
        why: "not a group of these builds",
    },
    Exception {
        versions: &[Version::Debian],
        request: |request| matches!(request, Request::Stats(StatsGroup::Proxy)),
        says: "ERROR",
        why: "1.6.18 has no proxy",
    },
    Exception {
        versions: &[Version::Trixie, Version::Sid],
        request: |request| matches!(request, Request::Stats(StatsGroup::SizesEnable)),
        says: "ERROR",
        why: "gone by 1.6.38",
    },
    Exception {
        versions: ALL,
        request: |request| matches!(request, Request::ConfigGet(_)),
        says: "ERROR",
        why: "a command of managed services",
    },
    Exception {
        versions: ALL,
        request: |request| matches!(request, Request::RefreshCerts),
        says: "Error TLS not enabled",
        why: "the server was started without TLS",
    },
    Exception {
        versions: &[Version::Debian, Version::Trixie],
        request: |request| matches!(request, Request::Shutdown(_)),
        says: "ERROR: shutdown not enabled",
        why: "the server was started without -A; 1.6.45 calls it a SERVER_ERROR",
    },
    Exception {
        versions: &[Version::Debian],
        request: |request| matches!(request, Request::Watch(_)),
        says: "ERROR",
        why: "1.6.18 has no proxy to watch, and no deletions",
    },
    Exception {
        versions: &[Version::Debian],
        request: |request| matches!(request, Request::Mgdump(_)),
        says: "ERROR",
        why: "came with 1.6.19",
    },
    Exception {
        versions: ALL,
        request: |request| matches!(request, Request::Crawler(CrawlerControl::Enable)),
        says: "ERROR failed to start lru crawler thread",
        why: "it runs already",
    },
    Exception {
        versions: ALL,
        request: |request| matches!(request, Request::Lru(Lru::Tune { .. })),
        says: "ERROR hot/warm age factors must be greater than 0",
        why: "the parser does not know what a factor may be",
    },
];

/// Sends a line and reads the answers.
struct Exchange {
    codec: ClientCodec,
    buffer: BytesMut,
    answers: Vec<Answer>,
}

impl Exchange {
    fn run(address: &str, line: &[u8], asked: &[Asked]) -> Self {
        let mut codec = ClientCodec::default();
        for asked in asked {
            codec.encode_asked(asked, &mut BytesMut::new()).unwrap();
        }
        if asked.iter().any(|asked| matches!(asked.request, Request::Store(_) | Request::MetaSet(_))) {
            // The server may read the data block of a rejected line as a command.
            codec.encode_asked(&nonsense(), &mut BytesMut::new()).unwrap();
        }
        let mut exchange = Self { codec, buffer: BytesMut::new(), answers: Vec::new() };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(line).unwrap();
        // Nothing may follow a dump, not even the end of the stream.
        let dump = asked.iter().any(|asked| matches!(asked.request, Request::Metadump(_) | Request::Mgdump(_)));
        if !dump {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let mut chunk = [0; 4096];
        while !(dump && exchange.answers.last().is_some_and(|answer| answer.role == Role::Last)) {
            // A server that rejects a line may reset the connection: the bytes that it sent before count.
            let read = match stream.read(&mut chunk) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
                Err(error) => panic!("{}: {error}", line.escape_ascii()),
            };
            if read == 0 {
                break;
            }
            exchange.buffer.extend_from_slice(&chunk[..read]);
            exchange.decode(line);
        }
        exchange
    }

    fn decode(&mut self, line: &[u8]) {
        loop {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(answer)) => self.answers.push(answer),
                Ok(None) => return,
                Err(error) => panic!("{}: {error} in {}", line.escape_ascii(), self.buffer.escape_ascii()),
            }
        }
    }
}

/// The requests in the line. None if the line ends in the middle of a request, or if a data block has the wrong length.
fn asked(line: &[u8]) -> Option<Vec<Asked>> {
    let mut codec = ServerCodec::default();
    let mut buffer = BytesMut::from(line);
    let mut asked = Vec::new();
    while let Some(request) = codec.decode(&mut buffer).ok()? {
        asked.push(request);
    }
    codec.give_back(&mut buffer);
    buffer.is_empty().then_some(asked)
}

fn nonsense() -> Asked {
    asked(b"nonsense\r\n").unwrap().remove(0)
}

fn whatever_comes_back_decodes(version: Version) {
    let server = Server::start(version, &[]);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut valid, mut invalid, mut dumps) = (0, 0, 0);
    let mut excepted = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for _ in 0..LINES {
        let line = line(&mut dice);
        let text = line.escape_ascii().to_string();
        let asked = asked(&line).unwrap_or_default();
        if asked.iter().any(|asked| is_left_out(&asked.request)) {
            continue;
        }
        if asked.is_empty() || asked.iter().any(|asked| matches!(asked.request, Request::Unknown(_))) {
            invalid += 1;
            unattributed(server.address(), &line);
            continue;
        }
        valid += 1;
        let exchange = Exchange::run(server.address(), &line, &asked);
        assert!(exchange.buffer.is_empty(), "{text}: {:?}", exchange.buffer);
        // Further answers belong to a rejected data block that the server read as a command.
        for answer in exchange.answers.iter().take(asked.len()) {
            let Reply::Error(error) = &answer.reply else { continue };
            if error.kind() != ErrorKind::Error {
                continue;
            }
            let said = error.line().escape_ascii().to_string();
            let known = EXCEPTIONS.iter().position(|exception| {
                exception.versions.contains(&version)
                    && (exception.request)(&asked[0].request)
                    && said == exception.says
            });
            match known {
                Some(known) => drop(excepted.insert(known)),
                None => drop(missing.insert(format!("{text} is answered {said}"))),
            }
        }
        dumps += u32::from(exchange.answers.iter().any(|answer| matches!(answer.reply, Reply::Metadump(_))));
        // A request that closes the connection, or turns it into a log, has no last answer.
        let closes = |asked: &Asked| matches!(asked.request, Request::Quit | Request::Shutdown(_) | Request::Watch(_));
        let loud = asked.iter().filter(|asked| !asked.request.is_quiet()).count();
        let last = exchange.answers.iter().filter(|answer| answer.role == Role::Last).count();
        let rejected = exchange.answers.first().is_some_and(|answer| matches!(answer.reply, Reply::Error(_)));
        assert!(
            loud == last || rejected && last == loud + 1 || asked.iter().any(closes),
            "{text}: {:?}",
            exchange.answers
        );
    }
    assert_eq!(missing, BTreeSet::new());
    for (at, exception) in EXCEPTIONS.iter().enumerate() {
        assert!(!exception.versions.contains(&version) || excepted.contains(&at), "it has gone: {}", exception.why);
    }
    assert!(valid > 1000 && invalid > 1000 && dumps > 10, "{valid} valid, {invalid} not, {dumps} dumps");
}

/// For a line that is not a request, the number of answers is unknown. Each answer is decoded as the answer to one unknown
/// request, and must be an error or the answer of a server that is more tolerant than the parser.
fn unattributed(address: &str, line: &[u8]) {
    let anything: Vec<_> = std::iter::repeat_with(nonsense).take(8).collect();
    let exchange = Exchange::run(address, line, &anything);
    assert!(exchange.buffer.is_empty(), "{}: {:?}", line.escape_ascii(), exchange.buffer);
    for answer in exchange.answers {
        let tolerated = match &answer.reply {
            Reply::Error(_) => true,
            Reply::Other(said) => {
                let said = said.as_bytes();
                TOLERATED.contains(&said)
                    || said.starts_with(b"VERSION ")
                    || said.iter().all(u8::is_ascii_digit)
                    // The server executes a `watch` even if its last word is wrong.
                    || line.starts_with(b"watch ") && said.starts_with(b"ts=")
            }
            _ => false,
        };
        assert!(tolerated, "{}: {:?}", line.escape_ascii(), answer.reply);
    }
}

/// The answers of servers that ignore an extra word, or a word that is nearly `noreply`.
const TOLERATED: &[&[u8]] =
    &[b"DELETED", b"EN", b"END", b"MN", b"NOT_FOUND", b"NOT_STORED", b"OK", b"STORED", b"TOUCHED"];

// The codec does not know the meta commands of versions before 1.6.10.
each_version!(but bullseye: whatever_comes_back_decodes);
