//! `mg`, `ms`, `md`, `ma`, `mn`, `me`.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;
use super::call::{Call, Heard, Other};
use crate::error::Error;
use crate::protocol::meta::{
    MetaArithmetic, MetaCode, MetaDebug, MetaDebugReply, MetaDelete, MetaGet, MetaSet, MetaValue, ReturnFlag,
    ReturnFlags,
};
use crate::protocol::{MetaKey, Reply, Request};

/// The item that an `mg` found: the parts that the request's flags asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaItem {
    flags: ReturnFlags,
    data: Option<Bytes>,
}

impl MetaItem {
    /// The flags of the answer: CAS, time to live, size, client flags and so on.
    #[must_use]
    pub const fn flags(&self) -> &ReturnFlags {
        &self.flags
    }

    /// The item's data, if the request asked for the value (`v`).
    #[must_use]
    pub const fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The item's data without a copy, if the request asked for the value (`v`).
    #[must_use]
    pub fn into_data(self) -> Option<Bytes> {
        self.data
    }

    /// Whether the item is marked as stale (`X`): its data is old, and a client is to store it anew.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.flags.iter().any(|flag| flag == ReturnFlag::Stale)
    }

    /// Which client is to store the item anew, if any.
    #[must_use]
    pub fn recache(&self) -> Recache {
        let said = self.flags.iter().find_map(|flag| match flag {
            ReturnFlag::Won => Some(Recache::Won),
            ReturnFlag::AlreadyWon => Some(Recache::Taken),
            _ => None,
        });
        said.unwrap_or(Recache::NotDue)
    }
}

/// Which client is to store an item anew: one that is stale, that expires within the time of `R`, or that `N` has just
/// made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recache {
    /// No client: the item is fresh.
    NotDue,
    /// This client (`W`).
    Won,
    /// Another client (`Z`).
    Taken,
}

/// The result of an `ms`, with the flags that the request asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum MetaSetOutcome {
    /// `HD`: the item was stored.
    Stored(ReturnFlags),
    /// `NS`: the mode needs an item and there is none, or needs none and there is one.
    NotStored(ReturnFlags),
    /// `EX`: the item has another CAS.
    Exists(ReturnFlags),
    /// `NF`: there is no item, and the mode or the CAS needs one.
    Missing(ReturnFlags),
}

/// The result of an `md`, with the flags that the request asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum MetaDeleteOutcome {
    /// `HD`: the item was deleted, marked as stale (`I`) or emptied (`x`).
    Deleted(ReturnFlags),
    /// `EX`: the item has another CAS.
    Exists(ReturnFlags),
    /// `NF`: there is no item.
    Missing(ReturnFlags),
}

/// The result of an `ma`, with the flags that the request asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum MetaArithmeticOutcome {
    /// `HD` or `VA`: the number was changed.
    Counted {
        /// The new number, if the request asked for the value (`v`) and was not quiet.
        number: Option<u64>,
        /// The other flags that the request asked for.
        flags: ReturnFlags,
    },
    /// `NS`: the item could not be stored.
    NotStored(ReturnFlags),
    /// `EX`: the item has another CAS.
    Exists(ReturnFlags),
    /// `NF`: there is no item.
    Missing(ReturnFlags),
}

/// The code, flags and data of an answer to a meta command. `silence` is the code that a quiet command hides.
fn read(heard: Heard, silence: MetaCode) -> Result<(MetaCode, ReturnFlags, Option<Bytes>), Other> {
    match heard {
        Heard::Nothing => Ok((silence, ReturnFlags::default(), None)),
        Heard::One(Reply::Meta(reply)) => Ok((reply.code, reply.flags, None)),
        Heard::One(Reply::MetaValue(MetaValue { flags, data })) => Ok((MetaCode::Hd, flags, Some(data))),
        heard => Err(Box::new(heard.last()?)),
    }
}

impl Call<Option<MetaItem>> {
    /// `mg`. The server does not answer a quiet one that misses.
    #[must_use]
    pub fn meta_get(get: MetaGet) -> Self {
        Self::of_one("mg", Request::MetaGet(get), |heard| match read(heard, MetaCode::En)? {
            (MetaCode::Hd, flags, data) => Ok(Some(MetaItem { flags, data })),
            _ => Ok(None),
        })
    }
}

impl Call<MetaSetOutcome> {
    /// `ms`. The server does not answer a quiet one that stores.
    #[must_use]
    pub fn meta_set(set: MetaSet) -> Self {
        Self::of_one("ms", Request::MetaSet(set), |heard| {
            let (code, flags, _) = read(heard, MetaCode::Hd)?;
            Ok(match code {
                MetaCode::Hd => MetaSetOutcome::Stored(flags),
                MetaCode::Ex => MetaSetOutcome::Exists(flags),
                MetaCode::Nf | MetaCode::En => MetaSetOutcome::Missing(flags),
                MetaCode::Ns => MetaSetOutcome::NotStored(flags),
            })
        })
    }
}

