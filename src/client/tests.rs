//! Conversations in memory: the bytes that the client sends, the server's answer, and the caller's result.

mod methods;
mod pipelines;
mod receive;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::error::FailureKind;
use crate::protocol::admin::{CacheMemlimit, FlushAll, Verbosity};
use crate::protocol::item::{Arithmetic, Delete, Direction, Touch};
use crate::protocol::meta::{MetaArithmetic, MetaDelete, MetaGet, MetaSet, ReturnFlags};
use crate::protocol::retrieval::{Keys, Retrieve};
use crate::protocol::stats::StatsGroup;
use crate::protocol::storage::{Store, StoreVerb};
use crate::protocol::{Cas, Exptime, ItemFlags, Key, MetaKey};

/// A client over memory, and the server's end.
fn pair() -> (Client<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(1024);
    (Client::new(near, "in-memory".parse().unwrap(), Duration::from_secs(5)), far)
}

fn key(text: &'static str) -> Key {
    Key::new(text).unwrap()
}

fn meta_key(text: &'static str) -> MetaKey {
    MetaKey::for_bytes(text).unwrap()
}

fn flags(text: &'static str) -> ReturnFlags {
    ReturnFlags::new(text).unwrap()
}

/// The result of a conversation with a server that gives this answer. Checks that the client sends exactly `sent`.
async fn conversation<A>(
    run: impl AsyncFnOnce(&mut Client<DuplexStream>) -> Result<A, Error>,
    sent: &str,
    answer: &str,
) -> Result<A, Error> {
    let (mut client, mut far) = pair();
    // Nearly every call follows another one; most other tests make a first call.
    client.answered = true;
    far.write_all(answer.as_bytes()).await.unwrap();
    let result = run(&mut client).await;
    drop(client);
    let mut heard = String::new();
    far.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, sent);
    result
}

/// The result of a call for this answer.
async fn answer_to<A>(call: Call<A>, sent: &str, answer: &str) -> Result<A, Error> {
    conversation(async |client| client.run(call).await, sent, answer).await
}

fn item() -> NewItem {
    NewItem::new(key("k"), "abc").flagged(ItemFlags(5)).expiring(Exptime::new(60))
}

#[tokio::test]
async fn storage() {
    for (call, sent) in [(Call::set(item()), "set k 5 60 3\r\nabc\r\n")] {
        answer_to(call, sent, "STORED\r\n").await.unwrap();
    }
    for (answer, outcome) in [("STORED\r\n", AddOutcome::Stored), ("NOT_STORED\r\n", AddOutcome::Exists)] {
        assert_eq!(answer_to(Call::add(item()), "add k 5 60 3\r\nabc\r\n", answer).await.unwrap(), outcome);
    }
    for (answer, outcome) in [("STORED\r\n", ReplaceOutcome::Stored), ("NOT_STORED\r\n", ReplaceOutcome::Missing)] {
        for (call, sent) in [
            (Call::replace(item()), "replace k 5 60 3\r\nabc\r\n"),
            (Call::append(key("k"), "x"), "append k 0 0 1\r\nx\r\n"),
            (Call::prepend(key("k"), "x"), "prepend k 0 0 1\r\nx\r\n"),
        ] {
            assert_eq!(answer_to(call, sent, answer).await.unwrap(), outcome);
        }
    }
    for (answer, outcome) in
        [("STORED\r\n", CasOutcome::Stored), ("EXISTS\r\n", CasOutcome::Exists), ("NOT_FOUND\r\n", CasOutcome::Missing)]
    {
        let call = Call::cas(item(), Cas(9));
        assert_eq!(answer_to(call, "cas k 5 60 3 9\r\nabc\r\n", answer).await.unwrap(), outcome);
    }
    for (answer, outcome) in [("DELETED\r\n", DeleteOutcome::Deleted), ("NOT_FOUND\r\n", DeleteOutcome::Missing)] {
        assert_eq!(answer_to(Call::delete(key("k")), "delete k\r\n", answer).await.unwrap(), outcome);
    }
    for (answer, outcome) in [("TOUCHED\r\n", TouchOutcome::Touched), ("NOT_FOUND\r\n", TouchOutcome::Missing)] {
        let call = Call::touch(key("k"), Exptime::NEVER);
        assert_eq!(answer_to(call, "touch k 0\r\n", answer).await.unwrap(), outcome);
    }
}

