//! Replies get lost or come late.

use std::time::Duration;

use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::{APP_ID, Cluster, Counts};

use crate::setup::{PATIENT_UPSTREAM, all_good, cluster, force, ms, settled_again, until, watched};

fn next(times: u32) -> Scope {
    Scope::account(APP_ID).times(times)
}

/// The next forced refresh meets `fault`; waits until its worker has recorded that the outcome is unknown.
async fn refresh_with(cluster: &Cluster, fault: FaultKind) {
    cluster.simulator.set_fault(fault, next(1));
    force(cluster).await;
    until(cluster, "the unknown outcome is recorded", async || {
        cluster.state().await.get("doubt").is_some_and(|doubt| doubt.contains("unknown"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_reply_one_fetch_after_its_drain_follows_and_no_reader_notices() {
    let (cluster, mut reader) = watched(cluster().workers(3).life(ms(9_000))).await;
    let calls = cluster.simulator.calls(APP_ID);
    // The scheduled refresh meets it: a forced one would not wait for the drain.
    cluster.simulator.set_fault(FaultKind::LostReply, next(1));
    cluster.simulator.wait_for_processed(APP_ID, calls + 1).await;
    until(&cluster, "the fetch after the drain", async || cluster.newest_is_published().await)
        .await;
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 2);
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_processed_late_never_leaves_a_dead_token() {
    let (cluster, mut reader) = watched(cluster().workers(3).timings(PATIENT_UPSTREAM)).await;
    refresh_with(&cluster, FaultKind::Late { ms: 800 }).await;
    settled_again(&cluster).await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_late_requests_with_a_good_refresh_between_never_leave_a_dead_token() {
    let (cluster, mut reader) = watched(cluster().workers(3).timings(PATIENT_UPSTREAM)).await;
    for _ in 0..2 {
        refresh_with(&cluster, FaultKind::Late { ms: 800 }).await;
        settled_again(&cluster).await;
    }
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_unclear_answer_is_doubt_that_is_settled() {
    let (cluster, mut reader) = watched(cluster().workers(2)).await;
    let location = "http://127.0.0.1:9/".to_owned();
    for fault in [
        FaultKind::Hang,
        FaultKind::NoReply,
        FaultKind::Cut { issue: true },
        FaultKind::HttpStatus { status: 502, issue: false },
        FaultKind::HttpStatus { status: 500, issue: true },
        FaultKind::Html { issue: false },
        FaultKind::Empty { issue: true },
        FaultKind::Oversized { issue: false },
        FaultKind::Redirect { location },
        FaultKind::Errcode { errcode: -1, errmsg: None },
    ] {
        let shown = format!("{fault:?}");
        refresh_with(&cluster, fault).await;
        let state = cluster.state().await;
        assert_eq!(state.get("status").map(String::as_str), Some("retrying"), "{shown}");
        cluster.simulator.release_all();
        settled_again(&cluster).await;
        assert_eq!(cluster.state().await.get("status").map(String::as_str), Some("ok"), "{shown}");
    }
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_an_odd_life_is_published_all_the_same() {
    let (cluster, mut reader) = watched(cluster().workers(2)).await;
    let odd = FaultKind::OddExpiresIn { value: serde_json::json!("soon") };
    cluster.simulator.set_fault(odd, next(1));
    let before = cluster.token().await;
    force(&cluster).await;
    until(&cluster, "the token is published", async || cluster.token().await != before).await;
    assert!(cluster.newest_is_published().await);
    assert_eq!(cluster.state().await.get("assumed").map(String::as_str), Some("1"));
    all_good(&reader.counts(), &cluster);
}

/// Where the upstream honours only two tokens, a dead one can be read only until the reply with its successor is published.
#[track_caller]
fn dead_only_until_the_commit(counts: &Counts, cluster: &Cluster) {
    assert_eq!(counts.absent + counts.redis_errors, 0, "{counts:?}");
    let journal = cluster.simulator.journal_of(APP_ID);
    for bad in &counts.bad {
        let within_a_reply = journal.calls.iter().any(|call| {
            let processed = call.processed_at_ms.unwrap_or(u64::MAX);
            let ended = call.ended_at_ms.unwrap_or(0);
            processed <= bad.at_ms && bad.at_ms <= ended + 1_000
        });
        assert!(within_a_reply, "{bad:?}\n{:?}\n{}", journal.calls, cluster.tails());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_two_tokens_live_a_lost_reply_costs_readers_one_reply_at_most() {
    let (cluster, mut reader) = watched(cluster().workers(3).newest_two_only()).await;
    refresh_with(&cluster, FaultKind::LostReply).await;
    settled_again(&cluster).await;
    dead_only_until_the_commit(&reader.counts(), &cluster);
    assert!(cluster.newest_is_published().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_two_unknown_outcomes_in_a_row_the_newest_is_there_as_soon_as_the_upstream_answers() {
    let cluster = cluster().workers(3).newest_two_only().start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    cluster.simulator.set_fault(FaultKind::LostReply, next(2));
    force(&cluster).await;
    let third = cluster.simulator.wait_for_calls(APP_ID, calls + 3).await;
    assert_eq!(third.max_overlapping, 1);
    until(&cluster, "the newest is published", async || cluster.newest_is_published().await).await;
    let journal = cluster.simulator.journal_of(APP_ID);
    let [.., second, third] = &journal.calls[..usize::try_from(calls + 3).unwrap()] else {
        panic!("{:?}", journal.calls)
    };
    // The second outcome is unknown when its request times out; the third call waits for no drain, and backs off 2 s at most.
    let waited_ms = third.received_at_ms - second.received_at_ms;
    let limit = cluster.timings().request_timeout + Duration::from_secs(3);
    assert!(u128::from(waited_ms) <= limit.as_millis(), "{waited_ms} ms");
    settled_again(&cluster).await;
}
