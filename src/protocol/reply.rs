//! Any reply.

use bytes::Bytes;

use super::admin::ServerVersion;
use super::crawler::MetadumpItem;
use super::line::word;
use super::meta::MetaReply;
use super::request::Expect;
use super::stats::Stat;

/// Something a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// `END`.
    End,
    /// `ERROR…`, `CLIENT_ERROR…`, `SERVER_ERROR…`, `BUSY…` and their kin.
    Error(ErrorReply),
    /// A meta line.
    Meta(MetaReply),
    /// A line of a metadump.
    Metadump(MetadumpItem),
    /// `MN`.
    Noop,
    /// `OK`.
    Ok,
    /// A statistic.
    Stat(Stat),
    /// `VERSION …`.
    Version(ServerVersion),
}

/// A line that no server says in answer to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an answer to what was asked")]
pub struct Malformed;

impl Reply {
    /// Reads a line (without its line end) in the light of what was asked. Says whether it is the last of its answer.
    ///
    /// # Errors
    /// [`Malformed`] when it is no answer to that.
    pub fn parse(line: Bytes, expect: Expect) -> Result<(Self, bool), Malformed> {
        if let Some(error) = ErrorReply::parse(&line) {
            return Ok((Self::Error(error), true));
        }
        let last = |reply: Self| Some((reply, true));
        let part = |reply: Self| Some((reply, false));
        match (expect, &line[..]) {
            (Expect::Metadump | Expect::Stats, b"END") => last(Self::End),
            // Since 1.6.43 a dump begins with this line.
            (Expect::Metadump, b"OK") => part(Self::Ok),
            (Expect::Metadump, _) => MetadumpItem::parse(line).map(|item| (Self::Metadump(item), false)),
            (Expect::Noop, b"MN") => last(Self::Noop),
            (Expect::Ok, b"OK") => last(Self::Ok),
            (Expect::Stats, _) => Stat::parse(&line).and_then(|stat| part(Self::Stat(stat))),
            (Expect::Version, _) => {
                let (_, version) = word("VERSION")(&line).map_err(|_| Malformed)?;
                last(Self::Version(ServerVersion(line.slice_ref(version))))
            }
            (Expect::Meta | Expect::QuietMeta, _) => MetaReply::parse(&line).and_then(|reply| last(Self::Meta(reply))),
            _ => None,
        }
        .ok_or(Malformed)
    }
}

/// What a server says in place of an answer. Decide by the kind, never by the text: it differs between versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// Whose fault the server thinks it is.
    pub kind: ErrorKind,
    /// The whole line as it came.
    pub line: Bytes,
}

/// The kinds of error lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `ERROR`, with or without text: the command is unknown, switched off, or cannot be done now.
    Error,
    /// `CLIENT_ERROR …`.
    Client,
    /// `SERVER_ERROR …`.
    Server,
    /// `BUSY …`: another crawl runs.
    Busy,
    /// `BADCLASS …`: no such slab class.
    BadClass,
    /// `NOTSTARTED …`: the crawl found nothing to walk.
    NotStarted,
}

impl ErrorReply {
    fn parse(line: &Bytes) -> Option<Self> {
        const KINDS: [(&[u8], ErrorKind); 7] = [
            (b"ERROR", ErrorKind::Error),
            (b"Error", ErrorKind::Error),
            (b"CLIENT_ERROR", ErrorKind::Client),
            (b"SERVER_ERROR", ErrorKind::Server),
            (b"BUSY", ErrorKind::Busy),
            (b"BADCLASS", ErrorKind::BadClass),
            (b"NOTSTARTED", ErrorKind::NotStarted),
        ];
        let (_, kind) = KINDS.into_iter().find(|(word, _)| {
            line.strip_prefix(*word).is_some_and(|after| matches!(after.first(), None | Some(b' ' | b':')))
        })?;
        Some(Self { kind, line: line.clone() })
    }
}
