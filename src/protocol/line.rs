//! The parts that the lines of all command families share: parsers for words, and functions that write them. Private, so
//! that nom's types do not leave the protocol.
//!
//! The grammar gets whole lines, so it uses nom's `complete` parsers. Each parser also takes the spaces after its word, so
//! that a tuple of parsers reads like a line in upstream's text; [`whole`] checks that nothing follows the last word.
//!
//! Only the lines that come by the million are parsed by hand: the items of dumps, statistics and values; their parsers use
//! [`leading_decimal`], [`word_len`], [`split_word`] and [`first_line`]. They skip most of a dump's line, and read a value's line in one
//! pass; a grammar of words would examine every byte twice (`benches/protocol.rs`).

use bytes::{BufMut, Bytes, BytesMut};
use nom::bytes::complete::{take_while, take_while1};
use nom::combinator::{all_consuming, map_opt, opt, verify};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::key::Key;

/// The result of a parser of the grammar.
pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// A parser of the grammar that is composed of other parsers.
pub(super) trait Grammar<'a, T>: Parser<&'a [u8], Output = T, Error = ()> {}
impl<'a, T, P: Parser<&'a [u8], Output = T, Error = ()>> Grammar<'a, T> for P {}

/// Only the space separates words. A tab is an ordinary byte of a key, so nom's `space0`, which also takes tabs, is wrong
/// here.
const fn is_space(byte: u8) -> bool {
    byte == b' '
}

/// Any number of spaces.
#[inline]
pub(super) fn spaces(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(is_space).parse(input)
}

/// Bytes up to the next space.
#[inline]
pub(super) fn token(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while1(|byte| !is_space(byte)).parse(input)
}

/// A word.
#[inline]
pub(super) fn word(input: &[u8]) -> Parsed<'_, &[u8]> {
    terminated(token, spaces).parse(input)
}

/// The given word.
pub(super) fn keyword<'a>(name: &'static str) -> impl Grammar<'a, &'a [u8]> {
    verify(word, move |found: &[u8]| found == name.as_bytes())
}

/// A word that is a decimal number and fits the type. Leading zeros are allowed, signs are not.
#[inline]
pub(super) fn number<T: TryFrom<u64>>(input: &[u8]) -> Parsed<'_, T> {
    map_opt(word, decimal).parse(input)
}

/// Digits that make a number that fits the type; any text may follow them.
pub(super) fn digits<T: TryFrom<u64>>(input: &[u8]) -> Parsed<'_, T> {
    map_opt(take_while1(|byte: u8| byte.is_ascii_digit()), decimal).parse(input)
}

/// A word that is a decimal number with or without a minus sign.
#[inline]
pub(super) fn signed(input: &[u8]) -> Parsed<'_, i64> {
    map_opt(word, signed_decimal).parse(input)
}

/// A word that is a key. The input is a part of `line`, and the key becomes a slice of `line`.
pub(super) fn key<'a>(line: &'a Bytes) -> impl Grammar<'a, Key> {
    map_opt(word, |word| Key::new(line.slice_ref(word)).ok())
}

/// `noreply`, or nothing.
pub(super) fn noreply(input: &[u8]) -> Parsed<'_, bool> {
    opt(keyword("noreply")).map(|word| word.is_some()).parse(input)
}

/// The result of a parser if it reads the whole input.
#[inline]
pub(super) fn whole<'a, T>(parser: impl Grammar<'a, T>, input: &'a [u8]) -> Option<T> {
    all_consuming(parser).parse(input).ok().map(|(_, value)| value)
}

/// A number of so many digits fits a `u64`.
const DIGITS_MAX: usize = 19;

/// The whole word as a decimal number that fits the type.
#[inline]
pub(super) fn decimal<T: TryFrom<u64>>(word: &[u8]) -> Option<T> {
    if word.is_empty() {
        return None;
    }
    // Most numbers cannot overflow, and need no check at each digit.
    let fits = word.len() <= DIGITS_MAX;
    let mut value = 0_u64;
    for byte in word {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = if fits {
            value.wrapping_mul(10).wrapping_add(u64::from(digit))
        } else {
            value.checked_mul(10)?.checked_add(u64::from(digit))?
        };
    }
    T::try_from(value).ok()
}

