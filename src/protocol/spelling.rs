//! How a line was spelled.

use bytes::Bytes;

/// How the line of a request or reply was spelled: in the one form that this crate writes (single spaces, CR LF, plain
/// numbers), or in another, which is kept so that it can be written again as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
// Boxed, because it is rare and stands in every answer.
pub struct Spelling(Option<Box<Bytes>>);

impl Spelling {
    /// As this crate writes it.
    pub const CANONICAL: Self = Self(None);

    pub(crate) fn other(line: Bytes) -> Self {
        Self(Some(Box::new(line)))
    }

    /// The line with its end, where it is spelled in another form than this crate's.
    #[must_use]
    pub fn line(&self) -> Option<&[u8]> {
        self.0.as_deref().map(|line| &line[..])
    }
}
