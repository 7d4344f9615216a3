//! Several tasks share a few connections through the pool of another crate: `pool HOST:PORT`.
//!
//! The pool opens a new client if all are in use, and checks each client that comes back. A client is poisoned if its last
//! call was dropped, or failed for a reason other than an error line of the server; the pool drops it.

// An example may print.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use deadpool::managed::{self, Metrics, Pool, RecycleError, RecycleResult};
use mcflush::address::ServerAddr;
use mcflush::client::{Client, NewItem};
use mcflush::protocol::Key;

/// Opens the clients of the pool.
struct Connections {
    server: ServerAddr,
}

impl managed::Manager for Connections {
    type Type = Client;
    type Error = mcflush::error::Error;

    async fn create(&self) -> Result<Client, Self::Error> {
        Client::connect(&self.server, &Default::default(), &Default::default(), Duration::from_secs(5)).await
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Self::Error> {
        if client.is_poisoned() { Err(RecycleError::message("out of step")) } else { Ok(()) }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).ok_or("usage: pool HOST:PORT")?.parse()?;
    let pool: Pool<Connections> = Pool::builder(Connections { server }).max_size(4).build()?;
    let key = Key::new("visits")?;
    pool.get().await?.set(NewItem::new(key.clone(), "0").expiring(60.into())).await?;

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (pool, key) = (pool.clone(), key.clone());
        tasks.spawn(async move {
            let mut client = pool.get().await.map_err(|error| error.to_string())?;
            client.incr(key, 1).await.map_err(|error| error.to_string())
        });
    }
    while let Some(counted) = tasks.join_next().await {
        counted??;
    }

    let visits = pool.get().await?.get(key).await?;
    let visits = visits.as_ref().map(|value| String::from_utf8_lossy(value.data()));
    println!("{} visits over {} connections", visits.as_deref().unwrap_or("no"), pool.status().size);
    Ok(())
}
