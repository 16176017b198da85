//! What random histories must have reached: a comparison of what never happens proves nothing.

use std::collections::BTreeSet;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use crate::reached::reached;
use crate::reference::Reference;
use crate::spoil::FIELDS;

/// So many histories reach all of it: as many as a run of the tests compares.
const HISTORIES: u32 = 400;

/// Everything that must happen.
const WANTED: &[&str] = &[
    // Repetitions, at once and later.
    "claim again at once",
    "claim again later",
    "commit again at once",
    "commit again later",
    "abandon again at once",
    "abandon again later",
    "keep again at once",
    "keep again later",
    "report again at once",
    "report again later",
    "adopt again at once",
    "adopt again later",
    "force again at once",
    "force again later",
    "a repeated claim has its fence again",
    "a repeated commit has its generation again",
    // Claims whose outcome is open.
    "no open claim",
    "one open claim",
    "two open claims",
    "three open claims",
    "a token of an older claim is late",
    "an unknown outcome of an older claim raises doubt",
    "a refusal of an older claim is late",
    "a claim is held off",
    "a claim is not owed",
    "a claim is taken over",
    "a claim is paused",
    "a commit is provisional",
    "a commit clears doubt",
    "a commit of the same token",
    "a commit of a token that is dead already",
    // What is lost.
    "the scripts are forgotten while a claim is open",
    "the reader's key is deleted",
    "the lock is deleted while a claim is open",
    "the state is deleted",
    "all is wiped while a claim is open",
    "the last writes are lost",
    "the copy is published again",
    "the copy replaces what a stranger wrote",
    "the end of the last token is announced",
    "a field is deleted by hand",
    "a field is overwritten by hand",
    "the refusals are overwritten by hand",
    // The clock.
    "the clock goes back by less than the slack",
    "the clock goes back by the slack",
    "the clock goes back by more than the slack",
    "the clock goes on over midnight",
    "doubt of the clock",
    "a witness makes a life longer",
    "a worker that read a token makes its life shorter",
    "a worker that read a token makes its life no longer",
    "a token past its life is withdrawn",
    // Epochs.
    "the server is promoted while a claim is open",
    "a claim where scripts may not read the epoch",
    "a claim where the epoch rule is off",
    "a claim by a worker with a stale epoch",
    "doubt of the epoch",
    "doubt of a lost claim",
    "doubt of a fence that went back",
    "doubt of a cold start",
    "doubt of a stranger",
    // Strangers.
    "a repeated adoption has its fence again",
    "a stranger's token is newer than all that is known",
    "a stranger's token may be the older",
    "a stranger's token is replaced after spacing",
    "a stranger's token is replaced before its end",
    "a stranger's token that is not sure is replaced at once",
    "a stranger's token is replaced for an operator",
    "a stranger's token is found during a claim",
    "a stranger's token is found after a death",
    "a stranger's token is found in another epoch",
    "a stranger's token is found by who remembers more",
    "a stranger's token stood over an older one",
    "a stranger's token stood over a dead one",
    "a stranger's token is superseded",
    "a stranger's token is found while the unit is paused",
    // Newer versions.
    "a claim meets a newer state",
    "a commit meets a newer state",
    "a call leaves a newer state alone",
    // Natures, refusals, budgets, marks.
    "a rotating upstream commits",
    "an idempotent upstream commits",
    "a refusal for a worker",
    "a refusal for a configuration",
    "a refusal for the account",
    "a refusal for all, briefly",
    "refusals for two configurations",
    "as many refusals as are kept",
    "a refusal is pushed out",
    "a report is answered with a newer token",
    "a report is under way",
    "a report is told to probe",
    "a report waits for a probe",
    "a report is noted",
    "a token that is reported is still valid",
    "a mark is served at once or after spacing",
    "a mark waits for the next day",
    "a budget is spent, and new after midnight",
    "a mark is strained",
    "an invalidation is taken on",
    "an invalidation waits for the one before",
];

#[test]
fn random_histories_reach_everything_that_they_are_to_compare() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen = BTreeSet::new();
    for _ in 0..HISTORIES {
        let tree = Reference::sequential_strategy(1..80).new_tree(&mut runner).unwrap();
        let (mut before, steps, _) = tree.current();
        for step in steps {
            let after = Reference::apply(before.clone(), &step);
            seen.extend(reached(&before, &step, &after));
            before = after;
        }
    }
    let wanted = WANTED.iter().chain(&FIELDS).copied();
    let missing: Vec<&str> = wanted.filter(|what| !seen.contains(*what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:#?}");
}

#[test]
fn every_field_of_the_state_may_be_spoilt() {
    let text = FIELDS.map(|field| format!("{field},")).concat();
    let documented = include_str!("../../../../ARCHITECTURE.md");
    let table = documented.split("## The state hash").nth(1).unwrap();
    let table = table.split("Other keys:").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = rows.flat_map(|row| row.split(", ")).map(|name| name.trim_matches('`'));
    for name in names.filter(|name| *name != "refusals") {
        assert!(text.contains(&format!("{name},")), "{name}");
    }
}
