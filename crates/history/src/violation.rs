//! What was not allowed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::Seconds;

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A reader found a token that was dead when it asked, or that was never issued.
    DeadRead,
    /// A reader found no token while one that had been published was valid.
    AbsentRead,
    /// A reader found no token, and there was none to be found.
    NoToken,
    /// A fence was given twice, or went back, within an epoch.
    Fence,
    /// More calls were sent than claims allowed.
    Sent,
    /// Calls overlapped, and nobody doubted what came of them.
    Overlap,
    /// The published token was not the newest, and nobody doubted it.
    Stale,
    /// Doubt stood for too long.
    Doubt,
    /// One refresh took too many calls.
    Calls,
    /// The end was not settled.
    End,
}

/// What was not allowed: it displays as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule was broken.
    pub kind: Kind,
    /// Of which unit.
    pub unit: String,
    /// When that began.
    pub at_ms: u64,
    /// When it ended.
    pub to_ms: u64,
    /// What happened, in words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, at_ms, to_ms, what, .. } = self;
        if at_ms == to_ms {
            write!(f, "{unit}, at {}: {what}", Seconds(*at_ms))
        } else {
            write!(f, "{unit}, from {} to {}: {what}", Seconds(*at_ms), Seconds(*to_ms))
        }
    }
}
