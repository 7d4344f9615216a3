//! The server's side.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::lines::{Lines, put_back, without_end};
use super::{Answer, CodecError, Limit, Limits, Role};
use crate::protocol::storage::Credentials;
use crate::protocol::{Reply, Request, Spelling};

/// A request as it was spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The client's request.
    pub request: Request,
    /// How its line was spelled.
    pub spelling: Spelling,
}

impl Asked {
    /// A request in canonical spelling.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self { request, spelling: Spelling::CANONICAL }
    }
}

/// The server's side: decodes requests, encodes replies.
///
/// A line that is no known request is [`Request::Unknown`], not an error: a server answers it with `ERROR`, a proxy
/// passes it on. A request whose data block does not end where its line says is an error: the codec cannot know where
/// the next one begins.
///
/// Only a retrieval of many keys needs a long line. For any other command, the codec refuses more than
/// [`Self::COMMAND_MAX`] bytes without a line end at once, as memcached does, instead of waiting up to
/// [`Limits::line`]. This alone depends on how the bytes are split into reads: a longer line that arrives together with
/// its end is accepted.
///
/// ```
/// use bytes::BytesMut;
/// use mcflush::codec::ServerCodec;
/// use mcflush::protocol::{Reply, Request};
/// use tokio_util::codec::{Decoder, Encoder};
///
/// let mut codec = ServerCodec::default();
/// let mut buffer = BytesMut::from("set a 0 0 3\r\nabc\r\n");
/// let asked = codec.decode(&mut buffer)?.unwrap();
/// assert!(matches!(asked.request, Request::Store(store) if &store.data[..] == b"abc"));
///
/// let mut wire = BytesMut::new();
/// codec.encode(Reply::Stored, &mut wire)?;
/// assert_eq!(wire, &b"STORED\r\n"[..]);
/// # Ok::<(), mcflush::codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct ServerCodec {
    limits: Limits,
    lines: Lines,
    block: Option<Block>,
    /// Whether the next `set` is a login.
    unauthenticated: bool,
    failed: bool,
    given_back: bool,
    /// A buffer for encoding a request, to find out whether the client spelled it the same way.
    scratch: BytesMut,
}

/// A request whose data has not fully arrived.
#[derive(Debug)]
struct Block {
    request: Request,
    /// Its line, which is no longer in the buffer.
    line: Bytes,
    data: usize,
}

impl Default for ServerCodec {
    fn default() -> Self {
        Self::new(Limits::for_requests())
    }
}

impl ServerCodec {
    /// The first byte of a request of the binary protocol.
    const BINARY: u8 = 0x80;

    /// How many bytes of a line may arrive without its end, unless it begins with `get` or `gets`
    /// (`try_read_command_ascii`, proto_text.c).
    pub const COMMAND_MAX: usize = 2048;

