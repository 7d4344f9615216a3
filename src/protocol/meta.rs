//! Meta commands: `mg`, `md`, and the fence `mn`.

use bytes::{Bytes, BytesMut};

use super::key::MetaKey;
use super::line::put_words;

/// `md KEY [flags]`: delete, or mark as stale.
///
/// Quiet (`q`) it says nothing when it deleted, but **does** say `NF` for a key that is not there.
///
/// ```
/// use mcflush::protocol::{MetaKey, Request, meta::MetaDelete};
/// let mut wire = bytes::BytesMut::new();
/// let key = MetaKey::for_bytes("two words")?;
/// Request::MetaDelete(MetaDelete { key, quiet: true, invalidate: false }).encode(&mut wire);
/// assert_eq!(wire, &b"md dHdvIHdvcmRz b q\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaDelete {
    /// What to delete.
    pub key: MetaKey,
    /// `q`: no answer when it deleted.
    pub quiet: bool,
    /// `I`: mark as stale with a fresh CAS in place of deleting.
    pub invalidate: bool,
}

impl MetaDelete {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_words(out, &[b"md", b""]);
        self.key.encode(out);
        put_words(out, if self.key.is_base64() { &[b" b"] } else { &[] });
        put_words(out, if self.invalidate { &[b" I"] } else { &[] });
        put_words(out, if self.quiet { &[b" q"] } else { &[] });
    }
}

/// The two letters that begin the answer to a meta command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaCode {
    /// `HD`: done, or found (no value follows).
    Hd,
    /// `EN`: a miss of `mg`.
    En,
    /// `NS`: not stored.
    Ns,
    /// `EX`: the CAS differs.
    Ex,
    /// `NF`: not found.
    Nf,
}

/// The answer to a meta command, without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaReply {
    /// What happened.
    pub code: MetaCode,
    /// The return flags as they came, separated by spaces.
    pub flags: Bytes,
}

impl MetaReply {
    pub(super) fn parse(line: &Bytes) -> Option<Self> {
        let code = match line.get(..2)? {
            b"HD" => MetaCode::Hd,
            b"EN" => MetaCode::En,
            b"NS" => MetaCode::Ns,
            b"EX" => MetaCode::Ex,
            b"NF" => MetaCode::Nf,
            _ => return None,
        };
        match line.get(2..)? {
            [] => Some(Self { code, flags: Bytes::new() }),
            [b' ', flags @ ..] => Some(Self { code, flags: line.slice_ref(flags) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        for (line, code, flags) in [
            ("HD", MetaCode::Hd, ""),
            ("NF", MetaCode::Nf, ""),
            ("HD c12 O9", MetaCode::Hd, "c12 O9"),
            ("EN ", MetaCode::En, ""),
        ] {
            assert_eq!(MetaReply::parse(&line.into()), Some(MetaReply { code, flags: flags.into() }));
        }
        for line in ["", "H", "HDx", "MN", "hd"] {
            assert_eq!(MetaReply::parse(&line.into()), None, "{line}");
        }
    }
}
