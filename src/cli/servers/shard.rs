//! A part of a list of servers, for the jobs of an array.

use mcflush::address::ServerAddr;

/// Part I of N of a list of servers; it does not depend on the list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Reads `I/N`, where I counts from 0 and is below N.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/');
        let parts = text.split_once('/').filter(|_| is_plain);
        let parts = parts.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("give I/N, with I from 0 and below N, such as 0/4".into()),
        }
    }

    /// Every Nth server of a sorted list, so that the sizes of the parts differ by at most one.
    pub fn of(self, servers: Vec<ServerAddr>) -> Vec<ServerAddr> {
        servers.into_iter().skip(self.index).step_by(self.count).collect()
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_in_one_part() {
        let servers: Vec<ServerAddr> = (1..=10).map(|n| format!("cache{n}").parse().unwrap()).collect();
        for count in 1..=12 {
            let parts: Vec<_> = (0..count).map(|index| Shard { index, count }.of(servers.clone())).collect();
            let mut all: Vec<_> = parts.iter().flatten().collect();
            all.sort();
            let mut sorted: Vec<_> = servers.iter().collect();
            sorted.sort();
            assert_eq!(all, sorted);
            let sizes = parts.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_shard_is_below_its_count() {
        assert_eq!(Shard::parse("2/3"), Ok(Shard { index: 2, count: 3 }));
        for text in ["", "3/3", "0/0", "1", "-1/3", "a/b", "1/2/3", "0/", "+1/3"] {
            assert!(Shard::parse(text).is_err(), "{text}");
        }
    }
}
