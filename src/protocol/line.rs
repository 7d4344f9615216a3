//! What the lines of all families are made of. Private: nom's types do not leave the protocol.

use bytes::{BufMut, BytesMut};
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::space1;
use nom::combinator::rest;
use nom::sequence::preceded;
use nom::{IResult, Parser};

pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// A run of bytes up to the next space.
pub(super) fn token(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while1(|byte| byte != b' ').parse(input)
}

/// A word with what follows it: nothing, or a space and anything.
pub(super) fn word<'a>(word: &'static str) -> impl FnMut(&'a [u8]) -> Parsed<'a, &'a [u8]> {
    move |input| {
        let (input, _) = tag(word).parse(input)?;
        if input.is_empty() { Ok((input, input)) } else { preceded(space1, rest).parse(input) }
    }
}

/// Appends a number in decimal.
pub(super) fn put_number(out: &mut BytesMut, number: impl std::fmt::Display) {
    use std::fmt::Write as _;
    // Writing into a growing buffer does not fail.
    let _ = write!(out, "{number}");
}

pub(super) fn put_words(out: &mut BytesMut, words: &[&[u8]]) {
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(word);
    }
}
