//! Small texts that people read.

use std::fmt::Write as _;

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
        // "passes", as there is no other plural here.
        let _ = write!(text, "{}", if thing.ends_with('s') { "es" } else { "s" });
    }
    text
}

/// What the user typed may hold anything; a message is one line.
pub fn one_line(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((count(1, "key"), count(2, "pass")), ("1 key".into(), "2 passes".into()));
    }
}
