//! `config get`, by which ElastiCache lists the nodes of a cluster.

use bytes::{BufMut, Bytes, BytesMut};

use super::key::Key;
use super::line::{Words, put_decimal};

/// `config get NAME`: answered by a [`Config`] block and `END` where it is known (managed services), by `ERROR` on a
/// plain memcached.
///
/// ```
/// use mcflush::protocol::{Key, Request, config::ConfigGet};
/// let mut wire = bytes::BytesMut::new();
/// Request::ConfigGet(ConfigGet { name: Key::new("cluster")? }).encode(&mut wire);
/// assert_eq!(wire, &b"config get cluster\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigGet {
    /// What is asked for: `cluster`.
    pub name: Key,
}

impl ConfigGet {
    pub(super) fn parse(line: &Bytes, mut words: Words<'_>) -> Option<Self> {
        if words.next()? != b"get" {
            return None;
        }
        let name = Key::new(line.slice_ref(words.next()?)).ok()?;
        words.end().map(|()| Self { name })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"config get ");
        out.put_slice(self.name.as_bytes());
    }
}

/// `CONFIG NAME FLAGS LENGTH` with its data block: a version line, then `host|ip|port` words.
///
/// ```
/// use mcflush::protocol::{Key, Reply, config::Config};
/// let config = Config { name: Key::new("cluster")?, flags: 0, data: "1\nhost|10.0.0.1|11211\n".into() };
/// let mut wire = bytes::BytesMut::new();
/// Reply::Config(config).encode(&mut wire);
/// assert_eq!(wire, &b"CONFIG cluster 0 22\r\n1\nhost|10.0.0.1|11211\n\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What was asked for.
    pub name: Key,
    /// 0 so far.
    pub flags: u32,
    /// The block.
    pub data: Bytes,
}

impl Config {
    /// Reads a line; the number is how many bytes of data follow it.
    pub(crate) fn parse(line: &Bytes) -> Option<(Self, u64)> {
        let mut words = Words(line.strip_prefix(b"CONFIG ")?);
        let name = Key::new(line.slice_ref(words.next()?)).ok()?;
        let flags = words.decimal()?;
        let length = words.decimal()?;
        words.end().map(|()| (Self { name, flags, data: Bytes::new() }, length))
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
        let config = Config { name, flags: 0, data: Bytes::new() };
        assert_eq!(Config::parse(&"CONFIG cluster 0 26".into()), Some((config, 26)));
        for line in ["CONFIG", "CONFIG cluster", "CONFIG cluster 0", "CONFIG cluster 0 -1", "CONFIG cluster 0 1 2"] {
            assert_eq!(Config::parse(&line.into()), None, "{line}");
        }
    }
}
