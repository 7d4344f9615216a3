//! The bodies of the fuzz targets, which the tests run too, over the corpus in `fuzz/corpus`.
//!
//! Each takes bytes and asserts what must hold for them. Behind the feature `fuzzing`; not part of the crate's interface.

mod clear;
mod values;

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::address::{self, ServerAddr, ServerName};
use crate::codec::{Answer, BinaryCodec, ClientCodec, CodecError, Limits, ServerCodec};
use crate::protocol::binary;
use crate::protocol::crawler::MgdumpLine;
use crate::protocol::{BASE64_KEY_MAX, KEY_MAX, MetaKey, Request, decode_percent};

use values::answer;
pub(crate) use values::{bytes, other_flags};

/// The limits are small, so that the fuzzer reaches them.
const LIMITS: Limits = Limits { line: 2048, value: 4096, items: 64 };

/// A fuzz target: its name and its body.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// Every fuzz target.
pub const TARGETS: [FuzzTarget; 7] = [
    ("address", address),
    ("binary_codec", binary_codec),
    ("client_codec", client_codec),
    ("encodings", encodings),
    ("operation", operation),
    ("round_trip", round_trip),
    ("server_codec", server_codec),
];

/// A whole clear or flush of a server that may send any bytes. The operation must end, and must report success only if the
/// server's answers prove it.
pub fn operation(data: &[u8]) {
    clear::operation(data);
}

/// The result of decoding some bytes: the frames, the error, and the number of bytes that the decoder left.
#[derive(Debug, PartialEq)]
struct Decoded<T> {
    frames: Vec<T>,
    error: Option<String>,
    left: usize,
}

/// Decodes the bytes in chunks; `chunk` returns the size of the next one.
fn decode<D: Decoder<Error = CodecError>>(
    mut decoder: D,
    bytes: &[u8],
    mut chunk: impl FnMut() -> usize,
) -> Decoded<D::Item> {
    let mut buffer = BytesMut::new();
    let mut outcome = Decoded { frames: Vec::new(), error: None, left: 0 };
    let mut rest = bytes;
    loop {
        let (now, later) = rest.split_at(chunk().clamp(1, rest.len().max(1)).min(rest.len()));
        rest = later;
        buffer.extend_from_slice(now);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => outcome.frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert!(matches!(decoder.decode(&mut buffer), Err(CodecError::Poisoned)));
                    outcome.error = Some(error.to_string());
                    outcome.left = buffer.len() + rest.len();
                    return outcome;
                }
            }
        }
        if rest.is_empty() {
            outcome.left = buffer.len();
            return outcome;
        }
    }
}

/// The sizes of the chunks into which a stream is cut, used in turn.
type Cuts = [u8; 3];

/// An endless sequence of chunk sizes.
fn sizes(cuts: &Cuts) -> impl FnMut() -> usize {
    let mut sizes = cuts.iter().cycle();
    move || sizes.next().map_or(1, |&size| size.into())
}

/// Any bytes from a server, as answers to some requests. However they are cut, the codec must decode the same answers and
/// encode them to the same bytes. The input is the cuts, then the requests up to a byte 0xFF, then the server's bytes.
pub fn client_codec(data: &[u8]) {
    let Some((cuts, data)) = data.split_first_chunk() else { return };
    let (asked, bytes) = data.split_at(memchr::memchr(0xff, data).unwrap_or(data.len()));
    let bytes = bytes.get(1..).unwrap_or_default();
    let requests = decode(ServerCodec::new(LIMITS), asked, || usize::MAX).frames;
    let codec = || {
        let mut codec = ClientCodec::new(LIMITS).keep_blank_lines();
        for asked in requests.iter().take(8) {
            assert!(codec.encode(asked.request.clone(), &mut BytesMut::new()).is_ok());
        }
        codec
    };
    let whole = decode(codec(), bytes, || usize::MAX);
    let pieces = decode(codec(), bytes, sizes(cuts));
    assert_eq!(whole.frames, pieces.frames);
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
    if whole.error.is_none() || whole.error == pieces.error {
        assert_eq!(Some(&written(&whole.frames)[..]), bytes.get(..bytes.len() - whole.left));
    }
}

fn written(answers: &[Answer]) -> BytesMut {
    let mut server = ServerCodec::default();
    let mut out = BytesMut::new();
    for answer in answers {
        assert!(server.encode_answer(answer, &mut out).is_ok());
    }
    out
}

