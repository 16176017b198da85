//! Redis is killed, and comes back with or without its last writes.

use std::fs::OpenOptions;

use zhongkong_history::Limits;
use zhongkong_testkit::Timings;
use zhongkong_testkit::cluster::TOKEN_KEY;

use crate::faults::scene::Scene;
use crate::setup::{force, ms, until};

/// What most people run: the file is written at once, and put on the disk every second.
const EVERY_SECOND: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

async fn persistent() -> Scene {
    Scene::new(|cluster| cluster.workers(3).redis_options(&EVERY_SECOND)).await
}

impl Scene {
    /// How much Redis has written so far.
    pub(super) fn written(&self) -> u64 {
        std::fs::metadata(self.cluster.redis.append_only_file()).unwrap().len()
    }

    /// Redis is killed, and starts again with what it had written by then.
    pub(super) async fn restart_redis(&mut self, written: Option<u64>) {
        self.recorder.note("redis is killed");
        self.cluster.redis.kill().await;
        if let Some(written) = written {
            self.recorder.note("its last writes are lost");
            let file = OpenOptions::new().write(true).open(self.cluster.redis.append_only_file());
            file.unwrap().set_len(written).unwrap();
        }
        self.cluster.redis.restart().await;
    }

    /// At most so many calls until all is settled; Redis itself is away for a moment.
    async fn survives(&self, name: &str, calls: usize) {
        let limits = Limits { calls_per_refresh: Some(calls), ..self.limits() };
        self.judge(name, &limits).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_in_mid_refresh_takes_the_commit_when_it_is_back() {
    let mut scene = persistent().await;
    scene.refresher_at("before_commit").await;
    scene.restart_redis(None).await;
    scene.failpoints.release("before_commit");
    scene.survives("Redis killed before the commit, AOF everysec", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_redis_forgot_is_doubted_by_whoever_made_it() {
    let mut scene = persistent().await;
    scene.recorder.note("what is written from now on will be lost");
    let written = scene.written();
    scene.refresher_at("before_send").await;
    scene.restart_redis(Some(written)).await;
    scene.failpoints.release("before_send");
    scene.survives("Redis lost the claim", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_redis_forgot_is_replaced_before_its_predecessor_dies() {
    let mut scene = persistent().await;
    let written = scene.written();
    let before = scene.cluster.token().await;
    force(&scene.cluster).await;
    until(&scene.cluster, "another token", async || scene.cluster.token().await != before).await;
    let lost = scene.cluster.token().await;
    scene.restart_redis(Some(written)).await;
    // There is the one before, or one that a worker was quick to fetch.
    assert_ne!(scene.cluster.token().await, lost, "the write was lost");
    // Whatever readers had, they find something all the time.
    let left_ms: i64 = scene.cluster.redis.command(&["PTTL", TOKEN_KEY]).await;
    assert!(left_ms > 0);
    tokio::time::sleep(ms(100)).await;
    scene.survives("Redis lost the commit", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stands_still_beyond_the_lease_takes_the_commit_when_it_goes_on() {
    let scene = persistent().await;
    scene.refresher_at("before_commit").await;
    scene.recorder.note("redis stands still");
    scene.cluster.redis.pause();
    scene.failpoints.release("before_commit");
    let Timings { lease, drain, .. } = *scene.cluster.timings();
    tokio::time::sleep(lease + drain).await;
    scene.cluster.redis.resume();
    scene.survives("Redis stands still beyond the lease", 4).await;
}
