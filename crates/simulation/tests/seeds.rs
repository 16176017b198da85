//! Hundreds of runs, each from its seed: what happens in them is allowed, and what may happen does.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::ops::Range;
use std::thread;

use zhongkong_simulation::{Protocol, Temper, Verdict, simulate};

/// Seeds in CI. `make soak` plays many more.
const SEEDS: u64 = 240;
/// As many as there are cores where this has to pass.
const THREADS: u64 = 2;

/// Plays all runs, side by side, and keeps what `keep` makes of each.
fn play<T: Send>(
    seeds: Range<u64>,
    protocol: Protocol,
    keep: impl Fn(Verdict) -> T + Sync,
) -> Vec<T> {
    let keep = &keep;
    thread::scope(|scope| {
        let each = |thread| {
            let seeds = seeds.clone().filter(move |seed| seed % THREADS == thread);
            seeds.map(|seed| keep(simulate(seed, protocol).unwrap())).collect::<Vec<_>>()
        };
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || each(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn nothing_happens_that_is_not_allowed_and_all_that_may_happen_does() {
    let runs = play(0..SEEDS, Protocol::Whole, |verdict| {
        assert!(verdict.violations.is_empty(), "{verdict}");
        (verdict.temper, verdict.journal())
    });
    let tempers = |temper| runs.iter().filter(|(of, _)| *of == temper).count();
    assert!(tempers(Temper::Mild) > 50 && tempers(Temper::Wild) > 50);
    // What is never met proves nothing.
    for met in [
        "in doubt: cold_start",
        "in doubt: clock",
        "in doubt: epoch",
        "foreign",
        "late",
        "lost_claim",
        "rewound",
        "takeover",
        "unknown",
        ", provisional",
        "published the same token again",
        "the same token again, fence",
        "refused, fence",
        "released, nothing was sent",
        "to be replaced: reported",
        "to be replaced: forced",
        "refused with 40164",
        "refused with 40125",
        "refused with -1",
        "ended without an answer",
        "the answer to call",
        "got no answer",
        "is killed at before_send",
        "is killed at after_send",
        "has come to after_check",
        "has come to after_answer",
        "the clock of Redis is stepped",
        "Redis is emptied",
        "somebody else fetches",
        "adopted ",
        "(notnewesttwo)",
    ] {
        assert!(runs.iter().any(|(_, journal)| journal.contains(met)), "no run met {met:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    // Among them those in which machines are paused while much is under way.
    for seed in [2, 5, 7, 8, 11] {
        let [one, other] = [(), ()].map(|()| simulate(seed, Protocol::Whole).unwrap().journal());
        assert!(one == other, "seed {seed} gave two runs");
        assert!(one.lines().count() > 500);
    }
}

#[test]
fn a_lock_with_fences_alone_is_found_out() {
    let dead = play(0..60, Protocol::FencesOnly, |verdict| {
        let dead = |(_, what): &&(u64, String)| what.contains("which had died");
        verdict.temper == Temper::Mild && verdict.violations.iter().any(|of| dead(&of))
    });
    let dead = dead.into_iter().filter(|dead| *dead).count();
    assert!(dead >= 3, "only {dead} of 60 runs had a dead read");
}
