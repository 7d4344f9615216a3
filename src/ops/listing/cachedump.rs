//! `stats cachedump`: at most 2 MB of one LRU list of each slab class, as raw keys, without keys that were stored as
//! base64.
//!
//! A raw key can hold a line end, which breaks the listing of its class: the rest of it cannot be read. A NUL byte cuts
//! a listed key short, so that no command finds it under its listed name.
//!
//! The server holds the list's lock while it copies the keys, and leaves out none because a client reads it (upstream's
//! `item_cachedump`). So if a class has one list and its dump was not cut, the dump has every key of the class, except
//! an item that is between two lists or two values at that instant, as in a dump of the LRU lists.

use std::collections::BTreeMap;

use super::{Coverage, Cut, CutClass, ListedItem, Visitor, Walked};
use crate::client::Client;
use crate::codec::{Answer, CodecError};
use crate::error::{Error, Problem};
use crate::ops::dialect::Dialect;
use crate::ops::{Context, figure};
use crate::protocol::cachedump::{Cachedump, CachedumpItem};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::{ErrorReply, Meaning, Reply, Request};

/// The server ends a dump before it reaches this many bytes (`memlimit` in upstream's `item_cachedump`).
const LIMIT: usize = 2 << 20;

/// The longest line that a dump can have. A line that did not fit may have been this long.
const LINE_MAX: usize = 512;

/// What `stats items` reports of a slab class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Class {
    /// Items in all lists of the class.
    pub(super) number: u64,
    /// How many lists of the class, except the cold one, hold items.
    pub(super) other_lists: u64,
    /// Items in the list of those that never expire or, since 1.4.35, that expire soon.
    pub(super) fourth_list: u64,
}

/// Asks which slab classes hold items.
pub(super) async fn classes(client: &mut Client) -> Result<BTreeMap<u32, Class>, Error> {
    Ok(read_classes(&client.stats(StatsGroup::Items).await?))
}

pub(super) fn read_classes(stats: &[Stat]) -> BTreeMap<u32, Class> {
    let mut classes: BTreeMap<u32, Class> = BTreeMap::new();
    for stat in stats {
        // items:CLASS:NAME
        let Some((class, name)) = std::str::from_utf8(stat.name()).ok().and_then(|name| {
            let mut parts = name.splitn(3, ':').skip(1);
            Some((parts.next()?.parse().ok()?, parts.next()?))
        }) else {
            continue;
        };
        let class = classes.entry(class).or_default();
        let number = std::str::from_utf8(stat.value()).ok().and_then(|value| value.parse::<u64>().ok());
        match (name, number) {
            ("number", Some(number)) => class.number = number,
            ("number_hot" | "number_warm", Some(1..)) => class.other_lists += 1,
            ("number_noexp" | "number_temp", Some(number @ 1..)) => {
                class.other_lists += 1;
                class.fourth_list = number;
            }
            _ => {}
        }
    }
    classes
}

/// The result of one dump of a class.
pub(super) struct ClassDump {
    pub(super) listed: u64,
    /// Whether the server may have ended the dump before the end of the list.
    pub(super) is_cut: bool,
}

/// How a dump of a class ended.
pub(super) enum Dumped {
    Whole(ClassDump),
    /// The dump stopped after this many keys at a key with a line end in it. The connection can no longer be used.
    Broken(u64),
    Refused(ErrorReply),
}

