//! Tables of requests and answers. Each is decoded whole, cut at every byte, and with more bytes after it.

use bytes::BytesMut;
use mcflush::codec::{Answer, ClientCodec, CodecError, Role, ServerCodec};
use mcflush::protocol::{Reply, Request};
use tokio_util::codec::{Decoder, Encoder};

/// One request of each kind, in canonical spelling.
pub const REQUESTS: &[&str] = &[
    "set a 0 0 3\r\nabc\r\n",
    "set a 5 -1 0 noreply\r\n\r\n",
    "add a 4294967295 300 2\r\n\r\n\r\n",
    "replace a 0 0 1\r\nx\r\n",
    "append a 0 0 1 noreply\r\nx\r\n",
    "prepend a 0 0 1\r\nx\r\n",
    "cas a 0 0 1 18446744073709551615\r\nx\r\n",
    "cas a 0 0 1 7 noreply\r\nx\r\n",
    "get a\r\n",
    "gets a b c\r\n",
    "gat 100 a b\r\n",
    "gats -1 a\r\n",
    "delete a\r\n",
    "delete a noreply\r\n",
    "incr n 18446744073709551615\r\n",
    "decr n 1 noreply\r\n",
    "touch a 100\r\n",
    "touch a 0 noreply\r\n",
    "mg a\r\n",
    "mg a c f h k l s t v u q O12 E9 N30 R30 T30 P1\r\n",
    "mg AAECIA0K b k v\r\n",
    "ms a 3\r\nabc\r\n",
    "ms AAECIA0K 2 b c k s q I O9 C1 E2 F7 T100 N5 MA\r\nhi\r\n",
    "md a\r\n",
    "md AAECIA0K b I k x O9 C1 E2 T30 q\r\n",
    "ma n\r\n",
    "ma n c k t v q O9 C1 E2 D3 J5 N0 T60 MD\r\n",
    "me a\r\n",
    "me AAECIA0K b\r\n",
    "mn\r\n",
    "flush_all\r\n",
    "flush_all 30 noreply\r\n",
    "flush_all -1\r\n",
    "version\r\n",
    "verbosity 1 noreply\r\n",
    "cache_memlimit 128\r\n",
    "quit\r\n",
    "shutdown\r\n",
    "shutdown graceful\r\n",
    "refresh_certs\r\n",
    "lru_crawler metadump hash\r\n",
    "lru_crawler metadump 1,5,63\r\n",
    "lru_crawler mgdump all\r\n",
    "lru_crawler crawl 1\r\n",
    "lru_crawler enable\r\n",
    "lru_crawler disable\r\n",
    "lru_crawler sleep 100\r\n",
    "lru_crawler tocrawl 0\r\n",
    "stats cachedump 1 0\r\n",
    "slabs reassign -1 2\r\n",
    "slabs automove 1\r\n",
    "slabs automove ratio 0.8\r\n",
    "lru tune 20 40 0.2 2.0\r\n",
    "lru mode flat\r\n",
    "lru temp_ttl -1\r\n",
    "extstore free_memchunks 1 2\r\n",
    "extstore max_frag 0.5\r\n",
    "extstore drop_unread 1\r\n",
    "stats\r\n",
    "stats settings\r\n",
    "stats items\r\n",
    "stats slabs\r\n",
    "stats sizes\r\n",
    "stats sizes_enable\r\n",
    "stats conns\r\n",
    "stats extstore\r\n",
    "stats proxy\r\n",
    "stats threads\r\n",
    "stats detail on\r\n",
    "stats detail off\r\n",
    "stats detail dump\r\n",
    "stats reset\r\n",
    "stats mysterious thing\r\n",
    "watch fetchers mutations evictions connevents proxyreqs proxyevents proxyuser deletions\r\n",
    "config get cluster\r\n",
];

/// Requests in another spelling, which the codec keeps.
const SPELLED: &[&str] = &[
    "get  a   b \r\n",
    "get a\n",
    "set a 00 0 1\r\nx\r\n",
    "delete a 0\r\n",
    "delete a 0 noreply\r\n",
    "incr n 007\r\n",
    "mg a v k\r\n",
    "mg a v1\r\n",
    "ms a 1 MS\r\nx\r\n",
    "ma n M+\r\n",
    "mn \r\n",
    "lru_crawler metadump 01\r\n",
    "extstore drop_unread 7\r\n",
];

