//! Which keys clients use now: for some seconds, reads the server's log of look-ups, stores, deletes and evictions.
//!
//! The server does not wait for a slow reader: it leaves out the lines that are not read in time, and reports how many.
//! So the task that reads the log does nothing else.

mod sketch;
mod traffic;

use std::time::Duration;

use tokio::time::Instant;

pub use self::sketch::HotKey;
use self::traffic::Counter;
pub use self::traffic::{Traffic, Uses};
use super::Context;
use super::namespaces::Division;
use super::retry::Retries;
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, FailureKind, Problem};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::watch::{LogStream, Watch};
use crate::protocol::{ErrorKind, ErrorReply, Meaning, Reply, Request};
use crate::setters::setters;

/// The time between two calls of `so_far`.
const EACH: Duration = Duration::from_millis(500);

const DOING: &str = "watch";

/// What to count, and for how long.
///
/// ```
/// use std::time::Duration;
/// use mcflush::ops::hot::HotOptions;
/// let options = HotOptions::default().with_time(Duration::from_secs(10)).with_keys(10);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HotOptions {
    /// How keys are divided into prefixes.
    pub division: Division,
    /// How long to read the log.
    pub time: Duration,
    /// How many of the most used keys to name.
    pub keys: usize,
}

setters!(HotOptions { with_division: division: Division, with_time: time: Duration, with_keys: keys: usize });

/// The result of [`hot`].
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Uses by prefix.
    pub traffic: Traffic,
    /// The most used keys, most used first; fewer than asked for if no others stand out.
    pub keys: Vec<HotKey>,
    /// How long the log was read: less than asked for if the operation was stopped.
    pub time: Duration,
    /// Log lines received.
    pub lines: u64,
    /// Log lines that the server left out, on this connection or before it wrote its log. The real figures are higher
    /// by as much.
    pub skipped: u64,
    /// Whether the server logs deletes; if not, they count as gets.
    pub logs_deletes: bool,
}

/// Reads a server's log for a time, and calls `so_far` about twice a second with the counts so far; that function must
/// not block. If the operation is stopped early, returns the counts until then.
///
/// Servers log look-ups, stores and evictions since 1.4.26, and deletes since 1.6.22.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, hot::{HotOptions, hot}};
/// let seen = hot(&"cache1".parse()?, &HotOptions::default(), &Context::default(), |_| {}).await?;
/// for (prefix, uses) in seen.traffic.sorted() {
///     println!("{prefix:?} {}", uses.gets);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, offers no log, or the connection was lost.
pub async fn hot(
    server: &ServerAddr,
    options: &HotOptions,
    context: &Context,
    so_far: impl Fn(&Traffic),
) -> Result<Seen, Error> {
    let mut retries = Retries::new(context);
    let before = retries.until_done(server, || statistics(server, context)).await?;
    if before.iter().any(|stat| stat.name() == "proxy_conn_requests") {
        let what = "this is memcached's built-in proxy, which holds no items and logs no use of them";
        let problem = Problem::Unsuited { what, instead: "name the servers behind it" };
        return Err(Error { server: server.clone(), problem });
    }
    let (mut client, logs_deletes) = retries.until_done(server, || watch(server, context)).await?;
    let mut counter = Counter::new(&options.division);
    let began = Instant::now();
    read(&mut client, &mut counter, began + options.time, context, so_far).await?;
    drop(client);
    counter.finish();
    let time = began.elapsed().min(options.time);
    // Lines lost before they reached the log. Without a second look at the statistics, they are not counted.
    let after = context.unless_stopped(server, statistics(server, context)).await.unwrap_or_default();
    let dropped = dropped(&after).zip(dropped(&before)).map_or(0, |(after, before)| after.saturating_sub(before));
    Ok(Seen {
        keys: counter.hot_keys(options.keys),
        time,
        lines: counter.lines,
        skipped: counter.skipped + dropped,
        logs_deletes,
        traffic: counter.traffic,
    })
}

/// The server's statistics; empty if it reports none.
async fn statistics(server: &ServerAddr, context: &Context) -> Result<Vec<Stat>, Error> {
    match context.connect(server).await?.stats(StatsGroup::General).await {
        Err(error) if error.kind() == FailureKind::Server => Ok(Vec::new()),
        stats => stats,
    }
}

fn dropped(stats: &[Stat]) -> Option<u64> {
    let stat = stats.iter().find(|stat| stat.name() == "log_worker_dropped")?;
    std::str::from_utf8(stat.value()).ok()?.parse().ok()
}

/// A connection that carries the log, and whether the log has deletes.
async fn watch(server: &ServerAddr, context: &Context) -> Result<(Client, bool), Error> {
    let streams = [LogStream::Fetchers, LogStream::Mutations, LogStream::Evictions, LogStream::Deletions];
    let mut client = context.connect(server).await?;
    client.begin(DOING);
    let mut refused = None;
    for logs_deletes in [true, false] {
        let streams = streams.into_iter().filter(|stream| logs_deletes || *stream != LogStream::Deletions).collect();
        client.send(Request::Watch(Watch { streams })).await?;
        match client.next().await?.reply {
            Reply::Ok => return Ok((client, logs_deletes)),
            Reply::Error(reply) if reply.meaning() == Meaning::Refused => refused = Some(reply),
            Reply::Error(reply) => return Err(no_log(&client, reply)),
            reply => return Err(client.refused(reply)),
        }
    }
    Err(match refused {
        Some(reply) => no_log(&client, reply),
        None => client.error(Problem::Unexpected { command: DOING }),
    })
}

