//! What breaks: without one rule, and by nature.

use super::{Case, claims, newest, service};
use crate::bounds::{Bounds, Fault};
use crate::model::Promise;
use crate::switch::Switch;

/// One case for each rule, without it. The same bounds hold with the rule.
pub(super) fn breaking() -> Vec<Case> {
    let case = |name, bounds: Bounds, switch, promises: &'static [Promise]| Case {
        broken: promises.first().copied(),
        settle_one_in: 1,
        bounds: bounds.without(switch),
        ..Case::holds(name, "", bounds, promises, 0)
    };
    let least = newest(claims(3));
    let newest_or_owed = &[Promise::NewestOrOwed];
    let sure = &[Promise::SureIsHonoured];
    let spaced = Bounds { reader: true, prompt: true, spacing: 2, ..claims(2) };
    let on_demand = Bounds { due: None, ..newest(claims(2)) };
    let split = Bounds { split: true, requests: 2, ..newest(claims(2)) };
    vec![
        case("R1", least, Switch::Fence, &[Promise::FenceGrows]),
        case("R2", least.with(Fault::Crash, 1), Switch::Intent, newest_or_owed),
        case("R3", least.with(Fault::Stall, 1), Switch::Late, newest_or_owed),
        case("R3 own", newest(claims(4)).with(Fault::Crash, 1), Switch::OwnIntent, newest_or_owed),
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
        case("R14", claims(3), Switch::SureLife, sure),
        case("R14 before", claims(3), Switch::Before, sure),
        case("adopted", service(), Switch::Stranger, newest_or_owed),
        case("adopted life", service(), Switch::StrangersLife, sure),
        case("R14 history", claims(2).with(Fault::Failover, 1), Switch::LostHistory, sure),
    ]
}

/// What is open by nature: each breaks with all rules on.
pub(super) fn open() -> Vec<Case> {
    let case = |name, faults, bounds: Bounds, promises: &'static [Promise]| Case {
        broken: promises.first().copied(),
        ..Case::holds(name, faults, bounds, promises, 0)
    };
    let newest_or_owed = &[Promise::NewestOrOwed];
    let least = newest(claims(3));
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
            claims(3).with(Fault::Stall, 1),
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
