//! Sentinels make a replica the primary, and workers and readers follow.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use zhongkong_history::Limits;
use zhongkong_testkit::cluster::STATE_KEY;
use zhongkong_testkit::{
    APP_ID, Cluster, PATIENCE, Proxy, Recorder, RedisServer, Sentinels, Timings, http, wait_until,
};

use crate::faults::scene::Scene;
use crate::setup::{Failpoints, ms, settled_again, until};

/// A failover takes two seconds or three, in which the token must not end.
const TIMINGS: Timings = Timings {
    life: ms(13_000),
    overlap: ms(7_000),
    hold: ms(500),
    ahead: ms(6_000),
    request_timeout: ms(600),
    lease: ms(2_000),
    drain: ms(2_600),
    spacing: ms(300),
    human_poll: ms(300),
};

/// What replicas and Sentinels log in as, so that a primary can be cut off from them alone; workers have a user of their own.
const WITHIN: &str = "within";
const OPTIONS: [&str; 22] = [
    "--repl-diskless-sync-delay",
    "0",
    "--repl-ping-replica-period",
    "1",
    "--masteruser",
    WITHIN,
    "--masterauth",
    "pass",
    "--user",
    WITHIN,
    "on",
    ">pass",
    "~*",
    "&*",
    "+@all",
    "--user",
    "worker",
    "on",
    ">word",
    "~*",
    "&*",
    "+@all",
];
const LOGIN: &str = "sentinel auth-user mymaster within\nsentinel auth-pass mymaster pass";

/// A primary, two replicas and three Sentinels; three workers and a reader that follow them.
struct Trio {
    /// Its Redis is the one that is the primary now.
    scene: Scene,
    others: Vec<RedisServer>,
    sentinels: Sentinels,
    /// The third worker's ways to the Sentinels.
    ways: Vec<Proxy>,
    _reading: (Arc<Proxy>, JoinSet<()>),
}

impl Trio {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(options: &[&str]) -> Self {
        let failpoints = Failpoints::new();
        let mut sentinels = Sentinels::new();
        let mut ways = Vec::new();
        for port in sentinels.ports() {
            ways.push(Proxy::to(port).await);
        }
        let own: Vec<u16> = ways.iter().map(Proxy::port).collect();
        let options = [&OPTIONS[..], options].concat();
        let cluster = failpoints
            .cluster()
            .timings(TIMINGS)
            .own_callers()
            .redis_options(&options)
            .env("ZHONGKONG__REDIS__USERNAME", "worker")
            .env("ZHONGKONG__REDIS__PASSWORD", "word")
            .env("ZHONGKONG__REDIS__URL", &Sentinels::url(&sentinels.ports()))
            .worker_env(3, "ZHONGKONG__REDIS__URL", &Sentinels::url(&own));
        let mut cluster = cluster.prepare().await;
        let primary = cluster.redis.port();
        let of = format!("127.0.0.1 {primary}");
        let mut others = Vec::new();
        for _ in 0..2 {
            let options = [&options[..], &["--replicaof", &of]].concat();
            others.push(RedisServer::start_with(&options, &[]).await);
        }
        wait_until("the replicas are linked", PATIENCE, async || {
            let info: String = cluster.redis.command(&["INFO", "replication"]).await;
            info.matches("state=online").count() == 2
        })
        .await;
        sentinels.watch(primary, 2, |_| LOGIN.to_owned()).await;
        for index in 1..=3 {
            cluster.start_worker(index).wait_ready().await;
        }
        cluster.settle().await;
        let reading = sentinels.way(primary).await;
        let url = format!("redis://{}", reading.0.address());
        let recorder = Recorder::at(&url, cluster.simulator.handle()).await;
        let scene = Scene { cluster, failpoints, recorder };
        Self { scene, others, sentinels, ways, _reading: reading }
    }

    /// Waits until the Sentinels name another primary, which is the scene's from then on; which of the others is the old one.
    async fn failed_over(&mut self) -> usize {
        let Self { scene, others, sentinels, .. } = self;
        let old = scene.cluster.redis.port();
        let mut now = old;
        wait_until("another primary is named", PATIENCE, async || {
            now = sentinels.primary().await.unwrap_or(old);
            now != old
        })
        .await;
        let index = others.iter().position(|server| server.port() == now).unwrap();
        std::mem::swap(&mut scene.cluster.redis, &mut others[index]);
        scene.recorder.note("the sentinels name another primary");
        index
    }

    /// Waits until a server that was the primary is a replica.
    async fn demoted(&self, index: usize) {
        wait_until("the old primary follows", PATIENCE, async || {
            // Whoever is connected when it is demoted is thrown out.
            let info = asked(&self.others[index], "INFO").await.unwrap_or_default();
            info.contains("role:slave") && info.contains("master_link_status:up")
        })
        .await;
        self.scene.recorder.note("the old primary follows");
    }

    /// Waits until so many workers listen to the primary, and the recorder.
    async fn followed(&self, workers: usize) {
        let cluster = &self.scene.cluster;
        until(cluster, "the workers are at the new primary", async || {
            let words = ["PUBSUB", "NUMSUB", "zhongkong:events"];
            let (_, listeners): (String, usize) = cluster.redis.command(&words).await;
            listeners == workers + 1
        })
        .await;
    }

    /// Waits until the token was replaced once more because it fell due.
    async fn goes_on(&self) {
        let cluster = &self.scene.cluster;
        settled_again(cluster).await;
        let before = cluster.state_number("generation").await;
        until(cluster, "the next refresh", async || {
            cluster.state_number("generation").await > before
        })
        .await;
    }

