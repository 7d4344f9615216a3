//! The codec assigns each reply to the right request.

use bytes::BytesMut;
use mcflush::codec::{Answer, ClientCodec, CodecError, Fault, Role};
use mcflush::protocol::item::Delete;
use mcflush::protocol::meta::{MetaArithmetic, MetaCode, MetaDelete, MetaGet, MetaSet};
use mcflush::protocol::watch::Watch;
use mcflush::protocol::{Key, MetaKey, Opaque, Reply, Request};
use tokio_util::codec::{Decoder, Encoder};

fn codec(requests: &[Request]) -> ClientCodec {
    let mut codec = ClientCodec::default();
    for request in requests {
        codec.encode(request.clone(), &mut BytesMut::new()).unwrap();
    }
    codec
}

fn key() -> MetaKey {
    MetaKey::for_bytes("k").unwrap()
}

fn md(quiet: bool) -> Request {
    Request::MetaDelete(MetaDelete { quiet, ..MetaDelete::new(key()) })
}

fn delete_noreply() -> Request {
    Request::Delete(Delete { key: Key::new("k").unwrap(), noreply: true })
}

fn decode(codec: &mut ClientCodec, bytes: &[u8], chunk: usize) -> Vec<Answer> {
    let mut buffer = BytesMut::new();
    let mut answers = Vec::new();
    for chunk in bytes.chunks(chunk) {
        buffer.extend_from_slice(chunk);
        while let Some(answer) = codec.decode(&mut buffer).unwrap() {
            answers.push(answer);
        }
    }
    answers
}

fn roles(requests: &[Request], bytes: &[u8]) -> Vec<Role> {
    let roles = |chunk| decode(&mut codec(requests), bytes, chunk).iter().map(|answer| answer.role).collect::<Vec<_>>();
    let whole = roles(usize::MAX);
    for chunk in [1, 3] {
        assert_eq!(roles(chunk), whole);
    }
    whole
}

#[test]
fn quiet_deletes_speak_only_when_they_fail() {
    let requests = [md(true), md(true), md(true), Request::MetaNoop, Request::Version];
    let bytes = b"NF\r\nSERVER_ERROR x\r\nMN\r\nVERSION 1.6.18\r\n";
    assert_eq!(roles(&requests, bytes), [Role::Quiet, Role::Quiet, Role::Last, Role::Last]);
}

/// `q` hides the `HD` of a delete, and a delete has no `VA`: such a line answers nothing that was asked.
#[test]
fn a_reply_of_another_verb_answers_no_quiet_request() {
    for line in ["HD\r\n", "EN\r\n", "VA 1\r\nx\r\n"] {
        let mut codec = codec(&[md(true), Request::MetaNoop]);
        let answer = codec.decode(&mut BytesMut::from(line));
        assert!(answer.is_err(), "{line:?}: {answer:?}");
    }
}

/// A server without meta commands answers each of them, and the fence, with an error. The last error answers the fence.
#[test]
fn the_fence_of_a_server_that_knows_none_is_the_last_error() {
    for count in [0_usize, 1, 2, 1000] {
        let mut requests = vec![md(true); count];
        requests.extend([Request::MetaNoop, Request::Version]);
        let bytes = [&b"ERROR\r\n".repeat(count + 1)[..], b"VERSION 1.4.0\r\n"].concat();
        let mut expected = vec![Role::Quiet; count];
        expected.extend([Role::Last, Role::Last]);
        assert_eq!(roles(&requests, &bytes), expected, "{count}");
    }
}

#[test]
fn errors_of_noreply_requests_are_beside_the_answer() {
    let requests = [delete_noreply(), delete_noreply(), Request::Version];
    assert_eq!(roles(&requests, b"CLIENT_ERROR x\r\nVERSION 1\r\n"), [Role::Quiet, Role::Last]);
    assert_eq!(roles(&requests, b"ERROR\r\nERROR\r\nERROR\r\n"), [Role::Quiet, Role::Quiet, Role::Last]);
}

#[test]
fn runs_of_quiet_requests_do_not_mix() {
    let requests = [md(true), Request::MetaNoop, md(true), md(true), Request::MetaNoop];
    assert_eq!(
        roles(&requests, b"NF\r\nMN\r\nNF\r\nNF\r\nMN\r\n"),
        [Role::Quiet, Role::Last, Role::Quiet, Role::Quiet, Role::Last]
    );
    // The first fence closes its run: later replies do not belong to that run.
    assert_eq!(
        roles(&requests, b"MN\r\nERROR\r\nERROR\r\nERROR\r\n"),
        [Role::Last, Role::Quiet, Role::Quiet, Role::Last]
    );
}

