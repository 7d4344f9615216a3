//! Decodes a recorded dump of memcached 1.6.45 two hundred times, frame by frame and by visiting it.

use std::error::Error;
use std::ops::ControlFlow;

use bytes::BytesMut;
use mcflush::codec::{ClientCodec, ServerCodec};
use tokio_util::codec::{Decoder, Encoder};

const DUMP: &str = include_str!("dump.txt");
const TIMES: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let listing = format!("OK\r\n{}END\r\n", DUMP.repeat(TIMES));
    let listed = DUMP.lines().count() * TIMES;
    let mut buffer = BytesMut::from(listing.as_bytes());
    let mut codec = asked()?;
    let mut frames = 0;
    while codec.decode(&mut buffer)?.is_some() {
        frames += 1;
    }
    let mut buffer = BytesMut::from(listing.as_bytes());
    let mut codec = asked()?;
    // The line before the first item.
    codec.decode(&mut buffer)?;
    let visited = codec.visit(&mut buffer, |_| ControlFlow::Continue(()));
    if frames < listed || visited < listed as u64 {
        return Err(format!("{frames} frames and {visited} visits of {listed} lines").into());
    }
    Ok(())
}

/// The codec of a client that has asked for a dump.
fn asked() -> Result<ClientCodec, Box<dyn Error>> {
    let mut request = BytesMut::from("lru_crawler metadump hash\r\n");
    let request = ServerCodec::default().decode(&mut request)?.ok_or("no request")?.request;
    let mut codec = ClientCodec::default();
    codec.encode(request, &mut BytesMut::new())?;
    Ok(codec)
}
