//! What only some bytes can be is made of bytes and text, and gives them back, alike everywhere.

use bytes::{Bytes, BytesMut};
use mcflush::codec::ServerCodec;
use mcflush::protocol::admin::ServerVersion;
use mcflush::protocol::cachedump::CachedumpItem;
use mcflush::protocol::crawler::{Classes, MetadumpItem, MgdumpItem};
use mcflush::protocol::meta::{MetaDebugReply, OtherFlag, ReturnFlags};
use mcflush::protocol::retrieval::Value;
use mcflush::protocol::stats::{PrefixStat, StatLine, StatsArgument, StatsGroup};
use mcflush::protocol::watch::LogLine;
use mcflush::protocol::{
    BinaryKey, ErrorReply, Fraction, ItemFlags, Key, MetaKey, Opaque, OtherLine, Reply, Request, UnknownLine,
};
use tokio_util::codec::Decoder;

macro_rules! gives_back {
    ($($type:ty: $text:literal),* $(,)?) => {
        $({
            let values = [
                <$type>::try_from($text).unwrap(),
                $text.parse::<$type>().unwrap(),
                <$type>::try_from($text.as_bytes()).unwrap(),
                <$type>::try_from($text.to_owned()).unwrap(),
                <$type>::try_from($text.as_bytes().to_vec()).unwrap(),
                <$type>::try_from(Bytes::from($text)).unwrap(),
            ];
            for value in values {
                assert_eq!(value.as_ref(), $text.as_bytes(), stringify!($type));
                assert_eq!(value.to_string(), $text, stringify!($type));
            }
        })*
    };
}

macro_rules! refuses {
    ($($type:ty: $text:literal),* $(,)?) => {
        $(assert!(<$type>::try_from($text).is_err(), "{}", stringify!($type));)*
    };
}

#[test]
fn bytes_and_text_come_back() {
    gives_back! {
        Key: "shop:1",
        BinaryKey: "a key",
        MetaKey: "shop:1",
        Opaque: "o1",
        Fraction: "0.25",
        StatsArgument: "detail",
        PrefixStat: "PREFIX shop get 1 hit 1 set 1 del 0",
        OtherFlag: "Y1",
        ReturnFlags: "c1 t60",
        MetaDebugReply: "ME k exp=-1 la=1 cas=1 fetch=no cls=1 size=66",
        ErrorReply: "SERVER_ERROR out of memory",
        OtherLine: "HELLO 1",
        UnknownLine: "hello 1",
        MetadumpItem: "key=k exp=-1 la=1 cas=2 fetch=no cls=1 size=66",
        MgdumpItem: "mg k",
        CachedumpItem: "ITEM k [1 b; 0 s]",
        LogLine: "ts=1.2 gid=1 type=item_get key=k status=not_found clsid=0",
        ServerVersion: "1.6.45",
    }
}

#[test]
fn a_line_end_is_in_no_value_of_one_line() {
    refuses! {
        Key: "a\nb",
        Opaque: "a\nb",
        Fraction: "0.\n5",
        StatsArgument: "a\nb",
        PrefixStat: "PREFIX a\nb get 1 hit 1 set 1 del 0",
        OtherFlag: "Y\n1",
        ReturnFlags: "c1\nt60",
        ErrorReply: "SERVER_ERROR a\nb",
        OtherLine: "HELLO\n1",
        UnknownLine: "hello\n1",
        MetadumpItem: "key=k\nexp=-1",
        MgdumpItem: "mg k\n",
        CachedumpItem: "ITEM a\nb [1 b; 0 s]",
        LogLine: "ts=1.2\ngid=1",
        ServerVersion: "1.6\n45",
    }
}

/// Otherwise a group could be asked for in two ways, of which only one is read as it should be.
#[test]
fn a_named_group_of_statistics_is_no_other_argument() {
    for words in [
        "settings",
        "items",
        "slabs",
        "sizes",
        "sizes_enable",
        "sizes_disable",
        "conns",
        "extstore",
        "proxy",
        "threads",
        "reset",
        "detail on",
        "detail off",
        "detail dump",
    ] {
        assert_eq!(StatsArgument::new(words), None, "{words}");
        let line = format!("stats {words}\r\n");
        let request = ServerCodec::default().decode(&mut line[..].into()).unwrap().unwrap().request;
        assert!(matches!(&request, Request::Stats(group) if !matches!(group, StatsGroup::Other(_))), "{request:?}");
        let mut wire = BytesMut::new();
        request.encode(&mut wire);
        assert_eq!(wire, line);
    }
    assert!(StatsArgument::new("").is_none() && StatsArgument::new("cachedump 1 0").is_none());
}

#[test]
fn parts_of_messages_are_given_out_and_written() {
    let value = Value::new(&Key::new("k").unwrap(), ItemFlags(0), None, "abc");
    assert_eq!(value.into_data(), "abc");
    assert_eq!(Classes::new(vec![1, 63]).unwrap().as_ref(), [1, 63]);
    let stat = StatLine::new(b"STAT pid 1").unwrap();
    assert_eq!((stat.name(), stat.value()), (&b"pid"[..], &b"1"[..]));
    assert!(StatLine::new(b"STAT  pid").is_none() && StatLine::new(b"END").is_none());
    let mut wire = BytesMut::new();
    let log = LogLine::new("ts=1.2 gid=1").unwrap();
    Reply::Log(log).encode(&mut wire);
    assert_eq!(wire, "ts=1.2 gid=1\n");
    let line = "stats mysterious thing\r\n";
    let mut wire = BytesMut::new();
    ServerCodec::default().decode(&mut line[..].into()).unwrap().unwrap().request.encode(&mut wire);
    assert_eq!(wire, line);
}
