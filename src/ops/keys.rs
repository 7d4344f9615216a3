//! Lists keys while they arrive.
//!
//! The caller may show them slowly, but the listing must not be slow: a dump that is read slowly holds the server's
//! crawler. Keys that are not yet shown wait in memory, and beyond a limit in the spool ([`Context::spool`]).

mod top;

use bytes::{BufMut, Bytes, BytesMut};

use self::top::Ranking;
pub use self::top::{Order, Top};
use super::backlog::{Filler, backlog};
use super::listing::{
    self, Coverage, Filter, ListedItem, Sampling, Sieve, Strategy, Uncertainty, Visitor, Walked, Way,
};
use super::nearest::Nearest;
pub use super::pages::{PageReceiver, PageSender, ReceiverGone, pages};
use super::retry::Retries;
use super::spool::BATCH;
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::protocol::cachedump::CachedumpItem;
use crate::protocol::crawler::MetadumpLine;
use crate::protocol::{ErrorReply, Excerpt, PercentError};
use crate::scope::Scope;
use crate::setters::setters;

/// Batches that memory holds until the spool has taken them: some 16 MB, half a second of a fast listing. A busy machine
/// may keep the thread that writes the temporary file from running, and keys that are shown cannot be listed again.
const WAITING: usize = 1024;

/// Which keys of the scope to list, and how.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct KeysOptions {
    /// The strategy, for callers that know better; `None` chooses one that is complete and harmless to other clients.
    pub strategy: Option<Strategy>,
    /// Only items that meet this filter.
    pub filter: Filter,
    /// Only the first keys in some order, sent in that order after the whole listing.
    pub top: Option<Top>,
}

setters!(KeysOptions { with_strategy: strategy: Option<Strategy>, with_filter: filter: Filter, with_top: top: Option<Top> });

/// Some of a server's keys.
#[derive(Debug, Clone)]
pub struct Page {
    server: ServerAddr,
    /// The listed lines as they came, each with an LF.
    lines: Bytes,
}

impl Page {
    /// The server that holds the keys.
    #[must_use]
    pub const fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// Calls `show` for each item.
    ///
    /// # Errors
    /// A line is not a line of a listing. Each line was parsed once when it was listed, so this is a fault of this
    /// crate; the items after it are not shown.
    pub fn each(&self, mut show: impl FnMut(&Item<'_>)) -> Result<(), Error> {
        let bad = |line: &[u8]| Error {
            server: self.server.clone(),
            problem: Problem::BadKey { source: PercentError, excerpt: Excerpt::of(line) },
        };
        let mut key = BytesMut::new();
        for line in self.lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            key.clear();
            let cachedump;
            // One listing may have both kinds: a cachedump lists keys that a metadump leaves out.
            let listed = if line.starts_with(b"ITEM ") {
                cachedump = CachedumpItem::new(self.lines.slice_ref(line)).ok_or_else(|| bad(line))?;
                ListedItem::Cachedump(&cachedump)
            } else {
                ListedItem::Metadump(MetadumpLine::new(line).ok_or_else(|| bad(line))?)
            };
            listed.append_key(&mut key).map_err(|_| bad(line))?;
            show(&Item { key: &key, listed });
        }
        Ok(())
    }
}

/// An item of a listing.
#[derive(Debug)]
pub struct Item<'a> {
    key: &'a [u8],
    listed: ListedItem<'a>,
}

impl Item<'_> {
    /// The key, decoded: any bytes.
    #[must_use]
    pub const fn key(&self) -> &[u8] {
        self.key
    }

    /// The bytes that it takes on the server: header, key and value (only the value if a cachedump lists it).
    #[must_use]
    pub fn size(&self) -> u64 {
        self.listed.size()
    }

    /// When it expires, as a Unix time; none if it never expires.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.listed.expires()
    }

    /// When it was last read, as a Unix time; none if the listing does not give that.
    #[must_use]
    pub fn last_access(&self) -> Option<u64> {
        self.listed.last_access()
    }

    /// Its CAS; none if the listing does not give that.
    #[must_use]
    pub fn cas(&self) -> Option<u64> {
        self.listed.cas()
    }

    /// Its slab class; none if the listing does not give that.
    #[must_use]
    pub fn class(&self) -> Option<u64> {
        self.listed.class()
    }
}

