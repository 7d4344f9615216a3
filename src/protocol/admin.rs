//! Commands for the whole server: `flush_all`, `version`.

use bytes::{Bytes, BytesMut};

use super::line::{put_number, put_words};

/// `flush_all [delay]`: everything stored before now (or before now + delay) is gone. Lazy on the server: memory and
/// `curr_items` fall only when the items are met.
///
/// ```
/// use mcflush::protocol::{Request, admin::FlushAll};
/// let mut wire = bytes::BytesMut::new();
/// Request::FlushAll(FlushAll { delay: Some(30) }).encode(&mut wire);
/// assert_eq!(wire, &b"flush_all 30\r\n"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushAll {
    /// Seconds to wait; over 30 days it is read as a date. None sends no delay.
    pub delay: Option<u32>,
}

impl FlushAll {
    pub(super) fn encode(self, out: &mut BytesMut) {
        put_words(out, &[b"flush_all"]);
        if let Some(delay) = self.delay {
            put_words(out, &[b" "]);
            put_number(out, delay);
        }
    }
}

/// What a server says of its version: `1.6.18`, or whatever a relative of memcached answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion(pub Bytes);

impl ServerVersion {
    /// The version as three numbers, when it looks like memcached's own. What follows them (`1.6.0-rc1`) is not read.
    ///
    /// ```
    /// use mcflush::protocol::admin::ServerVersion;
    /// assert_eq!(ServerVersion("1.6.18".into()).numbers(), Some([1, 6, 18]));
    /// assert_eq!(ServerVersion("x".into()).numbers(), None);
    /// ```
    #[must_use]
    pub fn numbers(&self) -> Option<[u32; 3]> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let mut parts = text.splitn(3, '.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part.get(..end)?.parse().ok()
        });
        Some([parts.next()??, parts.next()??, parts.next()??])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_where_they_look_like_it() {
        for (text, numbers) in [
            ("1.6.45", Some([1, 6, 45])),
            ("1.6.0-rc1", Some([1, 6, 0])),
            ("1.6", None),
            ("1.6.", None),
            ("", None),
            ("1.6.99999999999", None),
        ] {
            assert_eq!(ServerVersion(text.into()).numbers(), numbers, "{text}");
        }
    }
}
