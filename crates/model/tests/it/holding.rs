//! What holds, with all rules.

use zhongkong_model::explore::explore;

use crate::{case, small};

/// Explores a case to its end; tests run beside each other, so one thread each.
#[track_caller]
fn holds(name: &str) {
    let outcome = explore(&case(name), 1).unwrap();
    assert_eq!((outcome.broken, outcome.missing), (None, Vec::new()), "{name}");
}

/// One test for each case, so that they run beside each other and are named when they fail.
macro_rules! tests {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn every_small_case_has_its_test() {
            let tested = [$($name),*];
            assert!(small(false).map(|case| case.name).eq(tested));
        }
    };
}

tests! {
    requests_are_processed_in_any_order_or_dropped_and_workers_crash: "requests",
    workers_pause_between_claim_and_request: "lease of two ticks",
    three_workers_do_no_more_harm_than_two: "three workers",
    tokens_expire: "expiry",
    a_worker_stalls_behind_its_deadline: "stall",
    the_upstream_refuses_some_workers: "refusals",
    an_upstream_insists_on_its_token: "idempotent",
    readers_report_and_operators_force: "reports",
    readers_keep_what_they_read: "spacing",
    the_readers_key_vanishes: "keys",
    somebody_else_fetches_a_token: "somebody else",
    a_service_fetches_a_token_and_writes_it_late: "a service",
    answers_of_redis_get_lost_and_commands_are_replayed: "commands",
    redis_is_emptied: "wipe",
    the_clock_of_redis_steps_back: "clock back",
    a_replica_that_lags_becomes_the_primary: "failover",
    an_old_primary_still_answers: "split brain, waiting",
}
