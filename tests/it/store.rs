//! Redis is lost, wiped, edited by hand, or its clock is stepped.

use std::time::Duration;

use tokio::time::Instant;
use zhongkong_testkit::cluster::{STATE_KEY, TOKEN_KEY};
use zhongkong_testkit::{APP_ID, Cluster, RedisClock};

use crate::setup::{all_good, cluster, force, ms, settled_again, until, watched};

async fn generation(cluster: &Cluster) -> u64 {
    cluster.state_number("generation").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_and_restarted_empty_is_filled_again() {
    let mut cluster = cluster().workers(3).start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    let before = cluster.token().await;
    cluster.redis.restart().await;
    // There is none, or one that a worker was quick to fetch.
    assert_ne!(cluster.token().await, before);
    settled_again(&cluster).await;
    // One fetch for the missing token, and one that settles the doubt of a cold start. The worker whose last claim is
    // gone raises a doubt of its own when it claims: if that is the second fetch and not the first, it takes a third.
    let more = cluster.simulator.calls(APP_ID) - calls;
    assert!((2..=3).contains(&more), "{more} calls\n{}", cluster.tails());
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
    for worker in cluster.workers_mut() {
        assert!(worker.is_running() && worker.is_ready().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_nothing_is_fetched_and_the_workers_recover_by_themselves() {
    let persistent = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut cluster = cluster().workers(3).redis_options(&persistent).start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    cluster.redis.kill().await;
    until(&cluster, "no worker is ready", async || {
        let mut ready = false;
        for worker in cluster.workers() {
            ready |= worker.is_ready().await;
        }
        !ready
    })
    .await;
    // The scenario itself: long enough for the token to fall due and to die meanwhile.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls, "a call without Redis");
    cluster.redis.restart().await;
    settled_again(&cluster).await;
    for worker in cluster.workers_mut() {
        assert!(worker.is_running());
        worker.wait_ready().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_deleted_or_overwritten_by_hand_is_back_without_a_call() {
    let cluster = cluster().workers(3).start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    let token = cluster.token().await;
    for command in
        [vec!["DEL", TOKEN_KEY], vec!["SET", TOKEN_KEY, "foreign"], vec!["PERSIST", TOKEN_KEY]]
    {
        let () = cluster.redis.command(&command).await;
        let deleted = Instant::now();
        until(&cluster, "the key is back", async || {
            let ttl: i64 = cluster.redis.command(&["PTTL", TOKEN_KEY]).await;
            cluster.token().await == token && ttl > 0
        })
        .await;
        assert!(deleted.elapsed() < Duration::from_secs(1), "back after {:?}", deleted.elapsed());
    }
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_flushall_on_a_live_connection_everything_is_back() {
    let cluster = cluster().workers(3).start().await;
    cluster.settle().await;
    let () = cluster.redis.command(&["FLUSHALL"]).await;
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_was_deleted_by_hand_is_noticed_and_filled_again() {
    let (cluster, mut reader) = watched(cluster().workers(2)).await;
    let () = cluster.redis.command(&["DEL", STATE_KEY]).await;
    until(&cluster, "a state is there", async || !cluster.state().await.is_empty()).await;
    settled_again(&cluster).await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_was_spoilt_by_hand_spoils_no_other_unit() {
    let mut cluster = cluster().workers(1).prepare().await;
    let () = cluster.redis.command(&["SET", "zhongkong:{spoilt}:access_token:state", "junk"]).await;
    let url = cluster.simulator.url();
    let worker = cluster.start_worker(1);
    worker.kill9().await;
    let second = format!(
        "[[credentials]]\nid = \"spoilt\"\nprovider = \"wechat\"\napp_id = \"wx-spoilt\"\n\
         secret = {{ file = \"worker-1.secret\" }}\nbase_url = {url:?}\noverlap = \"5s\"\nhold = \"500ms\"\n"
    );
    let text = std::fs::read_to_string(worker.config_path()).unwrap();
    std::fs::write(worker.config_path(), text + &second).unwrap();
    worker.restart();
    worker.wait_ready().await;
    cluster.settle().await;
    until(&cluster, "the spoilt unit is named", async || {
        let output = cluster.workers()[0].output();
        output.contains("is spoilt") && output.contains("credential.id=spoilt")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_wrote_into_a_state_by_hand_stops_no_refresh() {
    let (cluster, mut reader) = watched(cluster().workers(2)).await;
    for (field, value) in
        [("refusals", "[1]"), ("intent", "0"), ("rejected", "perhaps"), ("doubt", "?")]
    {
        let () = cluster.redis.command(&["HSET", STATE_KEY, field, value]).await;
        let before = cluster.token().await;
        force(&cluster).await;
        until(&cluster, "the refresh", async || cluster.token().await != before).await;
        settled_again(&cluster).await;
    }
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_script_cache_costs_nothing() {
    let (cluster, mut reader) = watched(cluster().workers(2)).await;
    let (calls, before) = (cluster.simulator.calls(APP_ID), generation(&cluster).await);
    let () = cluster.redis.command(&["SCRIPT", "FLUSH"]).await;
    force(&cluster).await;
    until(&cluster, "the refresh", async || generation(&cluster).await == before + 1).await;
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1);
    all_good(&reader.counts(), &cluster);
}

/// Redis' clock is stepped by `seconds`: the token is served on, and refreshed on time.
async fn stepped(seconds: i64) {
    let clock = RedisClock::new();
    let cluster =
        cluster().workers(3).life(ms(14_000)).redis_environment(clock.environment()).start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    let token = cluster.token().await;
    let before = generation(&cluster).await;
    clock.set_offset(seconds);
    // A forward step expires the key in Redis: it is published again, without a call.
    until(&cluster, "the token is there", async || cluster.token().await == token).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
    let mut reader = cluster.reader();
    reader.begin_counting();
    // The refresh that is due by the workers' own clocks, and whatever doubt the step raised.
    until(&cluster, "the next refresh", async || generation(&cluster).await > before).await;
    settled_again(&cluster).await;
    all_good(&reader.counts(), &cluster);
    let journal = cluster.simulator.journal_of(APP_ID);
    let [.., last_before] = &journal.calls[..usize::try_from(calls).unwrap()] else { panic!() };
    let first_after = &journal.calls[usize::try_from(calls).unwrap()];
    let age_ms = first_after.received_at_ms - last_before.received_at_ms;
    assert!((5_000..12_000).contains(&age_ms), "refreshed at an age of {age_ms} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_clock_an_hour_forward_kills_no_token_and_causes_no_call() {
    stepped(3_600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_clock_an_hour_back_keeps_no_token_beyond_its_life() {
    stepped(-3_600).await;
}
