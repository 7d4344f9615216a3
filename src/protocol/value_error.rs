//! The error of types that reject bytes for only one reason.

/// Some bytes are not a value of a type. The type's `new` says which bytes are.
///
/// ```
/// use mcflush::protocol::Opaque;
/// assert_eq!(Opaque::try_from("two words").unwrap_err().to_string(), "these bytes are no opaque token");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no {what}")]
pub struct ValueError {
    what: &'static str,
}

impl ValueError {
    pub(super) const fn of(what: &'static str) -> Self {
        Self { what }
    }
}
