//! TLS (`-Z`), with good and bad certificates that the tests make.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcflush::address::ServerAddr;
use mcflush::client::Client;
use mcflush::connection::Access;
use mcflush::connection::tls::{Tls, Trust};
use mcflush::protocol::storage::{Store, StoreVerb};
use mcflush::protocol::{Key, Reply, Request};
use mcflush::resolver::Resolver;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use serde_json::json;
use tempfile::TempDir;

use crate::json::document;
use crate::support::fake::Fake;
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version, each_version};

each_version!(of_a_plain_server);
// Debian 11 builds memcached without TLS.
each_version!(
    but bullseye:
    of_a_trusted_server,
    of_bad_certificates,
    with_a_client_certificate,
    of_a_plain_client,
    with_a_password_too,
    of_a_certificate_that_signed_itself,
    of_certificates_that_say_what_is_wrong,
);

/// A folder of certificates.
pub struct Certificates {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// A folder with a certificate authority.
    pub fn new() -> Certificates {
        let folder = TempDir::with_prefix("mcflush-tls-").unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "the tests' own authority");
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Certificates { folder, issuer: Issuer::new(parameters, key) }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn ca(&self) -> String {
        self.file("ca.pem")
    }

    /// Writes NAME.pem and NAME.key for a host, signed by the authority.
    pub fn sign(&self, name: &str, host: &str, change: impl Fn(&mut CertificateParams)) {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names = vec![match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into().unwrap()),
        }];
        parameters.distinguished_name.push(DnType::CommonName, name);
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Writes NAME.pem and NAME.key for a host: an authority's certificate, signed by itself, as `openssl req -x509`
    /// makes them.
    fn sign_itself(&self, name: &str, change: impl Fn(&mut CertificateParams)) {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), parameters.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// The server's `-o` options for the certificate of this name.
    pub fn options(&self, name: &str) -> String {
        let (pem, key) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        format!("ssl_chain_cert={pem},ssl_key={key}")
    }

    /// Starts a server with the certificate of this name.
    fn serve(&self, version: Version, name: &str, more: &[&str]) -> Server {
        Server::start(version, &[&["-Z", "-o", &self.options(name)], more].concat())
    }
}

fn url(server: &Server) -> String {
    format!("memcacheds://{}", server.address())
}

/// Stores a key as another client does.
fn store(server: &Server, access: &Access, key: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address: ServerAddr = server.address().parse().unwrap();
    let reply = runtime.block_on(async {
        let connected = Client::connect(&address, &Resolver::default(), access, Duration::from_secs(30)).await;
        let mut client = connected.unwrap_or_else(|error| panic!("{error}"));
        client.send(Request::Store(Store::new(StoreVerb::Set, Key::new(key.to_owned()).unwrap(), "x"))).await.unwrap();
        client.next().await.unwrap().reply
    });
    assert_eq!(reply, Reply::Stored);
}

fn trusting(authorities: &str, identity: Option<(PathBuf, PathBuf)>) -> Access {
    let trust = Trust { authorities: Some(authorities.into()), identity, name: None };
    Access::default().with_tls(Some(Tls::new(&trust).unwrap()))
}

/// Expects a failure of this server, of kind tls, with these words.
fn fails(run: &Run, server: &Server, words: &str) {
    run.fails(server.address(), &["tls"]).warns(words).claims_nothing();
}

fn of_a_trusted_server(version: Version) {
    let certificates = Certificates::new();
    certificates.sign("good", "127.0.0.1", |_| {});
    let server = certificates.serve(version, "good", &[]);
    let access = trusting(&certificates.ca(), None);
    ["shop:1", "shop:2", "blog:1"].iter().for_each(|key| store(&server, &access, key));
    let (ca, url) = (certificates.ca(), url(&server));
    let with = |arguments: &[&str]| mcflush(arguments.iter().copied().chain(["--tls-ca", &ca, &url])).run();
    let stats = document(with(&["stats", "--json"]).exits(0));
    assert_eq!(stats["servers"][0]["groups"]["general"]["curr_items"], json!(3));
    assert_eq!(stats["servers"][0]["server"], json!(server.address()), "without scheme");
    with(&["--prefix", "shop:"]).succeeds().says("2 keys deleted");
    assert_eq!(with(&["keys"]).exits(0).stdout, "blog:1\n");
    with(&["--all", "--verify"]).succeeds();
    assert_eq!(with(&["keys"]).exits(0).stdout, "");
}

