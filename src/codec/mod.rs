//! Framing: tokio-util codecs over the [protocol](crate::protocol)'s types.
//!
//! [`ClientCodec`] sends requests, and reads replies by the requests in flight; [`ServerCodec`] does the reverse;
//! [`BinaryCodec`] is a client of the binary protocol.
//! None of them does I/O: they work on buffers, and any chunking of the bytes gives the same frames (with one
//! exception: [`ServerCodec::COMMAND_MAX`]). No byte is searched twice for a line end, and a codec waits for a data
//! block by its length. Keys and values are slices of the read buffer.

mod binary;
mod client;
mod in_flight;
mod lines;
mod server;

pub use binary::BinaryCodec;
pub use client::ClientCodec;
#[cfg(feature = "client")]
pub(crate) use client::EncodedRequests;
pub use server::{Asked, ServerCodec};

use crate::protocol::{Excerpt, Reply, Spelling};
use crate::setters::setters;

/// How much a peer may send in one line, value or answer.
///
/// ```
/// use mcflush::codec::{ClientCodec, Limits};
/// let codec = ClientCodec::new(Limits::default().with_value(1024 * 1024));
/// # let _ = codec;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The length of a line, including its end.
    pub line: usize,
    /// The length of a data block.
    pub value: usize,
    /// The number of lines or values in one answer.
    pub items: u64,
}

setters!(Limits { with_line: line: usize, with_value: value: usize, with_items: items: u64 });

impl Limits {
    /// The longest lines of a healthy server are a metadump's: 750 bytes of encoded key and about 200 of fields. Error
    /// lines, statistics and log lines (4096 in upstream's logger) are shorter. This limit leaves room, and still stops
    /// an endless line at once.
    pub const LINE: usize = 8 * 1024;

    /// The longest request line is a `get` of many keys. Memcached's own proxy accepts no longer one (`PARSER_MAXLEN`,
    /// proto_parser.c).
    pub const REQUEST_LINE: usize = 64 * 1024;

    /// Sixteen times the largest item that a server stores by default (`-I 1m`). A caller that talks to a server with a
    /// larger `-I` sets its own limit. The memory for a value is reserved when its line is read.
    pub const VALUE: usize = 16 * 1024 * 1024;

    /// More than the largest hash table holds (`HASHPOWER_MAX` is 32, and a table is full at one and a half items a
    /// bucket). The items of an answer take no memory here: this limit only ends an answer that a peer makes up without
    /// end.
    pub const ITEMS: u64 = 1 << 33;

    /// The limits for reading requests: those for replies, except for [`Self::REQUEST_LINE`].
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

/// One of the [`Limits`].
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

/// A failure between the bytes and the frames. After any of these the codec can no longer be used; the bytes that it
/// could not read are still in the buffer.
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
/// assert_eq!(error.to_string(), "not an answer to the request, at byte 0: \"SSH-2.0-OpenSSH\"");
/// # Ok::<(), mcflush::codec::CodecError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The peer closed the connection inside a frame, or before it answered all requests.
    #[error("the connection was closed in the middle of an answer")]
    Closed,
    /// The peer sent more than a limit allows.
    #[error("more than {limit} {what}, at byte {offset}: \"{excerpt}\"")]
    TooLong {
        /// The exceeded limit.
        what: Limit,
        /// Its value.
        limit: u64,
        /// The position in the stream, in bytes from its start.
        offset: u64,
        /// The beginning of what exceeds the limit.
        excerpt: Excerpt,
    },
    /// The peer sent a frame that does not answer the request.
    #[error("not an answer to the request, at byte {offset}: \"{excerpt}\"")]
    Malformed {
        /// The position in the stream, in bytes from its start.
        offset: u64,
        /// The beginning of the frame.
        excerpt: Excerpt,
    },
    /// A data block that does not end where its line says.
    #[error("a data block that does not end where its line says, at byte {offset}: \"{excerpt}\"")]
    BadBlock {
        /// The position of its line in the stream, in bytes from its start.
        offset: u64,
        /// The beginning of that line.
        excerpt: Excerpt,
    },
    /// The peer speaks memcached's binary protocol, which this codec does not.
    #[error("the client speaks the binary protocol")]
    Binary,
    /// The codec was used after it had failed.
    #[error("the connection is out of step after an earlier error")]
    Poisoned,
}

/// The side that caused a [`CodecError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The program that uses this crate.
    Caller,
    /// The program at the other end.
    Peer,
    /// The connection between them.
    Transport,
}

impl CodecError {
    /// The side that caused the error.
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

/// A reply, and its place in the answer that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The server's reply.
    pub reply: Reply,
    /// Its place in the answer.
    pub role: Role,
    /// How its line was spelled.
    pub spelling: Spelling,
}

impl Answer {
    /// A reply in canonical spelling.
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
    /// The line is no part of an answer: it is the answer to a quiet request that did not succeed, or, if they are
    /// [kept](ClientCodec::keep_blank_lines), the empty line that some servers send after an error. The answers to the
    /// following requests are still to come.
    Quiet,
}
