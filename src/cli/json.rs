//! The one JSON document of `--json`: docs/output.schema.json describes it.

use std::io::{self, Write};
use std::time::Duration;

use mcflush::address::ServerAddr;
use mcflush::error::Error;
use mcflush::ops::Strategy;
use mcflush::ops::clear::{Cleared, Deleted, Found, Survey};
use mcflush::ops::flush::Flushed;
use mcflush::ops::hot::{HotKey, Seen};
use mcflush::ops::namespaces::Counted;
use mcflush::protocol::Escaped;
use mcflush::protocol::stats::Stat;
use mcflush::scope::Scope;
use serde_json::{Map, Value, json};

use super::advice;
use super::hot::{self, FleetTraffic};
use super::namespaces::{NamespaceRow, Sighting};
use super::sink::Sink;
use super::stats::{GroupStats, ServerStats, Since, StatsFormat};

/// The document to print; the servers' results are added one by one.
#[derive(Debug)]
pub struct Document {
    command: &'static str,
    /// None for a command that changes nothing.
    dry_run: Option<bool>,
    /// Fields about all servers together.
    together: Map<String, Value>,
    servers: Vec<Value>,
    is_printed: bool,
}

impl Document {
    /// The document of a command that deletes items, or reports what it would delete.
    pub fn emptying(command: &'static str, dry_run: bool) -> Self {
        Self { command, dry_run: Some(dry_run), together: Map::new(), servers: Vec::new(), is_printed: false }
    }

    /// The document of a command that changes nothing.
    pub fn changing_nothing(command: &'static str) -> Self {
        Self { command, dry_run: None, together: Map::new(), servers: Vec::new(), is_printed: false }
    }
}

impl Sink for Document {
    fn flushed(&mut self, server: &ServerAddr, result: &Result<Flushed, Error>) {
        let flushed = result.as_ref().ok();
        let mut row = json!({
            "server": server.to_string(),
            "ok": result.is_ok(),
            "complete": result.is_ok(),
            "items_before": flushed.and_then(|flushed| flushed.items_before),
            "delay": flushed.map_or(0, |flushed| flushed.delay),
            "swept": flushed.and_then(|flushed| flushed.swept),
            "proof": flushed.and_then(|flushed| flushed.proof).map(|proof| proof.as_str()),
            "error": result.as_ref().err().map(error),
        });
        keep_count(&mut row, flushed.and_then(|flushed| flushed.kept_new));
        self.servers.push(row);
    }

    fn cleared(&mut self, server: &ServerAddr, cleared: &Cleared) {
        let mut row = json!({
            "server": server.to_string(),
            "ok": cleared.error.is_none(),
            "complete": cleared.proof.is_some(),
            "listed": cleared.listed,
            "matched": cleared.matched,
            "deleted": cleared.deleted,
            "bytes": cleared.bytes,
            "passes": cleared.passes,
            "strategy": cleared.strategy.map(|strategy| strategy.as_str()),
            "proof": cleared.proof.map(|proof| proof.as_str()),
            "miss_rate": cleared.miss_rate,
            "doubt": cleared.doubt,
            "seconds": seconds(cleared.took),
            "error": cleared.error.as_ref().map(error),
        });
        keep_count(&mut row, cleared.kept_new);
        self.servers.push(row);
    }

    fn deleted(&mut self, server: &ServerAddr, deleted: &Deleted) {
        self.servers.push(json!({
            "server": server.to_string(),
            "ok": deleted.error.is_none(),
            "complete": deleted.error.is_none(),
            "named": deleted.named,
            "deleted": deleted.deleted,
            "missing": deleted.missing,
            "unreachable": deleted.unreachable,
            "seconds": seconds(deleted.took),
            "error": deleted.error.as_ref().map(error),
        }));
    }

