//! Addresses of servers: the forms that a user types, and the form that mcflush shows.

mod error;
mod parse;
mod password;
mod types;
mod url;

use std::str::FromStr;

pub use self::error::AddressError;
use self::error::Mistake;
pub use self::password::without_password;
pub use self::types::{DEFAULT_PORT, Entry, ListKind, ServerAddr, ServerList, ServerName, Target};

impl FromStr for ServerAddr {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        parse::server(input).and_then(alone).map_err(|problem| AddressError::new(input, problem))
    }
}

impl FromStr for ServerName {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        parse::name(input).and_then(alone).map_err(|problem| AddressError::new(input, problem))
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        let (name, entry) = parse::name(input).map_err(|problem| AddressError::new(input, problem))?;
        Ok(Self { name, entry })
    }
}

/// The name, if its URL asks for neither credentials nor TLS.
fn alone<T>((named, entry): (T, Entry)) -> Result<T, Mistake> {
    if entry == Entry::default() { Ok(named) } else { Err(Mistake::Entry) }
}
