//! `config get`, the command by which ElastiCache lists the nodes of a cluster.

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::take_till;
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, map_opt};
use nom::sequence::{preceded, terminated};

use super::key::Key;
use super::line::{Grammar, key, keyword, number, put_decimal, whole};

/// `config get NAME`. A managed service that knows the command answers with a [`ClusterConfig`] block and `END`; a plain
/// memcached answers `ERROR`.
///
/// ```
/// use mcflush::protocol::{Key, Request, config::ConfigGet};
/// let mut wire = bytes::BytesMut::new();
/// Request::ConfigGet(ConfigGet { name: Key::new("cluster")? }).encode(&mut wire);
/// assert_eq!(wire, &b"config get cluster\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct ConfigGet {
    /// The name of the configuration: `cluster`.
    pub name: Key,
}

impl ConfigGet {
    pub(super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        preceded(keyword("get"), key(line)).map(|name| Self { name })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"config get ");
        out.put_slice(self.name.as_bytes());
    }
}

/// `CONFIG NAME FLAGS LENGTH` with its data block: a line with the version, then words `host|ip|port`.
///
/// ```
/// use mcflush::protocol::{Key, Reply, config::ClusterConfig};
/// let config = ClusterConfig { name: Key::new("cluster")?, flags: 0, data: "1\nhost|10.0.0.1|11211\n".into() };
/// let mut wire = bytes::BytesMut::new();
/// Reply::Config(config).encode(&mut wire);
/// assert_eq!(wire, &b"CONFIG cluster 0 22\r\n1\nhost|10.0.0.1|11211\n\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct ClusterConfig {
    /// The name that the request had.
    pub name: Key,
    /// The flags. So far, services send 0.
    pub flags: u32,
    /// The data block.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::bytes))]
    pub data: Bytes,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's name, or its address if it has no name: letters, digits, `-`, `.`, `_`, and `:` in an IPv6 address.
    pub host: String,
    /// The address that the block gives in addition to a name, for a client that cannot resolve the name.
    pub address: Option<IpAddr>,
    /// The port, 1 to 65535.
    pub port: u16,
}

impl ClusterConfig {
    /// The nodes that the block lists. None if the block is not a list of nodes. A block may list no nodes.
    ///
    /// ```
    /// use mcflush::protocol::{Key, config::ClusterConfig};
    /// let data = "12\ncache1.example.org|10.0.0.1|11211 cache2.example.org|10.0.0.2|11211\n".into();
    /// let nodes = ClusterConfig { name: Key::new("cluster")?, flags: 0, data }.nodes().unwrap_or_default();
    /// assert_eq!((nodes[1].host.as_str(), nodes[1].port), ("cache2.example.org", 11211));
    /// # Ok::<(), mcflush::protocol::KeyError>(())
    /// ```
    #[must_use]
    pub fn nodes(&self) -> Option<Vec<Node>> {
        let text = std::str::from_utf8(&self.data).ok()?;
        let (version, nodes) = text.split_once('\n')?;
        let version = version.trim_end_matches('\r');
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        nodes.split_ascii_whitespace().map(Node::parse).collect()
    }

    /// Reads a line. The number is the length of the data block that follows, in bytes.
    pub(crate) fn parse(line: &Bytes) -> Option<(Self, u64)> {
        let words = preceded(keyword("CONFIG"), (key(line), number, number));
        whole(words, line).map(|(name, flags, length)| (Self { name, flags, data: Bytes::new() }, length))
    }

    pub(super) fn encode_line(&self, out: &mut BytesMut) {
        out.put_slice(b"CONFIG ");
        out.put_slice(self.name.as_bytes());
        out.put_u8(b' ');
        put_decimal(out, self.flags);
        out.put_u8(b' ');
        put_decimal(out, self.data.len() as u64);
    }
}

impl Node {
    /// Reads `host|ip|port`; the host or the IP address may be empty.
    fn parse(word: &str) -> Option<Self> {
        let field = || terminated(take_till(|c| c == '|'), char::<_, ()>('|'));
        let port = map_opt(digit1, |digits: &str| digits.parse().ok().filter(|port| *port > 0));
        let (_, (name, address, port)) = all_consuming((field(), field(), port)).parse(word).ok()?;
        let host = if name.is_empty() { address } else { name };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let address = if name.is_empty() { None } else { address.parse().ok() };
        let is_node = !host.is_empty() && host.bytes().all(is_host);
        is_node.then(|| Self { host: host.to_ascii_lowercase(), address, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    #[test]
    fn lines() {
        let cluster = ConfigGet { name: Key::new("cluster").unwrap() };
        assert_eq!(Request::parse("config get cluster".into()).0, Request::ConfigGet(cluster));
        for line in ["config", "config get", "config get a b", "config set a"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }

    #[test]
    fn blocks() {
        let name = Key::new("cluster").unwrap();
        let config = ClusterConfig { name, flags: 0, data: Bytes::new() };
        assert_eq!(ClusterConfig::parse(&"CONFIG cluster 0 26".into()), Some((config, 26)));
        for line in ["CONFIG", "CONFIG cluster", "CONFIG cluster 0", "CONFIG cluster 0 -1", "CONFIG cluster 0 1 2"] {
            assert_eq!(ClusterConfig::parse(&line.into()), None, "{line}");
        }
    }

    #[test]
    fn nodes() {
        let nodes = |data: &'static str| {
            let config = ClusterConfig { name: Key::new("cluster").unwrap(), flags: 0, data: data.into() };
            let node = |node: Node| format!("{} {}", node.host, node.port);
            config.nodes().map(|nodes| nodes.into_iter().map(node).collect::<Vec<_>>().join(", "))
        };
        for (data, expected) in [
            // The example in ElastiCache's documentation.
            (
                "12\nmyCluster.pc4ldq.0001.use1.cache.amazonaws.com|10.82.235.120|11211 \
                 myCluster.pc4ldq.0002.use1.cache.amazonaws.com|10.80.249.27|11211\n",
                Some(
                    "mycluster.pc4ldq.0001.use1.cache.amazonaws.com 11211, \
                     mycluster.pc4ldq.0002.use1.cache.amazonaws.com 11211",
                ),
            ),
            ("1\na.example|10.0.0.1|11211\n", Some("a.example 11211")),
            ("12\r\na|10.0.0.1|1 b|10.0.0.2|2\r\n", Some("a 1, b 2")),
            ("1\n|10.0.0.1|1 b||2 |fd00::1|3\n", Some("10.0.0.1 1, b 2, fd00::1 3")),
            ("1\n\n", Some("")),
            ("1", None),
            ("\na|b|1", None),
            ("one\na|b|1", None),
            ("1\na|b", None),
            ("1\na|b|0", None),
            ("1\na|b|+1", None),
            ("1\na|b|1|2", None),
            ("1\n||1", None),
            ("1\na\x1b[2J|b|1", None),
            ("1\na|b|1 nonsense", None),
        ] {
            assert_eq!(nodes(data).as_deref(), expected, "{data:?}");
        }
    }
}
