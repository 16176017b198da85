//! One step of a history, and how steps are drawn: what is worth doing depends on what happened before.

use proptest::prelude::*;
use zhongkong_core::life::Known;

use crate::reference::{History, Scene};
use crate::spoil::{self, Foreign, Spoilt};

/// One step. Small numbers pick from what happened before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Claim(ClaimStep),
    /// A token, for the claim so many before the last one of those whose outcome is open, or of all.
    Commit {
        claim: Pick,
        token: u8,
        age_ms: u64,
        life_ms: u64,
    },
    Abandon {
        claim: Pick,
        how: u8,
        retry_in_ms: u64,
    },
    Keep {
        life: Option<(u64, Known)>,
    },
    Force,
    Invalidate,
    Pause {
        resume: bool,
    },
    Report {
        token: u8,
        evidence: u8,
        budget: u32,
    },
    Adopt(AdoptStep),
    Forget,
    /// The call so many before the last one arrives once more, with the same arguments.
    Again {
        back: u8,
    },
    /// The store's clock moves.
    Pass {
        ms: i64,
    },
    /// It moves to the next midnight of +08:00, and so much further.
    ToMidnight {
        ms: i64,
    },
    DeleteReader,
    OverwriteReader(Foreign),
    DeleteLock,
    DeleteState,
    ChangeEpoch,
    /// The server becomes a replica, and is promoted again.
    Promote,
    RewindFence,
    /// The state goes so many steps back, as after a failover that lost the last writes.
    LoseWrites {
        back: u8,
    },
    /// Somebody writes a field by hand, or deletes it.
    Spoil(Spoilt),
    /// A newer version writes the state; or is taken back.
    Upgrade,
    Downgrade,
    Wipe,
    ForgetScripts,
}

/// A claim, and what its worker remembers.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimStep {
    pub(crate) worker: u8,
    /// With the nonce of the last claim.
    pub(crate) repeat: bool,
    /// Its own last claim was made in another epoch.
    pub(crate) old_epoch: bool,
    /// The reply to that claim was lost.
    pub(crate) forget: bool,
    /// How much it remembers: nothing, its own claim, and a fence above the state's.
    pub(crate) ahead: u64,
    /// What it believes the store's epoch to be is out of date.
    pub(crate) stale: bool,
    pub(crate) life: Option<(u64, Known)>,
}

/// A token that somebody else fetched, and what the worker knows that found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdoptStep {
    pub(crate) token: u8,
    /// It stood over another token than the current one.
    pub(crate) of_another: bool,
    /// When it was found; after the store's time if negative.
    pub(crate) ago_ms: i64,
    /// What the worker believes the store's epoch to be is out of date.
    pub(crate) stale: bool,
    /// The worker remembers a fence above the state's.
    pub(crate) ahead: bool,
}

/// Which claim an outcome belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick {
    /// One whose outcome is open, so many before the last of them.
    Open(u8),
    /// Any, so many before the last.
    Any(u8),
}

/// What a worker knows of the token's life: often nothing.
fn life() -> impl Strategy<Value = Option<(u64, Known)>> {
    let known = prop_oneof![Just(Known::Exactly), Just(Known::AtMost)];
    prop_oneof![2 => Just(None), 1 => (0..60_000_u64, known).prop_map(Some)]
}

/// Mostly the last claim; now and then one before it, which is late.
fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        5 => Just(Pick::Any(0)),
        3 => (0..3_u8).prop_map(Pick::Open),
        1 => (1..4_u8).prop_map(Pick::Any),
    ]
}

fn claim(workers: u8) -> impl Strategy<Value = Step> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    (0..workers, flags, 0..3_u64, life()).prop_map(|(worker, flags, ahead, life)| {
        let (repeat, old_epoch, forget, stale) = flags;
        let repeat = repeat && worker == 1;
        Step::Claim(ClaimStep { worker, repeat, old_epoch, forget, ahead, stale, life })
    })
}

fn commit(life_ms: impl Strategy<Value = u64>) -> impl Strategy<Value = Step> {
    (pick(), 0..4_u8, 0..1_500_u64, life_ms)
        .prop_map(|(claim, token, age_ms, life_ms)| Step::Commit { claim, token, age_ms, life_ms })
}

fn abandon(
    how: impl Strategy<Value = u8>,
    retry_in_ms: impl Strategy<Value = u64>,
) -> impl Strategy<Value = Step> {
    (pick(), how, retry_in_ms).prop_map(|(claim, how, retry_in_ms)| Step::Abandon {
        claim,
        how,
        retry_in_ms,
    })
}

fn report(evidence: impl Strategy<Value = u8>) -> impl Strategy<Value = Step> {
    (0..5_u8, evidence, 1..3_u32).prop_map(|(token, evidence, budget)| Step::Report {
        token,
        evidence,
        budget,
    })
}

