//! The cases: which bounds are explored, what must hold in them, and which rule each of them cannot do without.

use zhongkong_core::nature::Nature;

use crate::bounds::{ANY, Bounds, Fault};
use crate::happened::Happened;
use crate::model::Promise;
use crate::switch::Switch;

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

/// For an upstream that insists on its token until shortly before its end: a late request may issue the next one, and the
/// one in Redis lives on to its own end.
const INSISTS: &[Promise] = &[
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
    [holding(), breaking(), open()].concat()
}

#[expect(clippy::too_many_lines, reason = "a table: one entry for each case")]
fn holding() -> Vec<Case> {
    let happened = |more: u32| REFRESHES | more;
    let slow = Bounds { lease: 2, hold: 1, drain: 3, overlap: 6, ..claims(3) };
    let lives = Bounds { life: Some(6), due: Some(3), ..claims(3) };
    let idempotent = Bounds {
        nature: Nature::Idempotent,
        life: Some(8),
        due: Some(6),
        ..claims(2).with(Fault::Force, 1).with(Fault::LostReply, 1)
    };
    let spaced = Bounds { reader: true, prompt: true, spacing: 2, ..Bounds::LEAST };
    let on_demand = Bounds { due: None, ..claims(3) };
    let foreign = Bounds { probes: true, ..claims(3).with(Fault::Foreign, 1) };
    let waits = Bounds { waits: true, ..newest(claims(2)) };
    vec![
        Case::holds(
            "requests",
            "requests in any order, dropped, unanswered; a crash; four claims",
            claims(4).with(Fault::Crash, 1),
            ONE,
            happened(0),
        ),
        Case::holds(
            "lease of two ticks",
            "the same with a longer lease: workers pause between claim and request; three claims",
            slow.with(Fault::Crash, 1),
            ONE,
            happened(0),
        ),
        Case::holds(
            "three workers",
            "the same with three workers; three claims",
            Bounds { workers: 3, ..claims(3) },
            ONE,
            happened(0),
        ),
        Case::holds(
            "expiry",
            "tokens that live six ticks; three claims",
            lives.with(Fault::Crash, 1),
            SURE,
            happened(0),
        ),
        Case::holds(
            "stall",
            "a worker stalls between its look at the deadline and the sending; three claims",
            newest(claims(3)).with(Fault::Stall, 1),
            SAFE,
            happened(Happened::FENCED | Happened::LATE_UNKNOWN),
        ),
        Case::holds(
            "commands",
            "Redis' answers get lost, commands are replayed; two claims",
            claims(2).with(Fault::LostReply, 2).with(Fault::Replay, 1),
            SURE,
            Happened::REPEATED,
        ),
        Case::holds(
            "refusals",
            "the upstream refuses this worker or that; three claims",
            claims(3).with(Fault::Refusal, 2),
            ONE,
            Happened::REFUSED,
        ),
        Case::holds(
            "reports",
            "readers report, an operator forces; three claims",
            claims(3).with(Fault::Report, 1).with(Fault::Force, 1),
            ONE,
            Happened::MARKED,
        )
        .large(),
        Case::holds(
            "spacing",
            "an operator forces as often as he likes, a reader keeps what it read",
            spaced.with(Fault::Force, ANY),
            &[Promise::CopyIsHonoured, Promise::NewestOrOwed, Promise::Settles],
            Happened::CLEAN,
        ),
        Case::holds(
            "keys",
            "the reader's key vanishes; a crash; three claims",
            on_demand.with(Fault::Evict, 2).with(Fault::Force, 1).with(Fault::Crash, 1),
            ONE,
            Happened::REPUBLISHED,
        ),
        Case::holds(
            "idempotent",
            "an upstream that insists on its token; an operator forces, an answer is lost; two claims",
            idempotent,
            INSISTS,
            Happened::SAME_TOKEN | Happened::CLEARED,
        ),
        Case::holds(
            "wipe",
            "Redis is emptied while it runs; three claims",
            claims(3).with(Fault::Wipe, 1),
            SURE,
            Happened::COLD_START | Happened::FENCED,
        ),
        Case::holds(
            "clock back",
            "Redis' clock steps back; three claims",
            newest(claims(3)).with(Fault::ClockBack, 1),
            SAFE,
            Happened::CLOCK,
        ),
        Case::holds(
            "failover",
            "a replica that lags becomes the primary; two claims",
            claims(2).with(Fault::Failover, 1),
            SURE,
            Happened::EPOCH | Happened::LOST_CLAIM | Happened::FORGOTTEN | Happened::FENCED,
        ),
        Case::holds(
            "split brain, waiting",
            "an old primary that still answers; claims wait for the replica; a crash; two claims",
            waits.with(Fault::SplitBrain, 1).with(Fault::Crash, 1),
            SAFE,
            Happened::EPOCH,
        ),
        Case::holds(
            "somebody else",
            "somebody outside of the cluster fetches, and the probe finds it; three claims",
            foreign,
            &[Promise::FenceIsNew, Promise::FenceGrows, Promise::Settles],
            Happened::MARKED,
        ),
        Case::holds(
            "all requests",
            "requests in any order, dropped, unanswered; three crashes; claims without end",
            Bounds::LEAST.with(Fault::Crash, 3),
            ONE,
            happened(0),
        )
        .large(),
        Case::holds(
            "all requests, three workers",
            "the same with three workers; a crash; claims without end",
            Bounds { workers: 3, ..newest(Bounds::LEAST).with(Fault::Crash, 1) },
            SAFE,
            happened(0),
        )
        .large(),
        Case::holds(
            "failover, three claims",
            "a replica that lags becomes the primary; three claims",
            claims(3).with(Fault::Failover, 1),
            SURE,
            happened(Happened::EPOCH | Happened::LOST_CLAIM | Happened::FORGOTTEN),
        )
        .large(),
        Case::holds(
            "failover and back",
            "the same twice; two claims",
            newest(claims(2)).with(Fault::Failover, 2),
            SAFE,
            Happened::BACK | Happened::LOST_CLAIM,
        )
        .large(),
        Case::holds(
            "split brain",
            "an old primary that still answers, without waiting; two claims",
            newest(claims(2)).with(Fault::SplitBrain, 1),
            SAFE,
            Happened::ASTRAY | Happened::LOST_CLAIM,
        )
        .large(),
        Case::holds(
            "split brain, waiting, three claims",
            "an old primary that still answers; claims wait for the replica; three claims",
            Bounds { waits: true, ..newest(claims(3)) }
                .with(Fault::SplitBrain, 1)
                .with(Fault::Crash, 1),
            SAFE,
            happened(Happened::EPOCH),
        )
        .large(),
    ]
}

