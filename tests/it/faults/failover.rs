//! A replica takes over, with or without the last writes, and an old primary serves on.

use zhongkong_history::{Kind, Limits};
use zhongkong_testkit::{APP_ID, ClusterBuilder, Proxy, Recorder, RedisServer, Timings, Way};

use crate::faults::scene::Scene;
use crate::setup::{Failpoints, force, ms, settled_again, until};

/// The wait for a replica that is gone takes half a second of the lease.
const PATIENT: Timings = Timings {
    life: ms(60_000),
    overlap: ms(7_000),
    hold: ms(500),
    ahead: ms(5_000),
    request_timeout: ms(600),
    lease: ms(2_000),
    drain: ms(2_600),
    spacing: ms(300),
    human_poll: ms(300),
};

/// Two Redis, of which the second is a replica at first. Readers and workers reach them through proxies.
struct Pair {
    /// Its Redis is the one that is the primary now.
    scene: Scene,
    other: RedisServer,
    /// What the primary tells its replica.
    replication: Proxy,
    readers: Proxy,
}

impl Pair {
    async fn new(change: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        let failpoints = Failpoints::new();
        let cluster = change(failpoints.cluster().workers(3).timings(PATIENT).proxied());
        let mut cluster = cluster.prepare().await;
        let replication = Proxy::to(cluster.redis.port()).await;
        let other = replica_of(replication.port()).await;
        for index in 1..=3 {
            cluster.start_worker(index).wait_ready().await;
        }
        cluster.settle().await;
        let readers = Proxy::to(cluster.redis.port()).await;
        let url = format!("redis://{}", readers.address());
        let recorder = Recorder::at(&url, cluster.simulator.handle()).await;
        Self { scene: Scene { cluster, failpoints, recorder }, other, replication, readers }
    }

    /// The replica is the primary from now on; readers and all workers but `left_out` are led there.
    async fn fail_over(&mut self, left_out: Option<usize>) {
        let Self { scene, other, readers, .. } = self;
        let () = other.command(&["REPLICAOF", "NO", "ONE"]).await;
        std::mem::swap(&mut scene.cluster.redis, other);
        scene.recorder.note("the replica is the primary now");
        let port = scene.cluster.redis.port();
        readers.lead_to(port);
        readers.cut();
        for index in (0..3).filter(|index| Some(*index) != left_out) {
            self.lead(index);
        }
    }

    /// A worker is led to the primary.
    fn lead(&self, index: usize) {
        let way = &self.scene.cluster.ways(index).redis;
        way.lead_to(self.scene.cluster.redis.port());
        way.cut();
    }

    /// The old primary follows the new one.
    async fn follow(&self) {
        let port = self.scene.cluster.redis.port().to_string();
        let () = self.other.command(&["REPLICAOF", "127.0.0.1", &port]).await;
        is_linked(&self.other).await;
        self.scene.recorder.note("the old primary follows");
    }

    async fn survives(&self, name: &str) {
        let limits = Limits { calls_per_refresh: Some(4), ..self.scene.limits() };
        self.scene.judge(name, &limits).await;
    }
}

async fn replica_of(port: u16) -> RedisServer {
    let primary = format!("127.0.0.1 {port}");
    let replica = RedisServer::start_with(&["--replicaof", &primary], &[]).await;
    is_linked(&replica).await;
    replica
}

