//! Meta commands: `mg`, `ms`, `md`, `ma`, `me`, and the fence `mn` ([`Request::MetaNoop`](super::Request::MetaNoop)).
//! Each command has one file; one more file holds the flags.

mod arithmetic;
mod debug;
mod delete;
mod flags;
mod get;
mod reply;
mod set;

pub use arithmetic::MetaArithmetic;
pub use debug::{MetaDebug, MetaDebugReply};
pub use delete::MetaDelete;
pub use flags::{OtherFlag, OtherFlags};
pub use get::MetaGet;
pub use reply::{MetaCode, MetaReply, MetaValue, ReturnFlag, ReturnFlags};
pub use set::{MetaSet, MetaSetMode};

/// The meta commands that have a quiet form and share a format of replies.
///
/// ```
/// use mcflush::protocol::{Expect, MetaKey, Request, meta::{MetaDelete, MetaVerb}};
/// let delete = Request::MetaDelete(MetaDelete::new(MetaKey::for_bytes("a")?));
/// assert_eq!(delete.expect(), Expect::Meta(MetaVerb::Delete));
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVerb {
    /// `mg`.
    Get,
    /// `ms`.
    Set,
    /// `md`.
    Delete,
    /// `ma`.
    Arithmetic,
}

impl MetaVerb {
    /// Whether this code can answer the command without the flag `q`.
    pub(crate) const fn answers(self, code: MetaCode) -> bool {
        match self {
            Self::Get => matches!(code, MetaCode::Hd | MetaCode::En),
            Self::Set => matches!(code, MetaCode::Hd | MetaCode::Ns | MetaCode::Ex | MetaCode::Nf),
            Self::Delete => matches!(code, MetaCode::Hd | MetaCode::Nf | MetaCode::Ex),
            Self::Arithmetic => matches!(code, MetaCode::Hd | MetaCode::Nf | MetaCode::Ns | MetaCode::Ex),
        }
    }

    /// Whether the answer can contain a value.
    pub(crate) const fn has_values(self) -> bool {
        matches!(self, Self::Get | Self::Arithmetic)
    }
}