    /// A codec with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            lines: Lines::default(),
            block: None,
            unauthenticated: false,
            failed: false,
            given_back: false,
            scratch: BytesMut::new(),
        }
    }

    /// Reads each `set` as [`Request::Authenticate`] until one is answered with `STORED`, as a server with `-Y` does.
    #[must_use]
    pub fn with_authentication(mut self) -> Self {
        self.unauthenticated = true;
        self
    }

    /// Puts a line whose data has not fully arrived back into the buffer, for a caller that copies the rest of the
    /// stream unchanged. The codec then reads no more requests, but still writes replies.
    pub fn give_back(&mut self, buffer: &mut BytesMut) {
        self.given_back = true;
        if let Some(block) = self.block.take() {
            put_back(&block.line, buffer);
        }
    }

    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Asked>, CodecError> {
        if let Some(block) = self.block.take() {
            return self.finish_block(block, buffer);
        }
        if buffer.first() == Some(&Self::BINARY) && self.lines.offset == 0 {
            return Err(CodecError::Binary);
        }
        let Some(length) = self.lines.find(buffer, self.limits.line)? else {
            return if buffer.len() <= Self::COMMAND_MAX || is_multiget(buffer) {
                Ok(None)
            } else {
                Err(self.lines.too_long(Limit::Line, Self::COMMAND_MAX as u64, buffer))
            };
        };
        let line = buffer.split_to(length).freeze();
        let (request, data) = Request::parse(line.slice(..without_end(&line).len()));
        let Some(data) = data else {
            self.lines.taken(length);
            return Ok(Some(self.spelled(request, line)));
        };
        let Some(data) = usize::try_from(data).ok().filter(|&data| data <= self.limits.value) else {
            put_back(&line, buffer);
            return Err(self.lines.too_long(Limit::Value, self.limits.value as u64, buffer));
        };
        // Reserved once, so that a large value is not moved again and again while it arrives.
        buffer.reserve((data + 2).saturating_sub(buffer.len()));
        self.finish_block(Block { request, line, data }, buffer)
    }

    fn finish_block(&mut self, block: Block, buffer: &mut BytesMut) -> Result<Option<Asked>, CodecError> {
        if buffer.len() < block.data + 2 {
            self.block = Some(block);
            return Ok(None);
        }
        let Block { mut request, line, data } = block;
        if buffer.get(data..data + 2) != Some(b"\r\n") {
            let error = self.lines.bad_block(&line);
            put_back(&line, buffer);
            return Err(error);
        }
        request.set_data(buffer.split_to(data).freeze());
        buffer.advance(2);
        self.lines.taken(line.len() + data + 2);
        if self.unauthenticated
            && let Request::Store(store) = &request
            && let Some(credentials) = Credentials::from_store(store)
        {
            request = Request::Authenticate(credentials);
        }
        Ok(Some(self.spelled(request, line)))
    }

    fn spelled(&mut self, request: Request, line: Bytes) -> Asked {
        self.scratch.clear();
        request.encode_line(&mut self.scratch);
        let spelled = line.strip_suffix(b"\r\n") == Some(&self.scratch[..]);
        Asked { request, spelling: if spelled { Spelling::CANONICAL } else { Spelling::other(line) } }
    }

    /// Writes a reply as it was spelled: for a caller that passes replies on.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use mcflush::codec::{ClientCodec, ServerCodec};
    /// use mcflush::protocol::{Key, Request, retrieval::Retrieve};
    /// use tokio_util::codec::{Decoder, Encoder};
    ///
    /// let (mut client, mut server) = (ClientCodec::default(), ServerCodec::default());
    /// client.encode(Request::Retrieve(Retrieve::new(Key::new("a").unwrap())), &mut BytesMut::new())?;
    /// let mut said = BytesMut::from("VALUE a 007 1\r\nx\r\n");
    /// let mut out = BytesMut::new();
    /// while let Some(answer) = client.decode(&mut said)? {
    ///     server.encode_answer(&answer, &mut out)?;
    /// }
    /// assert_eq!(out, &b"VALUE a 007 1\r\nx\r\n"[..]);
    /// # Ok::<(), mcflush::codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// [`CodecError::Poisoned`].
    pub fn encode_answer(&mut self, answer: &Answer, out: &mut BytesMut) -> Result<(), CodecError> {
        if self.failed {
            return Err(CodecError::Poisoned);
        }
        if answer.reply == Reply::Stored {
            self.unauthenticated = false;
        }
        match answer.spelling.line() {
            Some(line) => {
                out.put_slice(line);
                answer.reply.encode_data(out);
            }
            None => answer.reply.encode(out),
        }
        Ok(())
    }
}

/// Whether memcached waits for the end of a line with this beginning.
fn is_multiget(buffer: &[u8]) -> bool {
    const SPACES_MAX: usize = 100;
    let spaces = buffer.iter().take(SPACES_MAX).take_while(|byte| **byte == b' ').count();
    let words = buffer.get(spaces..).unwrap_or_default();
    words.starts_with(b"get ") || words.starts_with(b"gets ")
}

impl Encoder<Reply> for ServerCodec {
    type Error = CodecError;

    fn encode(&mut self, reply: Reply, out: &mut BytesMut) -> Result<(), CodecError> {
        self.encode_answer(&Answer::new(reply, Role::Last), out)
    }
}

impl Decoder for ServerCodec {
    type Item = Asked;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Asked>, CodecError> {
        if self.failed || self.given_back {
            return Err(CodecError::Poisoned);
        }
        let result = self.next(buffer);
        self.failed = result.is_err();
        result
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Asked>, CodecError> {
        match self.decode(buffer)? {
            Some(asked) => Ok(Some(asked)),
            None if buffer.is_empty() && self.block.is_none() => Ok(None),
            None => {
                self.failed = true;
                Err(CodecError::Closed)
            }
        }
    }
}