    async fn survives(&self, name: &str) {
        let limits = Limits { calls_per_refresh: Some(4), ..self.scene.limits() };
        self.scene.judge(name, &limits).await;
    }
}

/// The answer to a command, unless the connection breaks.
async fn asked(server: &RedisServer, command: &str) -> redis::RedisResult<String> {
    let mut connection =
        redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
    redis::cmd(command).query_async(&mut connection).await
}

/// The fence of the claim that is open now.
async fn open_claim(server: &RedisServer) -> Option<u64> {
    let fence: Vec<Option<String>> = server.command(&["HMGET", STATE_KEY, "intent", "fence"]).await;
    let [intent, fence] = fence.try_into().unwrap();
    intent?;
    fence?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_in_mid_refresh_loses_no_claim() {
    let mut trio = Trio::new().await;
    trio.scene.refresher_at("before_send").await;
    let fence = open_claim(&trio.scene.cluster.redis).await.unwrap();
    trio.scene.recorder.note("the primary is killed");
    trio.scene.cluster.redis.kill().await;
    trio.failed_over().await;
    let kept = trio.scene.cluster.state_number("fence").await;
    assert!(kept >= fence, "{kept} {fence}");
    trio.scene.failpoints.release("before_send");
    trio.followed(3).await;
    trio.survives("primary killed, Sentinels").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_paused_is_left_and_follows_when_it_wakes() {
    let mut trio = Trio::new().await;
    trio.scene.refresher_at("before_commit").await;
    trio.scene.recorder.note("the primary is paused");
    trio.scene.cluster.redis.pause();
    let old = trio.failed_over().await;
    trio.scene.failpoints.release("before_commit");
    trio.followed(3).await;
    trio.scene.recorder.note("the old primary wakes");
    trio.others[old].resume();
    trio.demoted(old).await;
    trio.goes_on().await;
    trio.survives("primary paused, Sentinels").await;
}

/// The primary is cut off from its replicas and the Sentinels, and one worker from the Sentinels, which still reaches the
/// primary: it says `told`, and calls nobody.
async fn cut_off(name: &str, options: &[&str], told: &str) {
    let mut trio = Trio::with(options).await;
    for way in &trio.ways {
        way.refuse();
    }
    trio.scene.recorder.note("the primary and the third worker are cut off");
    // Connections that exist stay; whoever else comes without a login is the test, or a Sentinel whose login was refused.
    let mut inside = trio.scene.cluster.redis.connect().await;
    let mut cut = redis::pipe();
    cut.cmd("ACL").arg(&["SETUSER", WITHIN, "off"]).cmd("ACL").arg(&["SETUSER", "default", "off"]);
    cut.cmd("CLIENT").arg(&["KILL", "USER", WITHIN]);
    let () = cut.exec_async(&mut inside).await.unwrap();
    let old = trio.failed_over().await;
    trio.followed(2).await;
    settled_again(&trio.scene.cluster).await;

    let cluster = &trio.scene.cluster;
    let calls = calls_of(cluster, 3);
    let url = format!("{}/v1/credentials/{APP_ID}/refresh", cluster.workers()[2].http_url());
    let mut asking = JoinSet::new();
    // What it answers does not matter: nothing may be sent.
    asking.spawn(async move { http::post(&url, &json!({ "force": true })).await.map(drop) });
    until(cluster, told, async || cluster.workers()[2].output().contains(told)).await;
    assert_eq!(calls_of(cluster, 3), calls);

    trio.scene.recorder.note("the third worker is cut off no more");
    for way in &trio.ways {
        way.heal();
    }
    trio.followed(3).await;
    let mut heal = redis::pipe();
    heal.cmd("ACL").arg(&["SETUSER", WITHIN, "on"]).cmd("ACL").arg(&["SETUSER", "default", "on"]);
    let () = heal.exec_async(&mut inside).await.unwrap();
    trio.demoted(old).await;
    trio.survives(name).await;
}

/// Calls that one worker made, counted from 1.
fn calls_of(cluster: &Cluster, worker: usize) -> usize {
    let address = cluster.caller_of(worker).to_string();
    let journal = cluster.simulator.journal_of(APP_ID);
    serde_json::to_string(&journal).unwrap().matches(&address).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_left_with_a_primary_that_was_cut_off_calls_nobody() {
    cut_off("primary cut off, Sentinels", &[], "of 2 replicas acknowledged the claim").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_cut_off_takes_no_claim_where_replicas_are_needed_to_write() {
    let options = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"];
    let told = "fewer replicas follow it than its min-replicas-to-write. Bring them back";
    cut_off("primary cut off, min-replicas-to-write", &options, told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_on_request_under_load_loses_no_claim() {
    let mut trio = Trio::new().await;
    let mut load = JoinSet::new();
    for worker in trio.scene.cluster.workers() {
        let url = format!("{}/v1/credentials/{APP_ID}/refresh", worker.http_url());
        load.spawn(async move {
            loop {
                // Whatever the answer: it is the history that is judged.
                drop(http::post(&url, &json!({ "force": true })).await);
            }
        });
    }
    let cluster = &trio.scene.cluster;
    let before = cluster.state_number("generation").await;
    until(cluster, "the load", async || cluster.state_number("generation").await > before + 2)
        .await;
    trio.scene.recorder.note("a failover is asked for");
    trio.sentinels.fail_over().await;
    let old = trio.failed_over().await;
    trio.followed(3).await;
    trio.demoted(old).await;
    let cluster = &trio.scene.cluster;
    let before = cluster.state_number("generation").await;
    until(cluster, "the load goes on", async || {
        cluster.state_number("generation").await > before + 2
    })
    .await;
    load.shutdown().await;
    trio.scene.judge("failover on request, Sentinels", &trio.scene.limits()).await;
}
