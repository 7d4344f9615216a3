//! How servers are entered: by what their URL says, else by the options.

use std::collections::HashMap;

use mcflush::address::{Entry, ServerAddr};
use mcflush::connection::tls::Tls;
use mcflush::connection::{Access, Login};
use mcflush::protocol::storage::Credentials;

/// Logins and TLS: from the options, and from URLs.
#[derive(Debug, Default)]
pub struct Accesses {
    /// For servers whose URL has none.
    pub credentials: Option<Credentials>,
    /// For all servers.
    login: Login,
    /// For servers whose URL asks for it.
    tls: Option<Tls>,
    /// From URLs, each with the host of the list that it came from.
    entries: HashMap<ServerAddr, (Entry, Option<String>)>,
}

impl Accesses {
    pub fn new(credentials: Option<Credentials>, login: Login, tls: Option<Tls>) -> Self {
        Self { credentials, login, tls, entries: HashMap::new() }
    }

    /// Keeps what a URL says of a server, with the host of the list that the URL names; of two that say something of the same
    /// server, the first.
    pub fn note(&mut self, server: ServerAddr, entry: Entry, list: Option<&str>) {
        if entry != Entry::default() {
            self.entries.entry(server).or_insert((entry, list.map(str::to_owned)));
        }
    }

    /// How a server is entered.
    pub fn of(&self, server: &ServerAddr) -> Access {
        match self.entries.get(server) {
            Some((entry, list)) => self.by(entry, list.as_deref()),
            None => self.by(&Entry::default(), None),
        }
    }

    /// How it is entered by such a URL. The certificate of a list's member, which is an address, has the list's name.
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
