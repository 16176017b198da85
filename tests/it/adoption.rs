//! Services that keep their SDK and the real secret: what they fetch for themselves is found at their keys.

use std::time::Duration;

use zhongkong_simulator::Pool;
use zhongkong_testkit::{APP_ID, Cluster, ClusterBuilder, Reader, Timings};

use crate::setup::{
    Failpoints, all_good, cluster, counted, force, paused_worker, probes, refresh_at,
    settled_again, until, watched,
};

/// What WxJava reads: the bare token.
const PLAIN: &str = "wx:access_token:wx-test";
/// What wechatpy reads: the token in quotes.
const QUOTED: &str = "wechatpy:wx-test_access_token";
const PUBLISH: &str = "publish = [\"wxjava-mp\", \"wechatpy\"]";

/// An adopted token stays long enough to be looked at.
fn spaced() -> Timings {
    Timings { spacing: Duration::from_secs(2), ..Timings::default() }
}

async fn text(cluster: &Cluster, key: &str) -> Option<String> {
    cluster.redis.command(&["GET", key]).await
}

/// As an SDK does that has the real secret. Returns the token.
async fn fetch_as_a_service(cluster: &Cluster, pool: Pool) -> String {
    let theirs = cluster.simulator.foreign_refresh(APP_ID, pool).unwrap().value;
    let () = cluster.redis.command(&["SET", PLAIN, &theirs, "PX", "7000"]).await;
    theirs
}

/// Settled, with the keys of the SDKs there.
async fn published(builder: ClusterBuilder) -> (Cluster, Reader) {
    let (cluster, reader) = watched(builder.toml(PUBLISH)).await;
    until(&cluster, "the SDKs find the token", async || {
        let token = cluster.token().await;
        token.is_some() && text(&cluster, PLAIN).await == token
    })
    .await;
    (cluster, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_service_fetched_is_everybodys_until_the_clusters_next_one() {
    for (builder, pool) in [(cluster(), Pool::Legacy), (cluster().stable(), Pool::Stable)] {
        let (cluster, mut reader) = published(builder.workers(3).timings(spaced())).await;
        let events = cluster.redis.subscribe("zhongkong:events").await;
        let (before, calls) = (cluster.token().await, cluster.simulator.calls(APP_ID));
        let theirs = fetch_as_a_service(&cluster, pool).await;
        until(&cluster, "the service's token is everybody's", async || {
            let everywhere = [cluster.token().await, text(&cluster, PLAIN).await];
            everywhere.iter().all(|token| token.as_ref() == Some(&theirs))
                && text(&cluster, QUOTED).await == Some(format!("\"{theirs}\""))
        })
        .await;
        let state = cluster.state().await;
        assert_eq!((state["layout"].as_str(), state["doubt"].as_str()), ("wxjava-mp", "foreign"));
        let status = cluster.workers()[0].get(&format!("/v1/credentials/{APP_ID}")).await.unwrap();
        let kind = &status.json()["kinds"][0];
        assert_eq!((&kind["layout"], &kind["rejected"]), (&"wxjava-mp".into(), &"adopted".into()));

        until(&cluster, "the cluster's next token", async || {
            let state = cluster.state().await;
            !state.contains_key("layout") && !state.contains_key("doubt")
        })
        .await;
        let next = cluster.token().await;
        // An upstream that insists on its token confirms the service's.
        assert_eq!(next.as_ref() == Some(&theirs), pool == Pool::Stable);
        assert!(next.is_some() && next != before);
        assert_eq!(cluster.simulator.calls(APP_ID), calls + 1, "{}", cluster.tails());
        let foreign = counted(&cluster, "zhongkong_foreign_refreshes_total", APP_ID).await;
        assert!((foreign - 1.0).abs() < 0.1, "{foreign}");
        let told = events.messages();
        assert!(told.contains("\"type\":\"adopted\"") && !told.contains(&theirs), "{told}");
        let history = cluster.workers()[0].run_command(&["history", APP_ID]).await;
        let history = String::from_utf8(history.stdout).unwrap();
        assert!(
            history.contains("adopted") && history.contains("wxjava-mp: a service"),
            "{history}"
        );
        // Whoever has a stable token replaced kills the one before it at once: nobody can be quick enough.
        if pool == Pool::Legacy {
            all_good(&reader.counts(), &cluster);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_while_a_claim_is_open_is_not_published_and_one_more_fetch_follows() {
    let failpoints = Failpoints::new();
    let timings = Timings {
        life: Duration::from_mins(1),
        overlap: Duration::from_secs(20),
        lease: Duration::from_secs(6),
        drain: Duration::from_secs(7),
        ..Timings::default()
    };
    let (cluster, mut reader) = published(failpoints.cluster().workers(3).timings(timings)).await;
    let events = cluster.redis.subscribe("zhongkong:events").await;
    let calls = cluster.simulator.calls(APP_ID);
    failpoints.arm("before_send", "hold");
    force(&cluster).await;
    failpoints.reached("before_send").await;
    let own = cluster.token().await;
    fetch_as_a_service(&cluster, Pool::Legacy).await;
    until(&cluster, "doubt of a stranger", async || {
        cluster.state().await.get("doubt").is_some_and(|doubt| doubt == "foreign")
    })
    .await;
    assert_eq!(cluster.token().await, own);
    failpoints.release("before_send");
    settled_again(&cluster).await;
    // The claim's own, which cannot know whether it was processed before the service's, and one more.
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 2, "{}", cluster.tails());
    assert!(!events.messages().contains("\"type\":\"adopted\""));
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_with_a_token_of_a_service_does_not_put_it_over_a_newer_one() {
    let failpoints = Failpoints::new();
    let (cluster, mut reader) = published(failpoints.cluster().workers(3)).await;
    failpoints.arm("before_adopt", "stop");
    let events = cluster.redis.subscribe("zhongkong:events").await;
    let theirs = fetch_as_a_service(&cluster, Pool::Legacy).await;
    let paused = paused_worker(&cluster).await;
    let awake = (0..3).find(|index| *index != paused).unwrap();
    assert_eq!(refresh_at(&cluster, awake, true).await.0, 200);
    settled_again(&cluster).await;
    let newest = cluster.token().await;
    cluster.workers()[paused].resume();
    until(&cluster, "redis has heard the worker that slept", async || {
        let metrics = cluster.workers()[paused].get("/metrics").await.unwrap().body;
        metrics.contains("zhongkong_store_request_duration_seconds_count{op=\"adopt\"}")
    })
    .await;
    settled_again(&cluster).await;
    assert_eq!(cluster.token().await, newest);
    assert!(!events.messages().contains("\"type\":\"adopted\""), "{theirs}");
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_does_not_know_is_nobodys_token() {
    let (cluster, mut reader) = published(cluster().workers(2).timings(spaced())).await;
    let (own, calls) = (cluster.token().await, cluster.simulator.calls(APP_ID));
    let before = probes(&cluster);
    let () = cluster.redis.command(&["SET", PLAIN, "no-token-at-all", "PX", "7000"]).await;
    until(&cluster, "it was tried, and so was the cluster's own", async || {
        probes(&cluster) >= before + 2
    })
    .await;
    assert_eq!((cluster.token().await, text(&cluster, PLAIN).await), (own.clone(), own));
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
    assert!(!cluster.state().await.contains_key("doubt"));
    all_good(&reader.counts(), &cluster);
}
