//! What `mcflush keys` prints, on a thread of its own: a reader that stalls stalls nothing else.

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mcflush::ops::clear::Strategy;
use mcflush::ops::keys::{Item, Page, PageReceiver, PageSender, pages};
use mcflush::protocol::Escaped;
use mcflush::scope::Scope;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;

/// Which keys, and how they are printed.
#[derive(Debug, Clone)]
pub struct Options {
    pub scope: Scope,
    pub strategy: Option<Strategy>,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A key a line, escaped.
    Lines { long: bool },
    /// Raw, a NUL behind each.
    Null,
    /// An object a line.
    Json { long: bool },
}

/// Pages on their way to stdout.
const PAGES: usize = 4;

/// Prints pages until the sender is dropped; gives why stdout took no more, if it did not.
pub fn printer(format: Format) -> (PageSender, JoinHandle<io::Result<()>>) {
    let (sender, pages) = pages(PAGES);
    (sender, tokio::task::spawn_blocking(move || print(pages, format)))
}

fn print(mut pages: PageReceiver, format: Format) -> io::Result<()> {
    let mut text = Vec::new();
    while let Some(page) = pages.blocking_recv() {
        text.clear();
        let shown = page.each(|item| put(&mut text, &page, item, format));
        shown.map_err(|error| io::Error::other(error.to_string()))?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&text)?;
        stdout.flush()?;
    }
    Ok(())
}

fn put(text: &mut Vec<u8>, page: &Page, item: &Item<'_>, format: Format) {
    let or_dash = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
    match format {
        Format::Null => {
            text.extend_from_slice(item.key());
            text.push(0);
            return;
        }
        Format::Lines { long } => {
            if long {
                let [exp, la] = [item.expires(), item.last_access()].map(or_dash);
                let [cas, class] = [item.cas(), item.class()].map(or_dash);
                text.extend_from_slice(format!("{exp} {la} {} {cas} {class} ", item.size()).as_bytes());
            }
            put_escaped(text, item.key());
        }
        Format::Json { long } => {
            // An object of texts and numbers can always be written.
            let _ = serde_json::to_writer(&mut *text, &object(page, item, long));
        }
    }
    text.push(b'\n');
}

/// Nearly all keys are what they are printed as.
fn put_escaped(text: &mut Vec<u8>, key: &[u8]) {
    if key.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\') {
        text.extend_from_slice(key);
    } else {
        text.extend_from_slice(Escaped(key).to_string().as_bytes());
    }
}

fn object(page: &Page, item: &Item<'_>, long: bool) -> Map<String, Value> {
    let key = Escaped(item.key()).to_string();
    let raw = (key.as_bytes() != item.key()).then(|| BASE64_STANDARD.encode(item.key()));
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.into(), value);
    put("server", page.server().to_string().into());
    put("key", key.into());
    if let Some(raw) = raw {
        put("key_base64", raw.into());
    }
    put("size", item.size().into());
    put("exp", item.expires().into());
    if long {
        put("last_access", item.last_access().into());
        put("cas", item.cas().into());
        put("class", item.class().into());
    }
    object
}