impl Call<MetaDeleteOutcome> {
    /// `md`. The server does not answer a quiet one that deletes.
    #[must_use]
    pub fn meta_delete(delete: MetaDelete) -> Self {
        Self::of_one("md", Request::MetaDelete(delete), |heard| {
            let (code, flags, _) = read(heard, MetaCode::Hd)?;
            Ok(match code {
                MetaCode::Hd => MetaDeleteOutcome::Deleted(flags),
                MetaCode::Ex => MetaDeleteOutcome::Exists(flags),
                MetaCode::Nf | MetaCode::En | MetaCode::Ns => MetaDeleteOutcome::Missing(flags),
            })
        })
    }
}

impl Call<MetaArithmeticOutcome> {
    /// `ma`. The server does not answer a quiet one that counts.
    #[must_use]
    pub fn meta_arithmetic(count: MetaArithmetic) -> Self {
        Self::of_one("ma", Request::MetaArithmetic(count), |heard| {
            let (code, flags, data) = read(heard, MetaCode::Hd)?;
            Ok(match code {
                MetaCode::Hd => {
                    let number = match data {
                        None => None,
                        Some(data) => Some(number(&data).ok_or_else(|| {
                            Box::new(Reply::MetaValue(MetaValue { flags: flags.clone(), data: data.clone() }))
                        })?),
                    };
                    MetaArithmeticOutcome::Counted { number, flags }
                }
                MetaCode::Ex => MetaArithmeticOutcome::Exists(flags),
                MetaCode::Nf | MetaCode::En => MetaArithmeticOutcome::Missing(flags),
                MetaCode::Ns => MetaArithmeticOutcome::NotStored(flags),
            })
        })
    }
}

/// A number as a server prints it; after a decrement, spaces may follow it.
fn number(data: &[u8]) -> Option<u64> {
    std::str::from_utf8(data).ok()?.trim_end_matches(' ').parse().ok()
}

impl Call<Option<MetaDebugReply>> {
    /// `me`.
    #[must_use]
    pub fn meta_debug(key: MetaKey) -> Self {
        Self::of_one("me", Request::MetaDebug(MetaDebug::new(key)), |heard| match heard.last()? {
            Reply::MetaDebug(reply) => Ok(Some(reply)),
            Reply::Meta(_) => Ok(None),
            reply => Err(Box::new(reply)),
        })
    }
}

impl Call<()> {
    /// `mn`.
    #[must_use]
    pub fn meta_noop() -> Self {
        Self::of_one("mn", Request::MetaNoop, |heard| match heard.last()? {
            Reply::Noop => Ok(()),
            reply => Err(Box::new(reply)),
        })
    }
}

/// The meta commands (since 1.6.0; with base64 keys since 1.6.10). A quiet one is followed by `mn`, which ends the wait
/// for its answer; in a [`Pipeline`](super::Pipeline) many share one `mn`.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// `mg`: the parts of an item that the request's flags ask for, or `None` for a miss.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn meta_get(&mut self, get: MetaGet) -> Result<Option<MetaItem>, Error> {
        self.run(Call::meta_get(get)).await
    }

    /// `ms`.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn meta_set(&mut self, set: MetaSet) -> Result<MetaSetOutcome, Error> {
        self.run(Call::meta_set(set)).await
    }

    /// `md`.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn meta_delete(&mut self, delete: MetaDelete) -> Result<MetaDeleteOutcome, Error> {
        self.run(Call::meta_delete(delete)).await
    }

    /// `ma`.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`]; the item's data is not a number.
    pub async fn meta_arithmetic(&mut self, count: MetaArithmetic) -> Result<MetaArithmeticOutcome, Error> {
        self.run(Call::meta_arithmetic(count)).await
    }

    /// `me`: debugging facts of an item, or `None` if there is no item. For a key sent as base64, 1.6.45 always answers
    /// that there is none.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn meta_debug(&mut self, key: MetaKey) -> Result<Option<MetaDebugReply>, Error> {
        self.run(Call::meta_debug(key)).await
    }

    /// `mn`, which does nothing: its answer shows that the server has done every earlier command.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn meta_noop(&mut self) -> Result<(), Error> {
        self.run(Call::meta_noop()).await
    }

    /// Whether the server knows the meta commands (since 1.6); tries the one that does nothing.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`], except for an error line, which means that the server does not know them.
    pub async fn speaks_meta(&mut self) -> Result<bool, Error> {
        match self.call("mn", Request::MetaNoop).await? {
            Reply::Noop => Ok(true),
            Reply::Error(_) => Ok(false),
            reply => Err(self.refused(reply)),
        }
    }
}
