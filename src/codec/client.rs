//! The client's side.

#[cfg(feature = "client")]
mod whole;

use std::ops::ControlFlow;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

#[cfg(feature = "client")]
pub(crate) use self::whole::EncodedRequests;
use super::in_flight::{InFlight, Line, Owner};
use super::lines::{Extent, Lines, put_back, without_end};
use super::{Answer, Asked, CodecError, Limit, Limits, Role};
use crate::protocol::config::ClusterConfig;
use crate::protocol::meta::{MetaValue, MetaVerb, ReturnFlags};
use crate::protocol::retrieval::{Value, ValueBlock};
use crate::protocol::{BlockLine, ErrorKind, Expect, Part, Reply, Request, Spelling, Take};

/// The client's side: encodes requests, and decodes replies by the requests in flight.
///
/// A run of quiet requests (`noreply`, `q`) in flight is stored as a counter. Close it with a fence, `mn` or `version`,
/// which a server that knows it never answers with an error. Then replies to the quiet requests have [`Role::Quiet`];
/// even if a server answers each of them and the fence with `ERROR`, the last error answers the fence. If another
/// request follows the run, a line that could answer either is assigned by its opaque (`O`). Without an opaque, an
/// error is assigned to a quiet request and a meta line to the request that follows: the framing stays right, but the
/// assignment may be wrong.
///
/// ```
/// use bytes::BytesMut;
/// use mcflush::codec::{ClientCodec, Role};
/// use mcflush::protocol::{Key, Reply, Request, retrieval::Retrieve};
/// use tokio_util::codec::{Decoder, Encoder};
///
/// let mut codec = ClientCodec::default();
/// let mut wire = BytesMut::new();
/// codec.encode(Request::Retrieve(Retrieve::new(Key::new("a").unwrap())), &mut wire)?;
/// assert_eq!(wire, &b"get a\r\n"[..]);
///
/// let mut buffer = BytesMut::from("VALUE a 0 3\r\nabc\r\nEND\r\n");
/// let value = codec.decode(&mut buffer)?.unwrap();
/// assert!(matches!(value.reply, Reply::Value(value) if value.data() == b"abc"));
/// let end = codec.decode(&mut buffer)?.unwrap();
/// assert_eq!((end.reply, end.role), (Reply::End, Role::Last));
/// # Ok::<(), mcflush::codec::CodecError>(())
/// ```
#[derive(Debug, Default)]
pub struct ClientCodec {
    limits: Limits,
    in_flight: InFlight,
    lines: Lines,
    block: Option<(BlockLine, Extent)>,
    /// The line before was a `CLIENT_ERROR`, which some servers follow with an empty line.
    after_client_error: bool,
    keep_blank_lines: bool,
    failed: bool,
    /// A buffer for encoding a reply, to find out whether the server spelled it the same way.
    scratch: BytesMut,
}

/// The result of one step of decoding.
enum Step {
    Answer(Answer),
    /// A frame was read that is not delivered.
    Skipped,
    /// More bytes are needed.
    More,
}

impl ClientCodec {
    /// A codec with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Delivers the empty line that 1.6.45 sends after some `CLIENT_ERROR` lines, as [`Reply::Blank`], instead of
    /// dropping it: for a caller that passes replies on unchanged.
    #[must_use]
    pub fn keep_blank_lines(mut self) -> Self {
        self.keep_blank_lines = true;
        self
    }

    /// Writes a request as it was spelled: for a caller that passes requests on.
    ///
    /// # Errors
    /// [`CodecError::Poisoned`].
    pub fn encode_asked(&mut self, asked: &Asked, out: &mut BytesMut) -> Result<(), CodecError> {
        self.encode_request(&asked.request, &asked.spelling, out)
    }

    pub(crate) fn encode_request(
        &mut self,
        request: &Request,
        spelling: &Spelling,
        out: &mut BytesMut,
    ) -> Result<(), CodecError> {
        if self.failed {
            return Err(CodecError::Poisoned);
        }
        match spelling.line() {
            Some(line) => {
                out.put_slice(line);
                request.encode_data(out);
            }
            None => request.encode(out),
        }
        self.in_flight.push(request);
        Ok(())
    }