#[test]
fn a_quiet_get_gives_its_hits_beside_the_answer() {
    let get = Request::MetaGet(MetaGet { quiet: true, value: true, ..MetaGet::new(key()) });
    let requests = [get.clone(), get, Request::MetaNoop];
    assert_eq!(roles(&requests, b"VA 1 kx\r\ny\r\nMN\r\n"), [Role::Quiet, Role::Last]);
    assert_eq!(roles(&requests, b"VA 2\r\n\r\n\r\nHD\r\nMN\r\n"), [Role::Quiet, Role::Quiet, Role::Last]);
}

/// With `q` the server still answers if it creates the item (`N`): seen on 1.6.38.
#[test]
fn a_quiet_count_that_is_made_anew_speaks() {
    let count = mcflush::protocol::meta::MetaArithmetic {
        quiet: true,
        value: true,
        vivify: Some(mcflush::protocol::Exptime::NEVER),
        ..mcflush::protocol::meta::MetaArithmetic::new(key())
    };
    let requests = [Request::MetaArithmetic(count), Request::MetaNoop];
    assert_eq!(roles(&requests, b"VA 1 t-1\r\n5\r\nMN\r\n"), [Role::Quiet, Role::Last]);
}

#[test]
fn an_opaque_assigns_a_meta_line_to_its_request() {
    let opaque = |text| Some(Opaque::new(text).unwrap());
    let quiet = [
        Request::MetaDelete(MetaDelete { quiet: true, opaque: opaque("1"), ..MetaDelete::new(key()) }),
        Request::MetaGet(MetaGet { quiet: true, opaque: opaque("1"), ..MetaGet::new(key()) }),
        Request::MetaSet(MetaSet { quiet: true, opaque: opaque("1"), ..MetaSet::new(key(), "x") }),
        Request::MetaArithmetic(MetaArithmetic { quiet: true, opaque: opaque("1"), ..MetaArithmetic::new(key()) }),
    ];
    let loud = [
        Request::MetaDelete(MetaDelete { opaque: opaque("2"), ..MetaDelete::new(key()) }),
        Request::MetaGet(MetaGet { opaque: opaque("2"), ..MetaGet::new(key()) }),
        Request::MetaSet(MetaSet { opaque: opaque("2"), ..MetaSet::new(key(), "x") }),
        Request::MetaArithmetic(MetaArithmetic { opaque: opaque("2"), ..MetaArithmetic::new(key()) }),
    ];
    for ((quiet, loud), code) in quiet.into_iter().zip(loud).zip(["NF", "HD", "NS", "EX"]) {
        let requests = [quiet, loud, Request::MetaNoop];
        let both = format!("{code} O1\r\n{code} O2\r\nMN\r\n");
        assert_eq!(roles(&requests, both.as_bytes()), [Role::Quiet, Role::Last, Role::Last], "{code}");
        let second = format!("{code} O2\r\nMN\r\n");
        assert_eq!(roles(&requests, second.as_bytes()), [Role::Last, Role::Last], "{code}");
    }
}

/// After `md a q` and `md b`, a single `NF` could answer either. As documented, the codec assigns it to `md b`; if it
/// answers `md a q`, the codec assigns the answer of `md b` to `md a q`. In both cases the fence is assigned correctly.
#[test]
fn without_opaques_the_framing_holds() {
    let requests = [md(true), md(false), Request::MetaNoop];
    assert_eq!(roles(&requests, b"NF\r\nMN\r\n"), [Role::Last, Role::Last]);
    assert_eq!(roles(&requests, b"NF\r\nHD\r\nMN\r\n"), [Role::Last, Role::Quiet, Role::Last]);
    assert_eq!(roles(&requests, b"HD\r\nMN\r\n"), [Role::Last, Role::Last]);
}

