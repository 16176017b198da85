//! Old and new workers side by side.

use zhongkong_history::Limits;
use zhongkong_testkit::cluster::STATE_KEY;
use zhongkong_testkit::{APP_ID, SECRET, Timings};

use crate::faults::scene::Scene;
use crate::setup::{Failpoints, force, ms, refresh_at, settled_again, until};

/// The worker ends in order, and starts again as `change` has it.
async fn replace(scene: &mut Scene, index: usize, change: impl Fn(String) -> String) {
    scene.recorder.note(format!("{} is replaced", scene.name(index)));
    let worker = &mut scene.cluster.workers_mut()[index];
    worker.terminate();
    assert_eq!(worker.wait_exit().await.code(), Some(0));
    let changed = change(worker.plan_mut().configuration.clone());
    worker.plan_mut().configuration = changed;
    std::fs::write(worker.config_path(), &worker.plan_mut().configuration).unwrap();
    worker.restart();
    worker.wait_ready().await;
}

/// Other times, with which the others' do not contradict each other either.
fn slower(configuration: &str) -> String {
    let Timings { lease, drain, spacing, request_timeout, .. } = Timings::default();
    let mut changed = configuration.to_owned();
    for (name, old, new) in [
        ("lease", lease, ms(1_500)),
        ("drain", drain, ms(2_200)),
        ("spacing", spacing, ms(600)),
        ("request_timeout", request_timeout, ms(500)),
    ] {
        let line = |time: std::time::Duration| format!("{name} = \"{}ms\"", time.as_millis());
        assert!(changed.contains(&line(old)), "{changed}");
        changed = changed.replace(&line(old), &line(new));
    }
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_times_are_changed_worker_by_worker_each_claim_keeps_its_own() {
    let mut scene = Scene::new(|cluster| cluster.workers(3)).await;
    for index in 0..3 {
        // With whom a claim is taken over from that has other times.
        let armed = scene.arm("after_send", "stop");
        force(&scene.cluster).await;
        let struck = scene.struck(&armed).await;
        settled_again(&scene.cluster).await;
        scene.cluster.workers()[struck].resume();
        settled_again(&scene.cluster).await;
        replace(&mut scene, index, |configuration| slower(&configuration)).await;
    }
    let limits = Limits { calls_per_refresh: Some(4), ..scene.limits() };
    scene.judge("lease, drain and spacing changed", &limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_secret_is_changed_worker_by_worker_whoever_has_the_new_one_refreshes() {
    const NEW: &str = "an0ther-5ecret-of-wx-test";
    let scene = Scene::new(|cluster| cluster.workers(3)).await;
    assert_ne!(NEW, SECRET);
    scene.recorder.note("the secret is another one");
    scene.cluster.simulator.set_secret(APP_ID, NEW).unwrap();
    force(&scene.cluster).await;
    until(&scene.cluster, "the old secret is refused", async || {
        scene.cluster.state().await.contains_key("refusals")
    })
    .await;
    for index in 1..=3 {
        scene.recorder.note(format!("worker-{index} has the new secret"));
        scene.cluster.set_secret_file(index, NEW);
        // One with the old secret may be quicker, and is refused: the worker asked finds its new file within seconds.
        until(&scene.cluster, "whoever has the new secret refreshes", async || {
            refresh_at(&scene.cluster, index - 1, true).await.0 == 200
        })
        .await;
    }
    scene.judge("secret changed", &scene.limits()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_a_newer_version_is_read_and_left_alone() {
    let scene = Scene::new(|cluster| cluster.workers(3).life(ms(12_000))).await;
    let calls = scene.cluster.simulator.calls(APP_ID);
    scene.recorder.note("a newer worker writes the state");
    let () = scene.cluster.redis.command(&["HSET", STATE_KEY, "v", "2"]).await;
    until(&scene.cluster, "every worker says that the state is newer", async || {
        let said = |worker: &zhongkong_testkit::Worker| worker.output().contains("newer");
        scene.cluster.workers().iter().all(said)
    })
    .await;
    let token = scene.cluster.token().await;
    for worker in scene.cluster.workers() {
        let path = format!("/v1/credentials/{APP_ID}/token");
        let served = worker.get(&path).await.unwrap().json();
        assert_eq!(served["token"].as_str(), token.as_deref(), "it is still served");
    }
    // It falls due meanwhile, and nobody here may refresh it.
    let due_ms = scene.cluster.state_number("refresh_at_ms").await;
    until(&scene.cluster, "it is overdue", async || {
        let (seconds, micros): (u64, u64) = scene.cluster.redis.command(&["TIME"]).await;
        seconds * 1_000 + micros / 1_000 > due_ms + 1_000
    })
    .await;
    assert_eq!(scene.cluster.simulator.calls(APP_ID), calls);
    scene.recorder.note("the newer worker is gone, and its version with it");
    let () = scene.cluster.redis.command(&["HSET", STATE_KEY, "v", "1"]).await;
    scene.cluster.simulator.wait_for_calls(APP_ID, calls + 1).await;
    let limits = Limits { calls_per_refresh: Some(1), ..scene.limits() };
    scene.judge("a state of a newer version", &limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_and_go_while_a_refresh_is_under_way() {
    let failpoints = Failpoints::new();
    let mut cluster = failpoints.cluster().workers(3).prepare().await;
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    let mut scene = Scene::of(cluster, failpoints).await;
    let refresher = scene.refresher_at("after_send").await;
    scene.cluster.start_worker(3).wait_ready().await;
    let other = &mut scene.cluster.workers_mut()[1 - refresher];
    other.terminate();
    assert_eq!(other.wait_exit().await.code(), Some(0));
    scene.failpoints.release("after_send");
    let limits = Limits { calls_per_refresh: Some(1), ..scene.limits() };
    scene.judge("workers added and removed in mid-refresh", &limits).await;
}
