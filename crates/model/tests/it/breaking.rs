//! What breaks without a rule, and holds with it; and what is open by nature.

use std::collections::BTreeSet;

use zhongkong_model::explore::explore;
use zhongkong_model::switch::Switch;

use crate::{case, small};

#[track_caller]
fn breaks(name: &str) {
    let case = case(name);
    let promise = case.broken.unwrap().about();
    let (broken, story) = explore(&case, 1).unwrap().broken.unwrap();
    assert_eq!(broken, promise, "{story}");
}

/// The same bounds break without the rule, and hold with it.
#[track_caller]
fn needs(name: &str) {
    breaks(name);
    let outcome = explore(&case(name).with_the_rule(), 1).unwrap();
    assert_eq!(outcome.broken, None, "{name} with the rule");
}

macro_rules! tests {
    ($($test:ident: $check:ident $name:literal,)*) => {
        $(#[test]
        fn $test() {
            $check($name);
        })*

        #[test]
        fn every_case_that_breaks_has_its_test() {
            let tested = [$($name),*];
            assert!(small(true).map(|case| case.name).eq(tested));
        }
    };
}

tests! {
    without_fencing_the_published_fence_goes_back: needs "R1",
    without_the_intent_a_crash_leaves_no_trace: needs "R2",
    without_heeding_late_tokens_a_stall_goes_unseen: needs "R3",
    without_its_own_intent_a_worker_closes_another_ones: needs "R3 own",
    without_doubting_unknown_outcomes_a_time_out_goes_unseen: needs "R4",
    without_the_drain_a_commit_clears_too_much: needs "R5",
    without_erasing_the_note_a_claim_clears_what_came_after_it: needs "R5 note",
    without_its_length_the_drain_ends_too_early: needs "R5 length",
    without_the_deadline_the_drain_has_no_bound: needs "R6",
    without_the_first_sending_two_workers_may_send_at_once: needs "R6 first",
    without_the_epoch_a_failover_goes_unseen: needs "R7",
    without_the_second_replication_id_a_failover_and_back_goes_unseen: needs "R7 run id",
    without_its_own_claim_a_worker_does_not_see_the_split: needs "R7 own",
    without_binding_the_epoch_to_claims_a_commit_hides_a_failover: needs "R7 commit",
    without_the_clock_a_fence_is_given_twice: needs "R8",
    without_one_send_the_second_request_goes_unseen: needs "R9",
    without_waiting_a_crash_on_the_old_primary_goes_unseen: needs "R10",
    without_repeatable_commands_a_good_token_is_late: needs "R11",
    without_spacing_two_quick_fetches_kill_what_readers_hold: needs "R12",
    without_looking_after_it_the_readers_key_stays_away: needs "R13",
    without_counting_unknown_outcomes_a_dead_token_is_called_sure: needs "R14",
    without_the_older_outcomes_a_dead_token_is_called_sure: needs "R14 before",
    without_doubt_an_older_token_is_adopted_for_good: needs "adopted",
    without_weighing_it_an_adopted_token_that_is_dead_is_called_sure: needs "adopted life",
    without_counting_what_a_failover_hid_a_dead_token_is_called_sure: needs "R14 history",
    somebody_elses_fetch_is_seen_by_nobody_at_first: breaks "open: somebody else",
    a_clock_that_steps_forward_ends_a_drain: breaks "open: clock forward",
    a_stall_past_the_drain_and_a_crash_leave_no_trace: breaks "open: stall and crash",
    a_crash_on_an_old_primary_that_waits_for_nobody_leaves_no_trace: breaks "open: split brain and crash",
    a_clock_that_steps_back_makes_a_token_sure_for_longer: breaks "open: clock back, sure life",
    a_stall_past_the_drain_is_one_call_more_than_counted: breaks "open: stall, sure life",
    a_number_comes_again_where_the_clock_went_back_and_all_is_lost: breaks "open: clock back and wipe",
}

#[test]
fn every_switch_has_a_case() {
    let cased: BTreeSet<String> =
        small(true).filter_map(|case| case.bounds.without).map(|s| format!("{s:?}")).collect();
    assert_eq!(cased, Switch::ALL.iter().map(|switch| format!("{switch:?}")).collect());
}
