//! Listing keys, as they come.
//!
//! Whoever shows them may be slow, the listing may not: a dump that is read slowly holds the server's crawler. What is not
//! shown yet waits in memory, and beyond a bound in an unlinked file.

mod top;

use bytes::{BufMut, Bytes, BytesMut};

use self::top::Ranking;
pub use self::top::{Order, Top};
use super::backlog::{BATCH, Filler, Opener, backlog};
use super::listing::{self, Coverage, Filter, Listed, Sampling, Sieve, Strategy, Uncertainty, Visitor, Walked, Way};
use super::nearest::Nearest;
pub use super::pages::{NobodyReads, PageReceiver, PageSender, pages};
use super::retry::Retries;
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::protocol::cachedump::CachedumpItem;
use crate::protocol::crawler::MetadumpLine;
use crate::protocol::{ErrorReply, Excerpt, PercentError};
use crate::scope::Scope;
use crate::setters::setters;

/// Which keys beside those of the scope, and how.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Options {
    /// The strategy for one who knows better; none chooses what is complete and safe for others.
    pub strategy: Option<Strategy>,
    /// Only items that meet this.
    pub filter: Filter,
    /// Only the first of an order, in that order, when all are listed.
    pub top: Option<Top>,
}

setters!(Options { with_strategy: strategy: Option<Strategy>, with_filter: filter: Filter, with_top: top: Option<Top> });

/// Some of a server's keys.
///
/// ```no_run
/// fn server_of(page: &mcflush::ops::keys::Page) -> String {
///     page.server().to_string()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Page {
    server: ServerAddr,
    /// Lines as they came, each with an LF.
    lines: Bytes,
}

impl Page {
    /// Whose they are.
    ///
    /// ```no_run
    /// fn is_local(page: &mcflush::ops::keys::Page) -> bool {
    ///     matches!(page.server(), mcflush::address::ServerAddr::Unix(_))
    /// }
    /// ```
    #[must_use]
    pub const fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// Shows each item.
    ///
    /// # Errors
    /// A line is none of a listing. Each was read once when it was listed, so this is a fault of this crate; what is shown is
    /// not all of it then.
    pub fn each(&self, mut show: impl FnMut(&Item<'_>)) -> Result<(), Error> {
        let bad = |line: &[u8]| Error {
            server: self.server.clone(),
            problem: Problem::BadKey { source: PercentError, excerpt: Excerpt::of(line) },
        };
        let mut key = BytesMut::new();
        for line in self.lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            key.clear();
            let cachedump;
            // One listing may have both kinds: what a dump leaves out is looked for in a cachedump.
            let listed = if line.starts_with(b"ITEM ") {
                cachedump = CachedumpItem::new(self.lines.slice_ref(line)).ok_or_else(|| bad(line))?;
                Listed::Cachedump(&cachedump)
            } else {
                Listed::Metadump(MetadumpLine::new(line).ok_or_else(|| bad(line))?)
            };
            listed.append_key(&mut key).map_err(|_| bad(line))?;
            show(&Item { key: &key, listed });
        }
        Ok(())
    }
}

/// An item as a listing shows it.
///
/// ```no_run
/// fn line(item: &mcflush::ops::keys::Item<'_>) -> String {
///     format!("{} {}", mcflush::protocol::Escaped(item.key()), item.size())
/// }
/// ```
#[derive(Debug)]
pub struct Item<'a> {
    key: &'a [u8],
    listed: Listed<'a>,
}

impl Item<'_> {
    /// The key, decoded: any bytes.
    ///
    /// ```no_run
    /// fn key_of<'a>(item: &'a mcflush::ops::keys::Item<'_>) -> &'a [u8] {
    ///     item.key()
    /// }
    /// ```
    #[must_use]
    pub const fn key(&self) -> &[u8] {
        self.key
    }

    /// Bytes that it takes in the server: header, key and value (the value alone where a cachedump lists it).
    ///
    /// ```no_run
    /// fn size_of(item: &mcflush::ops::keys::Item<'_>) -> u64 {
    ///     item.size()
    /// }
    /// ```
    #[must_use]
    pub fn size(&self) -> u64 {
        self.listed.size()
    }

    /// When it expires, as a Unix time; none for never.
    ///
    /// ```no_run
    /// fn expires_of(item: &mcflush::ops::keys::Item<'_>) -> Option<u64> {
    ///     item.expires()
    /// }
    /// ```
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.listed.expires()
    }

    /// When it was last asked for, as a Unix time; none where the listing does not say it.
    ///
    /// ```no_run
    /// fn last_access_of(item: &mcflush::ops::keys::Item<'_>) -> Option<u64> {
    ///     item.last_access()
    /// }
    /// ```
    #[must_use]
    pub fn last_access(&self) -> Option<u64> {
        self.listed.last_access()
    }

    /// Its CAS; none where the listing does not say it.
    ///
    /// ```no_run
    /// fn cas_of(item: &mcflush::ops::keys::Item<'_>) -> Option<u64> {
    ///     item.cas()
    /// }
    /// ```
    #[must_use]
    pub fn cas(&self) -> Option<u64> {
        self.listed.cas()
    }

    /// Its slab class; none where the listing does not say it.
    ///
    /// ```no_run
    /// fn class_of(item: &mcflush::ops::keys::Item<'_>) -> Option<u64> {
    ///     item.class()
    /// }
    /// ```
    #[must_use]
    pub fn class(&self) -> Option<u64> {
        self.listed.class()
    }
}