#[tokio::test]
async fn retrieval() {
    let minute = Exptime::new(60);
    for (call, sent, cas) in [
        (Call::get(key("k")), "get k\r\n", None),
        (Call::gets(key("k")), "gets k\r\n", Some(Cas(9))),
        (Call::gat(key("k"), minute), "gat 60 k\r\n", None),
        (Call::gats(key("k"), minute), "gats 60 k\r\n", Some(Cas(9))),
    ] {
        let said = if cas.is_some() { "VALUE k 5 3 9\r\nabc\r\nEND\r\n" } else { "VALUE k 5 3\r\nabc\r\nEND\r\n" };
        let value = answer_to(call, sent, said).await.unwrap().unwrap();
        assert_eq!((value.data(), value.flags(), value.cas()), (&b"abc"[..], ItemFlags(5), cas));
    }
    assert_eq!(answer_to(Call::get(key("k")), "get k\r\n", "END\r\n").await.unwrap(), None);
    let keys = Keys::new(vec![key("a"), key("b"), key("c")]).unwrap();
    let retrieve = Retrieve { keys, with_cas: false, touch: None };
    for found in ["", "b", "ac", "abc"] {
        let values: String = found.chars().map(|key| format!("VALUE {key} 0 1\r\n1\r\n")).collect();
        let call = Call::retrieve(retrieve.clone());
        let values = answer_to(call, "get a b c\r\n", &(values + "END\r\n")).await.unwrap();
        assert_eq!(values.iter().flat_map(Value::key).copied().collect::<Vec<_>>(), found.as_bytes());
    }
    let said = "VALUE a 0 1\r\n1\r\n".repeat(4) + "END\r\n";
    let error = answer_to(Call::retrieve(retrieve), "get a b c\r\n", &said).await.unwrap_err();
    assert!(matches!(error.problem, Problem::TooMany { limit: 3, .. }), "{error}");
}

/// A server or a proxy that is out of step must not give one key the value of another.
#[tokio::test]
async fn a_value_of_another_key_is_no_answer() {
    for said in ["VALUE other 0 1\r\nx\r\nEND\r\n", "VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\nx\r\nEND\r\n", "STORED\r\n"] {
        let (mut client, mut far) = pair();
        far.write_all(said.as_bytes()).await.unwrap();
        client.get(key("k")).await.unwrap_err();
        let error = client.version().await.unwrap_err();
        assert!(matches!(error.problem, Problem::Unfinished { command: "get" }), "{error}");
    }
}

#[tokio::test]
async fn arithmetic() {
    for (answer, number) in [("42\r\n", Some(42)), ("NOT_FOUND\r\n", None)] {
        assert_eq!(answer_to(Call::incr(key("k"), 2), "incr k 2\r\n", answer).await.unwrap(), number);
        assert_eq!(answer_to(Call::decr(key("k"), 2), "decr k 2\r\n", answer).await.unwrap(), number);
    }
    let not_a_number = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    let error = answer_to(Call::incr(key("k"), 2), "incr k 2\r\n", not_a_number).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Refusal { command: "incr", .. }), "{error}");
}

#[tokio::test]
async fn the_whole_server() {
    let numbers = answer_to(Call::version(), "version\r\n", "VERSION 1.6.45\r\n").await.unwrap().numbers();
    assert_eq!(numbers, Some([1, 6, 45]));
    answer_to(Call::verbosity(1), "verbosity 1\r\n", "OK\r\n").await.unwrap();
    let silent = FlushAll { delay: Some(Exptime::new(5)), noreply: true };
    answer_to(Call::flush_all(silent), "flush_all 5\r\n", "OK\r\n").await.unwrap();
    let off = "CLIENT_ERROR flush_all not allowed\r\n";
    let error = answer_to(Call::flush_all(FlushAll::default()), "flush_all\r\n", off).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Disabled { what: "flush_all", .. }), "{error}");
    let said = "STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n";
    assert_eq!(answer_to(Call::stats(StatsGroup::General), "stats\r\n", said).await.unwrap().len(), 2);
    // The answers to these have no END.
    for (group, sent, said, stats) in [
        (StatsGroup::Reset, "stats reset\r\n", "RESET\r\n", 0),
        (StatsGroup::DetailOn, "stats detail on\r\n", "OK\r\n", 0),
        (StatsGroup::DetailOff, "stats detail off\r\n", "OK\r\n", 0),
        (StatsGroup::SizesEnable, "stats sizes_enable\r\n", "STAT sizes_status enabled\r\n", 1),
        (StatsGroup::SizesDisable, "stats sizes_disable\r\n", "STAT sizes_status disabled\r\n", 1),
    ] {
        assert_eq!(answer_to(Call::stats(group), sent, said).await.unwrap().len(), stats, "{sent}");
    }
}