async fn is_linked(replica: &RedisServer) {
    let linked = async || {
        let info: String = replica.command(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    };
    zhongkong_testkit::wait_until("the replica is linked", zhongkong_testkit::PATIENCE, linked)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_over_in_mid_refresh_takes_the_commit() {
    let mut pair = Pair::new(|cluster| cluster).await;
    pair.scene.refresher_at("before_send").await;
    pair.scene.cluster.redis.kill().await;
    pair.fail_over(None).await;
    pair.scene.failpoints.release("before_send");
    pair.survives("replica takes over before the send").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lacks_the_last_token_has_it_replaced_before_readers_hold_a_dead_one() {
    let mut pair = Pair::new(|cluster| cluster).await;
    pair.scene.refresher_at("before_commit").await;
    // The replica has acknowledged the claim; what comes after does not reach it.
    pair.replication.lose(Way::Back);
    let before = pair.scene.cluster.token().await;
    pair.scene.failpoints.release("before_commit");
    until(&pair.scene.cluster, "the commit", async || pair.scene.cluster.token().await != before)
        .await;
    pair.scene.cluster.redis.kill().await;
    pair.fail_over(None).await;
    assert_eq!(pair.scene.cluster.token().await, before, "the commit was lost");
    pair.survives("replica takes over without the commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_and_the_way_back_are_each_noticed() {
    let mut pair = Pair::new(|cluster| cluster).await;
    pair.scene.refresher_at("before_commit").await;
    pair.fail_over(None).await;
    pair.follow().await;
    pair.scene.failpoints.release("before_commit");
    settled_again(&pair.scene.cluster).await;
    force(&pair.scene.cluster).await;
    settled_again(&pair.scene.cluster).await;
    pair.scene.refresher_at("before_commit").await;
    pair.fail_over(None).await;
    pair.follow().await;
    pair.scene.failpoints.release("before_commit");
    pair.survives("failover and back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_left_with_a_demoted_primary_commits_nothing_there() {
    let mut pair = Pair::new(|cluster| cluster).await;
    let left_out = pair.scene.refresher_at("before_commit").await;
    pair.fail_over(Some(left_out)).await;
    pair.follow().await;
    pair.scene.failpoints.release("before_commit");
    until(&pair.scene.cluster, "the commit is refused", async || {
        let output = pair.scene.cluster.workers()[left_out].output();
        output.contains("a fetched token could not be published")
    })
    .await;
    pair.scene.recorder.note("the worker that was left out meets the new primary");
    pair.lead(left_out);
    pair.survives("a worker left with a demoted primary").await;
}

/// One worker stays with the old primary, and refreshes there after the others have settled on the new one.
async fn split(name: &str, is_protected: bool) {
    let replicas = if is_protected { "auto" } else { "0" };
    let change = |cluster: ClusterBuilder| cluster.env("ZHONGKONG__REDIS__REPLICAS", replicas);
    let mut pair = Pair::new(change).await;
    let left_out = pair.scene.refresher_at("before_claim").await;
    pair.fail_over(Some(left_out)).await;
    // Claims on the new primary are acknowledged again.
    let third = pair.scene.cluster.redis.replica().await;
    settled_again(&pair.scene.cluster).await;
    let calls = pair.scene.cluster.simulator.calls(APP_ID);
    let from_ms =
        pair.scene.recorder.note("the worker that was left out claims on the old primary");
    pair.scene.failpoints.release("before_claim");
    if is_protected {
        until(&pair.scene.cluster, "nothing is sent", async || {
            pair.scene.cluster.workers()[left_out]
                .output()
                .contains("replicas acknowledged the claim")
        })
        .await;
        assert_eq!(pair.scene.cluster.simulator.calls(APP_ID), calls);
    } else {
        pair.scene.cluster.simulator.wait_for_processed(APP_ID, calls + 1).await;
        tokio::time::sleep(ms(500)).await;
    }
    let to_ms = pair.scene.recorder.note("it meets the new primary");
    pair.lead(left_out);
    let limits = Limits { calls_per_refresh: Some(4), ..pair.scene.limits() };
    let limits = if is_protected {
        limits
    } else {
        let reason =
            "without WAIT nobody knows of an old primary until its worker meets the new one";
        limits.excuse(from_ms, to_ms + 2_000, &[Kind::Stale], reason)
    };
    pair.scene.judge(name, &limits).await;
    drop(third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_left_with_the_old_primary_doubts_once_it_meets_the_new_one() {
    split("split brain, no WAIT", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_left_with_an_old_primary_without_replicas_sends_nothing() {
    split("split brain, WAIT", true).await;
}