/// A listing that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// How keys were listed. Only a hash walk lists all of them.
    pub strategy: Strategy,
    /// Whether all that was listed was taken; false when the receiver was closed before.
    pub taken: bool,
    /// How many keys were in scope, of those that were listed.
    pub matched: u64,
    /// Where none was, the prefixes of other keys that are most like those that were asked for.
    pub nearest: Vec<Bytes>,
    /// How many keys may be missing or repeated, where the strategy is no hash walk and that could be found out.
    pub uncertainty: Option<Uncertainty>,
}

/// Sends the keys in scope, until all are sent or the receiver is closed.
///
/// ```no_run
/// use mcflush::ops::Context;
/// use mcflush::ops::keys::{Options, Page, keys};
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
/// keys(&server, &Scope::everything(), &Options::default(), &Context::default(), &pages).await?;
/// drop(pages);
/// printer.await.expect("it prints");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, does not list its keys, does not say of them what the filter or the order asks for, or
/// was lost in the middle: what was sent by then is real, and is not sent again.
pub async fn keys(
    server: &ServerAddr,
    scope: &Scope,
    options: &Options,
    context: &Context,
    pages: &PageSender,
) -> Result<Shown, Error> {
    by_way_of(tempfile::tempfile, server, scope, options, context, pages).await
}

/// As [`keys`], with a temporary file of the caller's.
async fn by_way_of(
    open: Opener,
    server: &ServerAddr,
    scope: &Scope,
    options: &Options,
    context: &Context,
    pages: &PageSender,
) -> Result<Shown, Error> {
    let asked = options.strategy;
    let mut retries = Retries::new(context);
    let mut way = listing::choose(server, asked, context, &mut retries).await?;
    let wanted = Wanted { scope, sieve: Sieve::learn(&options.filter, server, context).await?, top: options.top };
    loop {
        let mut found = Found { matched: 0, nearest: Nearest::to(scope), sampling: Sampling::new() };
        let (walked, sent) = match attempt(open, server, wanted, way, context, pages, &mut found).await? {
            Some(ended) => ended,
            None => return Ok(found.shown(way.strategy, false, None)),
        };
        match walked {
            Ok(End::Whole(coverage)) => {
                let uncertainty = match way.strategy {
                    Strategy::Hash => None,
                    // What was listed is real, whatever becomes of the second listing.
                    _ => found.sampling.uncertainty(server, way, context, &coverage).await.ok(),
                };
                return Ok(found.shown(way.strategy, true, uncertainty));
            }
            Ok(End::Refused(reply)) => way = way.after(reply, asked, server, context)?,
            // What was shown would be shown again.
            Err(error) if sent => return Err(error),
            Err(error) => retries.after(error).await?,
        }
    }
}

/// Which items are shown.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    scope: &'a Scope,
    sieve: Sieve,
    top: Option<Top>,
}

/// What a listing found in scope.
struct Found {
    matched: u64,
    nearest: Nearest,
    sampling: Sampling,
}

impl Found {
    fn shown(self, strategy: Strategy, taken: bool, uncertainty: Option<Uncertainty>) -> Shown {
        let nearest = if self.matched == 0 { self.nearest.prefixes() } else { Vec::new() };
        Shown { strategy, taken, matched: self.matched, nearest, uncertainty }
    }
}

/// How a listing came to its end.
enum End {
    Whole(Coverage),
    /// The server does not list that way.
    Refused(ErrorReply),
}

/// How the listing of [`list`] ended, and whether anything was sent; none when the receiver was closed, and the dump was left
/// with its connection.
type Ended = Option<(Result<End, Error>, bool)>;

async fn attempt(
    open: Opener,
    server: &ServerAddr,
    wanted: Wanted<'_>,
    way: Way,
    context: &Context,
    pages: &PageSender,
    found: &mut Found,
) -> Result<Ended, Error> {
    let (filler, drainer) = backlog(open);
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
    // Whether anything was sent; none when the receiver was closed.
    let hand_on = async move {
        // Gone with this, so that the listing sees that nobody takes its keys.
        let mut drainer = drainer;
        let mut sent = false;
        while let Some(lines) = drainer.next().await.map_err(|error| unkept(server, error.to_string()))? {
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
                    // Dropped, it would close the connection; it finds that nobody takes its keys, and reads to the end.
                    let _ = walk.await;
                }
                return Ok(walked.zip(sent?));
            }
        }
    }
}

