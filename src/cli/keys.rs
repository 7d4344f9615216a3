//! What `mcflush keys` prints, on a thread of its own: if the reader of stdout stalls, no other work stalls.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mcflush::ops::keys::{self, Item, Page, PageReceiver, PageSender, Top, pages};
use mcflush::protocol::Escaped;
use mcflush::scope::Scope;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;

use super::text::{age, binary};

/// Which keys to list, and how to print them.
#[derive(Debug, Clone)]
pub struct KeysCommand {
    pub scope: Scope,
    pub listing: keys::KeysOptions,
    pub format: KeysFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysFormat {
    /// One key a line, escaped.
    Lines { long: bool },
    /// For a terminal: columns, with units.
    Columns,
    /// Raw keys, each followed by a NUL.
    Null,
    /// One JSON object a line.
    Json { long: bool },
}

/// How many pages may wait for stdout.
const PAGES: usize = 4;

/// Prints pages until the sender is dropped. The thread's result is the error of stdout, if any.
pub fn printer(format: KeysFormat, top: Option<Top>) -> (PageSender, JoinHandle<io::Result<()>>) {
    let (sender, pages) = pages(PAGES);
    let print = move || {
        if format == KeysFormat::Columns {
            show(HEADINGS.as_bytes())?;
        }
        match top {
            Some(top) => print_first(pages, format, top),
            None => print_all(pages, format),
        }
    };
    (sender, tokio::task::spawn_blocking(print))
}

fn print_all(mut pages: PageReceiver, format: KeysFormat) -> io::Result<()> {
    let mut text = Vec::new();
    while let Some(page) = pages.blocking_recv() {
        text.clear();
        let shown = page.each(|item| put(&mut text, &page, item, format));
        shown.map_err(|error| io::Error::other(error.to_string()))?;
        show(&text)?;
    }
    Ok(())
}

/// Each server sends its own first keys. Prints the first keys of all servers together.
fn print_first(mut pages: PageReceiver, format: KeysFormat, top: Top) -> io::Result<()> {
    let mut first = BTreeMap::new();
    let mut number = 0_u64;
    while let Some(page) = pages.blocking_recv() {
        let shown = page.each(|item| {
            let mut text = Vec::new();
            put(&mut text, &page, item, format);
            number += 1;
            first.insert((top.order.rank(item), item.key().to_vec(), number), text);
            if first.len() > top.most.get() {
                first.pop_last();
            }
        });
        shown.map_err(|error| io::Error::other(error.to_string()))?;
    }
    show(&first.into_values().collect::<Vec<_>>().concat())
}

fn show(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

/// As wide as the columns of [`put_columns`].
const HEADINGS: &str = "   expires  last access         size           cas  class  key\n";

fn put_columns(text: &mut Vec<u8>, item: &Item<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires = match item.expires() {
        None => "never".into(),
        Some(time) if time <= now => "now".into(),
        Some(time) => format!("in {}", age(time - now)),
    };
    let access = item.last_access().map_or("-".into(), |time| format!("{} ago", age(now.saturating_sub(time))));
    let [cas, class] = [item.cas(), item.class()].map(or_dash);
    let size = binary(item.size());
    text.extend_from_slice(format!("{expires:>10}  {access:>11}  {size:>11}  {cas:>12}  {class:>5}  ").as_bytes());
}

fn or_dash(number: Option<u64>) -> String {
    number.map_or("-".into(), |number| number.to_string())
}

fn put(text: &mut Vec<u8>, page: &Page, item: &Item<'_>, format: KeysFormat) {
    match format {
        KeysFormat::Null => {
            text.extend_from_slice(item.key());
            text.push(0);
            return;
        }
        KeysFormat::Lines { long } => {
            if long {
                let [exp, la] = [item.expires(), item.last_access()].map(or_dash);
                let [cas, class] = [item.cas(), item.class()].map(or_dash);
                text.extend_from_slice(format!("{exp} {la} {} {cas} {class} ", item.size()).as_bytes());
            }
            put_escaped(text, item.key());
        }
        KeysFormat::Columns => {
            put_columns(text, item);
            put_escaped(text, item.key());
        }
        KeysFormat::Json { long } => {
            // An object of texts and numbers can always be written.
            let _ = serde_json::to_writer(&mut *text, &object(page, item, long));
        }
    }
    text.push(b'\n');
}

/// Fast, because nearly all keys are printed as they are.
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