#[tokio::test]
async fn meta() {
    let get = || MetaGet { value: true, cas: true, ..MetaGet::new(meta_key("k")) };
    for (said, stale, recache) in [
        ("VA 3 c9\r\nabc\r\n", false, Recache::NotDue),
        ("VA 3 c9 W\r\nabc\r\n", false, Recache::Won),
        ("VA 3 c9 X W\r\nabc\r\n", true, Recache::Won),
        ("VA 3 c9 X Z\r\nabc\r\n", true, Recache::Taken),
    ] {
        let item = answer_to(Call::meta_get(get()), "mg k c v\r\n", said).await.unwrap().unwrap();
        assert_eq!((item.is_stale(), item.recache(), item.flags().cas()), (stale, recache, Some(Cas(9))), "{said}");
        assert_eq!(item.into_data(), Some(Bytes::from("abc")));
    }
    assert_eq!(answer_to(Call::meta_get(get()), "mg k c v\r\n", "EN\r\n").await.unwrap(), None);
    for (said, outcome) in [
        ("HD c9\r\n", MetaSetOutcome::Stored(flags("c9"))),
        ("NS\r\n", MetaSetOutcome::NotStored(flags(""))),
        ("EX\r\n", MetaSetOutcome::Exists(flags(""))),
        ("NF\r\n", MetaSetOutcome::Missing(flags(""))),
    ] {
        let set = MetaSet { return_cas: true, ..MetaSet::new(meta_key("k"), "abc") };
        assert_eq!(answer_to(Call::meta_set(set), "ms k 3 c\r\nabc\r\n", said).await.unwrap(), outcome);
    }
    for (said, outcome) in [
        ("HD\r\n", MetaDeleteOutcome::Deleted(flags(""))),
        ("EX\r\n", MetaDeleteOutcome::Exists(flags(""))),
        ("NF\r\n", MetaDeleteOutcome::Missing(flags(""))),
    ] {
        let delete = MetaDelete { cas: Some(Cas(9)), ..MetaDelete::new(meta_key("two words")) };
        let sent = "md dHdvIHdvcmRz b C9\r\n";
        assert_eq!(answer_to(Call::meta_delete(delete), sent, said).await.unwrap(), outcome);
    }
    for (said, outcome) in [
        // A number that was decremented keeps its length, filled with a space.
        ("VA 2\r\n9 \r\n", MetaArithmeticOutcome::Counted { number: Some(9), flags: flags("") }),
        ("HD\r\n", MetaArithmeticOutcome::Counted { number: None, flags: flags("") }),
        ("NS\r\n", MetaArithmeticOutcome::NotStored(flags(""))),
        ("EX\r\n", MetaArithmeticOutcome::Exists(flags(""))),
        ("NF\r\n", MetaArithmeticOutcome::Missing(flags(""))),
    ] {
        let count = MetaArithmetic { value: true, direction: Direction::Decr, ..MetaArithmetic::new(meta_key("k")) };
        assert_eq!(answer_to(Call::meta_arithmetic(count), "ma k v MD\r\n", said).await.unwrap(), outcome);
    }
    let debug = answer_to(Call::meta_debug(meta_key("k")), "me k\r\n", "ME k exp=-1 cas=7\r\n").await.unwrap();
    assert_eq!(debug.unwrap().field("cas"), Some(&b"7"[..]));
    assert!(answer_to(Call::meta_debug(meta_key("k")), "me k\r\n", "EN\r\n").await.unwrap().is_none());
    answer_to(Call::meta_noop(), "mn\r\n", "MN\r\n").await.unwrap();
}