/// Any bytes from a client. However they are cut, the codec must decode the same requests and encode them to the same
/// bytes. The input is a byte that says whether the server requires a login, then the cuts, then the client's bytes.
pub fn server_codec(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let authenticates = first & 1 == 1;
    let Some((cuts, bytes)) = data.split_first_chunk() else { return };
    let codec = || {
        let codec = ServerCodec::new(LIMITS);
        if authenticates { codec.with_authentication() } else { codec }
    };
    let whole = decode(codec(), bytes, || usize::MAX);
    let pieces = decode(codec(), bytes, sizes(cuts));
    assert_eq!(whole.frames, pieces.frames);
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
    let mut client = ClientCodec::default();
    let mut out = BytesMut::new();
    for asked in &whole.frames {
        assert!(client.encode_asked(asked, &mut out).is_ok());
    }
    assert!(bytes.starts_with(&out));
}

/// Any bytes from a server in the binary protocol. However they are cut, the codec must decode the same responses and lose
/// no byte between them. The input begins with the cuts.
pub fn binary_codec(data: &[u8]) {
    let Some((cuts, bytes)) = data.split_first_chunk() else { return };
    let whole = decode(BinaryCodec::default(), bytes, || usize::MAX);
    let pieces = decode(BinaryCodec::default(), bytes, sizes(cuts));
    assert_eq!(whole.frames, pieces.frames);
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
    let said: usize = whole.frames.iter().map(|response| response.key.len() + response.value.len()).sum();
    assert!(said + whole.frames.len() * binary::HEADER + whole.left <= bytes.len());
}

/// Any requests with any answers, encoded and decoded again, however the bytes are cut.
pub fn round_trip(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(cuts) = Cuts::arbitrary(&mut u) else { return };
    let mut client = ClientCodec::default();
    let (mut asked, mut said) = (BytesMut::new(), BytesMut::new());
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    let mut server = ServerCodec::default();
    while !u.is_empty() && requests.len() < 32 {
        let Ok(request) = Request::arbitrary(&mut u) else { break };
        if matches!(request, Request::Quit | Request::Shutdown(_) | Request::Watch(_)) || is_too_long(&request) {
            continue;
        }
        for request in [Some(request.clone()), request.is_quiet().then_some(Request::MetaNoop)].into_iter().flatten() {
            assert!(client.encode(request.clone(), &mut asked).is_ok());
            if !request.is_quiet() {
                for answer in answer(&mut u, request.expect()).unwrap_or_default() {
                    assert!(server.encode(answer.reply.clone(), &mut said).is_ok());
                    answers.push(answer);
                }
            }
            requests.push(match request {
                // A server without authentication reads it as an ordinary `set`.
                Request::Authenticate(_) => None,
                request => Some(request),
            });
        }
    }
    let got = decode(ServerCodec::default(), &asked, sizes(&cuts));
    assert_eq!((&got.error, got.left), (&None, 0), "{asked:?}");
    assert_eq!(got.frames.len(), requests.len(), "{asked:?}");
    for (got, sent) in got.frames.iter().zip(&requests) {
        assert_eq!(got.spelling.line(), None, "{got:?}");
        assert!(sent.as_ref().is_none_or(|sent| *sent == got.request), "{sent:?} {got:?}");
    }
    let got = decode(client, &said, sizes(&cuts));
    assert_eq!((&got.error, got.left), (&None, 0), "{requests:?} {said:?}");
    assert_eq!(got.frames, answers, "{requests:?} {said:?}");
}

/// Whether a server would refuse the line before its end has arrived.
fn is_too_long(request: &Request) -> bool {
    let mut line = BytesMut::new();
    request.encode(&mut line);
    memchr::memchr(b'\n', &line).is_none_or(|end| end > ServerCodec::COMMAND_MAX)
}

/// The percent and base64 encodings: decoding must give a key, and encoding and decoding that key must give it again.
pub fn encodings(data: &[u8]) {
    let mut key = BytesMut::from(&b"before"[..]);
    if decode_percent(data, &mut key).is_ok() {
        let key = key.split_off(6);
        assert!((1..=KEY_MAX).contains(&key.len()));
        let mut encoded = String::new();
        for byte in &key {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        let mut again = BytesMut::new();
        assert!(decode_percent(encoded.as_bytes(), &mut again).is_ok());
        assert_eq!(again, key);
    } else {
        assert_eq!(key, &b"before"[..]);
    }
    if let Some(line) = MgdumpLine::new(&[b"mg ", data, b" b"].concat()) {
        let mut key = BytesMut::new();
        if line.decode_key(&mut key) && line.flags() == b"b" {
            assert!(key.len() <= BASE64_KEY_MAX + 2);
        }
    }
    if let Ok(key) = MetaKey::for_bytes(Bytes::copy_from_slice(data)) {
        let mut line = BytesMut::new();
        Request::MetaDelete(crate::protocol::meta::MetaDelete::new(key.clone())).encode(&mut line);
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1, "one command, whatever the key");
        let got = decode(ServerCodec::default(), &line, || usize::MAX).frames;
        let keys: Vec<_> = got
            .iter()
            .filter_map(|asked| if let Request::MetaDelete(delete) = &asked.request { Some(&delete.key) } else { None })
            .collect();
        assert_eq!(keys, [&key]);
    }
}

