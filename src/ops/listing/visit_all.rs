//! Visits all keys, without a change on the server.

use super::sample::Sample;
use super::{Coverage, ListedItem, Strategy, Visitor, Walked, Way, choose, walk};
use crate::address::ServerAddr;
use crate::error::Error;
use crate::ops::Context;
use crate::ops::retry::Retries;

/// How far the figures of a listing that can miss and repeat keys may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncertainty {
    /// At most this many keys may be missing.
    pub missing: u64,
    /// About this many keys are listed twice.
    pub repeated: u64,
}

/// The result of [`visit_all`].
pub(in crate::ops) struct Visited<V> {
    pub(in crate::ops) strategy: Strategy,
    pub(in crate::ops) visitor: V,
    /// None if the listing gives every key once.
    pub(in crate::ops) uncertainty: Option<Uncertainty>,
}

/// Shows every key to a visitor. Returns the visitor, with the strategy of the listing. If a listing breaks off, a new
/// one begins with a new visitor.
///
/// # Errors
/// The server could not be reached, or does not list its keys.
pub(in crate::ops) async fn visit_all<V: Visitor>(
    server: &ServerAddr,
    asked: Option<Strategy>,
    context: &Context,
    visitor: impl Fn() -> V,
) -> Result<Visited<V>, Error> {
    let mut retries = Retries::new(context);
    let mut way = choose(server, asked, context, &mut retries).await?;
    loop {
        let mut sampling = Sampling::new();
        let mut visitor = visitor();
        let walk = async {
            let mut client = context.connect(server).await?;
            if way.strategy == Strategy::Hash {
                return walk(way, &mut client, context, &mut visitor).await;
            }
            walk(way, &mut client, context, &mut sampling.before(&mut visitor)).await
        };
        match walk.await {
            Ok(Walked::Refused(reply)) => way = way.after(reply, asked, server, context)?,
            Ok(Walked::Whole(coverage)) => {
                let uncertainty = match way.strategy {
                    Strategy::Hash => None,
                    _ => Some(sampling.uncertainty(server, way, context, &coverage).await?),
                };
                return Ok(Visited { strategy: way.strategy, visitor, uncertainty });
            }
            Err(error) => retries.after(error).await?,
        }
    }
}

/// A sample of a listing, to be compared with a second listing.
pub(in crate::ops) struct Sampling {
    sample: Sample,
    listed: u64,
    highest_cas: u64,
}

impl Sampling {
    pub(in crate::ops) fn new() -> Self {
        let mut sample = Sample::new();
        sample.begin_pass();
        Self { sample, listed: 0, highest_cas: 0 }
    }

    /// A visitor that samples each item before it passes it to `visitor`.
    pub(in crate::ops) fn before<'a>(&'a mut self, visitor: &'a mut dyn Visitor) -> impl Visitor + 'a {
        Before { sampling: self, visitor }
    }

    pub(in crate::ops) fn note(&mut self, item: ListedItem<'_>, watermark: Option<u64>) {
        self.listed += 1;
        self.highest_cas = self.highest_cas.max(item.cas().unwrap_or_default());
        self.sample.note(item.raw_key(), item.cas(), watermark);
    }

    /// Lists once more, and estimates how many keys the first listing missed, by those that the second one lists and
    /// that existed then.
    pub(in crate::ops) async fn uncertainty(
        &mut self,
        server: &ServerAddr,
        way: Way,
        context: &Context,
        coverage: &Coverage,
    ) -> Result<Uncertainty, Error> {
        let (repeated, different) = self.sample.repeated();
        let (listed, highest_cas) = (self.listed, self.highest_cas);
        let unlisted = coverage.hidden + coverage.cut.iter().map(|class| class.unlisted).sum::<u64>();
        self.sample.begin_pass();
        let mut second = Second { sampling: self, watermark: Some(highest_cas).filter(|cas| *cas > 0) };
        let mut client = context.connect(server).await?;
        walk(way, &mut client, context, &mut second).await?;
        let recapture = self.sample.recapture();
        let missing = if recapture.there == 0 { 0.0 } else { recapture.upper_bound() * listed as f64 };
        let repeats = if different == 0 { 0.0 } else { repeated as f64 / (repeated + different) as f64 };
        Ok(Uncertainty {
            missing: unlisted.saturating_add(missing.ceil() as u64),
            repeated: (repeats * listed as f64).round() as u64,
        })
    }
}

struct Before<'a> {
    sampling: &'a mut Sampling,
    visitor: &'a mut dyn Visitor,
}

impl Visitor for Before<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        self.sampling.note(item, None);
        self.visitor.visit(item)
    }
}

struct Second<'a> {
    sampling: &'a mut Sampling,
    watermark: Option<u64>,
}

