//! The codec stops a peer that sends too much, absurd lengths or endless answers; and its work is linear.

use bytes::BytesMut;
use mcflush::codec::{ClientCodec, CodecError, Limit, Limits, ServerCodec};
use mcflush::protocol::crawler::{CrawlTarget, Metadump};
use mcflush::protocol::retrieval::Retrieve;
use mcflush::protocol::{Key, Reply, Request};
use tokio_util::codec::{Decoder, Encoder};

fn client(limits: Limits, request: Request) -> ClientCodec {
    let mut codec = ClientCodec::new(limits);
    codec.encode(request, &mut BytesMut::new()).unwrap();
    codec
}

fn get() -> Request {
    Request::Retrieve(Retrieve::new(Key::new("k").unwrap()))
}

#[test]
fn an_endless_line_is_stopped() {
    assert_eq!((Limits::VALUE, Limits::ITEMS), (16_777_216, 8_589_934_592));
    let mut buffer = BytesMut::zeroed(Limits::LINE);
    let mut codec = client(Limits::default(), Request::Version);
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    buffer.extend_from_slice(b"x");
    let error = codec.decode(&mut buffer).unwrap_err();
    assert!(matches!(error, CodecError::TooLong { what: Limit::Line, limit: 8192, offset: 0, .. }), "{error}");
    assert!(error.to_string().contains("8192 bytes in a line"), "{error}");

    let mut buffer = BytesMut::from(&b"get "[..]);
    buffer.resize(Limits::REQUEST_LINE + 1, b'k');
    let error = ServerCodec::default().decode(&mut buffer).unwrap_err();
    assert!(matches!(error, CodecError::TooLong { what: Limit::Line, limit: 65536, .. }), "{error}");
}

/// The number of bytes that had arrived when the server's codec refused the line.
fn cut_off(wire: &[u8], chunk: usize) -> Option<usize> {
    let mut codec = ServerCodec::default();
    let mut buffer = BytesMut::new();
    let mut came = 0;
    for chunk in wire.chunks(chunk) {
        buffer.extend_from_slice(chunk);
        came += chunk.len();
        match codec.decode(&mut buffer) {
            Ok(_) => {}
            Err(CodecError::TooLong { what: Limit::Line, limit: 2048, .. }) => return Some(came),
            Err(error) => panic!("{error}"),
        }
    }
    None
}

/// memcached cuts off the same lines.
#[test]
fn only_a_get_may_be_a_long_line() {
    let spaces = |count| " ".repeat(count);
    for (begin, is_get) in [
        ("get ".to_owned(), true),
        ("gets ".to_owned(), true),
        (spaces(100) + "get ", true),
        (spaces(101) + "get ", false),
        ("gat 60 ".to_owned(), false),
        ("GET ".to_owned(), false),
        ("getx".to_owned(), false),
        ("set ".to_owned(), false),
        (String::new(), false),
    ] {
        let mut line = begin.clone().into_bytes();
        line.resize(10_000, b'k');
        assert_eq!(cut_off(&line, 1), (!is_get).then_some(2049), "{begin:?}");
        assert_eq!(cut_off(&line, 10_000), (!is_get).then_some(10_000), "{begin:?}");
        line.truncate(ServerCodec::COMMAND_MAX);
        assert_eq!(cut_off(&line, 1), None, "{begin:?}");
        line.resize(10_000, b'k');
        line.push(b'\n');
        assert_eq!(cut_off(&line, usize::MAX), None, "{begin:?}: with its end it is read");
    }
    // Many short lines in one read are not a long line, and neither is a data block.
    assert_eq!(cut_off(&b"version\r\n".repeat(1000), usize::MAX), None);
    assert_eq!(cut_off(&[&b"set k 0 0 9000\r\n"[..], &[b'x'; 9000], b"\r\n"].concat(), 7), None);
}

