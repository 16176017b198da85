//! Doubt: recorded reasons to believe that the token in the store may not be the newest one.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::state::State;

/// Why there is doubt. The names stand in the state's `doubt` field, in events and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// The Redis clock went back, so recorded instants mean nothing.
    Clock,
    /// There was no state: a first start, or a wiped Redis (rule R7).
    ColdStart,
    /// The Redis primary's data has another history than the state (rule R7).
    Epoch,
    /// Somebody outside of the cluster refreshed: the token is dead, and nothing of the cluster's own explains it; or a token of
    /// theirs was found at the key of an SDK.
    Foreign,
    /// A token arrived after another claim had been made (rule R3).
    Late,
    /// A worker's last claim is missing from the state under another epoch (rule R7).
    LostClaim,
    /// The state's fence is older than one that a worker remembers (rule R7).
    Rewound,
    /// A claim found somebody else's unresolved intent (rule R2).
    Takeover,
    /// A request's outcome is unknown (rule R4).
    Unknown,
}

/// The reasons of one unit, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts(BTreeSet<Doubt>);

impl Doubt {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Clock,
        Self::ColdStart,
        Self::Epoch,
        Self::Foreign,
        Self::Late,
        Self::LostClaim,
        Self::Rewound,
        Self::Takeover,
        Self::Unknown,
    ];

    /// The name in the state, in events and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::ColdStart => "cold_start",
            Self::Epoch => "epoch",
            Self::Foreign => "foreign",
            Self::Late => "late",
            Self::LostClaim => "lost_claim",
            Self::Rewound => "rewound",
            Self::Takeover => "takeover",
            Self::Unknown => "unknown",
        }
    }
}

impl Doubts {
    /// No doubt at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `doubt` is among the reasons.
    pub fn contains(&self, doubt: Doubt) -> bool {
        self.0.contains(&doubt)
    }

    /// Whether somebody else's refresh is the one reason.
    pub fn is_foreign_alone(&self) -> bool {
        self.0.len() == 1 && self.contains(Doubt::Foreign)
    }

    /// The reasons.
    pub fn iter(&self) -> impl Iterator<Item = Doubt> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl State {
    /// Raises `doubt`: it drains at `drains_at_ms` at the earliest, and an open claim may no longer clear it (rule R5).
    pub(crate) fn raise(&mut self, doubt: Doubt, drains_at_ms: u64, drain_ms: u64) {
        self.doubt.0.insert(doubt);
        self.drains_at_ms = self.drains_at_ms.max(drains_at_ms);
        self.drain_ms = self.drain_ms.max(drain_ms);
        self.drained = false;
    }
}

impl FromIterator<Doubt> for Doubts {
    fn from_iter<I: IntoIterator<Item = Doubt>>(doubts: I) -> Self {
        Self(doubts.into_iter().collect())
    }
}

impl fmt::Display for Doubts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, doubt) in self.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "," }, doubt.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Doubts {
    type Err = std::convert::Infallible;

    /// Reads the state's field. A reason that a newer version wrote is doubt all the same: it counts as [`Doubt::Unknown`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |name: &str| {
            Doubt::ALL.into_iter().find(|doubt| doubt.as_str() == name).unwrap_or(Doubt::Unknown)
        };
        Ok(text.split(',').filter(|name| !name.is_empty()).map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_written_and_read_in_the_order_of_their_names() {
        let all: Doubts = Doubt::ALL.into_iter().rev().collect();
        let text = "clock,cold_start,epoch,foreign,late,lost_claim,rewound,takeover,unknown";
        assert_eq!(all.to_string(), text);
        assert_eq!(text.parse::<Doubts>(), Ok(all));
        assert!("".parse::<Doubts>().is_ok_and(|none| none.is_empty()));
    }

    #[test]
    fn a_reason_of_a_newer_version_is_doubt_all_the_same() {
        let doubts: Doubts = "solar_flare".parse().unwrap();
        assert!(!doubts.is_empty());
    }
}
