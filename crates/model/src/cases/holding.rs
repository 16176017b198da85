//! What holds, with all rules.

use zhongkong_core::nature::Nature;

use super::{ADOPTIONS, Case, IDEMPOTENT, ONE, REFRESHES, SAFE, SURE, claims, newest, service};
use crate::bounds::{ANY, Bounds, Fault};
use crate::happened::Happened;
use crate::model::Promise;

/// Every case that holds, the small ones first.
pub(super) fn holding() -> Vec<Case> {
    [upstream(), readers(), redis(), large()].concat()
}

/// Workers and the upstream.
fn upstream() -> Vec<Case> {
    let slow = Bounds { lease: 2, hold: 1, drain: 3, overlap: 6, ..claims(3) };
    let lives = Bounds { life: Some(6), due: Some(3), ..claims(3) };
    let idempotent = Bounds {
        nature: Nature::Idempotent,
        life: Some(8),
        due: Some(6),
        ..claims(2).with(Fault::Force, 1)
    };
    vec![
        Case::holds(
            "requests",
            "requests in any order, dropped, unanswered; a crash; four claims",
            claims(4).with(Fault::Crash, 1),
            ONE,
            REFRESHES,
        ),
        Case::holds(
            "lease of two ticks",
            "the same with a longer lease: workers pause between claim and request; three claims",
            slow.with(Fault::Crash, 1),
            ONE,
            REFRESHES,
        ),
        Case::holds(
            "three workers",
            "the same with three workers; three claims",
            Bounds { workers: 3, ..claims(3) },
            ONE,
            REFRESHES,
        ),
        Case::holds(
            "expiry",
            "tokens that live six ticks; three claims",
            lives.with(Fault::Crash, 1),
            SURE,
            REFRESHES,
        ),
        Case::holds(
            "stall",
            "a worker stalls between its look at the deadline and the sending; three claims",
            newest(claims(3)).with(Fault::Stall, 1),
            SAFE,
            REFRESHES | Happened::FENCED | Happened::LATE_UNKNOWN,
        ),
        Case::holds(
            "refusals",
            "the upstream refuses this worker or that; three claims",
            claims(3).with(Fault::Refusal, 2),
            ONE,
            Happened::REFUSED,
        ),
        Case::holds(
            "idempotent",
            "an upstream that insists on its token; an operator's force; two claims",
            idempotent,
            IDEMPOTENT,
            Happened::SAME_TOKEN | Happened::CLEARED,
        ),
    ]
}

/// Readers, operators, and somebody else.
fn readers() -> Vec<Case> {
    let spaced = Bounds { reader: true, prompt: true, spacing: 2, ..Bounds::LEAST };
    let on_demand = Bounds { due: None, ..claims(2) };
    let foreign = Bounds { probes: true, ..claims(2).with(Fault::Foreign, 1) };
    let service = service();
    vec![
        Case::holds(
            "reports",
            "readers report, an operator forces; two claims",
            claims(2).with(Fault::Report, 1).with(Fault::Force, 1),
            ONE,
            Happened::MARKED,
        ),
        Case::holds(
            "spacing",
            "an operator forces as often as he likes, a reader keeps what it read",
            spaced.with(Fault::Force, ANY),
            &[Promise::CopyIsHonoured, Promise::NewestOrOwed, Promise::Settles],
            Happened::CLEAN,
        ),
        Case::holds(
            "keys",
            "the reader's key vanishes; a crash; two claims",
            on_demand.with(Fault::Evict, 2).with(Fault::Force, 1).with(Fault::Crash, 1),
            ONE,
            Happened::REPUBLISHED,
        ),
        Case::holds(
            "somebody else",
            "somebody outside of the cluster fetches, and the probe finds it; two claims",
            foreign,
            &[Promise::FenceIsNew, Promise::FenceGrows, Promise::Settles],
            Happened::MARKED,
        ),
        Case::holds(
            "a service",
            "a service fetches for itself, and writes it to its key at any time; a claim",
            service,
            ONE,
            ADOPTIONS,
        ),
    ]
}

/// Redis, its replica and its clock.
fn redis() -> Vec<Case> {
    let waits = Bounds { waits: true, ..newest(claims(2)) };
    vec![
        Case::holds(
            "commands",
            "Redis' answers get lost, commands are replayed; two claims",
            claims(2).with(Fault::LostReply, 1).with(Fault::Replay, 1),
            SURE,
            Happened::REPEATED,
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
    ]
}

/// What takes minutes.
fn large() -> Vec<Case> {
    let service = service();
    let idempotent = Bounds {
        nature: Nature::Idempotent,
        life: Some(8),
        due: Some(6),
        ..claims(2).with(Fault::Force, 1)
    };
    vec![
        Case::holds(
            "all requests",
            "requests in any order, dropped, unanswered; three crashes; claims without end",
            Bounds::LEAST.with(Fault::Crash, 3),
            ONE,
            REFRESHES,
        )
        .large(),
        Case::holds(
            "all requests, three workers",
            "the same with three workers; a crash; claims without end",
            Bounds { workers: 3, ..newest(Bounds::LEAST).with(Fault::Crash, 1) },
            SAFE,
            REFRESHES,
        )
        .large(),
        Case::holds(
            "reports, three claims",
            "readers report, an operator forces; three claims",
            claims(3).with(Fault::Report, 1).with(Fault::Force, 1),
            ONE,
            REFRESHES | Happened::MARKED,
        )
        .large(),
        Case::holds(
            "a service, two claims",
            "a service fetches for itself, and writes it to its key at any time; two claims",
            service.with(Fault::Claim, 2),
            ONE,
            ADOPTIONS,
        )
        .large(),
        Case::holds(
            "two services",
            "the same twice, one after the other; a claim",
            service.with(Fault::Foreign, 2),
            ONE,
            ADOPTIONS,
        )
        .large(),
        Case::holds(
            "a service, failover",
            "the same, and a replica that lags becomes the primary; a claim",
            service.with(Fault::Failover, 1),
            SURE,
            ADOPTIONS | Happened::EPOCH,
        )
        .large(),
        Case::holds(
            "idempotent, three claims",
            "an upstream that insists on its token; a crash, an operator's force; three claims",
            idempotent.with(Fault::Claim, 3).with(Fault::Crash, 1),
            IDEMPOTENT,
            Happened::SAME_TOKEN | Happened::CLEARED,
        )
        .large(),
        Case::holds(
            "failover, three claims",
            "a replica that lags becomes the primary; three claims",
            claims(3).with(Fault::Failover, 1),
            SURE,
            REFRESHES | Happened::EPOCH | Happened::LOST_CLAIM | Happened::FORGOTTEN,
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
            REFRESHES | Happened::EPOCH,
        )
        .large(),
    ]
}
