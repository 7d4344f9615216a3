//! `visit` shows the same items as the decoder takes, however the bytes are cut into reads.

use std::ops::ControlFlow;

use bytes::{BufMut, BytesMut};
use mcflush::codec::{ClientCodec, Limits, ServerCodec};
use mcflush::protocol::{Part, Reply};
use tokio_util::codec::{Decoder, Encoder};

fn asked(request: &str, limits: Limits) -> ClientCodec {
    let request = ServerCodec::default().decode(&mut BytesMut::from(request)).unwrap().unwrap().request;
    let mut codec = ClientCodec::new(limits);
    codec.encode(request, &mut BytesMut::new()).unwrap();
    codec
}

/// Appends the item as the server sends it.
fn spelled(item: Part<'_>, out: &mut BytesMut) {
    match item {
        Part::Metadump(line) => {
            out.put_slice(line.as_bytes());
            out.put_slice(b"\n");
        }
        Part::Mgdump(line) => {
            out.put_slice(line.as_bytes());
            out.put_slice(b"\r\n");
        }
        Part::Stat(stat) => out.put_slice(&[b"STAT ", stat.name(), b" ", stat.value(), b"\r\n"].concat()),
        Part::Value(value) => {
            let cas = value.cas().map(|cas| format!(" {}", cas.0)).unwrap_or_default();
            let (flags, length) = (value.flags().0, value.data().len());
            out.put_slice(&[b"VALUE ", value.key(), format!(" {flags} {length}{cas}\r\n").as_bytes()].concat());
            out.put_slice(&[value.data(), b"\r\n"].concat());
        }
        item => panic!("{item:?} has no test"),
    }
}

const LISTINGS: [(&str, &str); 5] = [
    ("lru_crawler metadump all\r\n", "OK\r\nkey=a exp=-1\nkey=shop%3A1 exp=-1 cas=2 \nnew=1 key=b\nkey=c\nEND\r\n"),
    ("lru_crawler mgdump all\r\n", "OK\r\nmg a\r\nmg AAE= b\r\nmg two words\r\nEN\r\n"),
    ("stats\r\n", "STAT pid 1\r\nSTAT empty \r\nSTAT three words 3\r\nEND\r\n"),
    ("gets a\r\n", "VALUE a 0 3\r\nabc\r\nVALUE b 5 2 7\r\n\r\n\r\nVALUE c 0 0 9\r\n\r\nEND\r\n"),
    ("get a\r\n", "VALUE  a 00 3 \r\nabc\r\nVALUE b 4294967295 1\r\n\n\r\nEND\r\n"),
];

#[test]
fn any_reads_show_every_item_once_and_in_order() {
    for (request, wire) in LISTINGS {
        for read in 1..=wire.len() {
            let mut codec = asked(request, Limits::default());
            let (mut buffer, mut said, mut shown) = (BytesMut::new(), BytesMut::new(), 0);
            for chunk in wire.as_bytes().chunks(read) {
                buffer.extend_from_slice(chunk);
                loop {
                    shown += codec.visit(&mut buffer, |item| {
                        spelled(item, &mut said);
                        ControlFlow::Continue(())
                    });
                    let Some(answer) = codec.decode(&mut buffer).unwrap() else { break };
                    match answer.spelling.line() {
                        Some(line) => said.extend_from_slice(line),
                        None => answer.reply.encode(&mut said),
                    }
                    if let (Some(_), Reply::Value(value)) = (answer.spelling.line(), &answer.reply) {
                        said.extend_from_slice(&[value.data(), &b"\r\n"[..]].concat());
                    }
                }
            }
            assert_eq!(said.escape_ascii().to_string(), wire.as_bytes().escape_ascii().to_string(), "reads of {read}");
            assert!(read < wire.len() || shown > 0, "{request} shows nothing");
        }
    }
}

#[test]
fn it_stops_behind_the_item_it_was_told_to() {
    let mut codec = asked("stats\r\n", Limits::default());
    let mut buffer = BytesMut::from("STAT a 1\r\nSTAT b 2\r\nEND\r\n");
    assert_eq!(codec.visit(&mut buffer, |_| ControlFlow::Break(())), 1);
    assert_eq!(buffer, &b"STAT b 2\r\nEND\r\n"[..]);
}

#[test]
fn a_limit_is_left_to_the_decoder_to_say() {
    let limits = Limits::default().with_line(12).with_value(3).with_items(2);
    for (request, wire, shown) in [
        ("stats\r\n", "STAT a 1\r\nSTAT b 2\r\nSTAT c 3\r\n", 2),
        ("stats\r\n", "STAT a 1\r\nSTAT long 22222\r\n", 1),
        ("lru_crawler metadump all\r\n", "key=a b=1\nkey=long_long_long\n", 1),
        ("get a\r\n", "VALUE a 0 3\r\nabc\r\n", 0),
        ("get a\r\n", "VALUE a 0 4\r\nabcd\r\n", 0),
    ] {
        let mut codec = asked(request, limits);
        let mut buffer = BytesMut::from(wire);
        assert_eq!(codec.visit(&mut buffer, |_| ControlFlow::Continue(())), shown, "{wire}");
        codec.decode(&mut buffer).unwrap_err();
        assert_eq!(
            codec.visit(&mut BytesMut::from(wire), |_| ControlFlow::Continue(())),
            0,
            "it goes on after an error"
        );
    }
}
