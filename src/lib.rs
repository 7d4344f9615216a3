//! memcached's protocol as types, codecs and a client; and, built on them, the operations of the `mcflush` command, which
//! safely empties a memcached, or one app's part of it.
//!
//! # The map
//! The data goes one way, and a layer knows only the layers above it in this table.
//!
//! | module | holds |
//! | --- | --- |
//! | [`protocol`] | keys, requests, replies, their grammar in nom and their encoders; no I/O |
//! | [`codec`] | frames on a byte stream, for both sides, as tokio-util codecs with limits |
//! | `address`, `resolver`, `connection` | from a server's name to an open connection: TCP, unix sockets, TLS, logins |
//! | `client`, `binary_client` | one server: a typed call for each command, pipelines |
//! | `scope`, `ops` | `flush`, `clear`, `keys`, `namespaces`, `stats`: operations of more than one command |
//! | `discovery`, `fleet` | from a name for a list to its servers; one operation on all of them |
//!
//! # Features
//! Each feature includes the features that it is built on. The last column counts the crates of a Linux build, without this
//! one.
//!
//! | feature | built on | brings | crates |
//! | --- | --- | --- | --- |
//! | none | | protocol and codecs | 16 |
//! | `client` | | addresses, connections, `Client` | 30 |
//! | `tls` | `client` | `memcacheds://`, by rustls | 43 |
//! | `ops` | `client` | flush, clear, keys, namespaces, statistics | 39 |
//! | `discovery` | `ops` | lists of servers from DNS and from ElastiCache | 74 |
//! | `cli` (default) | `discovery`, `tls` | the command `mcflush` | 121 |
//!
//! A program that needs only the client asks for `default-features = false, features = ["client"]`.
//!
//! # Reading a dump with the codec
//! This needs no feature. The codec does not care where the bytes come from; here they are in memory.
//!
//! ```
//! use bytes::BytesMut;
//! use mcflush::codec::ClientCodec;
//! use mcflush::protocol::crawler::{CrawlTarget, Metadump};
//! use mcflush::protocol::{Reply, Request};
//! use tokio_util::codec::{Decoder, Encoder};
//!
//! let mut codec = ClientCodec::default();
//! let mut wire = BytesMut::new();
//! codec.encode(Request::Metadump(Metadump { target: CrawlTarget::All }), &mut wire)?;
//! assert_eq!(wire, "lru_crawler metadump all\r\n");
//!
//! let mut answer = BytesMut::from("key=shop%3A1 exp=-1 la=1795448769 cas=7 fetch=no cls=1 size=66\nEND\r\n");
//! let mut key = BytesMut::new();
//! while let Some(said) = codec.decode(&mut answer)? {
//!     if let Reply::Metadump(item) = said.reply {
//!         item.as_line().decode_key(&mut key)?;
//!         assert_eq!((&key[..], item.as_line().size()), (&b"shop:1"[..], Some(66)));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Getting and setting
//! `Client` works over any stream of bytes. `Client::connect` opens a connection to a server; here the stream is in memory,
//! and the example writes the server's answers.
//!
//! ```
//! # #[cfg(feature = "client")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use mcflush::client::{Client, NewItem};
//! use mcflush::protocol::Key;
//! use tokio::io::AsyncWriteExt;
//!
//! let (near, mut far) = tokio::io::duplex(1024);
//! far.write_all(b"STORED\r\nVALUE greeting 0 5\r\nhello\r\nEND\r\nEND\r\n").await?;
//!
//! let mut client = Client::new(near, "in-memory".parse()?, Duration::from_secs(5));
//! client.set(NewItem::new(Key::new("greeting")?, "hello").expiring(60.into())).await?;
//! let value = client.get(Key::new("greeting")?).await?.ok_or("a miss")?;
//! assert_eq!(value.data(), b"hello");
//! assert!(client.get(Key::new("farewell")?).await?.is_none());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```
//!
//! # Clearing a prefix
//! This is `examples/clear.rs`; `cargo run --example clear HOST:PORT PREFIX` runs it.
//!
#![cfg_attr(feature = "ops", doc = "```no_run")]
#![cfg_attr(feature = "ops", doc = include_str!("../examples/clear.rs"))]
#![cfg_attr(feature = "ops", doc = "```")]
//!
//! # Which servers
//! Tried with memcached 1.4.13 to 1.6.45, and with other servers that speak its protocol. The protocol's types name the
//! version that introduced each command and flag; `docs/PROTOCOL.md` says what the versions do differently,
//! `docs/SERVERS.md` what each version, service and proxy can do.
//!
//! # Which Rust
//! The version that `rust-version` in `Cargo.toml` names, or later. Only a new minor version of this crate raises it, and
//! never to a release of Rust that is younger than half a year.

#[cfg(feature = "client")]
pub mod address;
#[cfg(feature = "client")]
pub mod binary_client;
#[cfg(feature = "client")]
pub mod client;
pub mod codec;
#[cfg(feature = "client")]
pub mod connection;
mod conversions;
#[cfg(feature = "discovery")]
pub mod discovery;
#[cfg(feature = "client")]
pub mod error;
#[cfg(feature = "ops")]
pub mod fleet;
#[cfg(feature = "ops")]
pub mod ops;
pub mod protocol;
#[cfg(feature = "client")]
pub mod resolver;
#[cfg(feature = "ops")]
pub mod scope;
mod setters;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
