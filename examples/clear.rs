//! Deletes the keys that begin with a prefix: `clear HOST:PORT PREFIX`.

#![allow(clippy::print_stdout)]

use mcflush::ops::Context;
use mcflush::ops::clear::{ClearOptions, clear};
use mcflush::scope::{Prefix, Scope};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, prefix] = arguments.as_slice() else { return Err("usage: clear HOST:PORT PREFIX".into()) };
    let scope = Scope::of([Prefix::new(prefix.clone())?]);
    let cleared = clear(&server.parse()?, &scope, &ClearOptions::default(), &Context::default()).await;
    println!("{} keys deleted", cleared.deleted);
    // Without an error the clear is complete: no key in scope that was stored before it is readable.
    cleared.error.map_or(Ok(()), |error| Err(error.into()))
}
