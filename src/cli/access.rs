//! How servers are entered: by what their URL says, else by the options.

use std::collections::HashMap;

use mcflush::address::{Entry, ServerAddr};
use mcflush::connection::Access;
use mcflush::protocol::storage::Credentials;

/// What the options say, and what URLs do.
#[derive(Debug, Default)]
pub struct Accesses {
    /// Of servers whose URL has none.
    pub credentials: Option<Credentials>,
    /// Of URLs.
    entries: HashMap<ServerAddr, Entry>,
}

impl Accesses {
    pub fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, entries: HashMap::new() }
    }

    /// Keeps what a URL says of a server; of two that say the same thing of one, the first.
    pub fn note(&mut self, server: ServerAddr, entry: Entry) {
        if entry != Entry::default() {
            self.entries.entry(server).or_insert(entry);
        }
    }

    /// How a server is entered.
    pub fn of(&self, server: &ServerAddr) -> Access {
        self.by(self.entries.get(server).unwrap_or(&Entry::default()))
    }

    /// How it is entered by such a URL.
    pub fn by(&self, entry: &Entry) -> Access {
        Access { credentials: entry.credentials.clone().or_else(|| self.credentials.clone()) }
    }
}
