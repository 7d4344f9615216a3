//! Decides, by what the server reports, how to ensure that a flush left nothing.

use super::Flush;
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, FailureKind, Problem};
use crate::ops::clear::Instance;
use crate::ops::dialect::{Dialect, Dumps, FlushBy};
use crate::ops::{Context, figure};
use crate::protocol::admin::ServerVersion;
use crate::protocol::stats::{Stat, StatsGroup};

/// What a server reports before it is flushed.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) items: Option<u64>,
    pub(super) is_proxy: bool,
    /// The server process before the flush; none if the server does not report it.
    pub(super) instance: Option<Instance>,
    version: Option<ServerVersion>,
    /// Asked for only if they matter; none if the server does not report them.
    settings: Option<Vec<Stat>>,
}

impl Facts {
    /// Asks the server. Also returns the connection on which the server can be flushed.
    ///
    /// # Errors
    /// The server cannot be reached, is silent, or wants a login. If it closes the connection or answers an error, as a
    /// proxy does, the flush is still tried.
    pub(super) async fn learn(server: &ServerAddr, context: &Context, how: Flush) -> Result<(Client, Self), Error> {
        let mut client = context.connect(server).await?;
        let stats = match client.stats(StatsGroup::General).await {
            Ok(stats) => stats,
            Err(error) if is_final(&error) => return Err(error),
            Err(_) => {
                client = context.connect(server).await?;
                Vec::new()
            }
        };
        let answers = !stats.is_empty();
        let mut facts = Self {
            items: figure::number(&stats, "curr_items"),
            is_proxy: figure::text(&stats, "proxy_conn_requests").is_some(),
            instance: Instance::of(&stats),
            version: figure::text(&stats, "version").and_then(|version| ServerVersion::new(version.to_owned())),
            settings: None,
        };
        let decides = matches!(how, Flush::Exact { .. }) && answers && !facts.is_proxy;
        if decides && facts.version.is_none() {
            match client.version().await {
                Ok(version) => facts.version = Some(version),
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => client = context.connect(server).await?,
            }
        }
        if decides && facts.version.is_some() {
            match client.stats(StatsGroup::Settings).await {
                Ok(settings) => facts.settings = Some(settings),
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => client = context.connect(server).await?,
            }
        }
        Ok((client, facts))
    }

    fn setting(&self, name: &str) -> Option<&str> {
        figure::text(self.settings.as_deref()?, name)
    }

    fn has_cas(&self) -> bool {
        self.setting("cas_enabled") == Some("yes")
    }

    /// Whether `flush_all` decides by time which items it hides; a read can change that time.
    pub(super) fn flushes_by_time(&self) -> bool {
        self.version.as_ref().is_none_or(|version| Dialect::of(version).flushes_by_time(self.has_cas()))
    }

    /// Whether `flush_all` also hides items stored after it in the same second.
    pub(super) fn flushes_whole_seconds(&self) -> bool {
        self.version.as_ref().is_none_or(|version| Dialect::of(version).flushes_whole_seconds(self.has_cas()))
    }

    /// Whether the hash table can be walked, by the server's settings.
    fn lists_keys(&self) -> bool {
        self.setting("lru_crawler") != Some("no") && self.setting("dump_enabled") != Some("no")
    }
}

/// Whether a retry is useless: a second silence would take as long, and a flush needs the login too.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), FailureKind::Timeout | FailureKind::Auth | FailureKind::Refused)
        || matches!(error.problem, Problem::BinaryOnly)
}

/// How to ensure that no item stored before a flush is readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Walk the hash table and delete the listed items.
    Walk,
    /// Flush twice; the server compares CAS.
    Cas,
    /// Flush twice, two turns of the server's clock apart.
    Twice,
}

impl Plan {
    pub(super) fn of(facts: &Facts) -> Self {
        let Some(version) = facts.version.as_ref().filter(|_| !facts.is_proxy) else { return Self::Twice };
        let dialect = Dialect::of(version);
        match (dialect.dumps(), dialect.flush_by()) {
            (Dumps::Hash, _) if facts.lists_keys() => Self::Walk,
            (Dumps::Hash, _) => Self::Twice,
            (_, FlushBy::Cas) if facts.has_cas() => Self::Cas,
            _ => Self::Twice,
        }
    }

    /// If new items are to be kept: why they cannot be told from old ones.
    pub(super) fn check_age(self, facts: &Facts) -> Result<(), &'static str> {
        match self {
            _ if facts.setting("cas_enabled") == Some("no") => Err("the server keeps no CAS (-C)"),
            Self::Twice => Err(
                "flush_all has to be sent twice to this server, and the second also deletes items stored after the first",
            ),
            Self::Walk | Self::Cas => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: &str, settings: &[(&'static str, &'static str)]) -> Facts {
        Facts {
            items: None,
            is_proxy: false,
            instance: None,
            version: ServerVersion::new(version.to_owned()),
            settings: Some(settings.iter().map(|(name, value)| Stat::new(*name, *value).unwrap()).collect()),
        }
    }

    #[test]
    fn which_items_a_flush_hides() {
        for (version, cas, by_time, whole_seconds) in [
            ("1.4.22", "yes", true, true),
            ("1.6.18", "yes", false, false),
            ("1.6.18", "no", true, true),
            ("1.6.24", "no", true, true),
            ("1.6.25", "yes", true, false),
            ("1.6.45", "no", true, false),
            ("something", "yes", true, true),
        ] {
            let facts = facts(version, &[("cas_enabled", cas)]);
            let found = (facts.flushes_by_time(), facts.flushes_whole_seconds());
            assert_eq!(found, (by_time, whole_seconds), "{version} {cas}");
        }
    }

    #[test]
    fn how_a_flush_is_checked() {
        const CAS: (&str, &str) = ("cas_enabled", "yes");
        const NO_CAS: (&str, &str) = ("cas_enabled", "no");
        for (version, settings, plan, keeps_new) in [
            ("1.6.45", &[CAS, ("lru_crawler", "yes"), ("dump_enabled", "yes")][..], Plan::Walk, true),
            ("1.6.45", &[NO_CAS, ("lru_crawler", "yes")], Plan::Walk, false),
            ("1.6.19", &[CAS], Plan::Walk, true),
            ("1.6.19", &[CAS, ("lru_crawler", "no")], Plan::Twice, false),
            ("1.6.45", &[CAS, ("lru_crawler", "no")], Plan::Twice, false),
            ("1.6.38", &[CAS, ("dump_enabled", "no")], Plan::Twice, false),
            ("1.6.18", &[CAS, ("lru_crawler", "no")], Plan::Cas, true),
            ("1.4.23", &[CAS], Plan::Cas, true),
            ("1.6.18", &[NO_CAS], Plan::Twice, false),
            ("1.4.22", &[CAS], Plan::Twice, false),
            ("something", &[CAS], Plan::Twice, false),
        ] {
            let facts = facts(version, settings);
            assert_eq!(Plan::of(&facts), plan, "{version} {settings:?}");
            assert_eq!(plan.check_age(&facts).is_ok(), keeps_new, "{version} {settings:?}");
        }
        let current = facts("1.6.45", &[CAS]);
        assert_eq!(Plan::of(&Facts { is_proxy: true, ..current.clone() }), Plan::Twice);
        assert_eq!(Plan::of(&Facts { version: None, ..current }), Plan::Twice);
    }
}
