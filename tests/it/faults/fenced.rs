//! The checker is checked: a build that keeps nothing of the protocol but its fence must be found out.

use zhongkong_history::{Kind, check};
use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::{APP_ID, ClusterBuilder};

use crate::faults::scene::{Scene, kinds, show, told};
use crate::setup::{PATIENT_UPSTREAM, force, ms, settled_again, until};

fn fenced(cluster: ClusterBuilder) -> ClusterBuilder {
    whole(cluster).env("ZHONGKONG_PROTOCOL", "fenced")
}

fn whole(cluster: ClusterBuilder) -> ClusterBuilder {
    // Neither a scheduled refresh nor the probe is to mend what is looked for.
    let cluster = cluster.workers(3).timings(PATIENT_UPSTREAM).life(ms(60_000));
    cluster.env("ZHONGKONG__REFRESH__PROBE_INTERVAL", "0s")
}

/// A worker is paused between its last check and the send until another one has refreshed.
async fn a_pause_beyond_the_lease(scene: &Scene) {
    let cluster = &scene.cluster;
    let armed = scene.arm("after_check", "stop");
    force(cluster).await;
    let struck = scene.struck(&armed).await;
    let calls = cluster.simulator.calls(APP_ID);
    settled_again(cluster).await;
    let until_then = cluster.simulator.calls(APP_ID);
    assert!(until_then > calls);
    cluster.workers()[struck].resume();
    cluster.simulator.wait_for_processed(APP_ID, until_then + 1).await;
}

/// A request is processed after its caller has given up and another request was processed.
async fn a_lost_reply(scene: &Scene) {
    let cluster = &scene.cluster;
    let calls = cluster.simulator.calls(APP_ID);
    let late = FaultKind::Late { ms: PATIENT_UPSTREAM.hold.as_millis().try_into().unwrap() };
    cluster.simulator.set_fault(late, Scope::account(APP_ID).times(1));
    force(cluster).await;
    cluster.simulator.wait_for_processed(APP_ID, calls + 2).await;
}

/// Readers see what was done only once the overlap is over.
async fn until_the_old_token_is_dead(scene: &Scene) {
    let over = tokio::time::Instant::now() + PATIENT_UPSTREAM.overlap + ms(500);
    until(&scene.cluster, "the overlap is over", async || tokio::time::Instant::now() > over).await;
}

/// With its fence alone the cluster is found out, and readers held a dead token.
async fn is_found_out(name: &str, strike: impl AsyncFn(&Scene)) {
    let scene = Scene::new(fenced).await;
    strike(&scene).await;
    until_the_old_token_is_dead(&scene).await;
    let history = scene.recorder.history().await.unwrap();
    let found = check(&history, &scene.limits());
    show(name, &history, &found);
    let kinds = kinds(&found);
    for kind in [Kind::DeadRead, Kind::Stale, Kind::End] {
        assert!(kinds.contains(&kind), "{kind:?} is not among\n{}", told(&history, &found));
    }
}

/// With the whole protocol, nothing is found.
async fn is_made_good(name: &str, strike: impl AsyncFn(&Scene)) {
    let scene = Scene::new(whole).await;
    strike(&scene).await;
    until_the_old_token_is_dead(&scene).await;
    scene.judge(name, &scene.limits()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_alone_does_not_survive_a_pause_beyond_the_lease() {
    is_found_out("fence alone: a pause between check and send", a_pause_beyond_the_lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_alone_does_not_survive_a_lost_reply() {
    is_found_out("fence alone: a request that is processed late", a_lost_reply).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_protocol_survives_a_pause_beyond_the_lease() {
    is_made_good("a pause between check and send", a_pause_beyond_the_lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_protocol_survives_a_lost_reply() {
    is_made_good("a request that is processed late", a_lost_reply).await;
}
