//! Answers after the first of a client: in pieces, with others, or not at all.

use std::task::Context;

use tokio::io::ReadBuf;

use super::*;

/// A client that has had an answer takes an item whole if it can. The result is that of a client that reads it reply by reply,
/// wherever the answer is cut, and whatever else the server says.
#[tokio::test(start_paused = true)]
async fn an_item_taken_whole_is_the_same_as_reply_by_reply() {
    async fn get(said: &[u8], cut: usize, is_answered: bool) -> String {
        let (mut client, mut far) = pair();
        client.answered = is_answered;
        let (first, rest) = said.split_at(cut);
        let server = async {
            far.write_all(first).await.unwrap();
            // The clock is paused, so this is until the client waits for the rest.
            tokio::time::sleep(Duration::from_secs(1)).await;
            far.write_all(rest).await.unwrap();
            far
        };
        let (result, mut far) = tokio::join!(client.get(key("k")), server);
        far.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
        let next = client.version().await;
        let kind = |error: Error| std::mem::discriminant(&error.problem);
        format!("{:?}, then {:?}", result.map_err(kind), next.map_err(kind))
    }
    for said in [
        "VALUE k 5 3\r\nabc\r\nEND\r\n",
        "END\r\n",
        "VALUE  k 5 3\nabc\r\nEND\n",
        "VALUE other 5 3\r\nabc\r\nEND\r\n",
        "VALUE k 5 3\r\nabc\r\nVALUE k 5 3\r\nabc\r\nEND\r\n",
        "VALUE k 5 3\r\nabc\r\nSERVER_ERROR out of memory\r\n",
        "SERVER_ERROR out of memory\r\n",
        "CLIENT_ERROR bad command line format\r\n\r\n",
        "STORED\r\n",
        "VALUE k 5 3\r\nabcdef\r\nEND\r\n",
        "VALUE k 5 3\r\nabc\r\n",
    ] {
        for cut in 0..=said.len() {
            assert_eq!(
                get(said.as_bytes(), cut, true).await,
                get(said.as_bytes(), cut, false).await,
                "{said:?}, {cut}"
            );
        }
    }
    // An answer that came with the one before it is not waited for.
    let (mut client, mut far) = pair();
    client.answered = true;
    far.write_all("VALUE k 5 1\r\nx\r\nEND\r\n".repeat(3).as_bytes()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.get(key("k")).await.unwrap().unwrap().data(), b"x");
    }
}

/// A server that has begun to answer is not silent.
#[tokio::test(start_paused = true)]
async fn an_answer_may_take_the_whole_time_in_each_of_two_pieces() {
    let (mut client, mut far) = pair();
    client.answered = true;
    let server = async {
        for piece in ["VALUE k 5 3\r\nab", "c\r\nEND\r\n"] {
            // The time is what is tested; the clock is paused, so none passes. The client's timeout is 5 seconds.
            tokio::time::sleep(Duration::from_secs(4)).await;
            far.write_all(piece.as_bytes()).await.unwrap();
        }
    };
    let (value, ()) = tokio::join!(client.get(key("k")), server);
    assert_eq!(value.unwrap().unwrap().data(), b"abc");
}

/// A server closes the connection, or is silent, before its answer or in the middle.
#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_whole() {
    for said in ["", "VALUE k 5 3\r\nab"] {
        for (closes, expected) in [(true, "lost"), (false, "silent")] {
            let (mut client, mut far) = pair();
            client.answered = true;
            far.write_all(said.as_bytes()).await.unwrap();
            if closes {
                // The server still takes what the client sends.
                far.shutdown().await.unwrap();
            }
            let start = tokio::time::Instant::now();
            let error = client.get(key("k")).await.unwrap_err();
            let found = match error.problem {
                Problem::Lost { like_a_proxy: false, source: None, .. } => "lost",
                Problem::Silence { doing: "get", after } if after == start.elapsed() => "silent",
                _ => "other",
            };
            assert_eq!((found, client.is_poisoned()), (expected, true), "{said:?}: {error}");
        }
    }
    let broken = tokio::io::join(Reset, tokio::io::sink());
    let mut client = Client::new(broken, "in-memory".parse().unwrap(), Duration::from_secs(5));
    client.answered = true;
    let error = client.get(key("k")).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Lost { source: Some(_), .. }) && client.is_poisoned(), "{error}");
}

/// A connection that was reset.
struct Reset;

impl AsyncRead for Reset {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()))
    }
}

/// Replies that came with the answer to a call are there for whoever reads on.
#[tokio::test(start_paused = true)]
async fn replies_behind_an_answer_are_not_waited_for() {
    let (mut client, mut far) = pair();
    client.answered = true;
    far.write_all(b"VERSION 1.6.45\r\nOK\r\nOK\r\nOK\r\n").await.unwrap();
    let flush = || Request::FlushAll(FlushAll::default());
    let (call, read) = (Call::version(), [flush(), flush(), flush()]);
    client.put(&call.request).unwrap();
    for request in &read {
        client.put(request).unwrap();
    }
    client.flush().await.unwrap();
    client.receive().await.unwrap();
    assert!(matches!(client.next().await.unwrap().reply, Reply::Version(_)));
    assert_eq!(client.next().await.unwrap().reply, Reply::Ok);
    assert_eq!(client.turn().await.unwrap().unwrap().reply, Reply::Ok);
    assert_eq!(client.next_within(Duration::ZERO).await.unwrap().unwrap().reply, Reply::Ok);
}