impl Visitor for Second<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        self.sampling.note(item, self.watermark);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::ops::Event;
    use crate::ops::scripted::{LRU_DUMP, Say, address, collect, item, server, text};

    #[derive(Default)]
    struct Count(u64);

    impl Visitor for Count {
        fn visit(&mut self, _: ListedItem<'_>) -> Result<(), Error> {
            self.0 += 1;
            Ok(())
        }
    }

    /// How many keys two listings of the LRU lists show, and how far the first may be off.
    async fn visited(first: String, second: String) -> (u64, Option<Uncertainty>) {
        let number = AtomicUsize::new(0);
        let (context, _) = server(move |line| match line {
            "version" => text("VERSION 1.6.18\r\n"),
            "stats" => text("END\r\n"),
            LRU_DUMP if number.fetch_add(1, SeqCst) == 0 => Say::Text(first.clone() + "END\r\n"),
            LRU_DUMP => Say::Text(second.clone() + "END\r\n"),
            _ => text("ERROR\r\n"),
        });
        let visited = visit_all(&address(), None, &context, Count::default).await.unwrap();
        assert_eq!(visited.strategy, Strategy::Lru);
        (visited.visitor.0, visited.uncertainty)
    }

    fn items(numbers: std::ops::Range<u64>) -> String {
        numbers.map(|n| item(&format!("shop:{n}"), n + 1)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_a_listing_misses_and_repeats_are_estimated() {
        // 1,000 keys, of which the first listing misses 100 and shows 50 twice. The keys stored since do not count.
        let first = items(0..450) + &items(550..1_000) + &items(0..50);
        let (listed, uncertainty) = visited(first, items(0..1_200)).await;
        let Uncertainty { missing, repeated } = uncertainty.unwrap();
        assert_eq!(listed, 950);
        assert!((100..200).contains(&missing), "{missing}");
        assert!((45..=55).contains(&repeated), "{repeated}");

        let (_, uncertainty) = visited(items(0..1_000), items(0..1_000)).await;
        let Uncertainty { missing, repeated } = uncertainty.unwrap();
        assert!(missing < 30 && repeated == 0, "{missing} {repeated}");
        // Without CAS, a key that only the second listing shows may be new.
        let without_cas = |to| (0..to).map(|n| item(&format!("shop:{n}"), 0)).collect();
        let (_, uncertainty) = visited(without_cas(1_000), without_cas(1_200)).await;
        assert!(uncertainty.unwrap().missing < 30, "{uncertainty:?}");
        assert_eq!(visited(String::new(), items(0..9)).await, (0, Some(Uncertainty { missing: 0, repeated: 0 })));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_cachedump_leaves_out_is_added_up() {
        // And half of the six that are listed, as long as there are too few keys to say more.
        for (settings, missing) in [("yes", 2 + 3 + 4 + 3), ("no", 4 + 3)] {
            let (context, _) = server(move |line| match line {
                "version" => text("VERSION 1.4.25\r\n"),
                "stats settings" => Say::Text(format!("STAT lru_maintainer_thread {settings}\r\nEND\r\n")),
                "stats items" => text(
                    "STAT items:1:number 5\r\nSTAT items:2:number 4\r\nSTAT items:3:number 5\r\nSTAT items:4:number 1\r\nEND\r\n",
                ),
                "stats cachedump 1 0" => text("ITEM a [1 b; 0 s]\r\nITEM b [1 b; 0 s]\r\nITEM c [1 b; 0 s]\r\nEND\r\n"),
                "stats cachedump 2 0" | "stats cachedump 4 0" => text("ITEM d [1 b; 0 s]\r\nEND\r\n"),
                "stats cachedump 3 0" => text("ITEM e [1 b; 0 s]\r\nITEM f\ng [1 b; 0 s]\r\nEND\r\n"),
                _ => text("END\r\n"),
            });
            let visited = visit_all(&address(), None, &context, Count::default).await.unwrap();
            assert_eq!((visited.strategy, visited.visitor.0), (Strategy::Cachedump, 6));
            assert_eq!(visited.uncertainty.unwrap().missing, missing, "{settings}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_walk_that_can_freeze_other_clients_is_warned_of() {
        for (version, asked, is_warned) in [
            ("1.6.18", Some(Strategy::Hash), true),
            ("1.6.45", Some(Strategy::Hash), false),
            ("1.6.18", Some(Strategy::Lru), false),
            ("1.6.18", None, false),
        ] {
            let (mut context, _) = server(move |line| match line {
                "version" => Say::Text(format!("VERSION {version}\r\n")),
                _ => text("END\r\n"),
            });
            let warnings = collect(&mut context, |event| matches!(event, Event::Warning(_)).then_some(()));
            let visited = visit_all(&address(), asked, &context, Count::default).await.unwrap();
            assert_eq!(visited.strategy, asked.unwrap_or(Strategy::Lru));
            assert_eq!(!warnings.lock().unwrap().is_empty(), is_warned, "{version}, {asked:?}");
        }
    }
}