/// A quiet command is usually not answered, and a fence ends the wait.
#[tokio::test]
async fn quiet_calls() {
    let get = || Call::meta_get(MetaGet { value: true, quiet: true, ..MetaGet::new(meta_key("k")) });
    let sent = "mg k v q O0\r\nmn\r\n";
    assert_eq!(answer_to(get(), sent, "MN\r\n").await.unwrap(), None);
    let item = answer_to(get(), sent, "VA 1 O0\r\nx\r\nMN\r\n").await.unwrap().unwrap();
    assert_eq!(item.into_data(), Some(Bytes::from("x")));
    let delete = || Call::meta_delete(MetaDelete { quiet: true, ..MetaDelete::new(meta_key("k")) });
    let sent = "md k O0 q\r\nmn\r\n";
    assert_eq!(answer_to(delete(), sent, "MN\r\n").await.unwrap(), MetaDeleteOutcome::Deleted(flags("")));
    let missing = answer_to(delete(), sent, "NF O0\r\nMN\r\n").await.unwrap();
    assert_eq!(missing, MetaDeleteOutcome::Missing(flags("O0")));
    let error = answer_to(delete(), sent, "SERVER_ERROR out of memory\r\nMN\r\n").await.unwrap_err();
    assert!(matches!(error.problem, Problem::Refusal { command: "md", .. }), "{error}");
    let store = || Call::noreply(Store::new(StoreVerb::Set, key("k"), "x"));
    let sent = "set k 0 0 1 noreply\r\nx\r\nversion\r\n";
    answer_to(store(), sent, "VERSION 1.6.45\r\n").await.unwrap();
    let full = "SERVER_ERROR out of memory storing object\r\nVERSION 1.6.45\r\n";
    let error = answer_to(store(), sent, full).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Refusal { command: "set", .. }), "{error}");
}

