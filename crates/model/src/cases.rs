//! The cases: which bounds are explored, what must hold in them, and which rule each of them cannot do without.

mod breaking;
mod holding;

use crate::bounds::{Bounds, Fault};
use crate::happened::Happened;
use crate::model::Promise;

/// Bounds, and what is expected of them.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What can go wrong in it, in words.
    pub faults: &'static str,
    /// The bounds.
    pub bounds: Bounds,
    /// What must hold.
    pub promises: &'static [Promise],
    /// What must happen somewhere.
    pub must_happen: u32,
    /// The promise that is broken; none if all hold.
    pub broken: Option<Promise>,
    /// One world in so many is tried for whether it settles.
    pub settle_one_in: u64,
    /// When it is explored.
    pub size: Size,
}

/// When a case is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// With every change.
    Small,
    /// By `make model`.
    Large,
}

/// What holds whatever goes wrong, but for what is open by nature.
const SAFE: &[Promise] = &[
    Promise::NewestOrOwed,
    Promise::FenceIsNew,
    Promise::FenceGrows,
    Promise::NeverCalledLate,
    Promise::Settles,
];
/// The same, where the store's clock goes on and nobody stalls past the drain.
const SURE: &[Promise] = &[
    Promise::NewestOrOwed,
    Promise::SureIsHonoured,
    Promise::FenceIsNew,
    Promise::FenceGrows,
    Promise::NeverCalledLate,
    Promise::Settles,
];
/// The same, where Redis forgets nothing.
const ONE: &[Promise] = &[
    Promise::NewestOrOwed,
    Promise::SureIsHonoured,
    Promise::FenceIsNew,
    Promise::FenceGrows,
    Promise::NeverCalledLate,
    Promise::OneSender,
    Promise::Settles,
];

/// The same for an upstream that issues the next token near the end of the one before, which lives to that end: a token
/// need not be the newest.
const IDEMPOTENT: &[Promise] = &[
    Promise::SureIsHonoured,
    Promise::FenceIsNew,
    Promise::FenceGrows,
    Promise::NeverCalledLate,
    Promise::OneSender,
    Promise::Settles,
];

const REFRESHES: u32 = Happened::CLAIMED
    | Happened::TAKEOVER
    | Happened::PROVISIONAL
    | Happened::CLEARED
    | Happened::CLEAN
    | Happened::UNKNOWN
    | Happened::NOT_SENT;

const ADOPTIONS: u32 =
    Happened::ADOPTED | Happened::ADOPTED_SURE | Happened::NOT_ADOPTED | Happened::SUPERSEDED;

/// A claim, and a service that fetches for itself.
const fn service() -> Bounds {
    Bounds { adopts: true, probes: true, ..claims(1).with(Fault::Foreign, 1) }
}

/// So many claims at most.
const fn claims(times: u8) -> Bounds {
    Bounds::LEAST.with(Fault::Claim, times)
}

/// Without regard to the death of replaced tokens.
const fn newest(bounds: Bounds) -> Bounds {
    Bounds { deaths: false, ..bounds }
}

impl Case {
    const fn holds(
        name: &'static str,
        faults: &'static str,
        bounds: Bounds,
        promises: &'static [Promise],
        must_happen: u32,
    ) -> Self {
        let (broken, settle_one_in, size) = (None, 16, Size::Small);
        Self { name, faults, bounds, promises, must_happen, broken, settle_one_in, size }
    }

    const fn large(mut self) -> Self {
        self.size = Size::Large;
        self.settle_one_in = 64;
        self
    }

    /// The same bounds with the rule: what must hold where the case breaks.
    #[must_use]
    pub const fn with_the_rule(mut self) -> Self {
        self.bounds.without = None;
        self.broken = None;
        self
    }

    /// What it is about, in words.
    pub const fn about(&self) -> &'static str {
        match self.bounds.without {
            Some(switch) => switch.about(),
            None => self.faults,
        }
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    [holding::holding(), breaking::breaking(), breaking::open()].concat()
}
