//! Redis' clock is moved in the middle of a refresh.

use zhongkong_history::{Kind, Limits};
use zhongkong_testkit::RedisClock;

use crate::faults::scene::Scene;

/// Events count from when they are heard while the clocks differ; a loaded machine hears late.
const SKEW_MS: u64 = 1_000;
/// Keys that a step expires are published again within this.
const KEPT_WITHIN_MS: u64 = 3_000;

/// The clock is moved by `seconds` while the refresher stands at `point`.
async fn stepped(point: &str, seconds: i64) {
    let clock = RedisClock::new();
    let environment = clock.environment();
    let scene = Scene::new(|cluster| cluster.workers(3).redis_environment(environment)).await;
    scene.refresher_at(point).await;
    clock.set_offset(seconds);
    let name = format!("Redis' clock {seconds:+} s {point}");
    let at_ms = scene.recorder.note(name.clone());
    scene.failpoints.release(point);
    let limits = Limits { skew_ms: SKEW_MS, calls_per_refresh: Some(4), ..scene.limits() };
    let expired = "a step forward expires the key";
    let limits = limits.excuse(at_ms, at_ms + KEPT_WITHIN_MS, &[Kind::AbsentRead], expired);
    scene.judge(&name, &limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_forward_before_the_claim() {
    stepped("before_claim", 3_600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_back_before_the_claim() {
    stepped("before_claim", -3_600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_forward_between_claim_and_send() {
    stepped("before_send", 3_600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_back_between_claim_and_send() {
    stepped("before_send", -3_600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_forward_between_answer_and_commit() {
    stepped("before_commit", 3_600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_back_between_answer_and_commit() {
    stepped("before_commit", -3_600).await;
}
