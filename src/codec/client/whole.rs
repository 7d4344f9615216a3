//! Short ways for the client: many requests that are put at once, and answers that are taken whole.

use bytes::{Buf, BytesMut};

use super::ClientCodec;
use crate::codec::CodecError;
use crate::codec::in_flight::{InFlight, Line};
use crate::protocol::retrieval::{Value, ValueBlock};
use crate::protocol::{Expect, Part, Request};

const CRLF: usize = b"\r\n".len();

/// The length of the shortest value: its line, and an empty data block.
const VALUE_MIN: usize = b"VALUE k 0 0\r\n\r\n".len();

/// Requests that are encoded, and not yet in flight: [`ClientCodec::put_encoded`] sends them.
#[derive(Debug, Default)]
pub(crate) struct EncodedRequests {
    bytes: BytesMut,
    in_flight: InFlight,
}

impl EncodedRequests {
    /// With room for this many requests in flight.
    pub(crate) fn with_capacity(requests: usize) -> Self {
        Self { bytes: BytesMut::new(), in_flight: InFlight::with_capacity(requests) }
    }

    pub(crate) fn push(&mut self, request: &Request) {
        request.encode(&mut self.bytes);
        self.in_flight.push(request);
    }
}

impl ClientCodec {
    /// Counts the requests as in flight, and puts them behind what is in the buffer.
    pub(crate) fn put_encoded(&mut self, requests: EncodedRequests, out: &mut BytesMut) -> Result<(), CodecError> {
        if self.failed {
            return Err(CodecError::Poisoned);
        }
        out.unsplit(requests.bytes);
        self.in_flight.append(requests.in_flight);
        Ok(())
    }

    /// Takes the values that are complete at the front of the buffer and spelled as usual: with one split of the buffer
    /// for all of them, and without an [`Answer`](crate::codec::Answer) for each.
    /// [`decode`](tokio_util::codec::Decoder::decode) gives what follows them.
    pub(crate) fn take_values(&mut self, buffer: &mut BytesMut, values: &mut Vec<Value>) {
        if self.listed_next() != Some(Expect::Values) {
            return;
        }
        let room = self.limits.items - self.in_flight.items();
        // Room for as many as the caller has room for, and the buffer can hold.
        let likely = (values.capacity() - values.len()).min(buffer.len() / VALUE_MIN);
        let mut headers = Vec::with_capacity(likely);
        let mut rest = &buffer[..];
        while (headers.len() as u64) < room
            && let Some((block, length)) = ValueBlock::new(rest)
            && self.allows(Part::Value(block), length)
            && let Some((_, after)) = rest.split_at_checked(length)
        {
            headers.push((block.header(), block.data().len(), length));
            rest = after;
        }
        let taken = buffer.len() - rest.len();
        if taken == 0 {
            return;
        }
        self.in_flight.more_listed(headers.len() as u64);
        self.taken(taken);
        let blocks = buffer.split_to(taken).freeze();
        let mut at = 0;
        values.extend(headers.into_iter().map(|(header, data, length)| {
            let block = blocks.slice(at + header.key_start..at + length - CRLF);
            at += length;
            Value::from_block(block, &header, data)
        }));
    }

    /// Takes the answer to a request for the item of one key, `None` for a miss, if all of it is at the front of the
    /// buffer and spelled as usual.
    /// [`decode`](tokio_util::codec::Decoder::decode) reads any other answer.
    #[inline]
    pub(crate) fn take_item(&mut self, buffer: &mut BytesMut, key: &[u8]) -> Option<Option<Value>> {
        const END: &[u8] = b"END\r\n";
        if self.in_flight.has_begun() || self.listed_next() != Some(Expect::Values) {
            return None;
        }
        if buffer.starts_with(END) {
            buffer.advance(END.len());
            self.item_taken(END.len());
            return Some(None);
        }
        let (block, length) = ValueBlock::new(buffer)?;
        let is_whole = buffer.get(length..).is_some_and(|rest| rest.starts_with(END));
        if !is_whole || block.key() != key || !self.allows(Part::Value(block), length) {
            return None;
        }
        let (header, data_len) = (block.header(), block.data().len());
        buffer.advance(header.key_start);
        let block = buffer.split_to(length - CRLF - header.key_start).freeze();
        buffer.advance(CRLF + END.len());
        self.item_taken(length + END.len());
        Some(Some(Value::from_block(block, &header, data_len)))
    }

