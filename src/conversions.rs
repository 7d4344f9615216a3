//! Conversions of the types that only some bytes can be: all have the same ones.

/// From what can be such a value, to its bytes, and to what may stand on a terminal: the type, the error of bytes that cannot be one,
/// how it is made of [`Bytes`](bytes::Bytes), and how its bytes are had.
macro_rules! conversions {
    ($type:ident, $error:ty, $new:expr, $bytes:expr) => {
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

        /// Copies them.
        impl TryFrom<&[u8]> for $type {
            type Error = $error;

            fn try_from(bytes: &[u8]) -> Result<Self, $error> {
                $new(::bytes::Bytes::copy_from_slice(bytes))
            }
        }

        /// Copies it.
        impl TryFrom<&str> for $type {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                $new(::bytes::Bytes::copy_from_slice(text.as_bytes()))
            }
        }

        /// Copies it.
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

        /// With what is no text escaped, as [`Escaped`](crate::protocol::Escaped) does it.
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                crate::protocol::Escaped(self.as_ref()).fmt(f)
            }
        }
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
