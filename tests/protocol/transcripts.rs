//! Recorded answers of real servers. The codec must decode them fully, however they are cut, and encode them to the same
//! bytes. If an old server speaks a different dialect, the codec must refuse the first line that shows it.

use std::path::Path;

use bytes::BytesMut;
use mcflush::codec::{Answer, Asked, ClientCodec, CodecError, Role, ServerCodec};
use mcflush::protocol::{Reply, Request};
use tokio_util::codec::Decoder;

use crate::recorded::{Exchange, exchanges, files, folder};

/// A request, and the line of its answer that the codec must refuse.
type Refused = (&'static str, &'static str);

/// Versions and files from before meta commands had their present form. These servers answer the other requests of these
/// files as today, or with an error.
const OTHER_LANGUAGE: [(&str, &str, &[Refused]); 9] = [
    ("1.5.22", "admin.txt", &[("verbosity 1 noreply\r\nmn\r\n", "EN")]),
    (
        "1.5.22",
        "dialect.txt",
        &[
            ("mn\r\n", "EN"),
            ("md a I\r\n", "DE I"),
            ("mg a c\r\n", "VA WXc 4"),
            ("mg a\r\n", "VA XZsftv 1 0 -1"),
            ("mg a v\r\n", "VA XZv"),
            ("md b q\r\nmd b q\r\nmn\r\n", "EN"),
        ],
    ),
    (
        "1.5.22",
        "meta.txt",
        &[("mg nokey v q\r\nmn\r\n", "EN"), ("md cnt q\r\nmd cnt q\r\nmn\r\n", "EN"), ("mn\r\n", "EN")],
    ),
    ("1.5.22", "no-cas.txt", &[("mg a c\r\n", "VA c 0")]),
    ("1.5.22", "retrieval.txt", &[("delete s 0 noreply\r\nmn\r\n", "EN")]),
    ("1.6.6", "dialect.txt", &[("md a I\r\n", "OK "), ("mg a c\r\n", "OK c4 X W")]),
    ("1.6.6", "no-cas.txt", &[("mg a c\r\n", "OK c0")]),
    ("1.6.9", "dialect.txt", &[("md a I\r\n", "OK "), ("mg a c\r\n", "OK c4 X W")]),
    ("1.6.9", "no-cas.txt", &[("mg a c\r\n", "OK c0")]),
];

/// The servers that do not know the present form of `ms`, and read its data block as a command: their second error line
/// answers no request.
const WITHOUT_META_SET: [&str; 7] = ["1.4.15", "1.4.25", "1.4.33", "1.5.6", "1.5.22", "1.6.6", "1.6.9"];

/// The requests, and the bytes that are left if a data block does not have the length that its line says: there is no way
/// to find the next request.
fn requests(sent: &[u8]) -> (Vec<Asked>, BytesMut) {
    let mut server = ServerCodec::default();
    let mut buffer = BytesMut::from(sent);
    let mut asked = Vec::new();
    while let Ok(Some(request)) = server.decode(&mut buffer) {
        asked.push(request);
    }
    (asked, buffer)
}

/// The line at which the codec must refuse the answer, if the server speaks a different dialect.
fn refused_at(file: &Path, exchange: &Exchange, asked: &[Asked]) -> Option<&'static str> {
    let is = |version: &str| file.parent().is_some_and(|folder| folder.ends_with(version));
    if WITHOUT_META_SET.iter().any(|version| is(version))
        && asked.iter().any(|asked| matches!(asked.request, Request::MetaSet(_)))
    {
        return Some("ERROR");
    }
    let of_file = OTHER_LANGUAGE.iter().filter(|(version, name, _)| is(version) && file.ends_with(name));
    of_file.flat_map(|(_, _, lines)| *lines).find(|(sent, _)| sent.as_bytes() == exchange.sent).map(|(_, line)| *line)
}

/// Decodes in pieces of this size until the codec refuses a line, and returns the beginning of that line.
fn refusal(mut codec: ClientCodec, received: &[u8], chunk: usize) -> Option<String> {
    let mut buffer = BytesMut::new();
    for chunk in received.chunks(chunk) {
        buffer.extend_from_slice(chunk);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(CodecError::Malformed { excerpt, .. }) => return Some(excerpt.to_string()),
                Err(error) => panic!("{error}"),
            }
        }
    }
    None
}

fn is_unknown(asked: &Asked) -> bool {
    matches!(asked.request, Request::Unknown(_))
}

fn client(asked: &[Asked]) -> (ClientCodec, BytesMut) {
    let mut codec = ClientCodec::default().keep_blank_lines();
    let mut wire = BytesMut::new();
    for asked in asked {
        codec.encode_asked(asked, &mut wire).unwrap();
    }
    (codec, wire)
}

/// Decodes in pieces of this size.
fn replies(mut codec: ClientCodec, received: &[u8], chunk: usize, context: &str) -> Vec<Answer> {
    let mut buffer = BytesMut::new();
    let mut answers = Vec::new();
    for chunk in received.chunks(chunk) {
        buffer.extend_from_slice(chunk);
        while let Some(answer) = codec.decode(&mut buffer).unwrap_or_else(|error| panic!("{context}: {error}")) {
            answers.push(answer);
        }
    }
    assert!(buffer.is_empty(), "{context}: {buffer:?}");
    answers
}

