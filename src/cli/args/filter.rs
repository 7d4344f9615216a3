//! Conditions on items beside their keys.

use std::time::Duration;

use mcflush::ops::Filter;

#[derive(Debug, Clone, clap::Args)]
pub struct FilterArgs {
    /// Only items that take more than SIZE bytes in the server: 900, 100k, 1m, 2g (k is 1024)
    ///
    /// The size counts header, key and value, as the server lists it.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    larger: Option<u64>,

    /// Only items that were last read or stored at least TIME ago: 90 (seconds), 30m, 12h, 7d
    ///
    /// mcflush compares with the last access that the server lists. The server does not note the first read after a store,
    /// and notes other reads late. A clear deletes an item only if it is still the one that was listed: if a client has
    /// stored it again, it stays; if a client has only read it, it goes.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle: Option<Duration>,

    /// Only items that never expire
    #[arg(long)]
    no_expiry: bool,
}

impl FilterArgs {
    pub const fn filter(&self) -> Filter {
        Filter { larger: self.larger, idle: self.idle, no_expiry: self.no_expiry }
    }
}

/// A number with one of these units; without a unit, the first one applies.
fn number(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit =
        units.iter().find_map(|(name, size)| Some((text.strip_suffix([*name, name.to_ascii_uppercase()])?, *size)));
    let (digits, size) = unit.unwrap_or((text, units.first()?.1));
    // A sign is not a digit.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| is_plain)?.checked_mul(size)
}

fn size(text: &str) -> Result<u64, &'static str> {
    number(text, &[('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)])
        .ok_or("give bytes, such as 900, 100k or 2m")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    let seconds = number(text, &units).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or("give a time above zero, such as 90, 30m, 12h or 7d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        let sizes = ["0", "900", "900b", "100k", "100K", "2m", "1g"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [0, 900, 900, 102_400, 102_400, 2 << 20, 1 << 30]);
        for text in ["", "k", "-1", "+1", "1.5m", "1kb", "99999999999g", "1 k", "ök"] {
            assert!(size(text).is_err(), "{text}");
        }
        let times = ["1", "90s", "30m", "12h", "7d", "2w"].map(|text| duration(text).unwrap().as_secs());
        assert_eq!(times, [1, 90, 1_800, 43_200, 604_800, 1_209_600]);
        for text in ["0", "0d", "", "d", "-1d", "1y", "1.5h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
