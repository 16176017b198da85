//! A worker is killed, or paused for shorter or longer, at every point of a refresh.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zhongkong_history::{Kind, Limits};
use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::{APP_ID, Recorder, Timings, Worker, http};

use crate::faults::scene::{Scene, WIDE, is_wide, skipped};
use crate::setup::settled_again;

/// What a worker goes through at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    PausedWithinItsLease,
    PausedBeyondItsLease,
    PausedBeyondTheDrain,
}

/// How a worker is made to reach a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lure {
    /// A refresh.
    Refresh,
    /// A refresh whose answer gets lost.
    LostReply,
    /// A key deleted by hand.
    DeletedKey,
    /// An operator's order.
    Force,
    /// A reader's report that is right.
    Report,
}

/// Every point of `server/src/failpoint.rs`.
const POINTS: [(&str, Lure); 16] = [
    ("before_claim", Lure::Refresh),
    ("after_claim", Lure::Refresh),
    ("before_send", Lure::Refresh),
    ("after_check", Lure::Refresh),
    ("after_send", Lure::Refresh),
    ("after_answer", Lure::Refresh),
    ("before_commit", Lure::Refresh),
    ("after_commit", Lure::Refresh),
    ("before_abandon", Lure::LostReply),
    ("after_abandon", Lure::LostReply),
    ("before_keep", Lure::DeletedKey),
    ("after_keep", Lure::DeletedKey),
    ("before_force", Lure::Force),
    ("after_force", Lure::Force),
    ("before_report", Lure::Report),
    ("after_report", Lure::Report),
];

const FATES: [Fate; 4] = [
    Fate::PausedWithinItsLease,
    Fate::PausedBeyondItsLease,
    Fate::PausedBeyondTheDrain,
    Fate::Killed,
];

/// Clusters that run at once: each waits most of the time.
const AT_ONCE: usize = 4;

/// What is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upstream {
    /// Each call issues a token, and the one before lives on for the overlap.
    Rotating,
    /// The same, and only the newest two live.
    NewestTwo,
    /// Calls return the same token until its last minutes.
    Stable,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_worker_at_any_point_is_made_good() {
    let sweep = stream::iter(POINTS);
    sweep.for_each_concurrent(AT_ONCE, |at| every_fate(Upstream::Rotating, at)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_where_only_two_tokens_live_and_where_tokens_are_stable() {
    if !is_wide() {
        return skipped("every point with the other upstreams", WIDE);
    }
    for upstream in [Upstream::NewestTwo, Upstream::Stable] {
        let sweep = stream::iter(POINTS);
        sweep.for_each_concurrent(AT_ONCE, |at| every_fate(upstream, at)).await;
    }
}

/// Every fate in turn on one cluster, each from a settled state and with a history of its own.
async fn every_fate(upstream: Upstream, (point, lure): (&'static str, Lure)) {
    let mut scene = Scene::new(|cluster| match upstream {
        Upstream::Rotating => cluster,
        Upstream::NewestTwo => cluster.newest_two_only(),
        Upstream::Stable => cluster.stable(),
    })
    .await;
    for fate in FATES {
        scene.recorder = Recorder::start(&scene.cluster).await;
        let lured_at_ms = meet(&scene, point, lure, fate).await;
        // The first call, the one that takes over, a late one, and the clean one.
        let limits = Limits { calls_per_refresh: Some(4), ..scene.limits() };
        let limits = match upstream {
            // What is open by nature: the way of a reply.
            Upstream::NewestTwo => Limits { dead_ms: 1_000, ..limits },
            Upstream::Rotating | Upstream::Stable => limits,
        };
        let excused = |kind, within_ms, reason| {
            limits.clone().excuse(lured_at_ms, lured_at_ms + within_ms, &[kind], reason)
        };
        let limits = match lure {
            Lure::DeletedKey => excused(Kind::AbsentRead, 3_000, "the key was deleted by hand"),
            Lure::Report => excused(Kind::DeadRead, 6_000, "the upstream revoked the token"),
            Lure::Refresh | Lure::LostReply | Lure::Force => limits,
        };
        scene.judge(&format!("{upstream:?}: {point}, {fate:?}"), &limits).await;
    }
}

/// Lets one worker meet its fate at the point; returns when it was lured there.
async fn meet(scene: &Scene, point: &str, lure: Lure, fate: Fate) -> u64 {
    let Scene { cluster, recorder, .. } = scene;
    let armed = scene.arm(point, if fate == Fate::Killed { "kill" } else { "stop" });
    let lured_at_ms = recorder.note(format!("{lure:?}"));
    let asking = lure_to(scene, lure).await;
    let struck = scene.struck(&armed).await;
    if fate == Fate::Killed {
        return lured_at_ms;
    }
    cluster.workers()[struck].wait_paused().await;
    let Timings { lease, drain, .. } = *cluster.timings();
    match fate {
        Fate::Killed => {}
        Fate::PausedWithinItsLease => tokio::time::sleep(lease / 4).await,
        Fate::PausedBeyondItsLease => tokio::time::sleep(lease * 5 / 4).await,
        Fate::PausedBeyondTheDrain => {
            tokio::time::sleep(lease + drain).await;
            // Whatever the others can do without it is done.
            settled_again(cluster).await;
        }
    }
    recorder.note(format!("{} goes on", scene.name(struck)));
    cluster.workers()[struck].resume();
    drop(asking);
    lured_at_ms
}

/// Makes a worker go to the point; whoever asks a worker goes on waiting for its answer until this is dropped.
async fn lure_to(scene: &Scene, lure: Lure) -> JoinSet<()> {
    let cluster = &scene.cluster;
    let force = json!({ "force": true });
    match lure {
        Lure::Refresh => ask(&cluster.workers()[..1], "refresh", &force),
        Lure::LostReply => {
            cluster.simulator.set_fault(FaultKind::LostReply, Scope::account(APP_ID).times(1));
            ask(&cluster.workers()[..1], "refresh", &force)
        }
        Lure::DeletedKey => {
            let () = cluster.redis.command(&["DEL", TOKEN_KEY]).await;
            JoinSet::new()
        }
        // People and readers whose word may be lost with a worker ask another one, too.
        Lure::Force => ask(cluster.workers(), "refresh", &force),
        Lure::Report => {
            let token = cluster.token().await.unwrap();
            assert!(cluster.simulator.revoke(&token, true));
            ask(cluster.workers(), "report", &json!({ "token": token }))
        }
    }
}

fn ask(workers: &[Worker], what: &str, body: &Value) -> JoinSet<()> {
    let mut asking = JoinSet::new();
    for worker in workers {
        let url = format!("{}/v1/credentials/{APP_ID}/{what}", worker.http_url());
        let body = body.clone();
        // A worker that is struck does not answer.
        asking.spawn(async move { drop(http::post(&url, &body).await) });
    }
    asking
}
