//! What is sent between workers, Redis and upstream is cut, held, lost or slow.

use zhongkong_history::Limits;
use zhongkong_testkit::{APP_ID, Proxy, Way};

use crate::faults::scene::Scene;
use crate::setup::{PATIENT_UPSTREAM, force, ms, until};

async fn proxied() -> Scene {
    Scene::new(|cluster| cluster.workers(3).timings(PATIENT_UPSTREAM).proxied()).await
}

/// A refresh stands at `point`; `strike` says what befalls the refresher's way before and after it goes on.
async fn strikes(point: &str, name: &str, calls: usize, strike: impl AsyncFn(&Scene, usize)) {
    let scene = proxied().await;
    let refresher = scene.refresher_at(point).await;
    strike(&scene, refresher).await;
    let limits = Limits { calls_per_refresh: Some(calls), ..scene.limits() };
    scene.judge(name, &limits).await;
}

impl Scene {
    fn to_redis(&self, index: usize) -> &Proxy {
        &self.cluster.ways(index).redis
    }

    fn to_upstream(&self, index: usize) -> &Proxy {
        &self.cluster.ways(index).upstream
    }

    async fn doubted(&self, reason: &str) {
        until(&self.cluster, reason, async || {
            self.cluster.state().await.get("doubt").is_some_and(|doubt| doubt.contains(reason))
        })
        .await;
    }

    async fn claimed_after(&self, fence: u64) {
        let claimed = async || self.cluster.state_number("fence").await > fence;
        until(&self.cluster, "a claim", claimed).await;
    }

    async fn fence(&self) -> u64 {
        self.cluster.state_number("fence").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_reset_on_its_way_is_doubted_and_settled() {
    strikes("before_send", "upstream's answer reset", 3, async |scene, refresher| {
        let calls = scene.cluster.simulator.summary(APP_ID).processed;
        scene.to_upstream(refresher).hold(Way::Back);
        scene.failpoints.release("before_send");
        scene.cluster.simulator.wait_for_processed(APP_ID, calls + 1).await;
        scene.to_upstream(refresher).cut();
        scene.to_upstream(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_arrives_after_its_caller_gave_up_is_outdated_by_a_later_one() {
    strikes("before_send", "request held, processed late", 3, async |scene, refresher| {
        scene.to_upstream(refresher).hold(Way::There);
        scene.failpoints.release("before_send");
        scene.doubted("unknown").await;
        scene.to_upstream(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_to_nobody_is_doubted_and_settled() {
    strikes("before_send", "upstream's answer held", 3, async |scene, refresher| {
        scene.to_upstream(refresher).hold(Way::Back);
        scene.failpoints.release("before_send");
        scene.doubted("unknown").await;
        scene.to_upstream(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_lost_without_a_sign_is_doubted_and_settled() {
    strikes("before_send", "request lost", 3, async |scene, refresher| {
        scene.to_upstream(refresher).lose(Way::There);
        scene.failpoints.release("before_send");
        scene.doubted("unknown").await;
        scene.to_upstream(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reaches_no_upstream_leaves_the_refresh_to_another() {
    // Its connection is accepted before it is reset, so it may have sent.
    strikes("before_send", "upstream refuses connections", 3, async |scene, refresher| {
        scene.to_upstream(refresher).refuse();
        scene.failpoints.release("before_send");
        let fence = scene.fence().await;
        scene.claimed_after(fence).await;
        scene.to_upstream(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_ways_cost_time_and_no_call() {
    let scene = proxied().await;
    for index in 0..scene.cluster.workers().len() {
        for proxy in [scene.to_redis(index), scene.to_upstream(index)] {
            for way in [Way::There, Way::Back] {
                proxy.slow(way, ms(30));
            }
        }
    }
    force(&scene.cluster).await;
    let limits = Limits { calls_per_refresh: Some(1), ..scene.limits() };
    scene.judge("all ways slow", &limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_reply_is_held_beyond_its_lease_is_taken_over() {
    strikes("before_claim", "claim's reply held", 3, async |scene, refresher| {
        let fence = scene.fence().await;
        scene.to_redis(refresher).hold(Way::Back);
        scene.failpoints.release("before_claim");
        scene.claimed_after(fence).await;
        let fence = scene.fence().await;
        scene.claimed_after(fence).await;
        scene.to_redis(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_reply_is_reset_is_repeated_or_taken_over() {
    strikes("before_claim", "claim's reply reset", 3, async |scene, refresher| {
        let fence = scene.fence().await;
        scene.to_redis(refresher).hold(Way::Back);
        scene.failpoints.release("before_claim");
        scene.claimed_after(fence).await;
        scene.to_redis(refresher).cut();
        scene.to_redis(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_reset_is_repeated_and_counts_once() {
    strikes("before_commit", "commit's reply reset", 1, async |scene, refresher| {
        let generation = scene.cluster.state_number("generation").await;
        scene.to_redis(refresher).hold(Way::Back);
        scene.failpoints.release("before_commit");
        until(&scene.cluster, "the commit", async || {
            scene.cluster.state_number("generation").await > generation
        })
        .await;
        scene.to_redis(refresher).cut();
        scene.to_redis(refresher).heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_after_another_claim_is_late() {
    strikes("before_commit", "commit held beyond the lease", 4, async |scene, refresher| {
        let fence = scene.fence().await;
        scene.to_redis(refresher).hold(Way::There);
        scene.failpoints.release("before_commit");
        scene.claimed_after(fence).await;
        scene.to_redis(refresher).heal();
        scene.doubted("late").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_redis_in_mid_refresh_is_replaced_and_told_later() {
    strikes("before_send", "Redis lost in mid-refresh", 4, async |scene, refresher| {
        let fence = scene.fence().await;
        scene.to_redis(refresher).lose(Way::There);
        scene.to_redis(refresher).lose(Way::Back);
        scene.failpoints.release("before_send");
        scene.claimed_after(fence).await;
        scene.to_redis(refresher).heal();
        scene.doubted("late").await;
    })
    .await;
}