/// Calls `show` for the newest `limit` items of a class's list, or for all if `limit` is 0. An error from `show` ends
/// the dump.
pub(super) async fn dump(
    client: &mut Client,
    class: u32,
    limit: u32,
    mut show: impl FnMut(CachedumpItem) -> Result<(), Error>,
) -> Result<Dumped, Error> {
    client.begin("stats cachedump");
    client.send(Request::Cachedump(Cachedump { class, limit })).await?;
    let (mut listed, mut bytes) = (0, 0);
    loop {
        let answer = match client.next().await {
            Err(error) if is_malformed(&error) => return Ok(Dumped::Broken(listed)),
            answer => answer?,
        };
        match answer {
            Answer { reply: Reply::Cachedump(item), .. } => {
                listed += 1;
                bytes += item.as_bytes().len() + 2;
                show(item)?;
            }
            Answer { reply: Reply::End, .. } => break,
            Answer { reply: Reply::Error(reply), .. } if reply.meaning() != Meaning::Transient => {
                return Ok(Dumped::Refused(reply));
            }
            Answer { reply, .. } => return Err(client.refused(reply)),
        }
    }
    // A key with a line end in it can look like the end of a dump. Then the next line is not the answer to a `version`.
    match client.version().await {
        Err(error) if is_malformed(&error) => return Ok(Dumped::Broken(listed)),
        version => version?,
    };
    Ok(Dumped::Whole(ClassDump { listed, is_cut: bytes + LINE_MAX > LIMIT }))
}

const fn is_malformed(error: &Error) -> bool {
    matches!(error.problem, Problem::Codec { source: CodecError::Malformed { .. }, .. })
}

pub(super) async fn walk(
    client: &mut Client,
    dialect: Dialect,
    context: &Context,
    visitor: &mut dyn Visitor,
) -> Result<Walked, Error> {
    // A server that does not report its settings counts as one with several lists.
    let has_one_list = match client.stats(StatsGroup::Settings).await {
        Ok(settings) => has_one_list(&settings),
        Err(Error { problem: Problem::Refusal { .. }, .. }) => false,
        Err(error) => return Err(error),
    };
    let classes = match classes(client).await {
        Ok(classes) => classes,
        Err(Error { problem: Problem::Refusal { reply, .. }, .. }) => return Ok(Walked::Refused(reply)),
        Err(error) => return Err(error),
    };
    if classes.is_empty() && holds_items(client).await? && self::classes(client).await?.is_empty() {
        return Err(client.error(Problem::Unsuited {
            what: "the server holds items, and names no slab class that they are in",
            instead: "flush the whole instance, or give the app a prefix with a version in it",
        }));
    }
    let mut coverage = Coverage::default();
    for (class, before) in classes {
        let dumped = match dump(client, class, 0, |item| visitor.visit(ListedItem::Cachedump(&item))).await? {
            Dumped::Whole(dumped) => dumped,
            Dumped::Broken(listed) => {
                let unlisted = before.number.saturating_sub(listed).max(1);
                coverage.cut.push(CutClass { class, unlisted, by: Cut::LineEnd });
                *client = context.connect(&client.server().clone()).await?;
                continue;
            }
            Dumped::Refused(reply) => return Ok(Walked::Refused(reply)),
        };
        let unlisted = before.number.saturating_sub(dumped.listed);
        if dumped.is_cut {
            coverage.cut.push(CutClass { class, unlisted, by: Cut::Limit });
        } else if !has_one_list || before.other_lists > 0 {
            coverage.hidden += unlisted;
            coverage.is_partial = true;
        } else if dialect.hides_base64() {
            coverage.hidden += unlisted;
        }
    }
    Ok(Walked::Whole(coverage))
}

