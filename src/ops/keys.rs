//! Listing keys, as they come.
//!
//! Whoever shows them may be slow, the listing may not: a dump that is read slowly holds the server's crawler. What is not
//! shown yet waits in memory, and beyond a bound in an unlinked file.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc::Sender;

use super::backlog::{BATCH, Filler, backlog};
use super::listing::{self, Listed, Strategy, Visitor, Walked, Way};
use super::retry::{Retries, unless_stopped};
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::protocol::cachedump::CachedumpItem;
use crate::protocol::crawler::MetadumpLine;
use crate::scope::Scope;

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
    strategy: Strategy,
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
    /// ```no_run
    /// fn count(page: &mcflush::ops::keys::Page) -> u64 {
    ///     let mut count = 0;
    ///     page.each(|_| count += 1);
    ///     count
    /// }
    /// ```
    pub fn each(&self, mut show: impl FnMut(&Item<'_>)) {
        let mut key = BytesMut::new();
        for line in self.lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            key.clear();
            let cachedump;
            let listed = if self.strategy == Strategy::Cachedump {
                let Some(item) = CachedumpItem::new(self.lines.slice_ref(line)) else { continue };
                cachedump = item;
                Listed::Cachedump(&cachedump)
            } else {
                let Some(item) = MetadumpLine::new(line) else { continue };
                Listed::Metadump(item)
            };
            // It was decoded once, when it was listed.
            if listed.append_key(&mut key).is_ok() {
                show(&Item { key: &key, listed });
            }
        }
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
///
/// ```
/// use mcflush::ops::{clear::Strategy, keys::Shown};
/// let shown = Shown { strategy: Strategy::Hash, taken: true };
/// assert!(shown.taken);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// How keys were listed. Only a hash walk lists all of them.
    pub strategy: Strategy,
    /// Whether all that was listed was taken; false when the receiver was closed before.
    pub taken: bool,
}

/// Sends the keys in scope, until all are sent or the receiver is closed.
///
/// ```no_run
/// use mcflush::ops::Context;
/// use mcflush::ops::keys::{Page, keys};
/// use mcflush::scope::Scope;
///
/// # async fn example() -> Result<(), mcflush::error::Error> {
/// let server = "cache1".parse().expect("an address");
/// let (pages, mut shown) = tokio::sync::mpsc::channel::<Page>(4);
/// let printer = tokio::spawn(async move {
///     while let Some(page) = shown.recv().await {
///         page.each(|item| println!("{:?} {}", item.key(), item.size()));
///     }
/// });
/// keys(&server, &Scope::everything(), None, &Context::default(), &pages).await?;
/// drop(pages);
/// printer.await.expect("it prints");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, does not list its keys, or was lost in the middle: what was sent by then is real, and is
/// not sent again.
pub async fn keys(
    server: &ServerAddr,
    scope: &Scope,
    asked: Option<Strategy>,
    context: &Context,
    pages: &Sender<Page>,
) -> Result<Shown, Error> {
    let mut retries = Retries::new(context);
    let mut way = listing::choose(server, asked, context, &mut retries).await?;
    loop {
        match attempt(server, scope, way, context, pages).await? {
            Attempt::Left => return Ok(Shown { strategy: way.strategy, taken: false }),
            Attempt::Walked(Ok(Walked::Refused(reply)), _)
                if asked.is_some() || way.strategy == Strategy::Cachedump =>
            {
                return Err(listing::disabled(server, reply));
            }
            Attempt::Walked(Ok(Walked::Refused(_)), _) => way.strategy = Strategy::Cachedump,
            Attempt::Walked(Ok(Walked::Whole(_) | Walked::GivenUp), _) => {
                return Ok(Shown { strategy: way.strategy, taken: true });
            }
            // What was shown would be shown again.
            Attempt::Walked(Err(error), true) => return Err(error),
            Attempt::Walked(Err(error), false) => retries.after(error).await?,
        }
    }
}

/// How a try ended.
enum Attempt {
    /// The receiver was closed; the dump was left, with its connection.
    Left,
    /// How the walk ended, and whether anything was sent.
    Walked(Result<Walked, Error>, bool),
}

async fn attempt(
    server: &ServerAddr,
    scope: &Scope,
    way: Way,
    context: &Context,
    pages: &Sender<Page>,
) -> Result<Attempt, Error> {
    let (filler, mut drainer) = backlog(tempfile::tempfile);
    let lister =
        Lister { server, scope, context, key: BytesMut::new(), lines: BytesMut::new(), filler, listed: (0, 0) };
    // Whether anything was sent; none when the receiver was closed.
    let hand_on = async {
        let mut sent = false;
        while let Some(lines) = drainer.next().await.map_err(|source| unkept(server, source))? {
            let page = Page { server: server.clone(), strategy: way.strategy, lines };
            match context.stop.run_until_cancelled(pages.send(page)).await {
                Some(Ok(())) => sent = true,
                Some(Err(_)) => return Ok(None),
                None => return Err(context.stopped(server, false)),
            }
        }
        Ok(Some(sent))
    };
    let (mut walk, mut hand_on) = (std::pin::pin!(list(server, way, context, lister)), std::pin::pin!(hand_on));
    let mut walked = None;
    loop {
        tokio::select! {
            result = &mut walk, if walked.is_none() => walked = Some(result),
            sent = &mut hand_on => return Ok(match (walked, sent?) {
                (Some(walked), Some(sent)) => Attempt::Walked(walked, sent),
                _ => Attempt::Left,
            }),
        }
    }
}

fn unkept(server: &ServerAddr, source: io::Error) -> Error {
    Error { server: server.clone(), problem: Problem::Local { doing: "keeping listed keys", source } }
}

/// Lists to the end, and hands on the last of it.
async fn list(server: &ServerAddr, way: Way, context: &Context, mut lister: Lister<'_>) -> Result<Walked, Error> {
    let walk = async {
        let mut client = context.connect(server).await?;
        listing::walk(way, &mut client, context, &mut lister).await
    };
    let walked = unless_stopped(context, server, walk).await;
    lister.hand_on();
    match lister.filler.trouble() {
        Some(trouble) if matches!(walked, Ok(Walked::GivenUp)) => {
            Err(unkept(server, io::Error::other(format!("no temporary file: {trouble}"))))
        }
        _ => walked,
    }
}

struct Lister<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    context: &'a Context,
    key: BytesMut,
    lines: BytesMut,
    filler: Filler,
    /// Since the last batch: keys, and those in scope.
    listed: (u64, u64),
}

impl Lister<'_> {
    /// Hands on what is gathered; false when there is no room for more.
    fn hand_on(&mut self) -> bool {
        let (keys, in_scope) = std::mem::take(&mut self.listed);
        self.context.events.tell(Event::Listed { keys, in_scope });
        let lines = self.lines.split().freeze();
        self.lines.reserve(BATCH + 1024);
        lines.is_empty() || self.filler.push(lines)
    }
}

impl Visitor for Lister<'_> {
    fn visit(&mut self, item: Listed<'_>) -> Result<bool, Error> {
        item.decode_key(self.server, &mut self.key)?;
        self.listed.0 += 1;
        if self.scope.contains(&self.key) {
            self.listed.1 += 1;
            self.lines.put_slice(item.line());
            self.lines.put_u8(b'\n');
        }
        let due = self.lines.len() >= BATCH || self.listed.0 >= 65_536;
        Ok(if due { self.hand_on() } else { true })
    }
}