#[test]
fn an_absurd_length_is_an_error_and_no_memory() {
    for length in ["18446744073709551615", "9223372036854775807", "16777217"] {
        let info = allocation_counter::measure(|| {
            let mut buffer = BytesMut::from(format!("VALUE k 0 {length}\r\n").as_bytes());
            let error = client(Limits::default(), get()).decode(&mut buffer).unwrap_err();
            assert!(matches!(error, CodecError::TooLong { what: Limit::Value, .. }), "{error}");
            let mut buffer = BytesMut::from(format!("set k 0 0 {length}\r\n").as_bytes());
            let error = ServerCodec::default().decode(&mut buffer).unwrap_err();
            assert!(matches!(error, CodecError::TooLong { what: Limit::Value, .. }), "{error}");
            assert!(buffer.starts_with(b"set k"), "it stays in the buffer");
        });
        assert!(info.bytes_max < 16 * 1024, "{info:?}");
    }
}

#[test]
fn an_endless_answer_is_stopped() {
    let limits = Limits::default().with_items(3);
    let dump = || Request::Metadump(Metadump { target: CrawlTarget::All });
    for (request, item) in [
        (get(), "VALUE k 0 1\r\nx\r\n"),
        (dump(), "key=a\n"),
        (dump(), "exp=1 key=a\n"),
        (Request::Stats(Default::default()), "STAT a 1\r\n"),
    ] {
        let mut codec = client(limits, request);
        let mut buffer = BytesMut::from(item.repeat(4).as_bytes());
        for _ in 0..3 {
            codec.decode(&mut buffer).unwrap().unwrap();
        }
        let error = codec.decode(&mut buffer).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { what: Limit::Items, limit: 3, .. }), "{error}");
        assert_eq!(buffer, item.as_bytes());
    }
}

#[test]
fn a_block_that_does_not_end_is_an_error() {
    let mut buffer = BytesMut::from("VALUE k 0 3\r\nabcdef\r\n");
    let error = client(Limits::default(), get()).decode(&mut buffer).unwrap_err();
    assert!(matches!(error, CodecError::BadBlock { offset: 0, .. }), "{error}");
    let mut buffer = BytesMut::from("version\r\nset k 0 0 3\r\nabcdef\r\n");
    let mut codec = ServerCodec::default();
    codec.decode(&mut buffer).unwrap().unwrap();
    let error = codec.decode(&mut buffer).unwrap_err();
    assert!(matches!(error, CodecError::BadBlock { offset: 9, .. }), "{error}");
    assert_eq!(buffer, &b"set k 0 0 3\r\nabcdef\r\n"[..]);
}

#[test]
fn the_binary_protocol_is_recognised_at_its_first_byte() {
    let mut buffer = BytesMut::from(&b"\x80\x0a\0\0"[..]);
    assert!(matches!(ServerCodec::default().decode(&mut buffer), Err(CodecError::Binary)));
}

/// Feeds the codec as a transport does: reads of this size, and a decode after each. Returns the bytes of memory that were
/// allocated.
fn feed(wire: &[u8], chunk: usize) -> u64 {
    let mut codec = client(Limits::default(), get());
    let mut got = 0;
    let info = allocation_counter::measure(|| {
        let mut buffer = BytesMut::new();
        for chunk in wire.chunks(chunk) {
            buffer.extend_from_slice(chunk);
            while let Some(answer) = codec.decode(&mut buffer).unwrap() {
                if let Reply::Value(value) = answer.reply {
                    got += value.data().len();
                }
            }
        }
    });
    assert_eq!(got, 1 << 20);
    info.bytes_total
}

/// A copy needs memory, so the allocated bytes show that a value that arrives byte by byte is copied only once. The tests
/// in `codec::lines` and `codec::client` show that the codec examines no byte twice.
#[test]
fn a_large_value_in_one_byte_reads_is_linear() {
    let mut wire = format!("VALUE k 0 {}\r\n", 1 << 20).into_bytes();
    wire.resize(wire.len() + (1 << 20), b'\n');
    wire.extend_from_slice(b"\r\nEND\r\n");
    let (whole, bytewise) = (feed(&wire, usize::MAX), feed(&wire, 1));
    assert!(bytewise < whole * 2, "{whole} bytes of memory for it whole, {bytewise} byte by byte");
}
