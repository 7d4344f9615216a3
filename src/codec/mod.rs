//! Framing: tokio-util codecs over the [protocol](crate::protocol)'s types.
//!
//! [`ClientCodec`] sends requests and reads replies in the light of the requests in flight; [`ServerCodec`] the reverse;
//! [`BinaryCodec`] is a client of the binary protocol.
//! Neither does I/O: they work on buffers, and any chunking of the bytes gives the same frames (but see
//! [`ServerCodec::COMMAND_MAX`]). No byte is scanned twice for a line's end, and a data block is waited for by its length. Keys and values are slices of the read buffer.

mod binary;
mod client;
mod in_flight;
mod lines;
mod server;

pub use binary::BinaryCodec;
pub use client::ClientCodec;
pub use server::{Asked, ServerCodec};

use crate::protocol::{Excerpt, Reply, Spelling};
use crate::setters::setters;

/// How much of one thing a peer may send.
///
/// ```
/// use mcflush::codec::{ClientCodec, Limits};
/// let codec = ClientCodec::new(Limits::default().with_value(1024 * 1024));
/// # let _ = codec;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in a line, its end included.
    pub line: usize,
    /// Bytes in a data block.
    pub value: usize,
    /// Lines or values in one answer.
    pub items: u64,
}

setters!(Limits { with_line: line: usize, with_value: value: usize, with_items: items: u64 });

impl Limits {
    /// The longest line of a healthy server is a metadump's: 750 bytes of encoded key and about 200 of fields; error
    /// lines, statistics and log lines (4096 in upstream's logger) are shorter. Twice that still stops an endless line at once.
    pub const LINE: usize = 8 * 1024;

    /// The longest line of a request is a `get` of many keys. Memcached's own proxy takes no longer one
    /// (`PARSER_MAXLEN`, proto_parser.c).
    pub const REQUEST_LINE: usize = 64 * 1024;

    /// Sixteen times what a server stores in one item by default (`-I 1m`). Who talks to one that was started with more
    /// says so; the memory for a value is taken when its line is read.
    pub const VALUE: usize = 16 * 1024 * 1024;

    /// More than the largest hash table holds (`HASHPOWER_MAX` is 32, and it is full at one and a half items a bucket). An
    /// answer's items take no memory here: this only ends an answer that is made up without end.
    pub const ITEMS: u64 = 1 << 33;

    /// The limits for reading requests: those for replies, but with [`Self::REQUEST_LINE`].
    #[must_use]
    pub const fn for_requests() -> Self {
        Self { line: Self::REQUEST_LINE, value: Self::VALUE, items: Self::ITEMS }
    }
}

impl Default for Limits {
    /// The limits for reading replies.
    fn default() -> Self {
        Self { line: Self::LINE, value: Self::VALUE, items: Self::ITEMS }
    }
}

/// Which of the [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::items`].
    Items,
    /// [`Limits::line`].
    Line,
    /// [`Limits::value`].
    Value,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Items => "items in an answer",
            Self::Line => "bytes in a line",
            Self::Value => "bytes in a value",
        })
    }
}

/// What went wrong between the bytes and the frames. After any of these the codec refuses to go on; the bytes that could
/// not be read are still in the buffer.
///
/// ```
/// use bytes::BytesMut;
/// use mcflush::codec::{ClientCodec, Fault};
/// use mcflush::protocol::Request;
/// use tokio_util::codec::{Decoder, Encoder};
///
/// let mut codec = ClientCodec::default();
/// codec.encode(Request::Version, &mut BytesMut::new())?;
/// let error = codec.decode(&mut BytesMut::from("SSH-2.0-OpenSSH\r\n")).unwrap_err();
/// assert_eq!(error.fault(), Fault::Peer);
/// assert_eq!(error.to_string(), "not an answer to what was asked, at byte 0: \"SSH-2.0-OpenSSH\"");
/// # Ok::<(), mcflush::codec::CodecError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The peer closed inside a frame, or with requests unanswered.
    #[error("the connection was closed in the middle of an answer")]
    Closed,
    /// The peer sent more than a limit allows.
    #[error("more than {limit} {what}, at byte {offset}: \"{excerpt}\"")]
    TooLong {
        /// Which limit.
        what: Limit,
        /// The limit.
        limit: u64,
        /// Where in the stream, in bytes from its start.
        offset: u64,
        /// Its beginning.
        excerpt: Excerpt,
    },
    /// The peer sent what is no answer to what was asked.
    #[error("not an answer to what was asked, at byte {offset}: \"{excerpt}\"")]
    Malformed {
        /// Where in the stream, in bytes from its start.
        offset: u64,
        /// Its beginning.
        excerpt: Excerpt,
    },
    /// A data block that does not end where its line says.
    #[error("a data block that does not end where its line says, at byte {offset}: \"{excerpt}\"")]
    BadBlock {
        /// Where in the stream its line is, in bytes from its start.
        offset: u64,
        /// The beginning of that line.
        excerpt: Excerpt,
    },
    /// The peer speaks memcached's binary protocol, which this crate does not.
    #[error("the client speaks the binary protocol")]
    Binary,
    /// Used after it had failed.
    #[error("the connection is out of step after an earlier error")]
    Poisoned,
}

/// Whose fault a [`CodecError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The program that uses this crate.
    Caller,
    /// Who is at the other end.
    Peer,
    /// What is between.
    Transport,
}

impl CodecError {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Io(_) => Fault::Transport,
            Self::Closed | Self::TooLong { .. } | Self::Malformed { .. } | Self::BadBlock { .. } | Self::Binary => {
                Fault::Peer
            }
            Self::Poisoned => Fault::Caller,
        }
    }
}

/// A reply, and its place in the answer it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the server said.
    pub reply: Reply,
    /// Its place.
    pub role: Role,
    /// How its line was spelled.
    pub spelling: Spelling,
}

impl Answer {
    /// In canonical spelling.
    #[must_use]
    pub const fn new(reply: Reply, role: Role) -> Self {
        Self { reply, role, spelling: Spelling::CANONICAL }
    }
}

/// The place of a reply in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// More of this answer follows.
    Part,
    /// The answer ends here.
    Last,
    /// Beside the answers: what a quiet request says when it did not go well, or, where they are
    /// [kept](ClientCodec::keep_blank_lines), the empty line that some servers send behind an error. The answers to the
    /// requests behind it are still to come.
    Quiet,
}
