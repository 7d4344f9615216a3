//! Hides the passwords in addresses, and in texts that contain addresses.

use crate::protocol::Escaped;

/// The text without the password of a URL in it.
///
/// ```
/// use mcflush::address::without_password;
/// assert_eq!(without_password("unexpected: memcached://app:secret@cache1"), "unexpected: memcached://…@cache1");
/// ```
#[must_use]
pub fn without_password(text: &str) -> String {
    match text.split_once("://").and_then(|(before, after)| Some((before, after.rsplit_once('@')?))) {
        Some((before, (_, after))) => format!("{before}://…@{after}"),
        None => text.to_owned(),
    }
}

/// The text that the user typed as an address, on one line, without a password in it, even if the text is not a URL.
pub(super) fn shown(input: &str) -> String {
    let visible = match (input.split_once("://"), input.rsplit_once('@')) {
        (Some((scheme, _)), _) if !scheme.contains('@') => without_password(input),
        (_, Some((before, host))) if !before.is_empty() && !input.starts_with('/') => format!("…@{host}"),
        _ => input.to_owned(),
    };
    Escaped(visible.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_address_is_shown_without_its_password() {
        for (input, visible) in [
            ("cache1", "cache1"),
            ("memcached://app:secret@cache1", "memcached://…@cache1"),
            ("memcached://app:sec@ret@cache1", "memcached://…@cache1"),
            ("@memcached://cache1", "@memcached://cache1"),
            ("app:secret@cache1", "…@cache1"),
            ("app:secret@memcached://cache1", "…@memcached://cache1"),
            ("@cache1", "@cache1"),
            ("/run/a@b.sock", "/run/a@b.sock"),
            ("app:secret@a\nb", r"…@a\x0ab"),
        ] {
            assert_eq!(shown(input), visible);
        }
    }
}