/// The result of [`keys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// How the keys were listed. Only a hash walk lists all of them.
    pub strategy: Strategy,
    /// Whether the receiver took all keys; false if it was closed before.
    pub taken: bool,
    /// How many of the listed keys were in scope.
    pub matched: u64,
    /// If none was: the prefixes of other keys most similar to those of the scope.
    pub nearest: Vec<Bytes>,
    /// How many keys may be missing or repeated; none for a hash walk, or if mcflush could not find out.
    pub uncertainty: Option<Uncertainty>,
}

/// Sends the keys in scope to `pages`, until all are sent or the receiver is closed.
///
/// ```no_run
/// use mcflush::ops::Context;
/// use mcflush::ops::keys::{KeysOptions, Page, keys};
/// use mcflush::scope::Scope;
///
/// # async fn example() -> Result<(), mcflush::error::Error> {
/// let server = "cache1".parse().expect("an address");
/// let (pages, mut shown) = mcflush::ops::keys::pages(4);
/// let printer = tokio::spawn(async move {
///     while let Some(page) = shown.recv().await {
///         let shown = page.each(|item| println!("{:?} {}", item.key(), item.size()));
///         shown.expect("it is a listing");
///     }
/// });
/// keys(&server, &Scope::everything(), &KeysOptions::default(), &Context::default(), &pages).await?;
/// drop(pages);
/// printer.await.expect("it prints");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, does not list its keys, or does not list what the filter or the order needs; or the
/// connection was lost after some keys were sent. Keys that were sent exist, and are not sent again.
pub async fn keys(
    server: &ServerAddr,
    scope: &Scope,
    options: &KeysOptions,
    context: &Context,
    pages: &PageSender,
) -> Result<Shown, Error> {
    let asked = options.strategy;
    let mut retries = Retries::new(context);
    let mut way = listing::choose(server, asked, context, &mut retries).await?;
    let wanted = Wanted { scope, sieve: Sieve::learn(&options.filter, server, context).await?, top: options.top };
    loop {
        let mut found = InScope { matched: 0, nearest: Nearest::to(scope), sampling: Sampling::new() };
        let (walked, sent) = match attempt(server, wanted, way, context, pages, &mut found).await? {
            Some(ended) => ended,
            None => return Ok(found.shown(way.strategy, false, None)),
        };
        match walked {
            Ok(End::Whole(coverage)) => {
                let uncertainty = match way.strategy {
                    Strategy::Hash => None,
                    // The keys listed so far are real, whether or not the second listing succeeds.
                    _ => found.sampling.uncertainty(server, way, context, &coverage).await.ok(),
                };
                return Ok(found.shown(way.strategy, true, uncertainty));
            }
            Ok(End::Refused(reply)) => way = way.after(reply, asked, server, context)?,
            // A retry would send the same keys again.
            Err(error) if sent => return Err(error),
            Err(error) => retries.after(error).await?,
        }
    }
}

/// Which items to send.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    scope: &'a Scope,
    sieve: Sieve,
    top: Option<Top>,
}

/// What a listing found in scope.
struct InScope {
    matched: u64,
    nearest: Nearest,
    sampling: Sampling,
}

impl InScope {
    fn shown(self, strategy: Strategy, taken: bool, uncertainty: Option<Uncertainty>) -> Shown {
        let nearest = if self.matched == 0 { self.nearest.prefixes() } else { Vec::new() };
        Shown { strategy, taken, matched: self.matched, nearest, uncertainty }
    }
}

/// How a listing ended.
enum End {
    Whole(Coverage),
    /// The server does not list by this strategy.
    Refused(ErrorReply),
}

/// How the listing of [`list`] ended, and whether any page was sent; none if the receiver was closed and the dump was
/// abandoned with its connection.
type Ended = Option<(Result<End, Error>, bool)>;