fn adopt() -> impl Strategy<Value = Step> {
    let rarely = || prop::bool::weighted(0.1);
    let ago_ms = prop_oneof![8 => 0..2_000_i64, 1 => Just(2_000), 1 => Just(2_001), 1 => Just(-1)];
    (0..4_u8, rarely(), ago_ms, rarely(), rarely()).prop_map(
        |(token, of_another, ago_ms, stale, ahead)| {
            Step::Adopt(AdoptStep { token, of_another, ago_ms, stale, ahead })
        },
    )
}

fn again() -> impl Strategy<Value = Step> {
    prop_oneof![2 => Just(0_u8), 1 => 1..12_u8].prop_map(|back| Step::Again { back })
}

fn midnight() -> impl Strategy<Value = Step> {
    prop_oneof![Just(-1_i64), Just(0), Just(1), Just(30_000), Just(30_001)]
        .prop_map(|ms| Step::ToMidnight { ms })
}

fn pass() -> impl Strategy<Value = Step> {
    let edge = prop_oneof![Just(999_i64), Just(1_000), Just(1_001)];
    let day = prop_oneof![Just(-3_600_000_i64), Just(3_600_000), Just(72_000_000)];
    prop_oneof![
        6 => 0..3_000_i64,
        3 => 3_000..40_000_i64,
        1 => edge.clone(),
        1 => edge.prop_map(|ms| -ms),
        2 => day,
    ]
    .prop_map(|ms| Step::Pass { ms })
}

fn disturbance() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::DeleteReader),
        2 => spoil::foreign().prop_map(Step::OverwriteReader),
        1 => Just(Step::DeleteLock),
        1 => Just(Step::DeleteState),
        2 => Just(Step::ChangeEpoch),
        1 => Just(Step::Promote),
        2 => Just(Step::RewindFence),
        1 => (1..8_u8).prop_map(|back| Step::LoseWrites { back }),
        6 => spoil::field().prop_map(Step::Spoil),
        1 => Just(Step::Upgrade),
        2 => Just(Step::Wipe),
        2 => Just(Step::ForgetScripts),
    ]
}

/// What may happen next.
pub(crate) fn next(history: &History) -> BoxedStrategy<Step> {
    match history.scene {
        Scene::Mixed => mixed(history),
        Scene::Crowd => crowd(history),
        Scene::Reports => reports(),
    }
}

fn mixed(history: &History) -> BoxedStrategy<Step> {
    let (or_else, often) =
        if history.is_newer() { (Step::Downgrade, 24) } else { (Step::ForgetScripts, 1) };
    let how = prop_oneof![4 => Just(2_u8), 4 => 0..7_u8];
    prop_oneof![
        16 => claim(4),
        12 => commit(prop_oneof![Just(1_000_u64), 20_000..60_000_u64, Just(7_200_000)]),
        8 => abandon(how, 0..2_000_u64),
        6 => life().prop_map(|life| Step::Keep { life }),
        2 => Just(Step::Force),
        2 => Just(Step::Invalidate),
        2 => prop::bool::weighted(0.7).prop_map(|resume| Step::Pause { resume }),
        10 => report(0..7_u8),
        6 => adopt(),
        1 => Just(Step::Forget),
        8 => again(),
        16 => pass(),
        1 => midnight(),
        20 => disturbance(),
        often => Just(or_else),
    ]
    .boxed()
}

/// Each worker is refused on its own account or its configuration's, and for long.
fn crowd(history: &History) -> BoxedStrategy<Step> {
    let (claims, outcomes) = if history.model.intent { (6, 90) } else { (90, 6) };
    let how = prop_oneof![8 => Just(0_u8), 8 => Just(3), 1 => Just(4)];
    prop_oneof![
        claims => claim(40),
        outcomes => abandon(how, 60_000..600_000_u64),
        6 => (0..3_000_i64).prop_map(|ms| Step::Pass { ms }),
        3 => again(),
        1 => commit(Just(1_000_u64)),
        1 => report(0..7_u8),
        1 => disturbance(),
    ]
    .boxed()
}

/// Readers report again and again, and the upstream has a new token each time.
fn reports() -> BoxedStrategy<Step> {
    prop_oneof![
        10 => report(prop_oneof![2 => 0..7_u8, 3 => Just(1), 3 => Just(4)]),
        4 => adopt(),
        10 => claim(2),
        10 => commit(Just(7_200_000_u64)),
        10 => prop_oneof![Just(4_000_i64), 4_000..40_000_i64].prop_map(|ms| Step::Pass { ms }),
        2 => midnight(),
        4 => again(),
        1 => disturbance(),
    ]
    .boxed()
}
