//! The methods of the client, each with its command and its answer.

use super::*;

/// What a method of the client gives for this answer.
async fn method<A>(
    run: impl AsyncFnOnce(&mut Client<DuplexStream>) -> Result<A, Error>,
    sent: &str,
    answer: &str,
) -> A {
    conversation(run, sent, answer).await.unwrap()
}

#[tokio::test]
async fn methods_send_the_command_of_their_name() {
    const STORED: &str = "STORED\r\n";
    const VALUE: &str = "VALUE k 5 3 9\r\nabc\r\nEND\r\n";
    let never = Exptime::NEVER;
    let data = |value: Option<Value>| value.map(Value::into_data);
    let abc = || Some(Bytes::from("abc"));
    method(async |client| client.set(item()).await, "set k 5 60 3\r\nabc\r\n", STORED).await;
    let added = method(async |client| client.add(item()).await, "add k 5 60 3\r\nabc\r\n", "NOT_STORED\r\n").await;
    assert_eq!(added, AddOutcome::Exists);
    let replaced = method(async |client| client.replace(item()).await, "replace k 5 60 3\r\nabc\r\n", STORED).await;
    assert_eq!(replaced, ReplaceOutcome::Stored);
    let append = async |client: &mut Client<_>| client.append(key("k"), "x").await;
    assert_eq!(method(append, "append k 0 0 1\r\nx\r\n", STORED).await, ReplaceOutcome::Stored);
    let prepend = async |client: &mut Client<_>| client.prepend(key("k"), "x").await;
    assert_eq!(method(prepend, "prepend k 0 0 1\r\nx\r\n", STORED).await, ReplaceOutcome::Stored);
    let cas = async |client: &mut Client<_>| client.cas(item(), Cas(9)).await;
    assert_eq!(method(cas, "cas k 5 60 3 9\r\nabc\r\n", "EXISTS\r\n").await, CasOutcome::Exists);
    let delete = async |client: &mut Client<_>| client.delete(key("k")).await;
    assert_eq!(method(delete, "delete k\r\n", "NOT_FOUND\r\n").await, DeleteOutcome::Missing);
    let touch = async |client: &mut Client<_>| client.touch(key("k"), never).await;
    assert_eq!(method(touch, "touch k 0\r\n", "NOT_FOUND\r\n").await, TouchOutcome::Missing);

    assert_eq!(data(method(async |client| client.get(key("k")).await, "get k\r\n", VALUE).await), abc());
    assert_eq!(data(method(async |client| client.gets(key("k")).await, "gets k\r\n", VALUE).await), abc());
    assert_eq!(data(method(async |client| client.gat(key("k"), never).await, "gat 0 k\r\n", VALUE).await), abc());
    assert_eq!(data(method(async |client| client.gats(key("k"), never).await, "gats 0 k\r\n", VALUE).await), abc());
    let keys = || Keys::new(vec![key("k"), key("l")]).unwrap();
    let many = method(async |client| client.get_many(keys()).await, "get k l\r\n", VALUE).await;
    assert_eq!(many.len(), 1);

    assert_eq!(method(async |client| client.incr(key("k"), 2).await, "incr k 2\r\n", "7\r\n").await, Some(7));
    assert_eq!(method(async |client| client.decr(key("k"), 2).await, "decr k 2\r\n", "3\r\n").await, Some(3));

    let version = method(async |client| client.version().await, "version\r\n", "VERSION 1.6.45\r\n").await;
    assert_eq!(version.to_string(), "1.6.45");
    method(async |client| client.verbosity(1).await, "verbosity 1\r\n", "OK\r\n").await;
    method(async |client| client.flush_all(FlushAll::default()).await, "flush_all\r\n", "OK\r\n").await;
    let stats = async |client: &mut Client<_>| client.stats(StatsGroup::General).await;
    assert_eq!(method(stats, "stats\r\n", "STAT pid 1\r\nEND\r\n").await.len(), 1);

    let get = async |client: &mut Client<_>| client.meta_get(MetaGet::new(meta_key("k"))).await;
    assert_eq!(method(get, "mg k\r\n", "HD\r\n").await.unwrap().data(), None);
    let get =
        async |client: &mut Client<_>| client.meta_get(MetaGet { value: true, ..MetaGet::new(meta_key("k")) }).await;
    assert_eq!(method(get, "mg k v\r\n", "VA 3\r\nabc\r\n").await.unwrap().data(), abc().as_ref());
    let set = async |client: &mut Client<_>| client.meta_set(MetaSet::new(meta_key("k"), "abc")).await;
    assert_eq!(method(set, "ms k 3\r\nabc\r\n", "NS\r\n").await, MetaSetOutcome::NotStored(flags("")));
    let delete = async |client: &mut Client<_>| client.meta_delete(MetaDelete::new(meta_key("k"))).await;
    assert_eq!(method(delete, "md k\r\n", "NF\r\n").await, MetaDeleteOutcome::Missing(flags("")));
    let count = async |client: &mut Client<_>| client.meta_arithmetic(MetaArithmetic::new(meta_key("k"))).await;
    assert_eq!(method(count, "ma k\r\n", "NF\r\n").await, MetaArithmeticOutcome::Missing(flags("")));
    let debug = async |client: &mut Client<_>| client.meta_debug(meta_key("k")).await;
    assert_eq!(method(debug, "me k\r\n", "ME k exp=-1\r\n").await.unwrap().key(), b"k");
    method(async |client| client.meta_noop().await, "mn\r\n", "MN\r\n").await;
    assert!(method(async |client| client.speaks_meta().await, "mn\r\n", "MN\r\n").await);
    assert!(!method(async |client| client.speaks_meta().await, "mn\r\n", "ERROR\r\n").await);
}
