//! Login and TLS for each server: from its URL, or else from the options.

use std::collections::HashMap;

use mcflush::address::{Entry, ServerAddr};
use mcflush::connection::tls::Tls;
use mcflush::connection::{Access, Login};
use mcflush::protocol::storage::Credentials;

/// Logins and TLS: from the options, and from URLs.
#[derive(Debug, Default)]
pub struct Accesses {
    /// For servers whose URL has no user and password.
    pub credentials: Option<Credentials>,
    /// For all servers.
    login: Login,
    /// For servers whose URL asks for TLS.
    tls: Option<Tls>,
    /// What the URLs give for each server, with the host of the list that named the server, if any.
    entries: HashMap<ServerAddr, (Entry, Option<String>)>,
}

impl Accesses {
    pub fn new(credentials: Option<Credentials>, login: Login, tls: Option<Tls>) -> Self {
        Self { credentials, login, tls, entries: HashMap::new() }
    }

    /// Keeps the user, password and TLS of a server's URL, with the host of the list that the URL names. If two URLs
    /// name the same server, the first applies.
    pub fn note(&mut self, server: ServerAddr, entry: Entry, list: Option<&str>) {
        if entry != Entry::default() {
            self.entries.entry(server).or_insert((entry, list.map(str::to_owned)));
        }
    }

    /// How to connect and log in to a server.
    pub fn of(&self, server: &ServerAddr) -> Access {
        match self.entries.get(server) {
            Some((entry, list)) => self.by(entry, list.as_deref()),
            None => self.by(&Entry::default(), None),
        }
    }

    /// How to connect and log in with what a URL gives. A member of a list is an address, so its certificate has the
    /// list's name.
    pub fn by(&self, entry: &Entry, list: Option<&str>) -> Access {
        let tls = self.tls.clone().filter(|_| entry.tls);
        let tls = match list {
            Some(list) => tls.map(|tls| tls.expecting(list)),
            None => tls,
        };
        let credentials = entry.credentials.clone().or_else(|| self.credentials.clone());
        Access::default().with_credentials(credentials).with_login(self.login).with_tls(tls)
    }
}