/// Addresses: there must be no panic, the shown text must be one line without a password, and an error must point into the
/// text.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(ServerName::List(list)) = text.parse() {
        assert!(!list.to_string().contains(['\n', '\r', '@'].as_slice()));
        assert_eq!(list.to_string().parse(), Ok(ServerName::List(list)));
    }
    if let Ok(target) = text.parse::<address::Target>() {
        let alone = text.parse::<ServerName>();
        assert!(alone.is_err() || alone == Ok(target.name));
    }
    match text.parse::<ServerAddr>() {
        // The path of a socket may contain any text except a line end; a host with a port cannot contain a password.
        Ok(address) => {
            let shown = address.to_string();
            assert!(!shown.contains(['\n', '\r'].as_slice()));
            assert!(shown.starts_with('/') || !shown.contains('@'));
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'));
            assert!(error.character().is_none_or(|at| (1..=text.chars().count() + 1).contains(&at)), "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, body) in TARGETS {
            let mut files = 0;
            for file in fs::read_dir(corpus.join(name)).unwrap() {
                body(&fs::read(file.unwrap().path()).unwrap());
                files += 1;
            }
            assert!(files > 0, "{name} has no corpus");
        }
    }

    /// The first words of the requests and of the answers in a conversation.
    fn kinds(data: &[u8]) -> BTreeSet<String> {
        let word = |debug: String| debug.split(['(', '{', ' ']).next().unwrap_or_default().to_owned();
        let mut u = Unstructured::new(data);
        let _: Cuts = u.arbitrary().unwrap();
        let mut kinds = BTreeSet::new();
        while !u.is_empty() {
            let request: Request = u.arbitrary().unwrap();
            let asked = word(format!("{request:?}"));
            for answer in answer(&mut u, request.expect()).unwrap() {
                kinds.insert(format!("{asked} {}", word(format!("{:?}", answer.reply))));
            }
            kinds.insert(asked);
        }
        kinds
    }

    #[test]
    fn the_corpus_asks_everything() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/round_trip");
        let files = fs::read_dir(corpus).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        let kinds: BTreeSet<String> = files.flat_map(|data| kinds(&data)).collect();
        assert_eq!(kinds.iter().filter(|kind| !kind.contains(' ')).count(), 30, "{kinds:?}");
        for answered in ["Retrieve Value", "Stats Stat", "Metadump Metadump", "Mgdump Mgdump", "MetaGet MetaValue"] {
            assert!(kinds.contains(answered), "{kinds:?}");
        }
    }

    #[test]
    fn each_target_is_a_file() {
        let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut names: Vec<_> =
            fs::read_dir(targets).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, TARGETS.map(|(name, _)| format!("{name}.rs")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_request_and_reply_survives_any_chunking(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            round_trip(&data);
        }

        #[test]
        fn any_bytes_make_a_request_and_its_answer(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut u = Unstructured::new(&data);
            let request: Request = u.arbitrary().unwrap();
            prop_assert!(!answer(&mut u, request.expect()).unwrap().is_empty());
        }

        #[test]
        fn any_bytes_from_a_server(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            client_codec(&data);
            client_codec(&[&b"\x01\x02\x03get a\r\nmg a v\r\nstats\r\nversion\r\n\xff"[..], &data[..]].concat());
        }

        #[test]
        fn any_bytes_from_a_server_of_the_binary_protocol(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            binary_codec(&data);
            binary_codec(&[&[1, 2, 3, 0x81], &data[..]].concat());
        }

        #[test]
        fn any_bytes_from_a_client(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            server_codec(&data);
        }

        #[test]
        fn any_line_from_a_client(line in "(get|set|mg|ms|md|ma|me|stats|delete|incr|flush_all|lru_crawler|slabs|watch)[ a-zA-Z0-9]{0,30}\r?\n", seed in any::<u8>()) {
            server_codec(&[&[0, seed, 1, 7], line.as_bytes()].concat());
        }

        #[test]
        fn any_key(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            encodings(&data);
        }
    }
}
