//! Fills a memcached with keys of an app, for the demonstration: `fill HOST:PORT APP COUNT`.
//!
//! Among them are keys with spaces, line ends and NULs (as clients of the binary protocol store them), UTF-8, percent
//! signs, and keys of the full 250 bytes.

use std::error::Error;
use std::io::{BufWriter, Read, Write};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mcflush::protocol::MetaKey;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, app, count] = arguments.as_slice() else { return Err("usage: fill HOST:PORT APP COUNT".into()) };
    let mut stream = TcpStream::connect(server)?;
    let mut out = BufWriter::new(stream.try_clone()?);
    for number in 0..count.parse::<u32>()? {
        let key = match number % 8 {
            0 => format!("{app}two words {number}"),
            1 => format!("{app}größe:{number}"),
            2 => format!("{app}100%3A{number}"),
            3 => format!("{app}{number:0>width$}", width = 250 - app.len()),
            4 => format!("{app}{number}\r\nflush_all\r\n\0"),
            _ => format!("{app}{number}"),
        };
        out.write_all(&store(MetaKey::for_bytes(key)?))?;
    }
    out.write_all(b"mn\r\n")?;
    out.flush()?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    match answer.get(..length) {
        Some(b"MN\r\n") => Ok(()),
        _ => Err("the server did not take all keys".into()),
    }
}

/// A quiet meta set of one byte, in the form in which the key can travel.
fn store(key: MetaKey) -> Vec<u8> {
    match key {
        MetaKey::Text(key) => [b"ms ", key.as_bytes(), b" 1 q\r\nx\r\n"].concat(),
        MetaKey::Base64(key) => [b"ms ", BASE64.encode(key.as_bytes()).as_bytes(), b" 1 b q\r\nx\r\n"].concat(),
    }
}
