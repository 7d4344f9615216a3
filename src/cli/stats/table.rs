//! Statistics for people: one server's names and values, or several servers side by side.

use std::collections::HashSet;

use mcflush::protocol::Escaped;
use mcflush::protocol::stats::Stat;

use super::known::{is_additive, is_bytes};
use super::{Group, ServerStats, number};
use crate::cli::text::{age, binary, grouped};

/// The greatest width of a value in a table of several servers on a terminal.
const CELL: usize = 24;

/// The statistics as text. If a terminal is too narrow for all servers side by side, there are several tables, and the
/// last one has the total.
pub fn table(servers: &[ServerStats], width: Option<usize>) -> String {
    let mut text = String::new();
    let groups: Vec<Group> =
        servers.first().map(|(_, said)| said.iter().map(|(group, _)| *group).collect()).unwrap_or_default();
    if let [(server, said)] = servers {
        text.push_str(&format!("{server}\n"));
        for (group, stats) in said {
            title(&mut text, *group, &groups);
            let row = |stat: &Stat| {
                let [name, value] = [stat.name(), stat.value()].map(|it| Escaped(it).to_string());
                let unit = width.and_then(|_| in_units(&name, &value));
                let value = if width.is_some() { readable(*group, &name, &value) } else { value };
                [name, unit.map_or(value.clone(), |unit| format!("{value} ({unit})"))]
            };
            let rows: Vec<_> = stats.iter().map(row).collect();
            let longest = rows.iter().map(|[name, _]| name.chars().count()).max().unwrap_or_default();
            for [name, value] in rows {
                text.push_str(format!("{name:longest$}  {value}").trim_end());
                text.push('\n');
            }
        }
    } else {
        for (at, group) in groups.iter().enumerate() {
            title(&mut text, *group, &groups);
            side_by_side(&mut text, *group, at, servers, width);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn title(text: &mut String, group: Group, groups: &[Group]) {
    if groups.len() > 1 {
        text.push_str(&format!("-- {} --\n", group.as_str()));
    }
}

fn side_by_side(text: &mut String, group: Group, at: usize, servers: &[ServerStats], width: Option<usize>) {
    let said: Vec<&[Stat]> =
        servers.iter().map(|(_, said)| said.get(at).map(|(_, stats)| &stats[..]).unwrap_or_default()).collect();
    // In the order of the first server that has the statistic.
    let mut seen = HashSet::new();
    let names: Vec<_> =
        said.iter().flat_map(|stats| stats.iter()).map(Stat::name).filter(|name| seen.insert(*name)).collect();
    let find =
        |stats: &[Stat], name: &[u8]| stats.iter().find(|stat| stat.name() == name).map(|stat| stat.value().clone());
    let mut columns: Vec<Vec<String>> = Vec::new();
    // A cell has room for only one form; a program gets the server's own.
    let shown = |name: &str, value: String| match width {
        Some(_) => in_units(name, &value).unwrap_or_else(|| readable(group, name, &value)),
        None => value,
    };
    for ((server, _), stats) in servers.iter().zip(&said) {
        let cells = names.iter().map(|name| {
            let value = find(stats, name).map(|value| Escaped(&value).to_string());
            value.map(|value| shown(&Escaped(name).to_string(), value)).unwrap_or_default()
        });
        columns.push(std::iter::once(server.to_string()).chain(cells).collect());
    }
    let total = names.iter().map(|name| {
        let name_shown = Escaped(name).to_string();
        let values: Option<Vec<f64>> =
            said.iter().filter_map(|stats| find(stats, name)).map(|value| number(&value)).collect();
        match values {
            Some(values) if is_additive(group, &name_shown) && !values.is_empty() => {
                let sum: f64 = values.iter().sum();
                let sum = if sum.fract() == 0.0 { format!("{sum:.0}") } else { format!("{sum:.6}") };
                shown(&name_shown, sum)
            }
            _ => String::new(),
        }
    });
    columns.push(std::iter::once("total".to_owned()).chain(total).collect());

    let head: Vec<String> =
        std::iter::once(String::new()).chain(names.iter().map(|name| Escaped(name).to_string())).collect();
    let head_width = longest(&head);
    if width.is_some() {
        columns.iter_mut().flatten().for_each(fit);
    }
    let mut rest = &columns[..];
    while !rest.is_empty() {
        let mut used = head_width;
        let fits = |column: &&Vec<String>| {
            used += 2 + longest(column);
            width.is_none_or(|width| used <= width)
        };
        // At least one column, even if the terminal is too narrow for it.
        let shown = rest.iter().take_while(fits).count().max(1);
        let (these, later) = rest.split_at(shown);
        for (row, name) in head.iter().enumerate() {
            let mut line = format!("{name:head_width$}");
            for column in these {
                let width = longest(column);
                let cell = column.get(row).map(String::as_str).unwrap_or_default();
                line.push_str(&format!("  {cell:>width$}"));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if !later.is_empty() {
            text.push('\n');
        }
        rest = later;
    }
}

/// A count with separators. A number that is not a count, such as a process id, stays as it is.
fn readable(group: Group, name: &str, value: &str) -> String {
    let counts = is_additive(group, name) || is_bytes(name);
    value.parse().ok().filter(|_| counts).map_or(value.into(), grouped)
}

/// Bytes and times in units, if they are large enough for that to help.
fn in_units(name: &str, value: &str) -> Option<String> {
    match value.parse().ok()? {
        bytes @ 1024.. if is_bytes(name) => Some(binary(bytes)),
        seconds @ 120.. if name == "uptime" => Some(age(seconds)),
        _ => None,
    }
}

fn longest(column: &[String]) -> usize {
    column.iter().map(|cell| cell.chars().count()).max().unwrap_or_default()
}

/// Cuts a long value, so that it does not push the others off the terminal.
fn fit(cell: &mut String) {
    if cell.chars().count() > CELL {
        *cell = cell.chars().take(CELL - 1).chain(['…']).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats_of(server: &str, items: &str) -> ServerStats {
        let stats = [("pid", "7"), ("version", "1.6.45"), ("curr_items", items)];
        let stats = stats.map(|(name, value)| Stat::new(name.to_owned(), value.to_owned()).unwrap());
        (server.parse().unwrap(), vec![(Group::General, stats.to_vec())])
    }

    #[test]
    fn additive_statistics_are_added() {
        let text = table(&[stats_of("cache1", "3"), stats_of("cache2", "40")], None);
        let rows: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["cache1:11211", "cache2:11211", "total"]);
        assert_eq!((&rows[1][..], &rows[3][..]), (&["pid", "7", "7"][..], &["curr_items", "3", "40", "43"][..]));
    }

    #[test]
    fn a_terminal_gets_units_and_a_program_the_servers_figures() {
        let stats = [("pid", "12345"), ("uptime", "7265"), ("curr_items", "1234567"), ("bytes", "67108864")];
        let stats = stats.map(|(name, value)| Stat::new(name.to_owned(), value.to_owned()).unwrap());
        let one: ServerStats = ("cache1".parse().unwrap(), vec![(Group::General, stats.to_vec())]);
        let of = |text: &str| -> Vec<String> {
            text.lines().skip(1).map(|line| line.split_once("  ").unwrap().1.trim().to_owned()).collect()
        };
        assert_eq!(
            of(&table(std::slice::from_ref(&one), Some(80))),
            ["12345", "7265 (2 h)", "1,234,567", "67,108,864 (64.0 MiB)"]
        );
        assert_eq!(of(&table(std::slice::from_ref(&one), None)), ["12345", "7265", "1234567", "67108864"]);
        let two = table(&[one.clone(), one], Some(80));
        assert!(two.contains("1,234,567     1,234,567  2,469,134\n"), "{two}");
        assert!(two.contains("64.0 MiB      64.0 MiB  128.0 MiB"), "{two}");
    }

    #[test]
    fn a_narrow_terminal_gets_several_tables() {
        let servers: Vec<_> = (0..9).map(|n| stats_of(&format!("cache{n}"), "1")).collect();
        for width in [40, 60, 80, 200] {
            let text = table(&servers, Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            assert!((0..9).all(|n| text.contains(&format!("cache{n}:"))), "{text}");
            assert_eq!(text.matches("total").count(), 1);
        }
    }
}