#[test]
fn they_decode_fully_and_encode_back_to_the_same_bytes() {
    let (mut unattributed, mut attributed, mut refused) = (0, 0, 0);
    for file in files() {
        for exchange in exchanges(&file) {
            let context = format!(
                "{}: {:?}",
                file.display(),
                String::from_utf8_lossy(&exchange.sent[..exchange.sent.len().min(60)])
            );
            let (asked, left) = requests(&exchange.sent);
            let (_, mut wire) = client(&asked);
            assert!(left.is_empty() || left.starts_with(b"set k 0 0 3\r\nabcdef"), "{context}: {left:?}");
            wire.extend_from_slice(&left);
            assert_eq!(wire, exchange.sent, "{context}");

            if let Some(line) = refused_at(&file, &exchange, &asked) {
                for chunk in [1, 2, 3, 7, 100, usize::MAX] {
                    let found = refusal(client(&asked).0, &exchange.received, chunk);
                    assert_eq!(found.as_deref(), Some(line), "{context}, in pieces of {chunk}");
                }
                refused += 1;
                continue;
            }
            // The number of lines that answer an unknown request is unknown: each line is decoded as the answer to one more.
            let known = asked.iter().position(is_unknown).unwrap_or(asked.len());
            let all_known = known == asked.len() && left.is_empty();
            let expected: Vec<_> = if all_known {
                asked.clone()
            } else {
                let nonsense = requests(b"nonsense\r\n").0;
                asked[..known].iter().chain(std::iter::repeat_n(&nonsense[0], 8)).cloned().collect()
            };
            let whole = replies(client(&expected).0, &exchange.received, usize::MAX, &context);
            for chunk in [1, 2, 3, 7, 100] {
                assert_eq!(replies(client(&expected).0, &exchange.received, chunk, &context), whole, "{context}");
            }
            let mut server = ServerCodec::default();
            let mut wire = BytesMut::new();
            for answer in &whole {
                server.encode_answer(answer, &mut wire).unwrap();
            }
            assert_eq!(wire, exchange.received, "{context}");

            if all_known {
                attributed += 1;
                let loud = asked.iter().filter(|asked| !asked.request.is_quiet()).count();
                let last = whole.iter().filter(|answer| answer.role == Role::Last).count();
                let unanswered =
                    asked.iter().any(|asked| matches!(asked.request, Request::Watch(_))) || exchange.closed;
                // A server that does not know the fence answers it with an error. The codec assigns that to the quiet
                // request before it.
                let unanswered =
                    unanswered || exchange.sent.ends_with(b" noreply\r\nmn\r\n") && exchange.received == b"ERROR\r\n";
                assert!(unanswered || loud == last || watched(&file), "{context}: {whole:?}");
            } else {
                unattributed += 1;
                let refused = whole.iter().all(|answer| matches!(answer.reply, Reply::Error(_) | Reply::Blank));
                assert!(refused || asked.len() > 1 || exchange_is_tolerant(&exchange.sent), "{context}: {whole:?}");
            }
        }
    }
    let in_table: usize = OTHER_LANGUAGE.iter().map(|(_, _, lines)| lines.len()).sum();
    // On each of these servers, nine exchanges store by meta commands.
    assert_eq!(refused, in_table + 9 * WITHOUT_META_SET.len());
    assert!(attributed > 1_000 && unattributed > 100, "{attributed} {unattributed}");
}

/// Lines that some servers accept although they are not requests: `incr k 1 2 3 4`, `delete s 5`.
fn exchange_is_tolerant(sent: &[u8]) -> bool {
    [&b"incr k 1 2 3 4"[..], b"delete s 5", b"flush_all abc", b"mg AAEC! b", b"stats sizes_enable"]
        .iter()
        .any(|known| sent.starts_with(known))
}

/// Whether the connection has become a log, on which the server answers nothing more.
fn watched(file: &Path) -> bool {
    file.ends_with("watch.txt")
}

#[test]
fn a_negative_exptime_and_a_bare_line_feed_are_kept_as_they_came() {
    let asked = requests(b"get a\nset neg 0 -1 1\r\nx\r\ndelete s 0\r\n").0;
    assert_eq!(asked[0].spelling.line(), Some(&b"get a\n"[..]));
    assert_eq!(asked[1].spelling.line(), None);
    assert_eq!(asked[2].spelling.line(), Some(&b"delete s 0\r\n"[..]));
}

#[test]
fn an_item_of_a_crawl_keeps_its_key_encoded() {
    let file = folder().join("1.6.45/crawler.txt");
    let dump = exchanges(&file).into_iter().find(|exchange| exchange.sent.ends_with(b"metadump hash\r\n")).unwrap();
    let asked = requests(&dump.sent).0;
    let mut key = BytesMut::new();
    for answer in replies(client(&asked).0, &dump.received, usize::MAX, "") {
        if let Reply::Metadump(item) = answer.reply
            && item.as_line().encoded_key() == b"%00%01%02%20%0D%0A"
        {
            item.as_line().decode_key(&mut key).unwrap();
        }
    }
    assert_eq!(key, &b"\0\x01\x02 \r\n"[..]);
}
