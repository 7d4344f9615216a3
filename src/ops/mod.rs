//! Operations on one server: [`flush`](mod@flush), [`clear`](mod@clear), [`stats`](mod@stats). Operations print
//! nothing; they return their result, and report progress as [`Event`]s.

mod backlog;
mod binary;
mod chance;
pub mod clear;
mod context;
mod diagnosis;
mod dialect;
mod event;
mod figure;
pub mod flush;
pub mod hot;
pub mod keys;
mod listing;
pub mod namespaces;
mod nearest;
mod notes;
mod pages;
pub(crate) mod retry;
#[cfg(test)]
mod scripted;
mod spool;
pub mod stats;
mod stop;

pub use self::chance::Chance;
pub use self::context::{Connector, Context};
pub use self::event::{Event, Events};
pub use self::listing::{Filter, Strategy};
pub use self::spool::{Queue, Spool};
pub use self::stop::Stop;
