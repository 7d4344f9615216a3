//! The library without the command line, against real servers: its client, and the examples that show it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use mcflush::client::{
    AddOutcome, Call, CasOutcome, Client, DeleteOutcome, MetaArithmeticOutcome, MetaDeleteOutcome, MetaSetOutcome,
    NewItem, Recache, ReplaceOutcome, TouchOutcome,
};
use mcflush::error::FailureKind;
use mcflush::protocol::admin::FlushAll;
use mcflush::protocol::item::Delete;
use mcflush::protocol::meta::{MetaArithmetic, MetaDelete, MetaGet, MetaSet, MetaSetMode};
use mcflush::protocol::retrieval::Keys;
use mcflush::protocol::{Cas, Exptime, ItemFlags, Key, MetaKey};

use crate::support::server::{Server, Version, each_version};

each_version!(each_classic_command, pipelines);
each_version!(but bullseye: each_meta_command);

fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}

/// Runs `work` with a client of a server.
fn with_client(server: &Server, work: impl AsyncFnOnce(Client)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = server.address().parse().unwrap();
    runtime.block_on(async {
        let timeout = Duration::from_secs(60);
        work(Client::connect(&address, &Default::default(), &Default::default(), timeout).await.unwrap()).await;
    });
}

fn each_classic_command(version: Version) {
    let server = Server::start(version, &[]);
    with_client(&server, async |mut client| {
        let minute = Exptime::new(60);
        let item = |data: &'static str| NewItem::new(key("k"), data).flagged(ItemFlags(7)).expiring(minute);
        assert_eq!(client.replace(item("0")).await.unwrap(), ReplaceOutcome::Missing);
        assert_eq!(client.append(key("k"), "0").await.unwrap(), ReplaceOutcome::Missing);
        assert_eq!(client.cas(item("0"), Cas(1)).await.unwrap(), CasOutcome::Missing);
        assert_eq!(client.add(item("1")).await.unwrap(), AddOutcome::Stored);
        assert_eq!(client.add(item("2")).await.unwrap(), AddOutcome::Exists);
        assert_eq!(client.append(key("k"), "5").await.unwrap(), ReplaceOutcome::Stored);
        assert_eq!(client.prepend(key("k"), "4").await.unwrap(), ReplaceOutcome::Stored);
        let value = client.gets(key("k")).await.unwrap().unwrap();
        assert_eq!((value.data(), value.flags()), (&b"415"[..], ItemFlags(7)));
        let cas = value.cas().unwrap();
        assert_eq!(client.incr(key("k"), 5).await.unwrap(), Some(420));
        assert_eq!(client.decr(key("k"), 500).await.unwrap(), Some(0));
        assert_eq!(client.incr(key("none"), 5).await.unwrap(), None);
        assert_eq!(client.cas(item("9"), cas).await.unwrap(), CasOutcome::Exists);
        let cas = client.gats(key("k"), minute).await.unwrap().unwrap().cas().unwrap();
        assert_eq!(client.cas(item("word"), cas).await.unwrap(), CasOutcome::Stored);
        assert_eq!(client.incr(key("k"), 5).await.unwrap_err().kind(), FailureKind::Server);
        assert_eq!(client.touch(key("k"), minute).await.unwrap(), TouchOutcome::Touched);
        assert_eq!(client.touch(key("none"), minute).await.unwrap(), TouchOutcome::Missing);
        assert_eq!(client.gat(key("k"), minute).await.unwrap().unwrap().data(), b"word");
        client.set(NewItem::new(key("l"), "")).await.unwrap();
        let keys = Keys::new(["k", "none", "l"].map(key).to_vec()).unwrap();
        let values = client.get_many(keys).await.unwrap();
        assert_eq!(values.iter().map(|value| value.key()).collect::<Vec<_>>(), [b"k", b"l"]);
        assert_eq!(client.delete(key("k")).await.unwrap(), DeleteOutcome::Deleted);
        assert_eq!(client.delete(key("k")).await.unwrap(), DeleteOutcome::Missing);
        assert_eq!(client.get(key("k")).await.unwrap(), None);
        // Its answer comes after the data, so the connection is in step.
        let large = NewItem::new(key("large"), vec![b'x'; 2 << 20]);
        assert_eq!(client.set(large).await.unwrap_err().kind(), FailureKind::Server);
        client.verbosity(0).await.unwrap();
        client.flush_all(FlushAll { delay: Some(Exptime::new(0)), noreply: false }).await.unwrap();
        assert!(client.version().await.unwrap().numbers().is_some() && !client.is_poisoned());
    });
}