#[tokio::test]
async fn a_pipeline_gives_each_command_its_answer() {
    let (mut client, mut far) = pair();
    let mut pipeline = client.pipeline();
    let set = pipeline.push(Call::set(item()));
    let missed = pipeline.push(Call::get(key("a")));
    let found = pipeline.push(Call::gets(key("b")));
    let refused = pipeline.push(Call::incr(key("b"), 1));
    let many = pipeline.push(Call::stats(StatsGroup::General));
    let deleted = pipeline.push(Call::delete(key("b")));
    let said = "STORED\r\nEND\r\nVALUE b 0 1 7\r\nx\r\nEND\r\nCLIENT_ERROR no number\r\nSTAT a 1\r\nSTAT b 2\r\nEND\r\n\
                DELETED\r\nVERSION 1\r\n";
    far.write_all(said.as_bytes()).await.unwrap();
    let mut answers = pipeline.send().await.unwrap();
    // In any order.
    assert_eq!(answers.take(deleted).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(answers.take(found).unwrap().unwrap().cas(), Some(Cas(7)));
    assert_eq!(answers.take(missed).unwrap(), None);
    answers.take(set).unwrap();
    let error = answers.take(refused).unwrap_err();
    assert!(matches!(error.problem, Problem::Refusal { command: "incr", .. }), "{error}");
    assert_eq!(answers.take(many).unwrap().len(), 2);
    assert_eq!(client.version().await.unwrap().as_bytes(), b"1", "it is in step");
}

#[tokio::test]
async fn an_answer_to_a_quiet_command_goes_to_that_command() {
    // A caller's opaque that equals another command's position would mislead.
    let opaque = crate::protocol::Opaque::new("1");
    let quiet_get = |name| {
        Call::meta_get(MetaGet { value: true, quiet: true, opaque: opaque.clone(), ..MetaGet::new(meta_key(name)) })
    };
    let quiet_delete = |name| Call::meta_delete(MetaDelete { quiet: true, ..MetaDelete::new(meta_key(name)) });
    let (mut client, mut far) = pair();
    let mut pipeline = client.pipeline();
    let gets = ["a", "b", "c"].map(|name| pipeline.push(quiet_get(name)));
    let middle = pipeline.push(Call::get(key("d")));
    let deletes = ["e", "f", "g", "h"].map(|name| pipeline.push(quiet_delete(name)));
    // The error answers f or g: e and h were answered before and after it.
    let said = "VA 1 O1\r\nx\r\nEND\r\nNF O4\r\nSERVER_ERROR out of memory\r\nNF O7\r\nMN\r\n";
    far.write_all(said.as_bytes()).await.unwrap();
    let mut answers = pipeline.send().await.unwrap();
    let [a, b, c] = gets.map(|ticket| answers.take(ticket).unwrap().and_then(MetaItem::into_data));
    assert_eq!((a, b, c), (None, Some(Bytes::from("x")), None));
    assert_eq!(answers.take(middle).unwrap(), None);
    let [e, f, g, h] = deletes.map(|ticket| answers.take(ticket));
    assert!(matches!((e.unwrap(), h.unwrap()), (MetaDeleteOutcome::Missing(_), MetaDeleteOutcome::Missing(_))));
    for error in [f.unwrap_err(), g.unwrap_err()] {
        assert!(matches!(error.problem, Problem::Refusal { command: "md", .. }), "{error}");
    }
    drop(client);
    let mut sent = String::new();
    far.read_to_string(&mut sent).await.unwrap();
    let lines = "mg a v q O0|mg b v q O1|mg c v q O2|get d|md e O4 q|md f O5 q|md g O6 q|md h O7 q|mn|";
    assert_eq!(sent, lines.replace('|', "\r\n"));
}

#[tokio::test]
async fn commands_that_are_not_answered_say_so() {
    let count = Arithmetic { direction: Direction::Incr, key: key("k"), delta: 2, noreply: false };
    for (call, sent) in [
        (Call::noreply(count), "incr k 2 noreply\r\n"),
        (Call::noreply(Delete::new(key("k"))), "delete k noreply\r\n"),
        (Call::noreply(FlushAll::default()), "flush_all noreply\r\n"),
        (Call::noreply(Touch { key: key("k"), exptime: Exptime::NEVER, noreply: false }), "touch k 0 noreply\r\n"),
        (Call::noreply(Verbosity { level: 1, noreply: false }), "verbosity 1 noreply\r\n"),
        (Call::noreply(CacheMemlimit { megabytes: 9, noreply: false }), "cache_memlimit 9 noreply\r\n"),
    ] {
        answer_to(call, &format!("{sent}version\r\n"), "VERSION 1.6.45\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_is_told_by_its_meaning() {
    let refused =
        async |answer: &str| answer_to(Call::delete(key("k")), "delete k\r\n", answer).await.unwrap_err().problem;
    assert!(matches!(refused("CLIENT_ERROR unauthenticated\r\n").await, Problem::Unauthenticated));
    assert!(matches!(refused("SERVER_ERROR backend failure\r\n").await, Problem::Transient { command: "delete", .. }));
    // Only flush_all can be switched off by itself.
    let problem = refused("CLIENT_ERROR flush_all not allowed\r\n").await;
    assert!(matches!(problem, Problem::Refusal { command: "delete", .. }), "{problem}");
}

/// An error line after several `noreply` commands may answer any of them, so none of them counts as done.
#[tokio::test]
async fn noreply_commands_before_an_error_are_all_in_doubt() {
    for error in ["SERVER_ERROR out of memory", "CLIENT_ERROR bad command line format"] {
        let (mut client, mut far) = pair();
        let mut pipeline = client.pipeline();
        let [a, b] = ["a", "b"].map(|name| pipeline.push(Call::noreply(Delete::new(key(name)))));
        far.write_all(format!("{error}\r\nVERSION 1\r\n").as_bytes()).await.unwrap();
        let mut answers = pipeline.send().await.unwrap();
        assert!(answers.take(a).is_err() && answers.take(b).is_err());
        assert!(!client.is_poisoned());
    }
}

/// A pipeline holds its commands in memory; the client keeps none of it.
#[test]
fn a_large_pipeline_leaves_no_memory_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut client, mut far) = pair();
    let kept = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut pipeline = client.pipeline();
            let data = Bytes::from(vec![b'x'; 1 << 20]);
            let ticket = pipeline.push(Call::set(NewItem::new(key("k"), data)));
            let mut sent = vec![0; "set k 0 0 1048576\r\n".len() + (1 << 20) + 2];
            let answering = async {
                far.read_exact(&mut sent).await.unwrap();
                far.write_all(b"STORED\r\n").await.unwrap();
            };
            let (answers, ()) = tokio::join!(pipeline.send(), answering);
            answers.unwrap().take(ticket).unwrap();
        });
    });
    assert!(kept.bytes_max > 1 << 20 && kept.bytes_current < 1 << 16, "{kept:?}");
}

