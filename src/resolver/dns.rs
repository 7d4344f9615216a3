//! Asks the DNS directly: for every address of a name, and for the servers of a service.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};

/// A DNS client.
#[derive(Debug, Clone)]
pub struct Dns(TokioResolver);

impl Dns {
    /// Uses the system's configuration.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn system() -> io::Result<Self> {
        Ok(Self(TokioResolver::builder_tokio().map_err(io::Error::other)?.build().map_err(io::Error::other)?))
    }

    /// Uses one DNS server, and no other.
    ///
    /// # Errors
    /// The DNS client cannot be set up.
    pub fn at(server: SocketAddr) -> io::Result<Self> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(Self(builder.build().map_err(io::Error::other)?))
    }

    /// Every A and AAAA record of a name, in the order of the addresses; none if the name does not exist.
    ///
    /// # Errors
    /// Either query failed or was not answered: half of the addresses could pass for all of them.
    pub async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name = ascii(name)?;
        let (v4, v6) = futures_util::join!(self.0.ipv4_lookup(name.clone()), self.0.ipv6_lookup(name));
        let mut addresses = Vec::new();
        for lookup in [v4, v6] {
            addresses.extend(records(lookup)?.iter().filter_map(|data| match data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            }));
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// The hosts and ports of a service's SRV records, by priority, then by name; none if the service does not exist.
    ///
    /// # Errors
    /// The query failed or was not answered.
    pub async fn services(&self, name: &str) -> io::Result<Vec<(String, u16)>> {
        let mut services = Vec::new();
        for data in records(self.0.srv_lookup(ascii(name)?).await)? {
            // A root target means that the service is not available.
            if let RData::SRV(service) = data
                && !service.target.is_root()
            {
                let host = service.target.to_ascii();
                services.push((service.priority, host.trim_end_matches('.').to_ascii_lowercase(), service.port));
            }
        }
        services.sort_unstable();
        services.dedup();
        Ok(services.into_iter().map(|(_, host, port)| (host, port)).collect())
    }
}

/// The name in ASCII: an address holds no other characters, so no Unicode tables are needed.
fn ascii(name: &str) -> io::Result<Name> {
    Name::from_ascii(name).map_err(io::Error::other)
}

fn records(lookup: Result<Lookup, NetError>) -> io::Result<Vec<RData>> {
    match lookup {
        Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(NetError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_the_dns_has_them() {
        for name in ["cache1", "xn--bcher-kva.example", "_memcached._tcp.Example.org.", "127-0-0-1.example"] {
            assert_eq!(ascii(name).unwrap().to_ascii(), name);
        }
        assert!(ascii("b\u{fc}cher.example").is_err());
        assert!(ascii(&"a".repeat(64)).is_err());
    }
}
