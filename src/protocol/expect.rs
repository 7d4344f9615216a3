//! The replies that a request expects.

use super::meta::MetaVerb;

/// The replies that a request expects. A reply cannot be recognised by its bytes alone: `END` closes five kinds of answer.
///
/// `ERROR`, `CLIENT_ERROR` and `SERVER_ERROR` may answer any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// `ITEM` lines, then `END`.
    Cachedump,
    /// Nothing: the server closes the connection.
    Close,
    /// A `CONFIG` block, then `END`.
    Config,
    /// `DELETED` or `NOT_FOUND`.
    Delete,
    /// A meta line, or a `VA` block.
    Meta(MetaVerb),
    /// `ME …` or `EN`.
    MetaDebug,
    /// `metadump` lines, then `END`.
    Metadump,
    /// `mg` lines, then `EN`.
    Mgdump,
    /// `MN`.
    Noop,
    /// A number, or `NOT_FOUND`.
    Number,
    /// `OK`, or a refusal such as `BUSY`.
    Ok,
    /// `PREFIX` lines, then `END`.
    PrefixStats,
    /// `RESET`.
    Reset,
    /// `STAT sizes_status enabled`, or two `STAT` lines that say why not.
    SizesSwitch,
    /// `STAT` lines, then `END`.
    Stats,
    /// As [`Self::Stats`], or `OK` or `RESET`: for a group that this crate has no name for.
    StatsOther,
    /// `STORED`, `NOT_STORED`, `EXISTS` or `NOT_FOUND`.
    Store,
    /// `TOUCHED` or `NOT_FOUND`.
    Touch,
    /// One line of any form: this crate does not know the request.
    Unknown,
    /// `VALUE` blocks, then `END`.
    Values,
    /// `VERSION …`.
    Version,
    /// `OK`, then log lines until either side closes the connection.
    Watch,
}

impl Expect {
    /// Whether closing the connection is a valid answer.
    pub(crate) const fn ends_with_close(self) -> bool {
        matches!(self, Self::Close | Self::Watch)
    }
}