    /// Shows the complete items of a listing that are next in the buffer (dump lines, statistics, values), without a
    /// slice for each. Items that were shown leave the buffer. `visit` may stop after any item. Returns how many items
    /// were shown; [`Decoder::decode`] gives what follows them.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use bytes::BytesMut;
    /// use mcflush::codec::ClientCodec;
    /// use mcflush::protocol::{Part, Request, stats::StatsGroup};
    /// use tokio_util::codec::{Decoder, Encoder};
    ///
    /// let mut codec = ClientCodec::default();
    /// codec.encode(Request::Stats(StatsGroup::General), &mut BytesMut::new())?;
    /// let mut buffer = BytesMut::from("STAT pid 1\r\nSTAT uptime 2\r\nSTAT ti");
    /// let mut last = Vec::new();
    /// let shown = codec.visit(&mut buffer, |item| {
    ///     if let Part::Stat(stat) = item {
    ///         last = stat.name().to_vec();
    ///     }
    ///     ControlFlow::Continue(())
    /// });
    /// assert_eq!((shown, &last[..], &buffer[..]), (2, &b"uptime"[..], &b"STAT ti"[..]));
    /// # Ok::<(), mcflush::codec::CodecError>(())
    /// ```
    #[inline]
    pub fn visit(&mut self, buffer: &mut BytesMut, visit: impl FnMut(Part<'_>) -> ControlFlow<()>) -> u64 {
        let Some(expect) = self.listed_next() else { return 0 };
        let (items, bytes) = match expect {
            // One call for each kind, so that the kind of an item is examined only once.
            Expect::Metadump => self.show(buffer, |buffer| Part::find(Expect::Metadump, buffer), visit),
            Expect::Mgdump => self.show(buffer, |buffer| Part::find(Expect::Mgdump, buffer), visit),
            Expect::Stats => self.show(buffer, |buffer| Part::find(Expect::Stats, buffer), visit),
            Expect::Values => self.show(buffer, |buffer| Part::find(Expect::Values, buffer), visit),
            _ => return 0,
        };
        buffer.advance(bytes);
        self.taken(bytes);
        self.in_flight.more_listed(items);
        items
    }

    /// Counts bytes that left the buffer as whole frames. An empty line behind them belongs to no earlier error.
    #[inline]
    fn taken(&mut self, length: usize) {
        self.lines.taken(length);
        self.after_client_error &= length == 0;
    }

    /// What is being listed, if the buffer begins with a frame of which nothing has been read.
    #[inline]
    fn listed_next(&self) -> Option<Expect> {
        let is_fresh = !self.failed && self.block.is_none() && self.lines.is_fresh();
        if is_fresh { self.in_flight.lists(self.limits.items) } else { None }
    }

    /// Returns how many items were shown, and how many bytes they take.
    #[inline]
    fn show<'a>(
        &self,
        buffer: &'a [u8],
        find: impl Fn(&'a [u8]) -> Option<(Part<'a>, usize)>,
        mut visit: impl FnMut(Part<'a>) -> ControlFlow<()>,
    ) -> (u64, usize) {
        let room = self.limits.items - self.in_flight.items();
        let mut rest = buffer;
        let mut items = 0;
        while items < room
            && let Some((item, length)) = find(rest)
            && self.allows(item, length)
            // A refused item stays in the buffer: none is skipped.
            && let Some((_, after)) = rest.split_at_checked(length)
        {
            rest = after;
            items += 1;
            if visit(item).is_break() {
                break;
            }
        }
        (items, buffer.len() - rest.len())
    }

    /// Whether an item of this many bytes is within the limits.
    #[inline]
    fn allows(&self, item: Part<'_>, length: usize) -> bool {
        match item {
            Part::Value(block) => {
                let data = block.data().len();
                data <= self.limits.value && length - data - 2 <= self.limits.line
            }
            _ => length <= self.limits.line,
        }
    }

    /// A fast path for items that come by the million: a dump consists of nothing but these.
    #[inline]
    fn listed(&mut self, buffer: &mut BytesMut) -> Option<Reply> {
        let expect = self.in_flight.lists(self.limits.items)?;
        let length = memchr::memchr(b'\n', buffer)? + 1;
        if length > self.limits.line || self.block.is_some() {
            return None;
        }
        if expect == Expect::Values {
            return self.whole_value(buffer);
        }
        let take = Take::find(expect, without_end(buffer.get(..length)?), length)?;
        self.in_flight.more_listed(1);
        self.taken(length);
        Some(take.from(buffer))
    }

    /// Takes a value that is complete in the buffer and spelled as usual.
    #[inline]
    fn whole_value(&mut self, buffer: &mut BytesMut) -> Option<Reply> {
        let (block, length) = ValueBlock::new(buffer)?;
        if !self.allows(Part::Value(block), length) {
            return None;
        }
        let (header, data) = (block.header(), block.data().len());
        self.in_flight.more_listed(1);
        self.taken(length);
        buffer.advance(header.key_start);
        let block = buffer.split_to(length - 2 - header.key_start).freeze();
        buffer.advance(2);
        Some(Reply::Value(Value::from_block(block, &header, data)))
    }

    fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, CodecError> {
        if let Some((block, extent)) = self.block {
            return self.finish_block(block, extent, buffer);
        }
        let Some(length) = self.lines.find(buffer, self.limits.line)? else { return Ok(Step::More) };
        let Some(line) = buffer.get(..length).map(without_end) else { return Err(self.lines.malformed(buffer)) };
        if self.after_client_error && line.is_empty() {
            return Ok(self.blank(length, buffer));
        }
        // The most frequent lines are read without a slice of their own.
        if let Some(expect) = self.in_flight.lists(self.limits.items) {
            if length == line.len() + 2
                && let Some(reply) = Reply::of_word(line, expect)
            {
                self.in_flight.last(&Line::Other);
                self.taken(length);
                buffer.advance(length);
                return Ok(Step::Answer(Answer::new(reply, Role::Last)));
            }
            // Takes an item that was incomplete when the fast path looked for it.
            if let Some(take) = Take::find(expect, line, length) {
                self.in_flight.more_listed(1);
                self.taken(length);
                return Ok(Step::Answer(Answer::new(take.from(buffer), Role::Part)));
            }
        }
        if let Some((block, data)) = self.block_line(line) {
            return self.start_block(block, length, data, buffer);
        }
        self.line(length, buffer)
    }

    /// Checks the limit on items before one is taken.
    fn one_more(&mut self, buffer: &[u8]) -> Result<(), CodecError> {
        if self.in_flight.part() > self.limits.items {
            return Err(self.lines.too_long(Limit::Items, self.limits.items, buffer));
        }
        Ok(())
    }

    fn blank(&mut self, length: usize, buffer: &mut BytesMut) -> Step {
        let line = buffer.split_to(length).freeze();
        self.taken(length);
        if !self.keep_blank_lines {
            return Step::Skipped;
        }
        let spelling = if line == b"\r\n"[..] { Spelling::CANONICAL } else { Spelling::other(line) };
        Step::Answer(Answer { reply: Reply::Blank, role: Role::Quiet, spelling })
    }

    /// Whether a data block follows this line.
    fn block_line(&self, line: &[u8]) -> Option<(BlockLine, u64)> {
        if !matches!(line.first(), Some(b'V' | b'C')) {
            return None;
        }
        let front = self.in_flight.front().and_then(|expect| BlockLine::parse(line, expect));
        front.or_else(|| {
            let quiet_get = self.in_flight.quiet_may_give_values();
            if quiet_get { BlockLine::parse(line, Expect::Meta(MetaVerb::Get)) } else { None }
        })
    }

    fn start_block(
        &mut self,
        block: BlockLine,
        line: usize,
        data: u64,
        buffer: &mut BytesMut,
    ) -> Result<Step, CodecError> {
        let data = usize::try_from(data).ok().filter(|&data| data <= self.limits.value);
        let Some(data) = data else {
            return Err(self.lines.too_long(Limit::Value, self.limits.value as u64, buffer));
        };
        let extent = Extent { line, data };
        // Reserved once, so that a large value is not moved again and again while it arrives.
        buffer.reserve(extent.total().saturating_sub(buffer.len()));
        self.block = Some((block, extent));
        self.finish_block(block, extent, buffer)
    }

    fn finish_block(&mut self, block: BlockLine, extent: Extent, buffer: &mut BytesMut) -> Result<Step, CodecError> {
        if buffer.len() < extent.total() {
            return Ok(Step::More);
        }
        if buffer.get(extent.line + extent.data..extent.total()) != Some(b"\r\n") {
            return Err(self.lines.bad_block(buffer));
        }
        let answer = match block {
            BlockLine::Value(header) => {
                self.one_more(buffer)?;
                let Some(line) = buffer.get(..extent.line) else { return Err(self.lines.bad_block(buffer)) };
                let spelling = match line.strip_suffix(b"\r\n") {
                    Some(line) if header.is_spelled(line) => Spelling::CANONICAL,
                    _ => Spelling::other(Bytes::copy_from_slice(line)),
                };
                buffer.advance(header.key_start);
                let value = buffer.split_to(extent.line + extent.data - header.key_start).freeze();
                Answer {
                    reply: Reply::Value(Value::from_block(value, &header, extent.data)),
                    role: Role::Part,
                    spelling,
                }
            }
            BlockLine::MetaValue(flags_start) => {
                let line = buffer.split_to(extent.line).freeze();
                let data = buffer.split_to(extent.data).freeze();
                let flags = ReturnFlags::of_line(&line.slice(..without_end(&line).len()), flags_start);
                let Some(flags) = flags else { return Err(self.lines.malformed(&line)) };
                let role = self.meta_role(&Line::Value(&flags));
                self.spelled(Reply::MetaValue(MetaValue { flags, data }), role, line)
            }
            BlockLine::Config => {
                self.one_more(buffer)?;
                let line = buffer.split_to(extent.line).freeze();
                let data = buffer.split_to(extent.data).freeze();
                let Some((config, _)) = ClusterConfig::parse(&line.slice(..without_end(&line).len())) else {
                    return Err(self.lines.malformed(&line));
                };
                self.spelled(Reply::Config(ClusterConfig { data, ..config }), Role::Part, line)
            }
        };
        buffer.advance(2);
        self.block = None;
        self.taken(extent.total());
        Ok(Step::Answer(answer))
    }

    /// Assigns a meta reply, which is known to answer some request, and records it.
    fn meta_role(&mut self, line: &Line<'_>) -> Role {
        let fits =
            self.in_flight.front().is_some_and(|expect| matches!(expect, Expect::Meta(verb) if verb.has_values()));
        if self.in_flight.owner_of(line, fits) == Some(Owner::Front) {
            self.in_flight.last(line);
            Role::Last
        } else {
            self.in_flight.quiet_spoke();
            Role::Quiet
        }
    }

    fn spelled(&mut self, reply: Reply, role: Role, line: Bytes) -> Answer {
        let spelling =
            if reply.is_spelled(&line, &mut self.scratch) { Spelling::CANONICAL } else { Spelling::other(line) };
        Answer { reply, role, spelling }
    }

    /// Reads a line without a data block.
    fn line(&mut self, length: usize, buffer: &mut BytesMut) -> Result<Step, CodecError> {
        let whole = buffer.split_to(length).freeze();
        let text = whole.slice(..without_end(&whole).len());
        let begun = self.in_flight.has_begun();
        let front = self.in_flight.front().and_then(|expect| Reply::parse(&text, expect, begun));
        let quiet = if self.in_flight.quiet_may_speak() { Reply::parse_quiet(&text) } else { None };
        let kind = match &quiet {
            Some(Reply::Error(_)) => Line::Error,
            Some(Reply::Meta(meta)) => Line::Meta(meta.code, &meta.flags),
            _ => Line::Other,
        };
        let answer = match (self.in_flight.owner_of(&kind, front.is_some()), front, quiet.as_ref()) {
            (Some(Owner::Front), Some((reply, true)), _) => {
                self.in_flight.last(&kind);
                (reply, Role::Last)
            }
            (Some(Owner::Front), Some((reply, false)), _) => {
                if let Err(error) = self.one_more(&whole) {
                    put_back(&whole, buffer);
                    return Err(error);
                }
                (reply, Role::Part)
            }
            (Some(Owner::Quiet), _, Some(reply)) => {
                self.in_flight.quiet_spoke();
                (reply.clone(), Role::Quiet)
            }
            _ => {
                let error = self.lines.malformed(&whole);
                put_back(&whole, buffer);
                return Err(error);
            }
        };
        self.taken(length);
        let (reply, role) = answer;
        self.after_client_error = matches!(&reply, Reply::Error(error) if error.kind() == ErrorKind::Client);
        Ok(Step::Answer(self.spelled(reply, role, whole)))
    }
}

impl Encoder<Request> for ClientCodec {
    type Error = CodecError;