    /// Ends an answer of this length.
    #[inline]
    fn item_taken(&mut self, length: usize) {
        self.taken(length);
        self.in_flight.last(&Line::Other);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use tokio_util::codec::{Decoder, Encoder};

    use super::*;
    use crate::codec::{Answer, Limits, Role};
    use crate::protocol::meta::MetaGet;
    use crate::protocol::retrieval::{Keys, Retrieve};
    use crate::protocol::{Key, MetaKey, Reply};

    /// The values that a client takes together, and those between them that only `decode` reads, wherever the buffer ends.
    #[test]
    fn values_taken_together_are_those_that_are_decoded_one_by_one() {
        let values = |limits: Limits, wire: &[u8], cut: usize, together: bool| {
            let mut codec = ClientCodec::new(limits);
            let get = Retrieve {
                keys: Keys::new(vec![Key::new("k").unwrap(); 9]).unwrap(),
                ..Retrieve::new(Key::new("k").unwrap())
            };
            codec.encode(Request::Retrieve(get), &mut BytesMut::new()).unwrap();
            let (mut buffer, mut found, mut ends) = (BytesMut::new(), Vec::new(), String::new());
            for part in [&wire[..cut], &wire[cut..]] {
                buffer.put_slice(part);
                loop {
                    if together {
                        codec.take_values(&mut buffer, &mut found);
                    }
                    match codec.decode(&mut buffer) {
                        Ok(Some(Answer { reply: Reply::Value(value), .. })) => found.push(value),
                        Ok(None) => break,
                        end => {
                            ends += &format!("{end:?}");
                            break;
                        }
                    }
                }
            }
            (found, ends)
        };
        let wire = b"VALUE a 1 2\r\nAB\r\nVALUE b 0 0 7\r\n\r\nVALUE  c 01 1\nC\r\nVALUE d 0 12\r\nD\r\nVALUE x 0\r\nVALUE e 0 1\r\nE\r\nEND\r\n";
        let defaults = Limits::default();
        let items = [1, 3, 4].map(|items| Limits { items, ..defaults });
        let others = [defaults, Limits { value: 1, ..defaults }, Limits { line: 12, ..defaults }];
        for limits in items.into_iter().chain(others) {
            for cut in 0..=wire.len() {
                assert_eq!(values(limits, wire, cut, true), values(limits, wire, cut, false), "{limits:?}, {cut}");
            }
        }
        assert_eq!(values(defaults, wire, 0, true).0.len(), 5);
    }

    /// The answers that a pipeline takes whole, and those between them that only `decode` reads, wherever the buffer ends.
    #[test]
    fn items_taken_whole_are_those_that_are_decoded_reply_by_reply() {
        let answers = |limits: Limits, wire: &[u8], cut: usize, whole: bool| {
            let mut codec = ClientCodec::new(limits);
            let mut requests = EncodedRequests::default();
            (0..6).for_each(|_| requests.push(&Request::Retrieve(Retrieve::new(Key::new("k").unwrap()))));
            codec.put_encoded(requests, &mut BytesMut::new()).unwrap();
            let (mut buffer, mut replies, mut taken) = (BytesMut::new(), Vec::new(), 0);
            for part in [&wire[..cut], &wire[cut..]] {
                buffer.put_slice(part);
                loop {
                    let item = whole.then(|| codec.take_item(&mut buffer, b"k"));
                    if let Some(value) = item.flatten() {
                        replies.extend(value.map(|value| format!("{:?}", Reply::Value(value))));
                        replies.push(format!("{:?}", Reply::End));
                        taken += 1;
                        continue;
                    }
                    match codec.decode(&mut buffer) {
                        Ok(Some(answer)) => replies.push(format!("{:?}", answer.reply)),
                        Ok(None) => break,
                        end => {
                            replies.push(format!("{end:?}"));
                            break;
                        }
                    }
                }
            }
            (replies, taken)
        };
        let begin = "VALUE k 1 2\r\nAB\r\nEND\r\nEND\r\nCLIENT_ERROR x\r\n\r\n";
        let defaults = Limits::default();
        for rest in [
            "VALUE k 0 0 7\r\n\r\nEND\r\nVALUE  k 01 1\nC\r\nEND\r\nEND\n",
            "VALUE x 0 0\r\n\r\nEND\r\nVALUE k 0 1\r\nC\r\nVALUE k 0 1\r\nD\r\nEND\r\nEND\r\n",
            "VALUE k 0 1\r\nC\r\nSERVER_ERROR y\r\nVALUE k 0 20\r\n\r\nEND\r\n\r\nEND\r\nEND\r\nEND\r\nEND\r\n",
            "VALUE k 0 9999999999999\r\nEND\r\n",
            "VALUE k 0 1\r\nEND\r\nEND\r\n",
        ] {
            let wire = [begin, rest].concat().into_bytes();
            for limits in [defaults, Limits { items: 1, ..defaults }, Limits { value: 1, ..defaults }] {
                for cut in 0..=wire.len() {
                    let (decoded, _) = answers(limits, &wire, cut, false);
                    assert_eq!(answers(limits, &wire, cut, true).0, decoded, "{limits:?}, {cut}, {rest:?}");
                }
            }
            assert!(answers(defaults, &wire, 0, true).1 > 1);
        }
    }

    #[test]
    fn quiet_requests_before_and_among_those_put_together_may_all_be_answered() {
        let quiet = Request::MetaGet(MetaGet { quiet: true, ..MetaGet::new(MetaKey::for_bytes("k").unwrap()) });
        let (mut codec, mut requests) = (ClientCodec::default(), EncodedRequests::default());
        codec.encode(quiet.clone(), &mut BytesMut::new()).unwrap();
        requests.push(&quiet);
        requests.push(&Request::MetaNoop);
        codec.put_encoded(requests, &mut BytesMut::new()).unwrap();
        let mut buffer = BytesMut::from("HD\r\nHD\r\nMN\r\n");
        let roles = [(); 3].map(|()| codec.decode(&mut buffer).unwrap().unwrap().role);
        assert_eq!(roles, [Role::Quiet, Role::Quiet, Role::Last]);
    }
}