#[test]
fn a_dump_comes_line_by_line_in_both_dialects() {
    let dump = Request::Metadump(mcflush::protocol::crawler::Metadump {
        target: mcflush::protocol::crawler::CrawlTarget::Hash,
    });
    for bytes in [&b"OK\r\nkey=a exp=-1 flags=0 \nkey=b exp=-1\nEND\r\n"[..], b"key=a exp=-1\nkey=b exp=-1\nEND\r\n"] {
        let answers = decode(&mut codec(std::slice::from_ref(&dump)), bytes, 1);
        let keys: Vec<_> = answers
            .iter()
            .filter_map(|answer| match &answer.reply {
                Reply::Metadump(item) => Some(item.as_line().encoded_key()),
                _ => None,
            })
            .collect();
        assert_eq!(keys, [b"a", b"b"]);
        assert_eq!(answers.last().unwrap().role, Role::Last);
    }
}

#[test]
fn the_empty_line_after_a_client_error_belongs_to_no_answer() {
    let requests = [Request::Version, Request::Version];
    let bytes = b"CLIENT_ERROR bad command line format\r\n\r\nVERSION 1\r\n";
    assert_eq!(roles(&requests, bytes), [Role::Last, Role::Last]);
    let mut keeping = ClientCodec::default().keep_blank_lines();
    for request in requests {
        keeping.encode(request, &mut BytesMut::new()).unwrap();
    }
    let replies: Vec<_> = decode(&mut keeping, bytes, 1).into_iter().map(|answer| answer.reply).collect();
    assert!(matches!(&replies[..], [Reply::Error(_), Reply::Blank, Reply::Version(_)]), "{replies:?}");
    // An empty line in any other place is an error.
    let mut buffer = BytesMut::from(&b"\r\n"[..]);
    assert!(codec(&[Request::Version]).decode(&mut buffer).is_err());
}

#[test]
fn a_watched_connection_logs_for_ever() {
    let mut codec = codec(&[Request::Watch(Watch { streams: Vec::new() }), Request::Version]);
    let answers = decode(&mut codec, b"OK\r\nts=1.2 gid=1 type=item_get\nERROR\nskipped=2\n", 5);
    assert!(answers.iter().all(|answer| answer.role == Role::Part));
    assert!(answers[1..].iter().all(|answer| matches!(answer.reply, Reply::Log(_))));
    assert!(codec.decode_eof(&mut BytesMut::new()).unwrap().is_none());
}

#[test]
fn a_close_is_an_answer_only_where_it_was_asked_for() {
    let empty = &mut BytesMut::new();
    assert!(codec(&[Request::Quit]).decode_eof(empty).unwrap().is_none());
    assert!(codec(&[md(true)]).decode_eof(empty).unwrap().is_none());
    assert!(matches!(codec(&[Request::MetaNoop]).decode_eof(empty), Err(CodecError::Closed)));
    assert!(matches!(codec(&[]).decode_eof(&mut BytesMut::from("x")), Err(CodecError::Closed)));
}

#[test]
fn a_line_that_answers_no_request_ends_the_connection() {
    let mut codec = codec(&[Request::MetaNoop, Request::Version]);
    let mut buffer = BytesMut::from(&b"MN\r\nSSH-2.0-OpenSSH\r\nVERSION 1\r\n"[..]);
    assert_eq!(codec.decode(&mut buffer).unwrap().unwrap().reply, Reply::Noop);
    let error = codec.decode(&mut buffer).unwrap_err();
    assert!(matches!(error, CodecError::Malformed { offset: 4, .. }), "{error}");
    assert_eq!(error.fault(), Fault::Peer);
    assert_eq!(buffer, &b"SSH-2.0-OpenSSH\r\nVERSION 1\r\n"[..]);
    for _ in 0..2 {
        assert!(matches!(codec.decode(&mut buffer), Err(CodecError::Poisoned)));
        assert!(matches!(codec.encode(Request::Version, &mut buffer), Err(CodecError::Poisoned)));
    }
}

#[test]
fn an_answer_without_a_request_is_an_error() {
    let mut buffer = BytesMut::from(&b"VERSION 1\r\n"[..]);
    assert!(matches!(codec(&[]).decode(&mut buffer), Err(CodecError::Malformed { .. })));
}

#[test]
fn the_cas_of_an_answer_is_typed() {
    let get = Request::MetaGet(MetaGet { cas: true, ..MetaGet::new(key()) });
    let answers = decode(&mut codec(&[get]), b"HD c123\r\n", 100);
    let Reply::Meta(meta) = &answers[0].reply else { panic!("{answers:?}") };
    assert_eq!((meta.code, meta.flags.cas()), (MetaCode::Hd, Some(mcflush::protocol::Cas(123))));
}