    fn surveyed(&mut self, server: &ServerAddr, scope: &Scope, result: &Result<Survey, Error>) {
        let survey = result.as_ref().ok();
        let sum = |of: fn(&Found) -> u64| survey.map(|it| it.found.iter().map(of).sum::<u64>());
        let row = |name: &str, bytes: &[u8], found: &Found| json!({ name: Escaped(bytes).to_string(), "keys": found.keys, "bytes": found.bytes });
        let prefixes = survey.map(|survey| {
            let found = scope.prefixes().iter().zip(&survey.found);
            found.map(|(prefix, found)| row("prefix", prefix.as_bytes(), found)).collect::<Vec<_>>()
        });
        let globs = survey.map(|survey| {
            let found = scope.globs().iter().zip(survey.found.iter().skip(scope.prefixes().len()));
            found.map(|(glob, found)| row("match", glob.as_bytes(), found)).collect::<Vec<_>>()
        });
        self.servers.push(json!({
            "server": server.to_string(),
            "ok": result.is_ok(),
            "complete": null,
            "listed": survey.map_or(0, |survey| survey.listed),
            "matched": sum(|found| found.keys).unwrap_or_default(),
            "deleted": 0,
            "bytes": sum(|found| found.bytes),
            "passes": u32::from(survey.is_some()),
            "strategy": survey.map(|survey| survey.strategy.as_str()),
            "proof": null,
            "prefixes": prefixes,
            "matches": globs,
            "error": result.as_ref().err().map(error),
        }));
    }

    fn stats(&mut self, server: &ServerAddr, result: &Result<GroupStats, Error>, since: Option<&Since>) {
        let groups: Map<_, _> = result
            .iter()
            .flatten()
            .map(|(group, stats)| (group.as_str().into(), stats.iter().map(statistic).collect::<Map<_, _>>().into()))
            .collect();
        let mut object = Map::new();
        object.insert("server".into(), server.to_string().into());
        object.insert("ok".into(), result.is_ok().into());
        object.insert("groups".into(), groups.into());
        if let Some(since) = since {
            let (mut seconds, mut changed, mut hit_ratio) = (None, Map::new(), None);
            if let Since::Changes(changes) = since {
                seconds = Some(changes.seconds);
                hit_ratio = changes.hit_ratio;
                for (group, name, _, difference) in &changes.changed {
                    let of_group = changed.entry(group.as_str()).or_insert_with(|| json!({}));
                    if let Value::Object(of_group) = of_group {
                        of_group.insert(name.clone(), json!(difference));
                    }
                }
            }
            object.insert("seconds".into(), json!(seconds));
            object.insert("restarted".into(), (*since == Since::Restarted).into());
            object.insert("changed".into(), changed.into());
            object.insert("hit_ratio".into(), json!(hit_ratio));
        }
        object.insert("error".into(), result.as_ref().err().map_or(Value::Null, error));
        self.servers.push(object.into());
    }

    fn all_stats(&mut self, _: &[ServerStats], _: &[ServerAddr], _: StatsFormat) {}

    fn counted(&mut self, server: &ServerAddr, result: &Result<Counted, Error>, seen: Option<&Seen>) {
        let counted = result.as_ref().ok();
        let mut row = json!({
            "server": server.to_string(),
            "ok": result.is_ok(),
            "complete": counted.is_some_and(|counted| counted.strategy == Strategy::Hash),
            "listed": counted.map_or(0, |counted| counted.namespaces.total().keys),
            "strategy": counted.map(|counted| counted.strategy.as_str()),
            "error": result.as_ref().err().map(error),
        });
        if let (Value::Object(row), Some(seen)) = (&mut row, seen) {
            row.insert("skipped".into(), seen.skipped.into());
        }
        self.servers.push(row);
    }

    fn namespaces(&mut self, _: &[ServerAddr], rows: &[NamespaceRow], sighting: Option<&Sighting>) {
        let row = |NamespaceRow { prefix, usage, uses }: &NamespaceRow| {
            let mut row = json!({
                "prefix": prefix,
                "keys": usage.keys,
                "bytes": usage.bytes,
                "expiring": usage.expiring,
                "oldest_access": usage.oldest_access,
            });
            if let (Value::Object(row), Some(sighting)) = (&mut row, sighting) {
                let uses = uses.unwrap_or_default();
                row.insert("reads_per_second".into(), per_second(sighting, uses.gets));
                row.insert("writes_per_second".into(), per_second(sighting, uses.sets));
            }
            row
        };
        let complete = self.servers.iter().all(|server| server.get("complete") == Some(&Value::Bool(true)));
        self.together.insert("complete".into(), complete.into());
        self.together.insert("namespaces".into(), rows.iter().map(row).collect());
    }

    fn seen(&mut self, server: &ServerAddr, result: &Result<Seen, Error>) {
        let seen = result.as_ref().ok();
        self.servers.push(json!({
            "server": server.to_string(),
            "ok": result.is_ok(),
            "seconds": seen.map_or(0.0, |seen| seconds(seen.time)),
            "lines": seen.map_or(0, |seen| seen.lines),
            "skipped": seen.map_or(0, |seen| seen.skipped),
            "logs_deletes": seen.map(|seen| seen.logs_deletes),
            "error": result.as_ref().err().map(error),
        }));
    }

