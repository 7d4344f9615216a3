//! How a line was spelled.

use bytes::Bytes;

/// How the line of a request or reply was spelled: in the one form that this crate writes (single spaces, CR LF, plain
/// numbers), or in another form, which is kept so that a proxy can write the line again as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
// Boxed, because every answer has this field, and most leave it empty.
pub struct Spelling(Option<Box<Bytes>>);

impl Spelling {
    /// The form that this crate writes.
    pub const CANONICAL: Self = Self(None);

    pub(crate) fn other(line: Bytes) -> Self {
        Self(Some(Box::new(line)))
    }

    /// The line with its line end, if it is not spelled as this crate writes it.
    #[must_use]
    pub fn line(&self) -> Option<&[u8]> {
        self.0.as_deref().map(|line| &line[..])
    }
}