/// One case for each rule, without it. The same bounds hold with the rule.
fn breaking() -> Vec<Case> {
    let case = |name, bounds: Bounds, switch, promises: &'static [Promise]| Case {
        broken: promises.first().copied(),
        settle_one_in: 1,
        bounds: bounds.without(switch),
        ..Case::holds(name, "", bounds, promises, 0)
    };
    let least = newest(claims(4));
    let newest_or_owed = &[Promise::NewestOrOwed];
    let sure = &[Promise::SureIsHonoured];
    let spaced = Bounds { reader: true, prompt: true, spacing: 2, ..claims(4) };
    let on_demand = Bounds { due: None, ..newest(claims(2)) };
    let split = Bounds { split: true, requests: 2, ..newest(claims(2)) };
    vec![
        case("R1", least, Switch::Fence, &[Promise::FenceGrows]),
        case("R2", least.with(Fault::Crash, 1), Switch::Intent, newest_or_owed),
        case("R3", least.with(Fault::Stall, 1), Switch::Late, newest_or_owed),
        case("R3 own", least.with(Fault::Crash, 1), Switch::OwnIntent, newest_or_owed),
        case("R4", least, Switch::Unknown, newest_or_owed),
        case("R5", least, Switch::Drain, newest_or_owed),
        case("R5 note", least.with(Fault::Stall, 1), Switch::Note, newest_or_owed),
        case("R5 length", least, Switch::ShortDrain, newest_or_owed),
        case("R6", least.with(Fault::Crash, 1), Switch::Deadline, newest_or_owed),
        case(
            "R6 first",
            least.with(Fault::LostReply, 1),
            Switch::FirstSending,
            &[Promise::OneSender],
        ),
        case("R7", newest(claims(2)).with(Fault::Failover, 1), Switch::Epoch, newest_or_owed),
        case(
            "R7 run id",
            newest(claims(2)).with(Fault::Failover, 2),
            Switch::RunIdAlone,
            newest_or_owed,
        ),
        case("R7 own", split, Switch::OwnClaim, newest_or_owed),
        case(
            "R7 commit",
            newest(claims(2)).with(Fault::Failover, 1).with(Fault::Crash, 1),
            Switch::CommitNotesEpoch,
            newest_or_owed,
        ),
        case(
            "R8",
            newest(claims(2)).with(Fault::Failover, 1),
            Switch::Clock,
            &[Promise::FenceIsNew],
        ),
        case("R9", least, Switch::OneSend, newest_or_owed),
        case(
            "R10",
            Bounds { waits: true, ..split }.with(Fault::Crash, 1),
            Switch::WriteAhead,
            newest_or_owed,
        ),
        case(
            "R11",
            claims(2).with(Fault::LostReply, 1),
            Switch::Repeatable,
            &[Promise::NeverCalledLate],
        ),
        case("R12", spaced.with(Fault::Force, 1), Switch::Spacing, &[Promise::CopyIsHonoured]),
        case("R13", on_demand.with(Fault::Evict, 1), Switch::Keep, &[Promise::Settles]),
        case("R14", claims(4), Switch::SureLife, sure),
        case("R14 before", claims(4), Switch::Before, sure),
    ]
}

