//! Framing: tokio-util codecs over the protocol's types.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::protocol::{Excerpt, Expect, Reply, Request};

/// How much of one thing a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a line, its end included.
    pub line: usize,
}

impl Limits {
    /// The longest line of a healthy server is a metadump's: 750 bytes of encoded key and about 200 of fields; error
    /// lines and statistics are shorter. Eight times that still stops an endless line at once.
    pub const LINE: usize = 8 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: Self::LINE }
    }
}

/// What went wrong between the bytes and the frames. After any of these the codec refuses to go on.
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
    #[error("a line of more than {limit} bytes (it begins {excerpt:?})", excerpt = excerpt.to_string())]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
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
    /// Used after it had failed.
    #[error("the connection is out of step after an earlier error")]
    Poisoned,
}

/// A reply, and its place in the answer it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the server said.
    pub reply: Reply,
    /// Its place.
    pub role: Role,
}

/// The place of a reply in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// More of this answer follows.
    Part,
    /// The answer ends here.
    Last,
    /// What a quiet request says when it did not go well; the answers to the requests behind it are still to come.
    Quiet,
}

/// The client's side: encodes requests, decodes replies in the light of the requests in flight.
#[derive(Debug, Default)]
pub struct ClientCodec {
    limits: Limits,
    /// What was asked and is not answered, oldest first; a run of quiet requests is one entry.
    in_flight: VecDeque<Expect>,
    /// Bytes of the buffer that hold no line end.
    scanned: usize,
    /// Bytes of the stream before the buffer.
    offset: u64,
    failed: bool,
}

impl ClientCodec {
    /// A codec with limits of its own.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a line off the buffer, without its end.
    fn line(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, CodecError> {
        let fresh = buffer.get(self.scanned..).unwrap_or_default();
        let end = memchr::memchr(b'\n', fresh).map(|at| self.scanned + at);
        if end.unwrap_or(buffer.len()) >= self.limits.line {
            return Err(CodecError::TooLong { limit: self.limits.line, excerpt: Excerpt::of(buffer) });
        }
        let Some(end) = end else {
            self.scanned = buffer.len();
            return Ok(None);
        };
        self.scanned = 0;
        let mut line = buffer.split_to(end + 1).freeze();
        line.truncate(end - usize::from(line.get(..end).is_some_and(|line| line.ends_with(b"\r"))));
        Ok(Some(line))
    }

    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Answer>, CodecError> {
        let before = buffer.len();
        let Some(line) = self.line(buffer)? else { return Ok(None) };
        let start = self.offset;
        self.offset += (before - buffer.len()) as u64;
        let malformed = |line: &[u8]| CodecError::Malformed { offset: start, excerpt: Excerpt::of(line) };
        while let Some(&expect) = self.in_flight.front() {
            let quiet = expect == Expect::QuietMeta;
            match Reply::parse(line.clone(), expect) {
                Ok((reply, _)) if quiet => return Ok(Some(Answer { reply, role: Role::Quiet })),
                Ok((reply, false)) => return Ok(Some(Answer { reply, role: Role::Part })),
                Ok((reply, true)) => {
                    self.in_flight.pop_front();
                    return Ok(Some(Answer { reply, role: Role::Last }));
                }
                // Not for the quiet ones: they are all done, and it answers what was asked after them.
                Err(_) if quiet => self.in_flight.pop_front(),
                Err(_) => break,
            };
        }
        Err(malformed(&line))
    }
}

impl Encoder<Request> for ClientCodec {
    type Error = CodecError;