fn of_bad_certificates(version: Version) {
    let certificates = Certificates::new();
    certificates.sign("expired", "127.0.0.1", |parameters| {
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(2002, 1, 1);
    });
    certificates.sign("named", "cache.example.org", |_| {});
    let ca = certificates.ca();
    for (name, words) in [("expired", "has expired"), ("named", "not for this name 127.0.0.1, but cache.example.org")] {
        let server = certificates.serve(version, name, &[]);
        for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
            fails(&mcflush(command.iter().copied().chain(["--tls-ca", &ca, &url(&server)])).run(), &server, words);
        }
    }
    // The name in the certificate is trusted, but not with another authority's signature or with the system's
    // authorities.
    let server = certificates.serve(version, "named", &[]);
    let named = ["--all", "--tls-name", "cache.example.org"];
    mcflush(named.into_iter().chain(["--tls-ca", &ca, &url(&server)])).run().succeeds();
    let stranger = Certificates::new();
    let run = mcflush(named.into_iter().chain(["--tls-ca", &stranger.ca(), &url(&server)])).run();
    fails(&run, &server, "no trusted authority signed");
    // With the system's authorities replaced, so that the test does not depend on this machine's.
    let run = mcflush(named.into_iter().chain([url(&server).as_str()])).env("SSL_CERT_FILE", stranger.ca()).run();
    fails(&run, &server, "--tls-ca");
    mcflush(named.into_iter().chain([url(&server).as_str()])).env("SSL_CERT_FILE", &ca).run().succeeds();
}

fn of_a_certificate_that_signed_itself(version: Version) {
    let certificates = Certificates::new();
    certificates.sign_itself("itself", |_| {});
    certificates.sign_itself("other", |_| {});
    let server = certificates.serve(version, "itself", &[]);
    let with = |more: &[&str]| mcflush(["--all"].iter().chain(more).copied().chain([url(&server).as_str()])).run();
    let (itself, other) = (certificates.file("itself.pem"), certificates.file("other.pem"));
    with(&["--tls-ca", &itself]).succeeds();
    // Its own signature is not enough, and neither is another authority.
    let named = "give --tls-ca that certificate itself";
    fails(&with(&["--tls-ca", &certificates.ca()]), &server, named);
    fails(&with(&["--tls-ca", &other]), &server, named);
    // Trusted or not, it must be for this host, and valid today.
    let run = with(&["--tls-ca", &itself, "--tls-name", "cache.example.org"]);
    fails(&run, &server, "not for this name cache.example.org, but 127.0.0.1");
    certificates.sign_itself("expired", |parameters| {
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(2002, 1, 1);
    });
    let server = certificates.serve(version, "expired", &[]);
    let run = mcflush(["--all", "--tls-ca", &certificates.file("expired.pem"), &url(&server)]).run();
    fails(&run, &server, "has expired");
}

/// A certificate of X.509 version 1, used only in this test and made by `openssl x509 -req -signkey`. rustls checks the
/// version first.
const VERSION_1: [(&str, &str); 2] = [
    (
        "old.pem",
        "-----BEGIN CERTIFICATE-----\n\
         MIIBIzCBywIUOHSU8T9ademC2x3+WR68DkAH8CwwCgYIKoZIzj0EAwIwFDESMBAG\n\
         A1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyNTE2MDEwNloYDzIxMjYxMTAxMTYwMTA2\n\
         WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
         AAQCK0VairjJlwMfeJIj0mx1peFlTK1yXWetJ89kgyB2L0XltkYDjt4zPAhk2QAg\n\
         WQxVDz8LLyMuHiOQjYOCkH9eMAoGCCqGSM49BAMCA0cAMEQCIGwg6wev37R4/qwa\n\
         efxEGvcC9GlYSutiQj/s4QvvJdTMAiBMwUOKEJS5NC3E/qj/bSoHw89PoFDrjl1R\n\
         FHxm7ahQ1A==\n\
         -----END CERTIFICATE-----\n",
    ),
    (
        "old.key",
        "-----BEGIN PRIVATE KEY-----\n\
         MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSGOPwRKTi9CA5nfQ\n\
         CdM1CL6cvV9Qt0NgcMxh8bPtXlahRANCAAQCK0VairjJlwMfeJIj0mx1peFlTK1y\n\
         XWetJ89kgyB2L0XltkYDjt4zPAhk2QAgWQxVDz8LLyMuHiOQjYOCkH9e\n\
         -----END PRIVATE KEY-----\n",
    ),
];