fn unkept(server: &ServerAddr, why: String) -> Error {
    Error { server: server.clone(), problem: Problem::Spool(why) }
}

/// Lists to the end, and hands on the last of it.
async fn list(server: &ServerAddr, way: Way, context: &Context, mut pager: Pager<'_>) -> Result<End, Error> {
    let walk = async {
        let mut client = context.connect(server).await?;
        listing::walk(way, &mut client, context, &mut pager).await
    };
    let walked = walk.await;
    // Also when the walk broke off: what it listed is shown. A last batch that leaves no room for another one is held.
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
    /// Of the first of an order, which are shown at the end of the listing.
    ranking: Option<Ranking>,
    context: &'a Context,
    key: BytesMut,
    lines: BytesMut,
    filler: Filler,
    /// Since the last batch: keys, and those in scope.
    listed: (u64, u64),
    found: &'a mut Found,
    /// Whether the listing can miss and repeat keys.
    samples: bool,
}

impl Pager<'_> {
    /// Hands on what is gathered.
    ///
    /// # Errors
    /// There is no room for more: what is listed would not be all of it.
    fn hand_on(&mut self) -> Result<(), Error> {
        let (keys, in_scope) = std::mem::take(&mut self.listed);
        self.context.events.tell(Event::Listed { keys, in_scope });
        let lines = self.lines.split().freeze();
        self.lines.reserve(BATCH + 1024);
        if lines.is_empty() || self.filler.push(lines) {
            return Ok(());
        }
        let trouble = self.filler.trouble().unwrap_or_else(|| "nobody takes keys from it".into());
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
        // A last batch that leaves no room for another one is held.
        let _ = self.hand_on();
        Ok(())
    }
}

impl Visitor for Pager<'_> {
    fn visit(&mut self, item: Listed<'_>) -> Result<(), Error> {
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
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::error::Kind;
    use crate::ops::Events;
    use crate::ops::scripted::{address, server, text};
    use crate::scope::Prefix;

    static IS_DISK_FREE: AtomicBool = AtomicBool::new(false);

    /// A disk that is busy with something else until it is told not to be.
    fn on_a_busy_disk() -> io::Result<File> {
        while !IS_DISK_FREE.load(SeqCst) {
            std::thread::yield_now();
        }
        tempfile::tempfile()
    }

    /// Keys that no memory here holds; says how many it sent before the client left.
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

    #[tokio::test(start_paused = true)]
    async fn what_a_listing_says_is_shown_and_told() {
        let (mut context, _) = server(|line| match line {
            "version" => text("VERSION 1.6.38\r\n"),
            "stats" => text("END\r\n"),
            "lru_crawler metadump hash" => text(
                "key=shop%3A1 exp=-1 la=1764000000 cas=7 fetch=no cls=1 size=64\n\
                 key=blog%3A1 exp=-1 la=1764000000 cas=8 fetch=no cls=1 size=64\n\
                 key=shop%3A2 exp=4102444800 la=1764000009 cas=9 fetch=yes cls=3 size=300\nEND\r\n",
            ),
            _ => text("ERROR\r\n"),
        });
        let told = Arc::new(Mutex::new((0, 0)));
        let listener = Arc::clone(&told);
        context.events = Events::to(move |event| {
            if let Event::Listed { keys, in_scope } = event {
                let mut told = listener.lock().unwrap();
                *told = (told.0 + keys, told.1 + in_scope);
            }
        });
        let scope = Scope::of([Prefix::new("shop:").unwrap()]);
        let small = ("shop:1".to_owned(), 64, None, Some(1_764_000_000), Some(7), Some(1));
        let large = ("shop:2".to_owned(), 300, Some(4_102_444_800), Some(1_764_000_009), Some(9), Some(3));
        let largest = Top { order: Order::Size, most: NonZeroUsize::MIN };
        for (top, expected) in [(None, vec![small, large.clone()]), (Some(largest), vec![large])] {
            *told.lock().unwrap() = (0, 0);
            let (pages, mut shown) = super::pages(8);
            let options = Options { top, ..Options::default() };
            let result = keys(&address(), &scope, &options, &context, &pages).await.unwrap();
            drop(pages);
            let mut seen = Vec::new();
            while let Some(page) = shown.recv().await {
                page.each(|item| seen.push(see(item))).unwrap();
            }
            assert_eq!(seen, expected);
            assert_eq!((result.strategy, result.taken, result.matched), (Strategy::Hash, true, 2));
            assert_eq!(*told.lock().unwrap(), (3, 2), "listed, and in scope");
        }
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
            // The client has left the dump: what it holds can go its way.
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
        let (scope, context) = (Scope::everything(), Context::default());
        let result = by_way_of(on_a_busy_disk, &server, &scope, &Options::default(), &context, &pages).await;
        drop(pages);
        let error = result.expect_err("it is not all of it");
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.to_string().contains("more slowly than the server lists them"), "{error}");
        assert!(reading.await.unwrap() > 10_000, "what was listed is shown");
    }
}