/// Whether the server holds items, if it says so.
async fn holds_items(client: &mut Client) -> Result<bool, Error> {
    match client.stats(StatsGroup::General).await {
        Ok(stats) => Ok(figure::number(&stats, "curr_items").is_some_and(|items| items > 0)),
        Err(Error { problem: Problem::Refusal { .. }, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether each slab class has a single LRU list (`-o no_modern`, `lru mode flat`, servers before `-o lru_maintainer`).
fn has_one_list(settings: &[Stat]) -> bool {
    let setting = |name: &str| settings.iter().find(|stat| stat.name() == name).map(Stat::value);
    match setting("lru_segmented") {
        Some(value) => value == "no",
        None => setting("lru_maintainer_thread").is_none_or(|value| value == "no"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FailureKind;
    use crate::ops::scripted::{Say, address, server, text};

    fn stats(lines: &[(&'static str, &'static str)]) -> Vec<Stat> {
        lines.iter().map(|(name, value)| Stat::new(*name, *value).unwrap()).collect()
    }

    #[test]
    fn classes_and_their_lists() {
        let found = read_classes(&stats(&[
            ("items:1:number", "2"),
            ("items:1:number_hot", "0"),
            ("items:1:number_cold", "2"),
            ("items:12:number", "7"),
            ("items:12:number_hot", "1"),
            ("items:12:number_warm", "3"),
            ("items:12:number_temp", "0"),
            ("items:13:number", "9"),
            ("items:13:number_noexp", "4"),
            ("items:x:number", "7"),
            ("pid", "7"),
        ]));
        let class = |number, other_lists, fourth_list| Class { number, other_lists, fourth_list };
        let expected = [(1, class(2, 0, 0)), (12, class(7, 2, 0)), (13, class(9, 1, 4))];
        assert_eq!(found, BTreeMap::from(expected));
    }

    /// The dump of a class by a server that answers in this way.
    async fn dumped(answer: String) -> Result<Dumped, Error> {
        let (context, _) = server(move |line| match line {
            "version" => text("VERSION 1.4.15\r\n"),
            _ => Say::Text(answer.clone()),
        });
        let mut client = context.connect(&address()).await?;
        dump(&mut client, 1, 0, |_| Ok(())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_dump_of_nearly_two_megabytes_may_have_been_cut() {
        let line = |length: usize| format!("ITEM {} [1 b; 0 s]\r\n", "k".repeat(length - 18));
        let whole = LIMIT - LINE_MAX;
        for (bytes, is_cut) in [(whole, false), (whole + 1, true)] {
            let lines = bytes / 200 - 1;
            let answer = line(200).repeat(lines) + &line(bytes - 200 * lines - 200) + &line(200) + "END\r\n";
            assert_eq!(answer.len(), bytes + "END\r\n".len());
            let Dumped::Whole(dumped) = dumped(answer).await.unwrap() else { panic!("not whole") };
            assert_eq!((dumped.listed, dumped.is_cut), (lines as u64 + 2, is_cut));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dump_ends_at_a_key_with_a_line_end_and_at_a_refusal() {
        let cut_short = dumped("ITEM a [1 b; 0 s]\r\nITEM b\nc [1 b; 0 s]\r\nEND\r\n".into()).await;
        assert!(matches!(cut_short, Ok(Dumped::Broken(1))));
        let like_an_end = dumped("ITEM a [1 b; 0 s]\r\nITEM b [1 b; 0 s]\r\nEND\r\n [1 b; 0 s]\r\nEND\r\n".into());
        assert!(matches!(like_an_end.await, Ok(Dumped::Broken(2))));
        assert!(matches!(dumped("CLIENT_ERROR not here\r\n".into()).await, Ok(Dumped::Refused(_))));
        let error = dumped("SERVER_ERROR backend failure\r\n".into()).await.err().unwrap();
        assert!(matches!(error.problem, Problem::Transient { .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_lost_after_a_dump_is_no_sign_of_a_key_with_a_line_end() {
        let (context, _) = server(|_| Say::Last("ITEM a [1 b; 0 s]\r\nEND\r\n".into()));
        let mut client = context.connect(&address()).await.unwrap();
        let error = dump(&mut client, 1, 0, |_| Ok(())).await.err().unwrap();
        assert_eq!(error.kind(), FailureKind::Lost);
    }

    #[test]
    fn servers_with_one_list_a_class() {
        for (settings, expected) in [
            (&[][..], true),
            (&[("lru_maintainer_thread", "no")], true),
            (&[("lru_maintainer_thread", "yes")], false),
            (&[("lru_maintainer_thread", "yes"), ("lru_segmented", "yes")], false),
            (&[("lru_maintainer_thread", "no"), ("lru_segmented", "no")], true),
        ] {
            assert_eq!(has_one_list(&stats(settings)), expected, "{settings:?}");
        }
    }
}
