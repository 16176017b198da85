//! What a refresh and an idle unit cost Redis, counted by Redis.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use zhongkong_simulator::Settings;
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::{APP_ID, Cluster, RedisServer, Timings};

use crate::setup::{cluster, force, ms, settled_again, until};

/// Calls of scripts, of `WAIT`, and of what reads a state.
async fn commands(cluster: &Cluster) -> [u64; 4] {
    let mut calls = [0; 4];
    for (calls, name) in calls.iter_mut().zip(["evalsha", "eval", "wait", "hgetall"]) {
        *calls = cluster.redis.calls_of(name).await;
    }
    // The scripts read the state as well, once each.
    calls[3] -= calls[0] + calls[1];
    calls
}

/// Calls of every command but those with which a worker, not a unit, says that it lives and looks how many replicas there are.
async fn all_commands(cluster: &Cluster) -> BTreeMap<String, u64> {
    const OF_WORKERS: [&str; 11] = [
        "time",
        "info",
        "get",
        "zadd",
        "zremrangebyscore",
        "zrange",
        "ping",
        "hello",
        "client|setinfo",
        "xreadgroup",
        "xinfo|consumers",
    ];
    let info: String = cluster.redis.command(&["INFO", "commandstats"]).await;
    let counted = info.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        (!OF_WORKERS.contains(&name)).then(|| (name.to_owned(), calls))
    });
    counted.collect()
}

/// Claims that found nothing to do: on a loaded machine another worker may wake before it hears of the claim.
async fn idle_claims(cluster: &Cluster) -> u64 {
    let mut claims = 0;
    for worker in cluster.workers() {
        let body = worker.get("/metrics").await.unwrap().body;
        let lines = body.lines().filter(|line| line.starts_with("zhongkong_claims_total"));
        let idle = lines.filter(|line| !line.contains("\"claimed\""));
        claims += idle.map(|l| l.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>();
    }
    claims
}

/// What one scheduled refresh of a settled cluster cost.
async fn one_scheduled_refresh(cluster: &Cluster) -> [u64; 4] {
    settled_again(cluster).await;
    let generation = cluster.state_number("generation").await;
    let idle_before = idle_claims(cluster).await;
    let before = commands(cluster).await;
    // Looked for by what is not counted: the key's time to live jumps.
    let mut left_ms = i64::MAX;
    until(cluster, "the scheduled refresh", async || {
        let now_ms: i64 = cluster.redis.command(&["PTTL", TOKEN_KEY]).await;
        let jumped = now_ms > left_ms;
        left_ms = now_ms;
        jumped
    })
    .await;
    let after = commands(cluster).await;
    assert_eq!(cluster.state_number("generation").await, generation + 1);
    let mut cost: [u64; 4] = std::array::from_fn(|i| after[i] - before[i]);
    cost[0] -= idle_claims(cluster).await - idle_before;
    cost
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refresh_costs_a_cluster_two_round_trips_to_redis() {
    let cluster = cluster().workers(3).life(ms(9_000)).start().await;
    let [evalsha, eval, wait, reads] = one_scheduled_refresh(&cluster).await;
    assert_eq!([evalsha + eval, wait, reads], [2, 0, 0], "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_replica_the_claim_waits_for_it_in_its_own_round_trip() {
    let mut cluster = cluster().workers(2).life(ms(9_000)).prepare().await;
    let primary = format!("127.0.0.1 {}", cluster.redis.port());
    let replica = RedisServer::start_with(&["--replicaof", &primary], &[]).await;
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    // The first claims learn of the replica; from then on each waits for it.
    cluster.settle().await;
    let [evalsha, eval, wait, reads] = one_scheduled_refresh(&cluster).await;
    assert_eq!([evalsha + eval, wait, reads], [2, 1, 0], "{}", cluster.tails());
    let token = cluster.token().await;
    let replicated: Option<String> = replica.command(&["GET", TOKEN_KEY]).await;
    assert_eq!(replicated, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_no_replica_acknowledges_is_not_used_while_the_token_has_time() {
    let timings =
        Timings { lease: ms(2_000), drain: ms(2_600), overlap: ms(6_500), ..Timings::default() };
    let mut cluster = cluster().workers(2).timings(timings).life(ms(60_000)).prepare().await;
    let primary = format!("127.0.0.1 {}", cluster.redis.port());
    let mut replica = RedisServer::start_with(&["--replicaof", &primary], &[]).await;
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    replica.kill().await;
    force(&cluster).await;
    until(&cluster, "the claim is abandoned", async || {
        cluster.output().contains("0 of 1 replicas acknowledged the claim")
    })
    .await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
    replica.restart().await;
    until(&cluster, "the refresh", async || cluster.simulator.calls(APP_ID) == calls + 1).await;
    settled_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_units_cost_nothing() {
    const UNITS: usize = 1_000;
    let mut credentials = String::new();
    let cluster = {
        let builder = cluster().workers(2).life(ms(3_600_000));
        let open = |settings: &mut Settings| settings.open = true;
        let mut cluster = builder.upstream(open).prepare().await;
        let url = cluster.simulator.url();
        for n in 0..UNITS {
            write!(
                credentials,
                "[[credentials]]\nprovider = \"wechat\"\napp_id = \"wx{n}\"\nsecret = \"s\"\n\
                 base_url = \"{url}\"\noverlap = \"5s\"\nhold = \"500ms\"\n"
            )
            .unwrap();
        }
        for index in 1..=2 {
            let worker = cluster.start_worker(index);
            worker.terminate();
            worker.wait_exit().await;
            worker.plan_mut().configuration.push_str(&credentials);
            std::fs::write(worker.config_path(), &worker.plan_mut().configuration).unwrap();
            worker.restart();
            worker.wait_ready().await;
        }
        cluster
    };
    let settled = async || (0..UNITS).all(|n| cluster.simulator.calls(&format!("wx{n}")) >= 2);
    cluster.wait_until("every unit is settled", Duration::from_mins(2), settled).await;
    settled_again(&cluster).await;
    // The last of the claims that found nothing to do may still be on their way.
    let mut before = BTreeMap::new();
    until(&cluster, "the workers are at rest", async || {
        let earlier = std::mem::replace(&mut before, all_commands(&cluster).await);
        tokio::time::sleep(ms(500)).await;
        earlier == before
    })
    .await;
    // The scenario itself: idleness.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(all_commands(&cluster).await, before);
    let total: u64 = (0..UNITS).map(|n| cluster.simulator.calls(&format!("wx{n}"))).sum();
    assert_eq!(total, 2 * u64::try_from(UNITS).unwrap());
}