    fn encode(&mut self, request: Request, out: &mut BytesMut) -> Result<(), CodecError> {
        if self.failed {
            return Err(CodecError::Poisoned);
        }
        request.encode(out);
        let expect = request.expect();
        if expect != Expect::QuietMeta || self.in_flight.back() != Some(&expect) {
            self.in_flight.push_back(expect);
        }
        Ok(())
    }
}

impl Decoder for ClientCodec {
    type Item = Answer;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Answer>, CodecError> {
        if self.failed {
            return Err(CodecError::Poisoned);
        }
        let result = self.next(buffer);
        self.failed = result.is_err();
        result
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Answer>, CodecError> {
        match self.decode(buffer)? {
            Some(answer) => Ok(Some(answer)),
            None if buffer.is_empty() && self.in_flight.is_empty() => Ok(None),
            None => {
                self.failed = true;
                Err(CodecError::Closed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::meta::{MetaCode, MetaDelete};
    use crate::protocol::{MetaKey, crawler};

    fn codec(requests: &[Request]) -> ClientCodec {
        let mut codec = ClientCodec::default();
        let mut wire = BytesMut::new();
        for request in requests {
            codec.encode(request.clone(), &mut wire).unwrap();
        }
        codec
    }

    fn quiet_delete() -> Request {
        Request::MetaDelete(MetaDelete { key: MetaKey::for_bytes("k").unwrap(), quiet: true, invalidate: false })
    }

    fn answers(codec: &mut ClientCodec, bytes: &[u8], chunk: usize) -> Vec<Answer> {
        let mut buffer = BytesMut::new();
        let mut answers = Vec::new();
        for chunk in bytes.chunks(chunk) {
            buffer.extend_from_slice(chunk);
            while let Some(answer) = codec.decode(&mut buffer).unwrap() {
                answers.push(answer);
            }
        }
        answers
    }

    #[test]
    fn quiet_deletes_speak_only_when_they_fail() {
        let requests = [quiet_delete(), quiet_delete(), quiet_delete(), Request::MetaNoop, Request::Version];
        for chunk in [1, 3, 1000] {
            let mut codec = codec(&requests);
            let bytes = b"NF\r\nSERVER_ERROR x\r\nMN\r\nVERSION 1.6.18\r\n";
            let answers = answers(&mut codec, bytes, chunk);
            let roles: Vec<_> = answers.iter().map(|answer| answer.role).collect();
            assert_eq!(roles, [Role::Quiet, Role::Quiet, Role::Last, Role::Last]);
            assert!(matches!(&answers[0].reply, Reply::Meta(meta) if meta.code == MetaCode::Nf));
        }
    }

    #[test]
    fn a_dump_comes_line_by_line_in_both_dialects() {
        let dump = Request::Metadump(crawler::Metadump { target: crawler::CrawlTarget::Hash });
        for bytes in
            [&b"OK\r\nkey=a exp=-1 flags=0 \nkey=b exp=-1\nEND\r\n"[..], b"key=a exp=-1\nkey=b exp=-1\nEND\r\n"]
        {
            let answers = answers(&mut codec(std::slice::from_ref(&dump)), bytes, 1);
            let keys: Vec<_> = answers
                .iter()
                .filter_map(|answer| match &answer.reply {
                    Reply::Metadump(item) => Some(item.encoded_key()),
                    _ => None,
                })
                .collect();
            assert_eq!(keys, [b"a", b"b"]);
            assert_eq!(answers.last().unwrap().role, Role::Last);
        }
    }

    #[test]
    fn out_of_step_is_the_end() {
        let mut codec = codec(&[Request::Version]);
        let mut buffer = BytesMut::from(&b"SSH-2.0-OpenSSH\r\nVERSION 1\r\n"[..]);
        assert!(matches!(codec.decode(&mut buffer), Err(CodecError::Malformed { offset: 0, .. })));
        assert!(matches!(codec.decode(&mut buffer), Err(CodecError::Poisoned)));
        assert!(matches!(codec.encode(Request::Version, &mut buffer), Err(CodecError::Poisoned)));
    }

    #[test]
    fn an_endless_line_is_stopped() {
        let mut codec = codec(&[Request::Version]);
        let mut buffer = BytesMut::zeroed(Limits::LINE);
        assert!(matches!(codec.decode(&mut buffer), Err(CodecError::TooLong { limit: Limits::LINE, .. })));
    }
}