fn each_meta_command(version: Version) {
    let server = Server::start(version, &[]);
    with_client(&server, async |mut client| {
        let name = || MetaKey::for_bytes("two words").unwrap();
        let get = || MetaGet { value: true, cas: true, ..MetaGet::new(name()) };
        assert_eq!(client.meta_get(get()).await.unwrap(), None);
        assert_eq!(client.meta_get(MetaGet { quiet: true, ..get() }).await.unwrap(), None);
        let set = |mode| MetaSet { mode, ..MetaSet::new(name(), "1") };
        assert!(matches!(client.meta_set(set(MetaSetMode::Replace)).await.unwrap(), MetaSetOutcome::NotStored(_)));
        assert!(matches!(client.meta_set(set(MetaSetMode::Add)).await.unwrap(), MetaSetOutcome::Stored(_)));
        assert!(matches!(client.meta_set(set(MetaSetMode::Add)).await.unwrap(), MetaSetOutcome::NotStored(_)));
        let item = client.meta_get(get()).await.unwrap().unwrap();
        assert_eq!((&item.data().unwrap()[..], item.is_stale(), item.recache()), (&b"1"[..], false, Recache::NotDue));
        let old = MetaSet { cas: Some(Cas(u64::MAX)), ..MetaSet::new(name(), "2") };
        assert!(matches!(client.meta_set(old).await.unwrap(), MetaSetOutcome::Exists(_)));
        let count = MetaArithmetic { value: true, delta: Some(41), ..MetaArithmetic::new(name()) };
        let counted = client.meta_arithmetic(count.clone()).await.unwrap();
        assert!(matches!(counted, MetaArithmeticOutcome::Counted { number: Some(42), .. }), "{counted:?}");
        let quiet = client.meta_arithmetic(MetaArithmetic { quiet: true, ..count }).await.unwrap();
        assert!(matches!(quiet, MetaArithmeticOutcome::Counted { .. }), "{quiet:?}");
        let delete = || MetaDelete::new(name());
        let stale = client.meta_delete(MetaDelete { invalidate: true, ..delete() }).await.unwrap();
        assert!(matches!(stale, MetaDeleteOutcome::Deleted(_)));
        let first = client.meta_get(get()).await.unwrap().unwrap();
        let second = client.meta_get(get()).await.unwrap().unwrap();
        assert!(first.is_stale() && second.is_stale());
        assert_eq!((first.recache(), second.recache()), (Recache::Won, Recache::Taken));
        let other = client.meta_delete(MetaDelete { cas: Some(Cas(u64::MAX)), ..delete() }).await.unwrap();
        assert!(matches!(other, MetaDeleteOutcome::Exists(_)));
        let deleted = client.meta_delete(MetaDelete { quiet: true, ..delete() }).await.unwrap();
        assert!(matches!(deleted, MetaDeleteOutcome::Deleted(_)));
        let missing = client.meta_delete(MetaDelete { quiet: true, ..delete() }).await.unwrap();
        assert!(matches!(missing, MetaDeleteOutcome::Missing(_)));
        let plain = || MetaKey::for_bytes("plain").unwrap();
        assert!(client.meta_debug(plain()).await.unwrap().is_none());
        client.set(NewItem::new(key("plain"), "x")).await.unwrap();
        assert!(client.meta_debug(plain()).await.unwrap().unwrap().field("cas").is_some());
        client.meta_noop().await.unwrap();
        assert!(client.speaks_meta().await.unwrap());
    });
}

/// More than all buffers on the way hold, so both sides have to read while they write.
fn pipelines(version: Version) {
    const COUNT: usize = 20_000;
    let server = Server::start(version, &["-m", "256"]);
    with_client(&server, async |mut client| {
        let name = |n: usize| key(&format!("k{n}"));
        let data = "x".repeat(500);
        let mut pipeline = client.pipeline();
        let stored: Vec<_> =
            (0..COUNT).map(|n| pipeline.push(Call::set(NewItem::new(name(n), data.clone())))).collect();
        for n in (0..COUNT).step_by(2) {
            drop(pipeline.push(Call::noreply(Delete::new(name(n)))));
        }
        let read: Vec<_> = (0..COUNT).map(|n| pipeline.push(Call::get(name(n)))).collect();
        let mut answers = pipeline.send().await.unwrap();
        for ticket in stored {
            answers.take(ticket).unwrap();
        }
        for (n, ticket) in read.into_iter().enumerate() {
            assert_eq!(answers.take(ticket).unwrap().is_some(), n % 2 == 1);
        }
        // Every version of the tests with meta commands knows quiet ones of plain keys.
        let mut pipeline = client.pipeline();
        let quiet: Vec<_> = (0..COUNT)
            .map(|n| MetaKey::for_bytes(format!("k{n}")).unwrap())
            .map(|key| pipeline.push(Call::meta_delete(MetaDelete { quiet: true, ..MetaDelete::new(key) })))
            .collect();
        let mut answers = pipeline.send().await.unwrap();
        for (n, ticket) in quiet.into_iter().enumerate() {
            let outcome = answers.take(ticket).unwrap();
            assert_eq!(matches!(outcome, MetaDeleteOutcome::Deleted(_)), n % 2 == 1, "{outcome:?}");
        }
    });
}

/// Runs an example of this package, which cargo builds with the tests.
fn example(name: &str, arguments: &[&str]) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mcflush")).with_file_name("examples").join(name);
    let run = Command::new(program).args(arguments).output().expect("cargo has built the example");
    assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("it prints text")
}

#[test]
fn clients_in_a_pool() {
    let server = Server::start(Version::Sid, &[]);
    assert!(example("pool", &[server.address()]).starts_with("100 visits over "));
}

#[test]
fn a_clear_in_twenty_lines() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1", "shop:2", "blog:1"]);
    assert_eq!(example("clear", &[server.address(), "shop:"]), "2 keys deleted\n");
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1));
}
