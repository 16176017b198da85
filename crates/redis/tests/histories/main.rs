//! Random histories against a real redis-server and against the core's transitions: same answers, same state, same
//! keys, same events.
//!
//! # Layout, in reading order
//! - `step`: one step, and how steps are drawn; `spoil`: what people do to keys by hand.
//! - `reference`: what the store must hold after the steps so far; `call`: what the core says to each call; `events`:
//!   what everybody hears of it; `lines`: what the history keeps of it.
//! - `stage`: a private redis-server whose clock is held; `system`: the store in it, compared after every step.
//! - `reached`: what a step reached; `coverage`: what random histories must reach.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

mod call;
mod coverage;
mod events;
mod lines;
mod reached;
mod reference;
mod spoil;
mod stage;
mod step;
mod system;

use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use zhongkong_core::nature::Nature;
use zhongkong_redis::HISTORY_MAX;

use crate::reference::{Epochs, History, Reference, Scene};
use crate::stage::on_a_stage;
use crate::step::{ClaimStep, Pick, Step};
use crate::system::System;

#[test]
fn every_history_has_the_same_answers_and_the_same_state_in_redis_and_in_the_core() {
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        // A step that makes no sense where it was drawn is drawn again.
        max_local_rejects: u32::MAX,
        ..Config::default()
    };
    on_a_stage(|| {
        let steps = std::cell::Cell::new(0);
        TestRunner::new(config.clone())
            .run(&Reference::sequential_strategy(1..80), |(history, transitions, seen)| {
                steps.set(steps.get() + transitions.len());
                System::test_sequential(config.clone(), history, transitions, seen);
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{failure}"));
        println!("{} histories, {} steps", config.cases, steps.get());
    });
}

/// What chance rarely meets: tokens that are reported again and again, at the edges of spacing and of the probe's answer.
#[test]
fn a_war_of_refreshes_is_the_same_in_redis_and_in_the_core() {
    let commit = |token| Step::Commit { claim: Pick::Any(0), token, age_ms: 0, life_ms: 3_600_000 };
    let report = |evidence| Step::Report { token: 0, evidence, budget: 100 };
    on_a_stage(|| {
        for between_ms in [3_999, 4_001, 16_000, 600_001, 1_199_999, 1_200_000, 1_200_001] {
            let mut steps = Vec::new();
            for token in [0, 1, 2, 3, 0, 1, 2, 3] {
                steps.extend([claim(1), commit(token), report(4), Step::Pass { ms: between_ms }]);
            }
            play(Nature::WECHAT, &steps);
        }
        for after_ms in [399, 400, 401, 3_999, 4_000] {
            let pass = Step::Pass { ms: after_ms };
            play(Nature::Idempotent, &[claim(1), commit(0), report(2), pass, report(1)]);
        }
    });
}

#[test]
fn the_days_invalidations_are_the_same_in_redis_and_in_the_core() {
    let commit = Step::Commit { claim: Pick::Any(0), token: 0, age_ms: 0, life_ms: 7_200_000 };
    let turn = [Step::Invalidate, Step::Pass { ms: 36_000 }, claim(1), commit];
    let mut steps = [&turn[2..], &turn.repeat(16)].concat();
    steps.extend([Step::ToMidnight { ms: 0 }, Step::Invalidate]);
    on_a_stage(|| {
        for nature in [Nature::WECHAT, Nature::Idempotent] {
            let day = &steps[..steps.len() - 2];
            assert_eq!(play(nature, day).model.invalidate_count, 15);
            assert_eq!(play(nature, &steps).model.invalidate_count, 1);
        }
    });
}

#[test]
fn what_comes_again_and_again_is_one_line_and_only_the_last_lines_are_kept() {
    let refused = |how| Step::Abandon { claim: Pick::Any(0), how, retry_in_ms: 1 };
    let turn = |how| [claim(1), refused(how), Step::Pass { ms: 5_000 }];
    let counted = [&turn(3)[..], &turn(5)].concat().repeat(4);
    let paused = [Step::Pause { resume: false }, Step::Pause { resume: true }];
    on_a_stage(|| {
        let kept = play(Nature::WECHAT, &counted).kept;
        let times = kept.iter().map(|line| (line.what.as_str(), line.times)).collect::<Vec<_>>();
        assert_eq!(times, [("doubted", 1), ("refused", 4), ("refused", 4)]);

        let steps = [&counted[..], &paused.repeat(HISTORY_MAX / 2)].concat();
        let kept = play(Nature::WECHAT, &steps).kept;
        assert!(kept.len() == HISTORY_MAX && kept.iter().all(|line| line.times == 1));
        let stage = stage::Stage::of_this_thread();
        let key = stage.store.keys().history(&"wx1".parse().unwrap());
        let bytes: usize = stage.redis(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]);
        println!("{} bytes a line", bytes / HISTORY_MAX);
        assert!(bytes < HISTORY_MAX * 200, "{bytes} bytes");
    });
}

/// A claim by a worker that remembers nothing.
const fn claim(worker: u8) -> Step {
    Step::Claim(ClaimStep {
        worker,
        repeat: false,
        old_epoch: false,
        forget: false,
        ahead: 0,
        stale: false,
        life: None,
    })
}

/// Plays `steps` in Redis and in the core. Returns what the store holds in the end.
fn play(nature: Nature, steps: &[Step]) -> History {
    let begin = History::new(nature, Epochs::Read, Scene::Mixed);
    System::test_sequential(Config::default(), begin.clone(), steps.to_vec(), None);
    steps.iter().fold(begin, Reference::apply)
}

/// `ZHONGKONG_HISTORIES` is compiled in, so that the tests need not read the environment.
fn cases() -> u32 {
    option_env!("ZHONGKONG_HISTORIES").and_then(|n| n.parse().ok()).unwrap_or(400)
}