/// The decimal number at the beginning of the bytes, spelled as this crate writes it, and the bytes after it. None also for
/// a number with so many digits that it might overflow.
#[inline]
pub(super) fn leading_decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut value = match first {
        // This crate writes no leading zero: with one, the number is spelled in another way.
        b'0' => return (!rest.first().is_some_and(u8::is_ascii_digit)).then_some((0, rest)),
        b'1'..=b'9' => u64::from(first - b'0'),
        _ => return None,
    };
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = after;
    }
    (bytes.len() - rest.len() <= DIGITS_MAX).then_some((value, rest))
}

// Words and keys are short, so eight of their bytes are examined at a time, by hand: a search made for long texts needs more time to
// start than this needs in total, and code that is built for size examines byte by byte.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The number of bytes before the first space or LF.
#[inline]
pub(super) fn word_len(bytes: &[u8]) -> Option<usize> {
    /// Sets the high bit of the first byte that equals this one; it may also set the high bit of later bytes.
    const fn equal(word: u64, byte: u8) -> u64 {
        let zeroes = word ^ (ONES * byte as u64);
        zeroes.wrapping_sub(ONES) & !zeroes & HIGHS
    }
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = equal(word, b' ') | equal(word, b'\n');
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| matches!(byte, b' ' | b'\n')).map(|at| words.len() * 8 + at)
}

/// Sets a high bit if a byte is a space or a control character below it.
#[inline]
const fn spaces_and_controls(word: u64) -> u64 {
    word.wrapping_sub(ONES * (b' ' + 1) as u64) & !word & HIGHS
}

/// Whether no byte is a space or a control character below it.
#[inline]
pub(super) fn is_above_space(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | spaces_and_controls(u64::from_le_bytes(*word)));
    found == 0 && rest.iter().all(|&byte| byte > b' ')
}

/// Whether every byte is a printable character of ASCII other than the space.
#[inline]
pub(super) fn is_graphic(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_le_bytes(*word);
        // DEL, the last byte of ASCII, gets a high bit by one more.
        found | spaces_and_controls(word) | (word | word.wrapping_add(ONES)) & HIGHS
    });
    found == 0 && rest.iter().all(u8::is_ascii_graphic)
}

/// The whole word as a decimal number with or without a minus sign.
fn signed_decimal(word: &[u8]) -> Option<i64> {
    match word.strip_prefix(b"-") {
        Some(digits) => 0_i64.checked_sub_unsigned(decimal(digits)?),
        None => decimal(word),
    }
}

/// The words of a line, with any number of spaces between them and at the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a>(pub &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (rest, word) = preceded(spaces, word).parse(self.0).ok()?;
        self.0 = rest;
        Some(word)
    }
}

/// The first word of a line without its end, and the text after the space that ends it; None if no space ends it.
#[inline]
pub(super) fn split_word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word_len(line).and_then(|length| line.split_at_checked(length)) {
        Some((word, [_, behind @ ..])) => (word, Some(behind)),
        _ => (line, None),
    }
}

/// The first line of a buffer without its LF, and its length with it, if the buffer contains the whole line.
#[inline]
pub(super) fn first_line(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', buffer)?;
    Some((buffer.get(..end)?, end + 1))
}

/// Whether these bytes can be a line: they contain no LF, and no CR at the end, which would be read as part of the line end.
pub(super) fn is_line(bytes: &[u8]) -> bool {
    memchr::memchr(b'\n', bytes).is_none() && !bytes.ends_with(b"\r")
}

/// Appends a number in decimal.
pub(super) fn put_decimal(out: &mut BytesMut, number: impl Into<u64>) {
    let number: u64 = number.into();
    // The value of the first digit's place.
    let mut power = match number.checked_ilog10() {
        Some(log) => 10_u64.pow(log),
        None => 1,
    };
    while power > 0 {
        out.put_u8(b'0' + (number / power % 10) as u8);
        power /= 10;
    }
}