/// The error of a server that offers no log.
fn no_log(client: &Client, reply: ErrorReply) -> Error {
    let problem = match reply.meaning() {
        Meaning::Off => Problem::Disabled {
            what: "the log of item use",
            instead: "start memcached without -W, or look at its statistics",
            reply,
        },
        Meaning::Refused if reply.kind() == ErrorKind::Error => Problem::Unsuited {
            what: "this server offers no log of item use: memcached does since 1.4.26, most proxies and services do not",
            instead: "look at its statistics",
        },
        _ => return client.refused(Reply::Error(reply)),
    };
    client.error(problem)
}

async fn read(
    client: &mut Client,
    counter: &mut Counter<'_>,
    end: Instant,
    context: &Context,
    so_far: impl Fn(&Traffic),
) -> Result<(), Error> {
    let mut next_call = Instant::now() + EACH;
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        if now >= next_call {
            next_call = now + EACH;
            so_far(&counter.traffic);
        }
        let wait = end.min(next_call).saturating_duration_since(now);
        let Some(answer) = context.stop.run_until_cancelled(client.next_within(wait)).await else { return Ok(()) };
        let Some(answer) = answer? else { continue };
        let Reply::Log(line) = answer.reply else { return Err(client.refused(answer.reply)) };
        counter.take(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::ops::scripted::{Say, address, server, stop_in, text};

    fn second() -> HotOptions {
        HotOptions { time: Duration::from_secs(1), keys: 3, ..HotOptions::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_log_shows() {
        let lost = AtomicU64::new(7);
        let (context, heard) = server(move |line| match line {
            "stats" => {
                Say::Text(format!("STAT pid 3\r\nSTAT log_worker_dropped {}\r\nEND\r\n", lost.fetch_add(5, SeqCst)))
            }
            "watch fetchers mutations evictions deletions" => text("ERROR\r\n"),
            "watch fetchers mutations evictions" => text(
                "OK\r\nts=1.1 gid=1 type=item_get key=a status=found clsid=1 cfd=27 size=3\nskipped=2\n\
                 ts=1.1 gid=2 type=item_get key=a status=found clsid=1 cfd=27 size=3\n",
            ),
            _ => Say::Silence,
        });
        let seen = hot(&address(), &second(), &context, |_| {}).await.unwrap();
        assert_eq!((seen.traffic.total().hits, seen.lines, seen.skipped, seen.logs_deletes), (2, 2, 2 + 5, false));
        assert_eq!(seen.keys, [HotKey { key: b"a".to_vec(), uses: 2, surplus: 0 }]);
        assert_eq!(seen.time, second().time);
        assert_eq!(heard.count("stats"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_show_no_log() {
        for (reply, asked, words) in [
            ("ERROR\r\n", 2, "since 1.4.26"),
            ("CLIENT_ERROR bad command line format\r\n", 2, "bad command line format"),
            ("CLIENT_ERROR watch commands not allowed\r\n", 1, "switched off"),
            ("SERVER_ERROR Command not supported\r\n", 1, "not supported"),
        ] {
            let (context, heard) = server(move |line| if line == "stats" { text("END\r\n") } else { text(reply) });
            let error = hot(&address(), &second(), &context, |_| {}).await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            // An older server is asked again, without the stream that it does not know.
            assert_eq!(heard.all().iter().filter(|line| line.starts_with("watch ")).count(), asked, "{reply}");
        }
        let (context, heard) = server(|_| text("STAT proxy_conn_requests 4\r\nEND\r\n"));
        let error = hot(&address(), &second(), &context, |_| {}).await.unwrap_err();
        assert!(error.kind() == FailureKind::Disabled && heard.all() == ["stats"], "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn hot_goes_on_without_statistics_that_a_server_refuses_but_not_after_a_lost_connection() {
        for (answer, watched) in [("ERROR\r\n", 1), ("", 0)] {
            let (context, heard) = server(move |line| match line {
                "stats" if answer.is_empty() => Say::Last(String::new()),
                "stats" => text(answer),
                _ => text("OK\r\n"),
            });
            let seen = hot(&address(), &second(), &context, |_| {}).await;
            assert_eq!(heard.count("watch fetchers mutations evictions deletions"), watched);
            let lines = seen.map(|seen| seen.lines).map_err(|error| error.kind());
            assert_eq!(lines, if watched > 0 { Ok(0) } else { Err(FailureKind::Lost) });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_counts_so_far_are_shown_twice_a_second() {
        let (context, _) = server(|line| if line == "stats" { text("END\r\n") } else { text("OK\r\n") });
        let (began, shown) = (Instant::now(), RefCell::new(Vec::new()));
        let options = HotOptions { time: Duration::from_millis(1_200), ..second() };
        hot(&address(), &options, &context, |_| shown.borrow_mut().push(began.elapsed())).await.unwrap();
        assert_eq!(*shown.borrow(), [EACH, EACH * 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn stopped_early_it_returns_its_counts() {
        let (context, _) = server(|line| match line {
            "stats" => text("END\r\n"),
            _ => text("OK\r\nts=1.1 gid=1 type=item_get key=a status=found clsid=1 cfd=27 size=3\n"),
        });
        stop_in(&context, Duration::from_millis(300));
        let seen = hot(&address(), &second(), &context, |_| {}).await.unwrap();
        assert!(seen.time == Duration::from_millis(300) && seen.lines == 1, "{seen:?}");
    }
}
