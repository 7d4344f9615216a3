//! The error of a text that does not name a server.

use std::borrow::Cow;

use super::parse::HOST_MAX;
use super::password::shown;
use super::url::authority;
use crate::protocol::Escaped;

/// A text does not name a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{input}\" is not a server address: {problem}{}: {}",
    .character.map(|at| format!(" (character {at})")).unwrap_or_default(),
    .problem.advice()
)]
///
/// ```
/// use mcflush::address::ServerAddr;
/// let error = "cache1:port".parse::<ServerAddr>().unwrap_err();
/// assert!(error.to_string().contains("(character 8)"));
/// ```
pub struct AddressError {
    input: String,
    problem: Mistake,
    character: Option<usize>,
}

impl AddressError {
    pub(super) fn new(input: &str, problem: Mistake) -> Self {
        let before = place(input, &problem).and_then(|at| input.get(..at));
        Self { input: shown(input), character: before.map(|before| before.chars().count() + 1), problem }
    }

    /// The number of the wrong character in the text, from 1. If something is missing at the end: one past the end.
    #[must_use]
    pub const fn character(&self) -> Option<usize> {
        self.character
    }

    /// Whether the text is only a number: the user probably meant a port, and named its host separately.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self.problem, Mistake::Number)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("it is empty")]
    Empty,
    #[error("{character:?} cannot stand in a host name")]
    Character { character: char, at: usize },
    #[error("{0:?} cannot stand in a URL")]
    Control(char),
    #[error("{0:?} separates several servers")]
    Several(char),
    #[error("the host is missing")]
    NoHost,
    #[error("the host name is over 253 bytes long")]
    LongHost,
    #[error("a number is a port, not a host")]
    Number,
    #[error("it is an abbreviated or incomplete address")]
    ShortAddress,
    #[error("the port must be a number from 1 to 65535")]
    Port,
    #[error("it has a name before host and port")]
    Named { meant: String },
    #[error("it has more parts than host, port and weight")]
    Parts,
    #[error("an IPv6 address goes in brackets, as in [::1]:11211")]
    Brackets,
    #[error("there is no IPv6 address between the brackets")]
    NotV6,
    #[error("it is not a URL ({0})")]
    Url(::url::ParseError),
    #[error("no server or list has this scheme")]
    Scheme,
    #[error("SRV records have ports of their own")]
    SrvPort,
    #[error(
        "user and password go together, as in memcached://user:password@host, neither empty nor with a space, a line end or a NUL in it, and the user without a colon"
    )]
    Credentials,
    #[error("a character in user or password means something else in a URL")]
    Unencoded,
    #[error("user and password go into a URL, as in memcached://user:password@host")]
    CredentialsWithoutUrl,
    #[error("user and password have no place here")]
    Entry,
    #[error("a URL ends after the port")]
    Trailing,
    #[error("host[] names several servers in one URL, as Symfony reads them")]
    HostList,
    #[error("a socket's URL holds an absolute path and nothing else, as in memcached+unix:///run/memcached.sock")]
    SocketUrl,
}

impl Mistake {
    /// How the user should write it.
    fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Several(_) | Self::HostList => {
                "write each server by itself, as in: cache1:11211 cache2:11211".into()
            }
            Self::Number => "write host:port".into(),
            Self::ShortAddress => "write all four numbers, in decimal, as in 127.0.0.1".into(),
            Self::Named { meant } => format!("write {}", Escaped(meant.as_bytes())).into(),
            Self::Unencoded => "percent-encode the password: % is %25, / is %2F, ? is %3F, # is %23, @ is %40".into(),
            _ => "write host, host:port, [v6]:port, /path/to.sock, memcached://host:port, memcached+unix:///path, or for a \
                  list memcached+dns://name, memcached+srv://name or memcached+auto://endpoint"
                .into(),
        }
    }
}

/// The offset of the byte in the input at which the mistake shows.
fn place(input: &str, problem: &Mistake) -> Option<usize> {
    let (scheme_end, host_start, authority_end) = authority(input);
    let host = input.get(host_start..authority_end)?;
    Some(match problem {
        Mistake::Empty | Mistake::Url(_) | Mistake::Named { .. } | Mistake::Parts => return None,
        Mistake::Scheme | Mistake::CredentialsWithoutUrl => 0,
        Mistake::Control(character) | Mistake::Several(character) => input.find(*character)?,
        Mistake::HostList => input.find("host[")?,
        Mistake::Character { at, .. } => host_start + at,
        Mistake::LongHost => host_start + HOST_MAX,
        Mistake::Port => {
            let port_start =
                host.rfind(':').map_or(host.len(), |at| at + 1).max(host.rfind(']').map_or(0, |at| at + 1));
            let port = host.get(port_start..)?;
            // If every character is a digit, the number is too large or 0: point at its first digit.
            host_start + port_start + port.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(0)
        }
        // Point at the second colon, where the text is no longer `HOST:PORT`, or at the place of the missing bracket.
        Mistake::Brackets => host_start + host.match_indices(':').nth(1).map_or(host.len(), |(at, _)| at),
        Mistake::SrvPort => host_start + host.rfind(':')?,
        Mistake::NotV6 => host_start + 1,
        Mistake::NoHost | Mistake::Number | Mistake::ShortAddress => host_start,
        Mistake::Credentials | Mistake::Unencoded | Mistake::Entry | Mistake::SocketUrl => scheme_end,
        Mistake::Trailing => authority_end,
    })
}