async fn attempt(
    server: &ServerAddr,
    wanted: Wanted<'_>,
    way: Way,
    context: &Context,
    pages: &PageSender,
    found: &mut InScope,
) -> Result<Ended, Error> {
    let (filler, drainer) = backlog(&context.spool, WAITING);
    let (key, lines) = (BytesMut::new(), BytesMut::new());
    let pager = Pager {
        server,
        wanted,
        ranking: wanted.top.map(Ranking::new),
        context,
        key,
        lines,
        filler,
        listed: (0, 0),
        found,
        samples: way.strategy != Strategy::Hash,
    };
    // Returns whether any page was sent; none if the receiver was closed.
    let hand_on = async move {
        // It is dropped with this future, so that the listing sees that the receiver is gone.
        let mut drainer = drainer;
        let mut sent = false;
        while let Some(lines) = drainer.next().await.map_err(|error| unreadable(server, error))? {
            let page = Page { server: server.clone(), lines };
            match context.stop.run_until_cancelled(pages.send(page)).await {
                Some(Ok(())) => sent = true,
                Some(Err(_)) => return Ok(None),
                None => return Err(context.stopped(server, false)),
            }
        }
        Ok(Some(sent))
    };
    let (mut walk, mut hand_on) = (std::pin::pin!(list(server, way, context, pager)), std::pin::pin!(hand_on));
    let mut walked = None;
    loop {
        tokio::select! {
            result = &mut walk, if walked.is_none() => walked = Some(result),
            sent = &mut hand_on => {
                if walked.is_none() && way.dialect.closing_crashes() {
                    // Dropping the walk would close the connection. The walk finds that the drainer is gone, and reads
                    // the dump to its end.
                    let _ = walk.await;
                }
                return Ok(walked.zip(sent?));
            }
        }
    }
}

fn unreadable(server: &ServerAddr, source: std::io::Error) -> Error {
    Error { server: server.clone(), problem: Problem::Local { doing: "reading the listed keys back", source } }
}

fn unkept(server: &ServerAddr, why: String) -> Error {
    Error { server: server.clone(), problem: Problem::Spool(why) }
}

/// Lists to the end, and puts the last lines into the backlog.
async fn list(server: &ServerAddr, way: Way, context: &Context, mut pager: Pager<'_>) -> Result<End, Error> {
    let walk = async {
        let mut client = context.connect(server).await?;
        listing::walk(way, &mut client, context, &mut pager).await
    };
    let walked = walk.await;
    // Also after the walk broke off: the keys that it listed are shown. The backlog holds a last batch even if it has
    // no room for another one.
    let _ = pager.hand_on();
    Ok(match walked? {
        Walked::Whole(coverage) => {
            pager.hand_on_ranking()?;
            End::Whole(coverage)
        }
        Walked::Refused(reply) => End::Refused(reply),
    })
}

struct Pager<'a> {
    server: &'a ServerAddr,
    wanted: Wanted<'a>,
    /// Keeps the first keys in some order, which are sent after the listing.
    ranking: Option<Ranking>,
    context: &'a Context,
    key: BytesMut,
    lines: BytesMut,
    filler: Filler,
    /// Listed since the last batch: keys, and keys in scope.
    listed: (u64, u64),
    found: &'a mut InScope,
    /// Whether the listing can miss or repeat keys.
    samples: bool,
}

impl Pager<'_> {
    /// Puts the gathered lines into the backlog.
    ///
    /// # Errors
    /// The backlog has no room for the next batch, or the receiver is gone: the listing would be incomplete.
    fn hand_on(&mut self) -> Result<(), Error> {
        let (keys, in_scope) = std::mem::take(&mut self.listed);
        self.context.events.tell(Event::Listed { keys, in_scope });
        let lines = self.lines.split().freeze();
        self.lines.reserve(BATCH + 1024);
        if lines.is_empty() || self.filler.push(lines) {
            return Ok(());
        }
        let trouble = self.filler.trouble().unwrap_or_else(|| "the receiver of the keys is gone".into());
        Err(unkept(self.server, trouble))
    }

    fn put(&mut self, line: &[u8]) {
        self.lines.put_slice(line);
        self.lines.put_u8(b'\n');
    }

    fn hand_on_ranking(&mut self) -> Result<(), Error> {
        for line in self.ranking.take().into_iter().flat_map(Ranking::into_lines) {
            self.put(&line);
            if self.lines.len() >= BATCH {
                self.hand_on()?;
            }
        }
        // The backlog holds a last batch even if it has no room for another one.
        let _ = self.hand_on();
        Ok(())
    }
}

