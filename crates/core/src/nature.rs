//! How an upstream treats old tokens: what decides whether a second fetch does harm.

use std::time::Duration;

use crate::ticket;

/// What a fetch does to the token before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Every fetch issues a new token and starts the death of the one before (WeChat `cgi-bin/token`).
    Rotating {
        /// How many tokens live at once. Undocumented for WeChat; a sister platform says two, so two is assumed.
        honours: u32,
    },
    /// A fetch returns the same token until shortly before its expiry (WeChat `stable_token` in normal mode):
    /// a needless fetch costs nothing, and the next answer clears every doubt.
    Idempotent,
    /// A fetch returns what the upstream holds at the time, which it replaces by itself, and kills nothing (WeChat's tickets,
    /// see [`crate::ticket`]): a needless fetch costs a little of a small quota, and the life that an answer names is not
    /// what is left of it.
    Lasting,
}

impl Nature {
    /// WeChat's `cgi-bin/token`.
    pub const WECHAT: Self = Self::Rotating { honours: 2 };

    /// Whether any answer is the newest token, whatever else is under way.
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Idempotent | Self::Lasting)
    }

    /// How much of the life that an answer names is sure, counted from the sending of its request.
    pub fn sure_life(self, named: Duration) -> Duration {
        match self {
            Self::Rotating { .. } | Self::Idempotent => named,
            Self::Lasting => named / ticket::SURE_PART,
        }
    }
}