/// The number of decimal digits of a number.
pub(super) const fn decimal_len(number: u64) -> usize {
    match number.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

/// Appends a number in decimal, with a minus sign if it is negative.
pub(super) fn put_signed(out: &mut BytesMut, number: i64) {
    if number < 0 {
        out.put_u8(b'-');
    }
    put_decimal(out, number.unsigned_abs());
}

/// Appends words with single spaces between them.
pub(super) fn put_words(out: &mut BytesMut, words: &[&[u8]]) {
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(word);
    }
}

/// Appends ` noreply` if the request has it.
pub(super) fn put_noreply(out: &mut BytesMut, noreply: bool) {
    if noreply {
        out.put_slice(b" noreply");
    }
}

#[cfg(test)]
mod tests {
    use nom::combinator::rest;

    use super::*;

    #[test]
    fn numbers_are_digits_that_fit() {
        for (word, value) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1a", None),
        ] {
            assert_eq!(decimal::<u64>(word.as_bytes()), value, "{word}");
        }
        assert_eq!(decimal::<u32>(b"4294967296"), None);
        for (word, value) in [
            ("-1", Some(-1)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-", None),
            ("--1", None),
        ] {
            assert_eq!(signed_decimal(word.as_bytes()), value, "{word}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0_u64, 9, 10, 12345, u64::MAX] {
            let mut out = BytesMut::new();
            put_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
            assert_eq!(out.len(), decimal_len(number));
        }
        for number in [0, -1, i64::MIN, i64::MAX] {
            let mut out = BytesMut::new();
            put_signed(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_word_ends_at_the_first_space_or_line_end() {
        for length in 0..40 {
            let word = "\u{a0}!\u{20ac}\u{0}\u{8a}".bytes().cycle().take(length);
            assert_eq!(word_len(&word.clone().collect::<Vec<_>>()), None);
            for end in [&b" "[..], b"\n", b" \n", b"\n ", b" 0123456789"] {
                let text: Vec<_> = word.clone().chain(end.iter().copied()).collect();
                assert_eq!(word_len(&text), Some(length), "{text:?}");
            }
        }
    }

    /// Each byte at each place, and each byte after each other one.
    #[test]
    fn bytes_looked_at_together_are_as_by_themselves() {
        let mut texts = Vec::new();
        for byte in 0..=u8::MAX {
            texts.extend((0..19).map(|at| (0..19).map(|place| if place == at { byte } else { b'!' }).collect()));
            // The same byte in two places, eight bytes apart.
            texts.extend(
                (0..11).map(|at| {
                    (0..19).map(|place| if place % 8 == at % 8 && place >= at { byte } else { b'~' }).collect()
                }),
            );
            texts.extend((0..=u8::MAX).map(|after| vec![b'~', byte, after, b'!', byte, after, b'~', b'~']));
        }
        texts.extend((0..19).map(|length| b"!~k"[..].iter().copied().cycle().take(length).collect::<Vec<_>>()));
        for text in texts {
            assert_eq!(is_above_space(&text), text.iter().all(|byte| *byte > b' '), "{text:x?}");
            assert_eq!(is_graphic(&text), text.iter().all(u8::is_ascii_graphic), "{text:x?}");
        }
    }

    #[test]
    fn the_first_word_of_a_line() {
        assert_eq!(split_word(b""), (&b""[..], None));
        for length in 0..20 {
            let word = &b"0123456789abcdefghij"[..length];
            assert_eq!(split_word(word), (word, None));
            for behind in ["", " ", "b", "b c"] {
                let line = [word, b" ", behind.as_bytes()].concat();
                assert_eq!(split_word(&line), (word, Some(behind.as_bytes())), "{length}, {behind:?}");
            }
        }
    }

    #[test]
    fn only_a_space_separates_words() {
        let words: Vec<_> = Words(b"  a\tb   c ").collect();
        assert_eq!(words, [&b"a\tb"[..], b"c"]);
        for (line, behind) in [("VERSION\t1", None), ("VERSION  1 2", Some("1 2")), ("VERSION", Some(""))] {
            let read = preceded(keyword("VERSION"), rest);
            assert_eq!(whole(read, line.as_bytes()), behind.map(str::as_bytes), "{line}");
        }
    }
}
