//! What happened in a step: what must happen somewhere in a model, or it proves nothing.

use zhongkong_core::doubt::{Doubt, Doubts};

/// What happened, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened(pub u32);

impl Happened {
    /// A claim was granted.
    pub const CLAIMED: u32 = 1;
    /// A claim found a dead worker's intent.
    pub const TAKEOVER: u32 = 1 << 1;
    /// A claim was made in another epoch.
    pub const EPOCH: u32 = 1 << 2;
    /// A claim found no state.
    pub const COLD_START: u32 = 1 << 3;
    /// A claim found that the worker's last claim is missing.
    pub const LOST_CLAIM: u32 = 1 << 4;
    /// A claim found a fence below one that the worker remembers.
    pub const REWOUND: u32 = 1 << 5;
    /// A claim found that the clock went back.
    pub const CLOCK: u32 = 1 << 6;
    /// A claim was repeated, and nothing changed.
    pub const REPEATED: u32 = 1 << 7;
    /// A commit left doubt.
    pub const PROVISIONAL: u32 = 1 << 8;
    /// A commit cleared doubt.
    pub const CLEARED: u32 = 1 << 9;
    /// A commit found no doubt.
    pub const CLEAN: u32 = 1 << 10;
    /// A commit came late.
    pub const FENCED: u32 = 1 << 11;
    /// An unknown outcome was recorded.
    pub const UNKNOWN: u32 = 1 << 12;
    /// An unknown outcome came late.
    pub const LATE_UNKNOWN: u32 = 1 << 13;
    /// A refusal was recorded.
    pub const REFUSED: u32 = 1 << 14;
    /// A claim ended without a request.
    pub const NOT_SENT: u32 = 1 << 15;
    /// The token was marked.
    pub const MARKED: u32 = 1 << 16;
    /// The upstream insisted on the token that is published.
    pub const SAME_TOKEN: u32 = 1 << 17;
    /// A new primary lacks claims of the old one.
    pub const FORGOTTEN: u32 = 1 << 18;
    /// The first primary is primary again.
    pub const BACK: u32 = 1 << 19;
    /// The reader's key was written again from the copy.
    pub const REPUBLISHED: u32 = 1 << 20;
    /// A worker of the old primary sent a request.
    pub const ASTRAY: u32 = 1 << 21;
    /// The token's instants followed a worker's boot clock.
    pub const FOLLOWED: u32 = 1 << 22;
    /// A token of somebody else's was adopted.
    pub const ADOPTED: u32 = 1 << 23;
    /// It is known to be the newest.
    pub const ADOPTED_SURE: u32 = 1 << 24;
    /// It was found while it could not be adopted.
    pub const NOT_ADOPTED: u32 = 1 << 25;
    /// It was found to be older than the cluster's.
    pub const SUPERSEDED: u32 = 1 << 26;

    /// The name of one of them.
    pub const fn name(bit: u32) -> &'static str {
        match bit {
            Self::CLAIMED => "a claim is granted",
            Self::TAKEOVER => "a dead worker's claim is taken over",
            Self::EPOCH => "a claim finds another epoch",
            Self::COLD_START => "a claim finds no state",
            Self::LOST_CLAIM => "a worker finds its own claim gone",
            Self::REWOUND => "a worker finds an older fence than it remembers",
            Self::CLOCK => "a claim finds that the clock went back",
            Self::REPEATED => "a claim is repeated",
            Self::PROVISIONAL => "a commit is provisional",
            Self::CLEARED => "a commit clears doubt",
            Self::CLEAN => "a commit finds no doubt",
            Self::FENCED => "a commit comes late",
            Self::UNKNOWN => "an outcome is unknown",
            Self::LATE_UNKNOWN => "an unknown outcome comes late",
            Self::REFUSED => "the upstream refuses",
            Self::NOT_SENT => "a claim ends without a request",
            Self::MARKED => "a token is marked",
            Self::SAME_TOKEN => "the upstream insists on its token",
            Self::FORGOTTEN => "a failover loses a claim",
            Self::BACK => "the first primary is primary again",
            Self::REPUBLISHED => "the reader's key is written again",
            Self::ASTRAY => "a worker of the old primary sends",
            Self::FOLLOWED => "the token's life follows a worker's clock",
            Self::ADOPTED => "a token of somebody else's is adopted",
            Self::ADOPTED_SURE => "one is adopted that is known to be the newest",
            Self::NOT_ADOPTED => "one is found while it cannot be adopted",
            _ => "one is found to be older than the cluster's",
        }
    }

    /// Adds what happened.
    pub const fn add(&mut self, what: u32) {
        self.0 |= what;
    }

    /// Adds the doubts that a claim raised.
    pub fn raised(&mut self, doubts: &Doubts) {
        for doubt in doubts.iter() {
            self.add(match doubt {
                Doubt::Takeover => Self::TAKEOVER,
                Doubt::Epoch => Self::EPOCH,
                Doubt::ColdStart => Self::COLD_START,
                Doubt::LostClaim => Self::LOST_CLAIM,
                Doubt::Rewound => Self::REWOUND,
                Doubt::Clock => Self::CLOCK,
                Doubt::Foreign | Doubt::Late | Doubt::Unknown => 0,
            });
        }
    }
}
