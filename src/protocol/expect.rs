//! What answers a request.

use super::meta::MetaVerb;

/// What answers a request: replies cannot be told from their bytes alone (`END` closes five different things).
///
/// `ERROR`, `CLIENT_ERROR` and `SERVER_ERROR` are answers to anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// `ITEM` lines, then `END`.
    Cachedump,
    /// Nothing: the connection is closed.
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
    /// As [`Self::Stats`], or `OK` or `RESET`: a group that this crate has no name for.
    StatsOther,
    /// `STORED`, `NOT_STORED`, `EXISTS` or `NOT_FOUND`.
    Store,
    /// `TOUCHED` or `NOT_FOUND`.
    Touch,
    /// One line, whatever it is: the request is none that this crate knows.
    Unknown,
    /// `VALUE` blocks, then `END`.
    Values,
    /// `VERSION …`.
    Version,
    /// `OK`, then log lines until the connection is closed.
    Watch,
}

impl Expect {
    /// Whether a server that closes the connection at this point has answered.
    pub(crate) const fn ends_with_close(self) -> bool {
        matches!(self, Self::Close | Self::Watch)
    }
}
