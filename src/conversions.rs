//! The conversions that every type has that accepts only some bytes.

/// Makes conversions from bytes and text, to bytes, and to text that is safe for a terminal. Takes the type, the error for
/// bytes that are not a value, the function that makes a value from [`Bytes`](bytes::Bytes), the function that copies a
/// slice, which may be left out, and the one that gives its bytes.
macro_rules! conversions {
    ($type:ident, $error:ty, $new:expr, $copied:expr, $bytes:expr) => {
        impl TryFrom<::bytes::Bytes> for $type {
            type Error = $error;

            fn try_from(bytes: ::bytes::Bytes) -> Result<Self, $error> {
                $new(bytes)
            }
        }

        impl TryFrom<Vec<u8>> for $type {
            type Error = $error;

            fn try_from(bytes: Vec<u8>) -> Result<Self, $error> {
                $new(::bytes::Bytes::from(bytes))
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                $new(::bytes::Bytes::from(text))
            }
        }

        /// Copies the bytes.
        impl TryFrom<&[u8]> for $type {
            type Error = $error;

            fn try_from(bytes: &[u8]) -> Result<Self, $error> {
                $copied(bytes)
            }
        }

        /// Copies the text.
        impl TryFrom<&str> for $type {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                $copied(text.as_bytes())
            }
        }

        /// Copies the text.
        impl std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::try_from(text)
            }
        }

        impl AsRef<[u8]> for $type {
            fn as_ref(&self) -> &[u8] {
                $bytes(self)
            }
        }

        /// Shows the bytes as [`Escaped`](crate::protocol::Escaped) does: bytes that are not text are escaped.
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                crate::protocol::Escaped(self.as_ref()).fmt(f)
            }
        }
    };
    ($type:ident, $error:ty, $new:expr, $bytes:expr) => {
        conversions!($type, $error, $new, |slice| $new(::bytes::Bytes::copy_from_slice(slice)), $bytes);
    };
    ($type:ident, $what:literal, $bytes:expr) => {
        conversions!(
            $type,
            crate::protocol::ValueError,
            |bytes| Self::new(bytes).ok_or(crate::protocol::ValueError::of($what)),
            $bytes
        );
    };
}

pub(crate) use conversions;