#[tokio::test]
async fn a_ticket_of_another_pipeline_fetches_nothing() {
    let quiet = || Call::meta_delete(MetaDelete { quiet: true, ..MetaDelete::new(meta_key("k")) });
    let (mut client, mut far) = pair();
    let mut other = client.pipeline();
    let foreign = other.push(quiet());
    drop(other);
    let mut pipeline = client.pipeline();
    let _ = pipeline.push(quiet());
    far.write_all(b"MN\r\n").await.unwrap();
    assert!(pipeline.send().await.unwrap().take(foreign).is_err());
}

/// A caller that sends and reads at once learns from each turn what happened.
#[tokio::test(start_paused = true)]
async fn a_turn_ends_when_something_went_out_and_when_an_answer_came() {
    let (mut client, mut far) = pair();
    client.put(&Request::Version).unwrap();
    assert!(client.turn().await.unwrap().is_none(), "it went out");
    far.write_all(b"VERS").await.unwrap();
    assert!(client.next_within(Duration::from_millis(1)).await.unwrap().is_none());
    assert!(client.is_inside_reply());
    far.write_all(b"ION 1.6.38\r\n").await.unwrap();
    assert!(matches!(client.turn().await.unwrap(), Some(Answer { reply: Reply::Version(_), .. })));
    assert!(!client.is_inside_reply());
    // Nothing to send, and no answer.
    let begun = tokio::time::Instant::now();
    assert_eq!(client.turn().await.unwrap_err().kind(), FailureKind::Timeout);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_a_request_piece_by_piece_is_not_silent() {
    let (near, mut far) = duplex(64);
    let mut client = Client::new(near, "in-memory".parse().unwrap(), Duration::from_secs(5));
    (0..20).for_each(|_| client.put(&Request::Version).unwrap());
    for _ in 0..2 {
        assert!(client.turn().await.unwrap().is_none(), "a piece went out");
        far.read_exact(&mut [0; 64]).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_buffer_has_room_until_it_is_full() {
    let (mut client, mut far) = pair();
    let mut requests = 0;
    while client.has_room() {
        client.put(&Request::Version).unwrap();
        requests += 1;
        assert!(requests < 10_000, "it is full at some time");
    }
    assert!(requests > 100, "{requests}");
    let mut heard = vec![0; requests * "version\r\n".len()];
    let (sent, heard) = tokio::join!(client.flush(), far.read_exact(&mut heard));
    sent.unwrap();
    heard.unwrap();
    assert!(client.has_room());
}

/// Neither side's buffer holds everything: a client that writes without reading would wait for ever.
#[tokio::test]
async fn a_pipeline_reads_while_it_writes() {
    const COUNT: usize = 3_000;
    let (near, far) = duplex(64);
    let mut client = Client::new(near, "in-memory".parse().unwrap(), Duration::from_secs(60));
    let server = tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(far);
        tokio::io::copy(&mut from, &mut to).await
    });
    let mut pipeline = client.pipeline();
    let first = pipeline.push(Call::<Echoed>::echo());
    for _ in 1..COUNT {
        let _ = pipeline.push(Call::<Echoed>::echo());
    }
    let mut answers = pipeline.send().await.unwrap();
    assert_eq!(answers.take(first).unwrap(), Echoed);
    drop(client);
    server.await.unwrap().unwrap();
}

/// The answer of an echo server, whose lines this crate does not know.
#[derive(Debug, PartialEq)]
struct Echoed;

impl Call<Echoed> {
    fn echo() -> Self {
        let line = crate::protocol::UnknownLine::new("hello there").unwrap();
        Self::of_one("hello", Request::Unknown(line), |heard| match heard.last()? {
            Reply::Other(_) => Ok(Echoed),
            reply => Err(Box::new(reply)),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_dropped_takes_no_other_calls_answer() {
    let (mut client, mut far) = pair();
    let dropped = tokio::time::timeout(Duration::from_millis(1), client.version()).await;
    assert!(dropped.is_err() && client.is_poisoned());
    // The answer to the dropped call.
    far.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
    let error = client.flush_all(FlushAll::default()).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Unfinished { command: "version" }), "{error}");
    let mut pipeline = client.pipeline();
    let _ = pipeline.push(Call::version());
    assert!(pipeline.send().await.is_err());
    let mut sent = vec![0; 64];
    let length = far.read(&mut sent).await.unwrap();
    assert_eq!(&sent[..length], b"version\r\n", "and nothing was sent");
}

/// Every kind of call is dropped before its answer, and in the middle of it.
#[tokio::test(start_paused = true)]
async fn every_kind_of_call_poisons_when_it_is_dropped() {
    async fn drops<A>(call: impl Fn() -> Call<A>, said: &str) {
        for (is_answered, said) in [(false, said), (true, said), (true, "")] {
            let (mut client, mut far) = pair();
            client.answered = is_answered;
            far.write_all(said.as_bytes()).await.unwrap();
            assert!(tokio::time::timeout(Duration::from_millis(1), client.run(call())).await.is_err());
            let error = client.get(key("k")).await.unwrap_err();
            assert!(matches!(error.problem, Problem::Unfinished { .. }), "{error}");
            // The read buffer is still that of the client.
            assert!(client.framed.read_buffer().capacity() > 1_000);
        }
    }
    drops(|| Call::set(item()), "STOR").await;
    drops(|| Call::get(key("k")), "VALUE k 0 1\r\nx\r\n").await;
    drops(|| Call::incr(key("k"), 1), "4").await;
    drops(|| Call::stats(StatsGroup::General), "STAT a 1\r\n").await;
    drops(|| Call::meta_get(MetaGet { value: true, ..MetaGet::new(meta_key("k")) }), "VA 3\r\nab").await;
    drops(|| Call::meta_delete(MetaDelete { quiet: true, ..MetaDelete::new(meta_key("k")) }), "").await;
    let (mut client, _far) = pair();
    assert!(tokio::time::timeout(Duration::from_millis(1), client.cluster()).await.is_err());
    assert!(client.is_poisoned());
    // A pipeline that was not sent has sent no command.
    let (mut client, mut far) = pair();
    let mut pipeline = client.pipeline();
    let _ = pipeline.push(Call::set(item()));
    drop(pipeline);
    far.write_all(b"VERSION 1\r\n").await.unwrap();
    client.version().await.unwrap();
}

/// A proxy closes the connection at a command that it does not know: at the first one, or at one that few proxies know.
#[tokio::test]
async fn a_close_is_like_a_proxy_s_at_the_first_command_and_at_those_that_proxies_lack() {
    for (is_answered, flushes, expected) in [(false, false, true), (true, false, false), (true, true, true)] {
        let (mut client, mut far) = pair();
        if is_answered {
            far.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
            client.version().await.unwrap();
        }
        drop(far);
        let error = if flushes {
            client.flush_all(FlushAll::default()).await.unwrap_err()
        } else {
            client.delete(key("k")).await.unwrap_err()
        };
        assert!(matches!(error.problem, Problem::Lost { like_a_proxy, .. } if like_a_proxy == expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_error_line_the_connection_is_in_step() {
    let (mut client, mut far) = pair();
    far.write_all(b"ERROR\r\nSERVER_ERROR object too large for cache\r\nVERSION 1.6.45\r\n").await.unwrap();
    assert!(client.stats(StatsGroup::Items).await.is_err());
    assert!(client.set(item()).await.is_err());
    assert_eq!(client.version().await.unwrap().numbers(), Some([1, 6, 45]));
}

/// A server that refuses the line of a `set` may read its data as commands, and answer those.
#[tokio::test(start_paused = true)]
async fn after_a_refused_line_of_a_set_the_client_is_poisoned() {
    let refused = "CLIENT_ERROR bad command line format\r\n";
    let (mut client, mut far) = pair();
    far.write_all(refused.as_bytes()).await.unwrap();
    assert!(client.set(item()).await.is_err() && client.is_poisoned());
    let (mut client, mut far) = pair();
    far.write_all(refused.as_bytes()).await.unwrap();
    let mut pipeline = client.pipeline();
    let _ = (pipeline.push(Call::set(item())), pipeline.push(Call::version()));
    assert!(pipeline.send().await.is_err() && client.is_poisoned());
    let (mut client, mut far) = pair();
    far.write_all(refused.as_bytes()).await.unwrap();
    far.write_all(b"MN\r\n").await.unwrap();
    let quiet = MetaSet { quiet: true, ..MetaSet::new(meta_key("k"), "flush_all") };
    assert!(client.meta_set(quiet).await.is_err() && client.is_poisoned());
}

/// An operation holds many of these, and a task holds its operations: small calls keep the stack small.
#[test]
fn calls_are_small() {
    let (mut client, _far) = pair();
    assert!(size_of_val(&client.version()) <= 1300);
    assert!(size_of_val(&client.set(item())) <= 1400);
}