/// What is open by nature: each breaks with all rules on.
fn open() -> Vec<Case> {
    let case = |name, faults, bounds: Bounds, promises: &'static [Promise]| Case {
        broken: promises.first().copied(),
        ..Case::holds(name, faults, bounds, promises, 0)
    };
    let newest_or_owed = &[Promise::NewestOrOwed];
    let least = newest(claims(4));
    vec![
        case(
            "open: somebody else",
            "somebody outside of the cluster fetches a token",
            newest(claims(2)).with(Fault::Foreign, 1),
            newest_or_owed,
        ),
        case(
            "open: clock forward",
            "Redis' clock steps forward, past what is left of a drain",
            least.with(Fault::ClockForward, 1),
            newest_or_owed,
        ),
        case(
            "open: stall and crash",
            "a worker stalls past the drain between its look at the deadline and the sending, and crashes",
            least.with(Fault::Stall, 1).with(Fault::Crash, 1),
            newest_or_owed,
        ),
        case(
            "open: split brain and crash",
            "without waiting for replicas, a worker of the old primary sends, and crashes",
            Bounds { split: true, requests: 2, ..newest(claims(2)) }.with(Fault::Crash, 1),
            newest_or_owed,
        ),
        case(
            "open: clock back, sure life",
            "Redis' clock steps back, and what is measured by it lasts longer",
            claims(2).with(Fault::ClockBack, 1),
            &[Promise::SureIsHonoured],
        ),
        case(
            "open: stall, sure life",
            "a worker stalls past the drain, and its request comes as one too many",
            claims(4).with(Fault::Stall, 1),
            &[Promise::SureIsHonoured],
        ),
        case(
            "open: clock back and wipe",
            "Redis' clock steps back, and Redis is emptied: a number comes again, and only the nonce tells",
            newest(claims(2)).with(Fault::ClockBack, 1).with(Fault::Wipe, 1),
            &[Promise::FenceIsNew],
        ),
    ]
}