fn of_certificates_that_say_what_is_wrong(version: Version) {
    let certificates = Certificates::new();
    VERSION_1.iter().for_each(|(name, text)| std::fs::write(certificates.file(name), text).unwrap());
    certificates.sign("nameless", "a", |parameters| parameters.subject_alt_names.clear());
    certificates.sign("early", "127.0.0.1", |parameters| {
        parameters.not_before = date_time_ymd(2900, 1, 1);
        parameters.not_after = date_time_ymd(2901, 1, 1);
    });
    certificates.sign("client", "127.0.0.1", |parameters| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (name, words) in [
        ("old", "X.509 version 1"),
        ("nameless", "no host name in it (subjectAltName"),
        ("early", "not valid yet"),
        ("client", "not for servers (extendedKeyUsage)"),
    ] {
        let server = certificates.serve(version, name, &[]);
        let run = mcflush(["--all", "--tls-ca", &certificates.ca(), &url(&server)]).run();
        fails(&run, &server, words);
        // The names of a library's error variants must not appear in the message.
        for debug in ["Other", "Unsupported", "Error", "InvalidPurpose", "{"] {
            assert!(!run.stderr.contains(debug), "{debug}: {run}");
        }
    }
}

fn with_a_client_certificate(version: Version) {
    let certificates = Certificates::new();
    certificates.sign("good", "127.0.0.1", |_| {});
    certificates.sign("us", "client.example.org", |_| {});
    let ca = certificates.ca();
    let verify = format!("ssl_verify_mode=2,ssl_ca_cert={ca}");
    let server = certificates.serve(version, "good", &["-o", &verify]);
    let (pem, key) = (certificates.file("us.pem"), certificates.file("us.key"));
    let us = ["--tls-cert", &pem, "--tls-key", &key];
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let missing = mcflush(command.iter().copied().chain(["--tls-ca", &ca, &url(&server)])).run();
        fails(&missing, &server, "--tls-cert");
    }
    store(&server, &trusting(&ca, Some((Path::new(&pem).into(), Path::new(&key).into()))), "shop:1");
    let run = mcflush(us.into_iter().chain(["--all", "--tls-ca", &ca, &url(&server)])).run();
    run.succeeds().says("it held 1 item");
    // Every connection of a run uses it, including later ones.
    let run = mcflush(us.into_iter().chain(["--prefix", "shop:", "--tls-ca", &ca, &url(&server)])).run();
    run.is_complete();
}

fn of_a_plain_server(version: Version) {
    let certificates = Certificates::new();
    let server = Server::start(version, &[]);
    server.store(["shop:1"]);
    let ca = certificates.ca();
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let arguments = command.iter().copied().chain(["--timeout", "1", "--retries", "0", "--tls-ca", &ca]);
        let run = mcflush(arguments.chain([url(&server).as_str()])).run();
        fails(&run, &server, "without the s");
    }
    assert!(server.has("shop:1"));
}

fn of_a_plain_client(version: Version) {
    let certificates = Certificates::new();
    certificates.sign("good", "127.0.0.1", |_| {});
    let server = certificates.serve(version, "good", &[]);
    store(&server, &trusting(&certificates.ca(), None), "shop:1");
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let arguments = command.iter().copied().chain(["--timeout", "20", "--retries", "0", server.address()]);
        let run = mcflush(arguments).run();
        fails(&run, &server, "memcacheds://");
    }
}

fn with_a_password_too(version: Version) {
    let certificates = Certificates::new();
    certificates.sign("good", "127.0.0.1", |_| {});
    let users = certificates.file("users");
    std::fs::write(&users, "app:secret\n").unwrap();
    let server = certificates.serve(version, "good", &["-Y", &users]);
    let ca = certificates.ca();
    let with = |user: &str| {
        let url = format!("memcacheds://{user}@{}", server.address());
        mcflush(["--all", "-vvv", "--tls-ca", &ca, &url]).run()
    };
    let run = with("app:secret");
    run.succeeds();
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("secret"), "{run}");
    with("app:wrong").fails(server.address(), &["auth"]);
}

#[test]
fn a_server_that_is_silent_in_the_handshake() {
    let (silent, certificates) = (Fake::silent(), Certificates::new());
    let url = format!("memcacheds://{}", silent.address());
    let arguments = ["--all", "--timeout", "1", "--retries", "0", "--tls-ca", &certificates.ca(), &url];
    let run = mcflush(arguments).run();
    run.fails(silent.address(), &["tls"]).warns("no answer to the TLS handshake").claims_nothing();
}

#[test]
fn options_without_effect_are_refused() {
    let (fake, certificates) = (Fake::silent(), Certificates::new());
    certificates.sign("us", "a", |_| {});
    certificates.sign("other", "a", |_| {});
    let (ca, pem, other) = (certificates.ca(), certificates.file("us.pem"), certificates.file("other.key"));
    let url = format!("memcacheds://{}", fake.address());
    for (options, words) in [
        (&["--tls-ca", "/nonexistent"][..], "/nonexistent"),
        (&["--tls-ca", &other], "no certificate"),
        (&["--tls-ca", &ca, "--tls-cert", &pem], "--tls-key"),
        (&["--tls-ca", &ca, "--tls-cert", &pem, "--tls-key", &pem], "private key"),
        (&["--tls-ca", &ca, "--tls-cert", &pem, "--tls-key", &other], "its own key"),
        (&["--tls-ca", &ca, "--tls-name", "two words"], "two words"),
    ] {
        let run = mcflush(["--all"].iter().chain(options).copied().chain([url.as_str()])).run();
        run.is_refused().warns(words);
    }
    mcflush(["--all", "--tls-ca", &ca, fake.address()]).run().is_refused().warns("memcacheds://");
    fake.assert_untouched();
}
