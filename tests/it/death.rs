//! A worker is killed or paused in the middle of a refresh.

use zhongkong_testkit::{APP_ID, Cluster, Timings};

use crate::setup::{Failpoints, all_good, force, paused_worker, settled_again, until};

/// Three workers, settled; the next refresh meets `action` at `point`.
async fn armed(point: &str, action: &str) -> (Failpoints, Cluster) {
    let failpoints = Failpoints::new();
    let cluster = failpoints.cluster().workers(3).start().await;
    cluster.settle().await;
    failpoints.arm(point, action);
    (failpoints, cluster)
}

/// The refresher is killed at `point`; another replaces it within lease + 1 s, and no reader notices.
async fn killed(point: &str) {
    let (failpoints, mut cluster) = armed(point, "kill").await;
    let mut reader = cluster.reader();
    reader.begin_counting();
    force(&cluster).await;
    failpoints.reached(point).await;
    let claimed_at_ms = cluster.state_number("claimed_at_ms").await;
    let fence = cluster.state_number("fence").await;
    until(&cluster, "another worker claims", async || cluster.state_number("fence").await > fence)
        .await;
    let again_ms = cluster.state_number("claimed_at_ms").await;
    let Timings { lease, .. } = *cluster.timings();
    let limit_ms = u64::try_from(lease.as_millis()).unwrap() + 1_000;
    assert!(again_ms - claimed_at_ms <= limit_ms, "replaced after {} ms", again_ms - claimed_at_ms);
    settled_again(&cluster).await;
    let mut dead = 0;
    for worker in cluster.workers_mut() {
        dead += u32::from(!worker.is_running());
    }
    assert_eq!(dead, 1);
    all_good(&reader.counts(), &cluster);
}

/// The refresher is paused at `point` until the others have settled without it, and then goes on.
async fn paused(point: &str) {
    let (failpoints, cluster) = armed(point, "stop").await;
    let mut reader = cluster.reader();
    reader.begin_counting();
    force(&cluster).await;
    failpoints.reached(point).await;
    let paused = paused_worker(&cluster).await;
    settled_again(&cluster).await;
    let calls = cluster.simulator.calls(APP_ID);
    cluster.workers()[paused].resume();
    until(&cluster, "the paused worker has told its outcome", async || {
        let output = cluster.workers()[paused].output();
        ["came after another worker's claim", "was not sent", "no clear answer"]
            .iter()
            .any(|line| output.contains(line))
    })
    .await;
    settled_again(&cluster).await;
    assert!(cluster.newest_is_published().await);
    // At most its own late request and the fetch that settles the doubt about it.
    assert!(cluster.simulator.calls(APP_ID) <= calls + 2);
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_killed_before_the_send_is_replaced() {
    killed("before_send").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_killed_after_the_send_is_replaced() {
    killed("after_send").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_killed_after_the_answer_is_replaced() {
    killed("after_answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_killed_before_the_commit_is_replaced() {
    killed("before_commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_paused_before_the_send_never_sends() {
    let (failpoints, cluster) = armed("before_send", "stop").await;
    let mut reader = cluster.reader();
    reader.begin_counting();
    let calls = cluster.simulator.calls(APP_ID);
    force(&cluster).await;
    failpoints.reached("before_send").await;
    let paused = paused_worker(&cluster).await;
    settled_again(&cluster).await;
    cluster.workers()[paused].resume();
    until(&cluster, "the paused worker gives up", async || {
        cluster.workers()[paused].output().contains("was not sent")
    })
    .await;
    settled_again(&cluster).await;
    // The fetch that took over, and the one that settled the doubt about the paused worker.
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 2);
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_paused_between_its_last_check_and_the_send_is_found_out() {
    paused("after_check").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_paused_after_the_send_is_fenced_off() {
    paused("after_send").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_paused_after_the_answer_is_fenced_off() {
    paused("after_answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_paused_before_its_commit_is_fenced_off() {
    paused("before_commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresher_paused_for_less_than_its_lease_commits_as_if_nothing_had_happened() {
    let (failpoints, cluster) = armed("before_commit", "stop").await;
    let mut reader = cluster.reader();
    reader.begin_counting();
    let calls = cluster.simulator.calls(APP_ID);
    let generation = cluster.state_number("generation").await;
    force(&cluster).await;
    failpoints.reached("before_commit").await;
    cluster.workers()[paused_worker(&cluster).await].resume();
    until(&cluster, "the commit", async || {
        cluster.state_number("generation").await == generation + 1
    })
    .await;
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1);
    all_good(&reader.counts(), &cluster);
}