impl Visitor for Pager<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        item.decode_key(self.server, &mut self.key)?;
        self.listed.0 += 1;
        if self.samples {
            self.found.sampling.note(item, None);
        }
        let Wanted { scope, sieve, .. } = self.wanted;
        if scope.contains(&self.key) {
            if sieve.admits(item, self.server)? {
                self.listed.1 += 1;
                self.found.matched += 1;
                match &mut self.ranking {
                    Some(ranking) => ranking.offer(&self.key, item, self.server)?,
                    None => self.put(item.line()),
                }
            } else {
                self.found.nearest.was_met();
            }
        } else if self.found.matched == 0 {
            self.found.nearest.look_at(&self.key);
        }
        let due = self.lines.len() >= BATCH || self.listed.0 >= 65_536;
        if due { self.hand_on() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use futures_util::FutureExt;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::error::FailureKind;
    use crate::ops::Spool;
    use crate::ops::scripted::{HASH_DUMP, Heard, LRU_DUMP, Say, address, item, server, text, told};
    use crate::scope::Prefix;

    static IS_DISK_FREE: AtomicBool = AtomicBool::new(false);

    /// A disk that is busy until the test frees it.
    fn on_a_busy_disk() -> io::Result<File> {
        while !IS_DISK_FREE.load(SeqCst) {
            std::thread::yield_now();
        }
        tempfile::tempfile()
    }

    /// Sends keys without end; returns how many it had sent when the client left.
    async fn dump_for_ever(stream: TcpStream) -> u64 {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).await.unwrap();
        if request == "version\r\n" {
            stream.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
            return 0;
        }
        if request == "stats\r\n" {
            stream.write_all(b"END\r\n").await.unwrap();
            stream.read_line(&mut request).await.unwrap();
        }
        let line = format!("key={} exp=-1 la=1 cas=1 fetch=no cls=1 size=300\n", "k".repeat(200));
        let mut sent = 0;
        while stream.write_all(line.as_bytes()).await.is_ok() {
            sent += 1;
        }
        sent
    }

    /// An item as it is shown: its key, size, end, last access, CAS and class.
    type Seen = (String, u64, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

    fn see(item: &Item<'_>) -> Seen {
        let key = String::from_utf8(item.key().to_vec()).unwrap();
        (key, item.size(), item.expires(), item.last_access(), item.cas(), item.class())
    }

    /// Lists by prefix; returns the result, and the items of each page.
    async fn listed(context: &Context, prefix: &str, top: Option<Top>) -> (Result<Shown, Error>, Vec<Vec<Seen>>) {
        let (pages, mut shown) = super::pages(8);
        let options = KeysOptions { top, ..KeysOptions::default() };
        let scope = Scope::of([Prefix::new(prefix.to_owned()).unwrap()]);
        let result = keys(&address(), &scope, &options, context, &pages).await;
        drop(pages);
        let mut seen = Vec::new();
        while let Some(page) = shown.recv().await {
            let mut items = Vec::new();
            page.each(|item| items.push(see(item))).unwrap();
            seen.push(items);
        }
        (result, seen)
    }

    /// A server of this version, whose dumps are made by their number, from 0.
    fn dumping(version: &'static str, dump: impl Fn(usize) -> Say + Send + 'static) -> (Context, Heard) {
        let number = AtomicUsize::new(0);
        server(move |line| match line {
            "version" => Say::Text(format!("VERSION {version}\r\n")),
            "stats" => text("END\r\n"),
            HASH_DUMP | LRU_DUMP => dump(number.fetch_add(1, SeqCst)),
            _ => text("ERROR\r\n"),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_listing_says_is_shown_and_told() {
        let (mut context, heard) = dumping("1.6.38", |_| {
            text(
                "key=shop%3A1 exp=-1 la=1764000000 cas=7 fetch=no cls=1 size=64\n\
                 key=blog%3A1 exp=-1 la=1764000000 cas=8 fetch=no cls=1 size=64\n\
                 key=shop%3A2 exp=4102444800 la=1764000009 cas=9 fetch=yes cls=3 size=300\nEND\r\n",
            )
        });
        let told = told(&mut context);
        let small = ("shop:1".to_owned(), 64, None, Some(1_764_000_000), Some(7), Some(1));
        let large = ("shop:2".to_owned(), 300, Some(4_102_444_800), Some(1_764_000_009), Some(9), Some(3));
        let largest = |most| Some(Top { order: Order::Size, most: NonZeroUsize::new(most).unwrap() });
        for (top, expected) in [
            (None, vec![small.clone(), large.clone()]),
            (largest(1), vec![large.clone()]),
            (largest(2), vec![large, small]),
        ] {
            *told.lock().unwrap() = (0, 0);
            let dumps = heard.count(HASH_DUMP);
            let (result, seen) = listed(&context, "shop:", top).await;
            assert_eq!(seen, [expected], "on one page");
            let result = result.unwrap();
            assert_eq!((result.strategy, result.taken, result.matched), (Strategy::Hash, true, 2));
            // One walk of the hash table is exact: there is no second one to compare it with.
            assert_eq!((result.uncertainty, heard.count(HASH_DUMP)), (None, dumps + 1));
            assert_eq!(*told.lock().unwrap(), (3, 2), "listed, and in scope");
        }
    }

    #[test]
    fn a_thread_outside_the_runtime_takes_each_page() {
        let (pages, mut shown) = super::pages(1);
        let page = Page { server: address(), lines: Bytes::from_static(b"ITEM a [1 b; 0 s]\r\n") };
        pages.send(page).now_or_never().expect("there is room").unwrap();
        drop(pages);
        let taken = [shown.blocking_recv(), shown.blocking_recv()].map(|page| page.map(|page| page.lines.len()));
        assert_eq!(taken, [Some(19), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_breaks_off_is_tried_again_unless_keys_were_sent() {
        for (first, dumps, failure) in [(String::new(), 2, None), (item("shop:1", 7), 1, Some(FailureKind::Lost))] {
            let (mut context, heard) = dumping("1.6.38", move |number| match number {
                0 => Say::Last(first.clone()),
                _ => Say::Text(item("shop:1", 7) + "END\r\n"),
            });
            context.patience.retries = 1;
            let (result, seen) = listed(&context, "shop:", None).await;
            assert_eq!((result.err().map(|error| error.kind()), heard.count(HASH_DUMP)), (failure, dumps));
            assert_eq!(seen.concat().iter().map(|item| item.0.as_str()).collect::<Vec<_>>(), ["shop:1"], "once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_names_similar_prefixes_only_if_no_key_is_in_scope() {
        let (context, _) = dumping("1.6.38", |_| Say::Text(item("blog:1", 7) + &item("shop:1", 8) + "END\r\n"));
        for (prefix, nearest) in [("shup:", &["shop:", "blog:"][..]), ("shop:", &[])] {
            assert_eq!(listed(&context, prefix, None).await.0.unwrap().nearest, nearest, "{prefix}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_can_miss_and_repeat_keys_says_how_many() {
        let (context, heard) =
            dumping("1.6.18", |_| Say::Text([1, 2, 1, 3].map(|n| item(&format!("shop:{n}"), n)).concat() + "END\r\n"));
        let (result, seen) = listed(&context, "shop:", None).await;
        // There are too few keys to say more than that at most half of them are missing.
        assert_eq!(result.unwrap().uncertainty, Some(Uncertainty { missing: 2, repeated: 1 }));
        assert_eq!((seen.concat().len(), heard.count(LRU_DUMP)), (4, 2));
    }

    #[tokio::test]
    async fn a_listing_that_is_given_up_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap().to_string().parse().unwrap();
        let serving = tokio::spawn(async move {
            let mut sent = 0;
            while sent == 0 {
                let (stream, _) = listener.accept().await.unwrap();
                sent = dump_for_ever(stream).await;
            }
            // The client has left the dump: its keys can be written now.
            IS_DISK_FREE.store(true, SeqCst);
        });
        let (pages, mut shown) = super::pages(1);
        let reading = tokio::spawn(async move {
            serving.await.unwrap();
            let mut keys = 0;
            while let Some(page) = shown.recv().await {
                page.each(|_| keys += 1).unwrap();
            }
            keys
        });
        let context = Context::default().with_spool(Spool::in_files(on_a_busy_disk));
        let result = keys(&server, &Scope::everything(), &KeysOptions::default(), &context, &pages).await;
        drop(pages);
        let error = result.expect_err("it is not all of it");
        assert_eq!(error.kind(), FailureKind::Io);
        assert!(error.to_string().contains("more slowly than the server lists them"), "{error}");
        assert!(reading.await.unwrap() > 10_000, "what was listed is shown");
    }
}
