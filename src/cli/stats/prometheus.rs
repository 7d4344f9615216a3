//! Statistics as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mcflush::address::ServerAddr;
use mcflush::protocol::Escaped;

use super::known::{StatKind, metric};
use super::{Group, ServerStats, number};

/// A metric with all of its samples, which must stand together for any number of servers.
#[derive(Debug)]
struct Family {
    help: String,
    kind: StatKind,
    samples: Vec<String>,
}

/// The text. A server that did not answer has only `memcached_up`, with the value 0.
pub fn prometheus(servers: &[ServerStats], down: &[ServerAddr]) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut put = |name: &str, kind: StatKind, help: String, labels: &[(&str, &str)], value: &str| {
        let family =
            families.entry(format!("memcached_{name}")).or_insert_with(|| Family { help, kind, samples: Vec::new() });
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", label(value))).collect();
        family.samples.push(format!("{{{}}} {value}", labels.join(",")));
    };
    let is_up = || "Whether the server answered.".to_owned();
    for (server, said) in servers {
        let server = server.to_string();
        put("up", StatKind::Gauge, is_up(), &[("server", &server)], "1");
        for (group, stats) in said {
            for stat in stats {
                let name = Escaped(stat.name()).to_string();
                if (*group, name.as_str()) == (Group::General, "version") {
                    let version = Escaped(stat.value()).to_string();
                    let labels = [("server", server.as_str()), ("version", &version)];
                    put("version", StatKind::Gauge, "The server's version.".into(), &labels, "1");
                    continue;
                }
                let Some(value) = sample(stat.value()) else { continue };
                let metric = metric(*group, &name);
                let mut labels = vec![("server", server.as_str())];
                labels.extend(metric.labels.iter().copied());
                let command =
                    if *group == Group::General { "stats".into() } else { format!("stats {}", group.as_str()) };
                let last = name.rsplit(':').next().unwrap_or(&name);
                let help = match metric.labels.as_slice() {
                    [.., ("command", _), ("status", _)] => "Requests by command and how they went.".into(),
                    [.., ("prefix", _), _] => "Requests by prefix of their keys.".into(),
                    [("bytes", _)] => "Items by size.".into(),
                    _ => format!("{} of memcached's {command}.", escaped_help(last)),
                };
                put(&metric.name, metric.kind, help, &labels, &value);
            }
        }
    }
    for server in down {
        put("up", StatKind::Gauge, is_up(), &[("server", &server.to_string())], "0");
    }
    let mut text = String::new();
    for (name, Family { help, kind, mut samples }) in families {
        let kind = match kind {
            StatKind::Counter => "counter",
            StatKind::Gauge => "gauge",
            StatKind::Untyped => "untyped",
        };
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        // Two groups may report the same sample.
        samples.dedup();
        for sample in samples {
            let _ = writeln!(text, "{name}{sample}");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// The sample of a value that is a number or a switch.
fn sample(value: &[u8]) -> Option<String> {
    match value {
        b"yes" | b"on" => Some("1".into()),
        b"no" | b"off" => Some("0".into()),
        // Printed as it came: parsing and printing it again could lose digits.
        value => number(value).map(|_| String::from_utf8_lossy(value).into_owned()),
    }
}

fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn escaped_help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use mcflush::protocol::stats::Stat;

    use super::*;

    #[test]
    fn a_servers_text_stays_in_its_place() {
        let hostile = Stat::new("evil\"name\\", "1").unwrap();
        let version = Stat::new("version", "1\"} 2").unwrap();
        let servers = [("h:1".parse().unwrap(), vec![(Group::General, vec![version, hostile])])];
        let text = prometheus(&servers, &["/a\"b".parse().unwrap()]) + "\n";
        assert!(text.contains("memcached_version{server=\"h:1\",version=\"1\\\"} 2\"} 1\n"), "{text}");
        assert!(text.contains("memcached_evil_name__{server=\"h:1\"} 1\n"), "{text}");
        assert!(text.contains("memcached_up{server=\"/a\\\"b\"} 0\n"), "{text}");
    }
}