    fn used(&mut self, together: &FleetTraffic, rows: &[hot::HotRow], most: usize) {
        let sighting = &together.sighting;
        let row = |hot::HotRow { prefix, uses }: &hot::HotRow| {
            json!({
                "prefix": prefix,
                "gets": uses.gets,
                "hits": uses.hits,
                "sets": uses.sets,
                "deletes": uses.deletes,
                "evictions": uses.evictions,
                "gets_per_second": per_second(sighting, uses.gets),
                "sets_per_second": per_second(sighting, uses.sets),
                "deletes_per_second": per_second(sighting, uses.deletes),
                "evictions_per_second": per_second(sighting, uses.evictions),
            })
        };
        let key = |(key, place): &(HotKey, usize)| {
            json!({
                "server": together.servers.get(*place).map(ToString::to_string),
                "key": Escaped(&key.key).to_string(),
                "uses": key.uses,
                "surplus": key.surplus,
            })
        };
        self.together.insert("seconds".into(), seconds(sighting.time).into());
        self.together.insert("namespaces".into(), rows.iter().map(row).collect());
        self.together.insert("keys".into(), together.hottest(most).into_iter().map(key).collect());
    }

    fn remark(&mut self, _: &str) {}

    /// Prints the document.
    fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_printed, true) {
            return Ok(());
        }
        let mut document = Map::new();
        document.insert("command".into(), self.command.into());
        if let Some(dry_run) = self.dry_run {
            let complete = self.servers.iter().all(|server| server.get("complete") == Some(&Value::Bool(true)));
            document.insert("dry_run".into(), dry_run.into());
            document.insert("complete".into(), if dry_run { Value::Null } else { complete.into() });
        }
        document.append(&mut self.together);
        document.insert("servers".into(), std::mem::take(&mut self.servers).into());
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, &document)?;
        writeln!(stdout)?;
        stdout.flush()
    }
}

/// Adds the number of new keys that were kept, if new keys are kept.
fn keep_count(row: &mut Value, kept_new: Option<u64>) {
    if let (Value::Object(row), Some(kept_new)) = (row, kept_new) {
        row.insert("kept_new".into(), kept_new.into());
    }
}

fn per_second(sighting: &Sighting, uses: u64) -> Value {
    ((sighting.per_second(uses) * 1000.0).round() / 1000.0).into()
}

/// Rounded to milliseconds: more digits would be noise.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn error(error: &Error) -> Value {
    json!({ "kind": error.kind().to_string(), "message": format!("{}: {}", error.problem, advice::of(error)) })
}

/// A statistic with its value as a number, or as a text if it is not spelled as a number.
fn statistic(stat: &Stat) -> (String, Value) {
    let (name, value) = (Escaped(stat.name()).to_string(), Escaped(stat.value()).to_string());
    // Their values have dots but are not numbers.
    let is_text = matches!(name.as_str(), "version" | "libevent");
    let spelled = |number: &Value| serde_json::to_string(number).is_ok_and(|text| text == value);
    let whole = value.parse::<i64>().map(Value::from).or_else(|_| value.parse::<u64>().map(Value::from));
    let whole = whole.ok().filter(spelled);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fraction = || value.parse::<f64>().ok().filter(|_| plain(&value)).map(Value::from);
    let number = if is_text { None } else { whole.or_else(fraction) };
    (name, number.unwrap_or(Value::String(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_spelled_as_a_number_is_one() {
        for (name, value, expected) in [
            ("curr_items", "7", json!(7)),
            ("limit_maxbytes", "18446744073709551615", json!(u64::MAX)),
            ("rusage_user", "0.250000", json!(0.25)),
            ("delta", "-1", json!(-1)),
            ("version", "1.6", json!("1.6")),
            ("mode", "007", json!(7.0)),
            ("growth", "inf", json!("inf")),
            ("big", "1e9", json!("1e9")),
            ("empty", "", json!("")),
            ("hostile", "\u{1b}[2J", json!("\\x1b[2J")),
        ] {
            let stat = Stat::new(name, value).unwrap();
            assert_eq!(statistic(&stat), (name.to_owned(), expected), "{name}");
        }
    }
}
