//! Formats small texts for people.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use console::measure_text_width;
use mcflush::protocol::Escaped;

/// A number with separators: 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: 1 key, 2 keys.
pub fn count(number: u64, thing: &str) -> String {
    let mut text = format!("{} {thing}", grouped(number));
    if number != 1 {
        // For "passes": no other thing here ends in s.
        let _ = write!(text, "{}", if thing.ends_with('s') { "es" } else { "s" });
    }
    text
}

/// Bytes in the largest unit that leaves a number above one: 12.6 MiB.
pub fn binary(bytes: u64) -> String {
    let mut number = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if number < 1023.95 {
            return if unit == "bytes" { count(bytes, "byte") } else { format!("{number:.1} {unit}") };
        }
        number /= 1024.0;
    }
    format!("{number:.1} TiB")
}

/// A time that has passed, in its largest unit: 3 h.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", grouped(seconds / 86_400)),
    }
}

/// The width of the terminal if stdout is one; none if it is not.
pub fn terminal_width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    io::stdout().is_terminal().then(|| size.unwrap_or(80))
}

/// A rate a second: 1,234 or 12.3 or 0.04; 0 for never.
pub fn rate(number: f64) -> String {
    match number {
        0.0 => "0".into(),
        ..0.01 => "<0.01".into(),
        100.0.. => grouped(number.round() as u64),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A number in at most five characters, for progress lines: 9,999, then 12.3k, 123k, 1.2M.
pub fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")];
    if number < 10_000 {
        return grouped(number);
    }
    match UNITS.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) if number / size < 100 => {
            format!("{}.{}{unit}", number / size, number % size * 10 / size)
        }
        Some((size, unit)) => format!("{}{unit}", grouped(number / size)),
        None => grouped(number),
    }
}

/// A time in the form of a clock: 0:07, 12:34, 1:02:03.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A number of bytes, with its size in units: 1,234,567 bytes (1.2 MiB).
pub fn bytes(number: u64) -> String {
    let mut text = count(number, "byte");
    if number >= 1024 {
        let _ = write!(text, " ({})", binary(number));
    }
    text
}

/// The width that each column of a table needs.
pub fn widths<Row: AsRef<[String]>>(table: &[Row]) -> Vec<usize> {
    let columns = table.iter().map(|row| row.as_ref().len()).max().unwrap_or_default();
    let cells = |column| table.iter().filter_map(move |row| row.as_ref().get(column));
    (0..columns).map(|column| cells(column).map(|cell| measure_text_width(cell)).max().unwrap_or(0)).collect()
}

/// Aligns columns: names to the left, figures to the right. Empty columns are left out.
pub fn aligned<Row: AsRef<[String]>>(table: &[Row]) -> Vec<String> {
    let widths = widths(table);
    let line = |row: &Row| {
        let mut line = String::new();
        for (at, (cell, width)) in row.as_ref().iter().zip(&widths).enumerate().filter(|(_, (_, width))| **width > 0) {
            let padding = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            line.push_str(&if at == 0 { format!("{cell}{padding}") } else { format!("  {padding}{cell}") });
        }
        line
    };
    table.iter().map(line).collect()
}

/// A text in one line: what the user typed may hold any bytes, but a message is one line.
pub fn one_line(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_for_people() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1,023 bytes"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (13_212_057, "12.6 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(binary(bytes), text);
        }
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn rates_have_three_digits() {
        let rates = [0.0, 0.004, 0.1, 9.5, 12.34, 99.94, 1234.5].map(rate);
        assert_eq!(rates, ["0", "<0.01", "0.10", "9.50", "12.3", "99.9", "1,235"]);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((count(1, "key"), count(2, "pass")), ("1 key".into(), "2 passes".into()));
    }

    #[test]
    fn watched_numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (9999, "9,999"),
            (10_000, "10.0k"),
            (99_999, "99.9k"),
            (100_000, "100k"),
            (1_250_000, "1.2M"),
            (999_999_999, "999M"),
            (u64::MAX, "18,446,744,073G"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn bytes_and_times_are_for_people() {
        assert_eq!((bytes(1), bytes(1023)), ("1 byte".into(), "1,023 bytes".into()));
        assert_eq!(bytes(1_234_567), "1,234,567 bytes (1.2 MiB)");
        for (seconds, text) in [(0, "0:00"), (59, "0:59"), (60, "1:00"), (3599, "59:59"), (3661, "1:01:01")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