/// Lines that this crate does not know as requests.
const UNKNOWN: &[&str] = &[
    "nonsense\r\n",
    "\r\n",
    "get\r\n",
    " get a\r\n",
    "GET a\r\n",
    "set a 0 0\r\n",
    "set a 0 0 -1\r\n",
    "set a 0 0 abc\r\n",
    "set a 4294967296 0 1\r\n",
    "set a 0 0 1 maybe\r\n",
    "cas a 0 0 1\r\n",
    "delete a 5\r\n",
    "incr n abc\r\n",
    "incr n 18446744073709551616\r\n",
    "mg\r\n",
    "mg k v v\r\n",
    "mg a b\r\n",
    "mg AAEC! b\r\n",
    "ms a abc\r\n",
    "ma n MX\r\n",
    "md a Cx\r\n",
    "mn now\r\n",
    "flush_all abc\r\n",
    "lru_crawler metadump\r\n",
    "lru_crawler metadump 1,\r\n",
    "lru_crawler metadump 256\r\n",
    "stats cachedump\r\n",
    "stats cachedump 1\r\n",
    "watch nonsense\r\n",
    "shutdown now\r\n",
    "config set a\r\n",
];

/// Requests, each with a whole answer.
const ANSWERS: &[(&str, &str)] = &[
    ("set a 0 0 1\r\nx\r\n", "STORED\r\n"),
    ("add a 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
    ("cas a 0 0 1 1\r\nx\r\n", "EXISTS\r\n"),
    ("cas a 0 0 1 1\r\nx\r\n", "NOT_FOUND\r\n"),
    ("get a\r\n", "END\r\n"),
    ("get a b\r\n", "VALUE a 5 3\r\nabc\r\nVALUE b 0 0\r\n\r\nEND\r\n"),
    ("get a\r\n", "VALUE a 0 7\r\nEND\r\n\r\n\r\nEND\r\n"),
    ("gets a\r\n", "VALUE a 5 3 18446744073709551615\r\nabc\r\nEND\r\n"),
    ("get a\r\n", "VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n"),
    ("get a\r\n", "VALUE  a 00 01 \r\nx\r\nEND\n"),
    ("delete a\r\n", "DELETED\r\n"),
    ("delete a\r\n", "NOT_FOUND\r\n"),
    ("incr n 1\r\n", "18446744073709551615\r\n"),
    ("decr n 1\r\n", "0 \r\n"),
    ("decr n 1\r\n", "NOT_FOUND\r\n"),
    ("touch a 1\r\n", "TOUCHED\r\n"),
    ("mg a v k\r\n", "VA 3 ka\r\nabc\r\n"),
    ("mg a v\r\n", "VA 0 W\r\n\r\n"),
    ("mg a v\r\n", "VA  3  ka \r\nabc\r\n"),
    ("mg a c\r\n", "HD c12\r\n"),
    ("mg a\r\n", "EN\r\n"),
    ("ms a 1\r\nx\r\n", "NS\r\n"),
    ("md a\r\n", "NF\r\n"),
    ("md a C1\r\n", "EX\r\n"),
    ("ma n v\r\n", "VA 2 t-1 c6\r\n15\r\n"),
    ("me a\r\n", "ME a exp=-29 la=1 cas=3 fetch=yes cls=1 size=61\r\n"),
    ("me a\r\n", "EN\r\n"),
    ("mn\r\n", "MN\r\n"),
    ("flush_all\r\n", "OK\r\n"),
    ("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n"),
    ("version\r\n", "VERSION 1.6.45\r\n"),
    ("version\r\n", "VERSION\r\n"),
    ("cache_memlimit 0\r\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"),
    ("slabs reassign 1 2\r\n", "NOSPARE source class has no spare pages\r\n"),
    ("slabs reassign 1 1\r\n", "SAME src and dst class are identical\r\n"),
    ("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
    ("refresh_certs\r\n", "Error TLS not enabled\r\n"),
    ("lru_crawler metadump all\r\n", "END\r\n"),
    (
        "lru_crawler metadump all\r\n",
        "OK\r\nkey=a exp=-1 la=1 cas=2 fetch=no cls=1 size=66 flags=0 \nkey=b%20\nEND\r\n",
    ),
    ("lru_crawler metadump all\r\n", "key=a exp=-1\r\nERROR locked try again later\r\n"),
    ("lru_crawler metadump all\r\n", "exp=-1 key=a\nEND\r\n"),
    ("lru_crawler metadump all\r\n", "BUSY currently processing crawler request\r\n"),
    ("lru_crawler mgdump all\r\n", "OK\r\nmg shop:1\r\nmg AAECIA0K b\r\nmg odd one\nEN\r\n"),
    ("lru_crawler crawl 99\r\n", "BADCLASS invalid class id\r\n"),
    ("lru_crawler crawl all\r\n", "NOTSTARTED no items to crawl\r\n"),
    ("stats cachedump 1 0\r\n", "ITEM two words [1 b; 0 s]\r\nEND\r\n"),
    ("stats\r\n", "STAT pid 1\r\nSTAT empty \r\nSTAT bare\r\nSTAT  odd\r\nSTAT words a  b\r\nEND\r\n"),
    ("stats\r\n", "STAT  odd\r\nEND\r\n"),
    ("stats\r\n", "STAT pid 1\nEND\r\n"),
    ("lru_crawler mgdump all\r\n", "mg a\nEN\r\n"),
    ("lru_crawler metadump all\r\n", "key=a exp=-1\r\nEND\r\n"),
    ("stats sizes_enable\r\n", "STAT sizes_status enabled\r\n"),
    ("stats sizes_enable\r\n", "STAT sizes_status error\r\nSTAT sizes_error no_cas\r\n"),
    ("stats detail on\r\n", "OK\r\n"),
    ("stats detail dump\r\n", "PREFIX shop get 2 hit 1 set 1 del 1\r\nEND\r\n"),
    ("stats reset\r\n", "RESET\r\n"),
    ("stats mysterious\r\n", "STAT a 1\r\nEND\r\n"),
    ("config get cluster\r\n", "CONFIG cluster 0 26\r\n1\ncache1|10.0.0.1|11211\n\n\n\r\nEND\r\n"),
    ("nonsense\r\n", "ERROR\r\n"),
    ("nonsense\r\n", "WHATEVER it says\r\n"),
];

fn decode_request(bytes: &[u8]) -> (Request, Option<Vec<u8>>) {
    let mut buffer = BytesMut::from(bytes);
    let asked =
        ServerCodec::default().decode(&mut buffer).unwrap().unwrap_or_else(|| panic!("{bytes:?} is incomplete"));
    assert!(buffer.is_empty(), "{buffer:?}");
    (asked.request, asked.spelling.line().map(<[u8]>::to_vec))
}

#[test]
fn requests_are_known_and_canonical() {
    for wire in REQUESTS {
        let (request, spelling) = decode_request(wire.as_bytes());
        assert!(!matches!(request, Request::Unknown(_)), "{wire:?}");
        assert_eq!(spelling, None, "{wire:?}");
        let mut out = BytesMut::new();
        request.encode(&mut out);
        assert_eq!(out, wire.as_bytes());
    }
}

#[test]
fn other_spellings_are_kept() {
    for wire in SPELLED {
        let (request, spelling) = decode_request(wire.as_bytes());
        assert!(!matches!(request, Request::Unknown(_)), "{wire:?}");
        let line = spelling.unwrap_or_else(|| panic!("{wire:?} is canonical"));
        assert!(wire.as_bytes().starts_with(&line));
    }
}

#[test]
fn unknown_requests_are_kept() {
    for wire in UNKNOWN {
        let (request, _) = decode_request(wire.as_bytes());
        assert!(matches!(request, Request::Unknown(_)), "{wire:?} is {request:?}");
        let mut out = BytesMut::new();
        request.encode(&mut out);
        assert_eq!(out, wire.as_bytes());
    }
}

#[test]
fn a_request_cut_at_every_byte_is_incomplete_and_nothing_else() {
    for wire in REQUESTS.iter().chain(SPELLED).chain(UNKNOWN) {
        let expected = decode_request(wire.as_bytes()).0;
        for cut in 0..wire.len() {
            let mut codec = ServerCodec::default();
            let mut buffer = BytesMut::from(&wire[..cut]);
            assert_eq!(codec.decode(&mut buffer).unwrap(), None, "{wire:?} at {cut}");
            buffer.extend_from_slice(&wire.as_bytes()[cut..]);
            assert_eq!(codec.decode(&mut buffer).unwrap().unwrap().request, expected, "{wire:?} at {cut}");
        }
    }
}

#[test]
fn bytes_behind_a_request_are_left_alone() {
    for wire in REQUESTS.iter().chain(SPELLED).chain(UNKNOWN) {
        for behind in ["\r\n", "get b\r\n", "x", "\0"] {
            let mut buffer = BytesMut::from(format!("{wire}{behind}").as_bytes());
            ServerCodec::default().decode(&mut buffer).unwrap().unwrap();
            assert_eq!(buffer, behind.as_bytes(), "{wire:?}");
        }
    }
}

fn client(request: &str) -> ClientCodec {
    let mut codec = ClientCodec::default();
    codec.encode(decode_request(request.as_bytes()).0, &mut BytesMut::new()).unwrap();
    codec
}

fn answers(codec: &mut ClientCodec, buffer: &mut BytesMut) -> Vec<Answer> {
    std::iter::from_fn(|| codec.decode(buffer).unwrap()).collect()
}

#[test]
fn answers_are_read_whole_and_written_again() {
    for (request, wire) in ANSWERS {
        let mut buffer = BytesMut::from(*wire);
        let answers = answers(&mut client(request), &mut buffer);
        assert!(buffer.is_empty(), "{wire:?}");
        let lasts = answers.iter().filter(|answer| answer.role == Role::Last).count();
        assert_eq!((lasts, answers.last().unwrap().role), (1, Role::Last), "{wire:?}");
        let mut server = ServerCodec::default();
        let mut out = BytesMut::new();
        for answer in &answers {
            server.encode_answer(answer, &mut out).unwrap();
        }
        assert_eq!(out, wire.as_bytes());
    }
}

/// What a reply keeps of its line must not hide what it would write by itself.
#[test]
fn answers_in_the_usual_spelling_are_what_their_replies_write() {
    let mut others = Vec::new();
    for (request, wire) in ANSWERS {
        let answers = answers(&mut client(request), &mut BytesMut::from(*wire));
        let mut written = BytesMut::new();
        answers.iter().for_each(|answer| answer.reply.encode(&mut written));
        let is_usual = answers.iter().all(|answer| answer.spelling.line().is_none());
        assert_eq!(written == wire.as_bytes(), is_usual, "{wire:?} {written:?}");
        if !is_usual {
            others.push(*wire);
        }
    }
    let expected = [
        "VALUE  a 00 01 \r\nx\r\nEND\n",
        "0 \r\n",
        "VA  3  ka \r\nabc\r\n",
        "VERSION\r\n",
        "key=a exp=-1\r\nERROR locked try again later\r\n",
        "OK\r\nmg shop:1\r\nmg AAECIA0K b\r\nmg odd one\nEN\r\n",
        "STAT pid 1\r\nSTAT empty \r\nSTAT bare\r\nSTAT  odd\r\nSTAT words a  b\r\nEND\r\n",
        "STAT  odd\r\nEND\r\n",
        "STAT pid 1\nEND\r\n",
        "mg a\nEN\r\n",
        "key=a exp=-1\r\nEND\r\n",
    ];
    assert_eq!(others, expected);
}

#[test]
fn the_first_set_is_a_login_until_one_is_stored() {
    let wire = "set any 0 60 10\r\napp secret\r\n";
    let mut codec = ServerCodec::default().with_authentication();
    for said in [Reply::NotStored, Reply::Stored] {
        let asked = codec.decode(&mut BytesMut::from(wire)).unwrap().unwrap();
        assert!(matches!(asked.request, Request::Authenticate(_)), "{asked:?}");
        assert!(asked.spelling.line().is_none());
        let mut out = BytesMut::new();
        asked.request.encode(&mut out);
        assert_eq!(out, wire.as_bytes());
        let mut out = BytesMut::new();
        codec.encode(said.clone(), &mut out).unwrap();
        assert_eq!(out, if said == Reply::Stored { "STORED\r\n" } else { "NOT_STORED\r\n" }.as_bytes());
    }
    let asked = codec.decode(&mut BytesMut::from(wire)).unwrap().unwrap();
    assert!(matches!(asked.request, Request::Store(_)), "{asked:?}");
}

#[test]
fn a_request_that_has_begun_is_given_back_and_is_no_end() {
    for (begun, is_whole) in [("", true), ("get a", false), ("set a 0 0 5\r\n", false), ("set a 0 0 5\r\nab", false)] {
        let mut codec = ServerCodec::default();
        let mut buffer = BytesMut::from(begun);
        assert_eq!(codec.decode(&mut buffer).unwrap(), None);
        codec.give_back(&mut buffer);
        assert_eq!(buffer, begun.as_bytes());
        assert!(matches!(codec.decode(&mut buffer), Err(CodecError::Poisoned)));

        let mut codec = ServerCodec::default();
        let ended = codec.decode_eof(&mut BytesMut::from(begun));
        assert!(
            if is_whole { matches!(ended, Ok(None)) } else { matches!(ended, Err(CodecError::Closed)) },
            "{begun:?}"
        );
        assert_eq!(codec.decode(&mut BytesMut::from("mn\r\n")).is_ok(), is_whole);
    }
    let whole = ServerCodec::default().decode_eof(&mut BytesMut::from("mn\r\n")).unwrap();
    assert_eq!(whole.map(|asked| asked.request), Some(Request::MetaNoop));
}

/// Where in the stream the fault is.
#[test]
fn a_fault_behind_other_requests_is_told_by_its_place() {
    let before = "set a 0 0 1\r\nx\r\nmn\r\n";
    let mut codec = ServerCodec::default();
    let mut buffer = BytesMut::from(format!("{before}set b 0 0 1\r\nxyz\r\n").as_bytes());
    codec.decode(&mut buffer).unwrap().unwrap();
    codec.decode(&mut buffer).unwrap().unwrap();
    let error = codec.decode(&mut buffer).unwrap_err().to_string();
    assert!(error.contains(&format!("byte {}", before.len())), "{error}");
}

#[test]
fn an_answer_cut_at_every_byte_gives_the_same_frames() {
    for (request, wire) in ANSWERS {
        let whole = answers(&mut client(request), &mut BytesMut::from(*wire));
        for cut in 0..wire.len() {
            let mut codec = client(request);
            let mut buffer = BytesMut::from(&wire[..cut]);
            let mut pieces = answers(&mut codec, &mut buffer);
            assert!(pieces.len() < whole.len(), "{wire:?} at {cut}");
            buffer.extend_from_slice(&wire.as_bytes()[cut..]);
            pieces.extend(answers(&mut codec, &mut buffer));
            assert_eq!(pieces, whole, "{wire:?} at {cut}");
            // A peer that closes the connection at this point has not answered.
            let mut codec = client(request);
            let mut buffer = BytesMut::from(&wire[..cut]);
            answers(&mut codec, &mut buffer);
            assert!(
                codec.decode_eof(&mut buffer).is_err() || request.starts_with("shutdown") && cut == 0,
                "{wire:?} at {cut}"
            );
        }
    }
}

#[test]
fn bytes_behind_an_answer_are_left_for_the_next() {
    for (request, wire) in ANSWERS {
        let mut codec = client(request);
        codec.encode(Request::Version, &mut BytesMut::new()).unwrap();
        let mut buffer = BytesMut::from(format!("{wire}VERSION 1\r\n").as_bytes());
        let answers = answers(&mut codec, &mut buffer);
        assert!(matches!(answers.last().unwrap().reply, Reply::Version(_)), "{wire:?}");
        assert_eq!(answers.iter().filter(|answer| answer.role == Role::Last).count(), 2, "{wire:?}");
    }
}

#[test]
fn an_error_answers_anything() {
    for wire in REQUESTS {
        let request = decode_request(wire.as_bytes()).0;
        for line in ["ERROR\r\n", "ERROR no\r\n", "CLIENT_ERROR bad command line format\r\n", "SERVER_ERROR x\r\n"] {
            let role = if request.is_quiet() { Role::Quiet } else { Role::Last };
            let answers = answers(&mut client(wire), &mut BytesMut::from(line));
            assert_eq!(answers.len(), 1, "{wire:?}");
            assert_eq!(answers[0].role, role, "{wire:?}");
        }
    }
}

#[test]
fn an_answer_to_another_request_is_refused() {
    for (request, wire) in [
        ("get a\r\n", "STORED\r\n"),
        ("get a\r\n", "OK\r\n"),
        ("get a\r\n", "BUSY x\r\n"),
        ("get a\r\n", "EN\r\n"),
        ("get a\r\n", "VALUE a 0 -1\r\n"),
        ("get a\r\n", "\r\n"),
        ("set a 0 0 1\r\nx\r\n", "DELETED\r\n"),
        ("mg a\r\n", "NF\r\n"),
        ("md a\r\n", "VA 1\r\nx\r\n"),
        ("mn\r\n", "HD\r\n"),
        ("incr n 1\r\n", "-1\r\n"),
        ("incr n 1\r\n", "1x\r\n"),
        ("flush_all\r\n", "VERSION 1\r\n"),
        ("lru_crawler metadump all\r\n", "OK\r\nOK\r\n"),
        ("lru_crawler metadump all\r\n", "exp=1\n"),
        ("lru_crawler mgdump all\r\n", "mg \r\n"),
        ("lru_crawler mgdump all\r\n", "END\r\n"),
        ("stats\r\n", "ITEM a [1 b; 0 s]\r\n"),
        ("quit\r\n", "OK\r\n"),
    ] {
        let mut codec = client(request);
        let mut buffer = BytesMut::from(wire);
        let refused = loop {
            match codec.decode(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(refused, "{wire:?} answers {request:?}");
        assert!(wire.as_bytes().ends_with(&buffer) && !buffer.is_empty(), "it stays in the buffer");
    }
}