    fn encode(&mut self, request: Request, out: &mut BytesMut) -> Result<(), CodecError> {
        self.encode_request(&request, &Spelling::CANONICAL, out)
    }
}

impl Decoder for ClientCodec {
    type Item = Answer;
    type Error = CodecError;

    #[inline]
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Answer>, CodecError> {
        if self.failed {
            return Err(CodecError::Poisoned);
        }
        if self.lines.is_fresh()
            && let Some(reply) = self.listed(buffer)
        {
            return Ok(Some(Answer { reply, role: Role::Part, spelling: Spelling::CANONICAL }));
        }
        loop {
            match self.step(buffer) {
                Ok(Step::Answer(answer)) => return Ok(Some(answer)),
                Ok(Step::Skipped) => {}
                Ok(Step::More) => return Ok(None),
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Answer>, CodecError> {
        match self.decode(buffer)? {
            Some(answer) => Ok(Some(answer)),
            None if buffer.is_empty() && self.in_flight.may_close() => Ok(None),
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
    use crate::protocol::Key;
    use crate::protocol::crawler::{CrawlTarget, Metadump};
    use crate::protocol::retrieval::Retrieve;
    use crate::protocol::stats::StatsGroup;

    const STATS: Request = Request::Stats(StatsGroup::General);
    const METADUMP: Request = Request::Metadump(Metadump { target: CrawlTarget::All });

    fn get() -> Request {
        Request::Retrieve(Retrieve::new(Key::new("k").unwrap()))
    }

    fn asked(request: Request, limits: Limits) -> ClientCodec {
        let mut codec = ClientCodec::new(limits);
        codec.encode(request, &mut BytesMut::new()).unwrap();
        codec
    }

    /// How many items of these bytes are shown.
    fn shown(codec: &mut ClientCodec, wire: &str) -> u64 {
        codec.visit(&mut BytesMut::from(wire), |_| ControlFlow::Continue(()))
    }

    /// The line is parsed once. After that, a further byte costs a comparison of lengths, and the buffer does not grow.
    #[test]
    fn a_value_that_comes_byte_by_byte_is_only_waited_for() {
        let mut codec = asked(get(), Limits::default());
        let mut buffer = BytesMut::from("VALUE k 0 1048576\r\n");
        assert!(codec.decode(&mut buffer).unwrap().is_none());
        let (scanned, memory) = (codec.lines.clone(), buffer.as_ptr());
        let info = allocation_counter::measure(|| {
            for byte in std::iter::repeat_n(b'\n', 1 << 20).chain([b'\r']) {
                buffer.put_u8(byte);
                assert!(codec.decode(&mut buffer).unwrap().is_none());
                assert!(codec.block.is_some() && codec.lines == scanned && buffer.as_ptr() == memory);
            }
        });
        assert_eq!(info.count_total, 0);
        buffer.put_u8(b'\n');
        assert!(matches!(codec.decode(&mut buffer).unwrap().unwrap().reply, Reply::Value(_)));
    }

    #[test]
    fn the_search_for_a_line_end_goes_on_where_it_ended() {
        let mut codec = asked(STATS, Limits::default());
        assert!(codec.decode(&mut BytesMut::from("STAT a")).unwrap().is_none());
        let scanned = codec.lines.clone();
        assert_eq!(shown(&mut codec, "STAT a"), 0);
        assert_eq!(codec.lines, scanned);
    }

    #[test]
    fn a_value_as_large_as_the_limits_is_taken_and_a_larger_one_refused() {
        let wire = "VALUE k 0 4\r\nabcd\r\n";
        for (line, value, fits) in [(13, 4, true), (12, 4, false), (13, 3, false)] {
            let limits = Limits { line, value, ..Limits::default() };
            assert_eq!(shown(&mut asked(get(), limits), wire), u64::from(fits), "{limits:?}");
            let decoded = asked(get(), limits).decode(&mut BytesMut::from(wire));
            assert_eq!(decoded.is_ok(), fits, "{limits:?}: {decoded:?}");
        }
    }

    #[test]
    fn items_that_were_shown_count_towards_the_limit() {
        let mut codec = asked(STATS, Limits { items: 3, ..Limits::default() });
        let two = "STAT a 1\r\nSTAT b 2\r\n";
        assert_eq!((shown(&mut codec, two), shown(&mut codec, two)), (2, 1));
    }

    #[test]
    fn the_codec_refuses_a_line_that_is_no_part_of_the_listing() {
        let value = "VALUE a 0 1\r\nx\r\n";
        for (request, wire) in [(STATS, value), (METADUMP, value), (METADUMP, "key= exp=-1\n")] {
            let decoded = asked(request, Limits::default()).decode(&mut BytesMut::from(wire));
            assert!(matches!(decoded, Err(CodecError::Malformed { offset: 0, .. })), "{wire}: {decoded:?}");
        }
    }

    #[test]
    fn a_carriage_return_inside_a_line_does_not_end_it() {
        let mut buffer = BytesMut::from("key=a\rx\nkey=b\n");
        let answer = asked(METADUMP, Limits::default()).decode(&mut buffer).unwrap().unwrap();
        assert!(matches!(&answer.reply, Reply::Metadump(item) if item.as_bytes() == b"key=a\rx"), "{answer:?}");
        assert_eq!(buffer, "key=b\n");
    }

    /// memcached sends it right after some errors, and nowhere else.
    #[test]
    fn an_empty_line_after_an_item_is_refused() {
        for (request, item) in [(STATS, "STAT a 1\r\n"), (METADUMP, "key=a\n"), (get(), "VALUE k 0 1\r\nx\r\n")] {
            for cut in 0..item.len() {
                for visits in [false, true] {
                    let mut codec = asked(Request::Version, Limits::default());
                    codec.encode(request.clone(), &mut BytesMut::new()).unwrap();
                    let (head, rest) = item.split_at(cut);
                    let (mut buffer, mut decoded) = (BytesMut::new(), Ok(None));
                    for part in ["CLIENT_ERROR x\r\n", head, rest, "\r\n"] {
                        buffer.extend_from_slice(part.as_bytes());
                        if visits {
                            codec.visit(&mut buffer, |_| ControlFlow::Continue(()));
                        }
                        decoded = codec.decode(&mut buffer);
                    }
                    assert!(matches!(decoded, Err(CodecError::Malformed { .. })), "{item} {cut} {visits}: {decoded:?}");
                }
            }
        }
    }

    #[test]
    fn an_empty_line_that_is_kept_is_kept_as_it_was_spelled() {
        for (empty, spelled) in [("\r\n", None), ("\n", Some("\n"))] {
            let mut codec = asked(Request::Version, Limits::default()).keep_blank_lines();
            let mut buffer = BytesMut::from(["CLIENT_ERROR x\r\n", empty].concat().as_bytes());
            codec.decode(&mut buffer).unwrap().unwrap();
            let answer = codec.decode(&mut buffer).unwrap().unwrap();
            assert_eq!((answer.reply, answer.spelling.line()), (Reply::Blank, spelled.map(str::as_bytes)));
        }
    }
}
