//! Workers in networks of their own, where packets are dropped and the kernel sends them again.
//!
//! They take root, and a kernel that can; elsewhere they are left out, and say so.

use zhongkong_history::Limits;
use zhongkong_testkit::{APP_ID, Namespace, Way, Ways};

use crate::faults::scene::{Armed, Scene, skipped};
use crate::setup::{Failpoints, PATIENT_UPSTREAM, until};

const WORKERS: usize = 3;

/// What packets are dropped from, once a refresher stands at a point.
#[derive(Clone, Copy, Debug)]
struct Loss {
    point: &'static str,
    server: Server,
    ways: &'static [Way],
    until: Until,
}

#[derive(Clone, Copy, Debug)]
enum Server {
    Redis,
    Upstream,
}

/// When nothing is lost any more.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// The refresher has said that it does not know what came of its request.
    Doubted,
    /// All is settled without the refresher, or in spite of it.
    Settled,
}

const BOTH: &[Way] = &[Way::There, Way::Back];

async fn lose(name: &str, loss: Loss) {
    let Loss { point, server, ways, until: moment } = loss;
    let namespaces: Result<Vec<_>, _> = (0..WORKERS).map(|_| Namespace::new()).collect();
    let namespaces = match namespaces {
        Ok(namespaces) => namespaces,
        Err(why) => return skipped(name, &why),
    };
    let failpoints = Failpoints::new();
    let cluster = failpoints.cluster().timings(PATIENT_UPSTREAM).in_namespaces(namespaces);
    let scene = Scene::of(cluster.start_unready().await, failpoints).await;
    let before = scene.cluster.token().await;
    let refresher = scene.refresher_within(point).await;

    let Ways { redis, upstream, namespace } = scene.cluster.ways(refresher);
    let namespace = namespace.as_ref().unwrap();
    let proxy = match server {
        Server::Redis => redis,
        Server::Upstream => upstream,
    };
    for way in ways {
        namespace.lose(*way, proxy.port());
    }
    scene.recorder.note(format!("{} and {server:?}: {ways:?} lost", scene.name(refresher)));
    scene.failpoints.release(point);
    until(&scene.cluster, "the loss shows", async || match moment {
        Until::Doubted => {
            let state = scene.cluster.state().await;
            state.get("doubt").is_some_and(|doubt| doubt.contains("unknown"))
        }
        Until::Settled => scene.cluster.token().await != before && scene.cluster.is_settled().await,
    })
    .await;
    scene.recorder.note("nothing is lost any more");
    namespace.heal().unwrap();
    let limits = Limits { calls_per_refresh: Some(4), ..scene.limits() };
    scene.judge(name, &limits).await;
}

impl Scene {
    /// As [`Scene::refresher_at`], asked for within a network of its own: the workers' HTTP is reached from there only.
    async fn refresher_within(&self, point: &str) -> usize {
        let armed: Armed<'_> = self.arm(point, "hold");
        let asking = self.cluster.workers()[0].run_command(&["refresh", APP_ID, "--force"]);
        tokio::select! {
            output = asking => panic!("refreshed past the failpoint: {output:?}"),
            struck = self.struck(&armed) => struck,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_off_from_redis_in_mid_refresh_is_replaced() {
    let (server, until) = (Server::Redis, Until::Settled);
    lose("netns: no Redis", Loss { point: "before_send", server, ways: BOTH, until }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_commit_arrives_unanswered_harms_nobody() {
    let (server, until, ways) = (Server::Redis, Until::Settled, &[Way::Back][..]);
    lose("netns: no answer of Redis", Loss { point: "before_commit", server, ways, until }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_off_from_the_upstream_leaves_the_refresh_to_another() {
    let (server, until) = (Server::Upstream, Until::Settled);
    lose("netns: no upstream", Loss { point: "before_send", server, ways: BOTH, until }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_kernel_may_send_again_is_doubted() {
    let (server, until, ways) = (Server::Upstream, Until::Doubted, &[Way::There][..]);
    lose("netns: request lost", Loss { point: "after_check", server, ways, until }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_kernel_may_send_again_is_doubted() {
    let (server, until, ways) = (Server::Upstream, Until::Doubted, &[Way::Back][..]);
    lose("netns: answer lost", Loss { point: "after_check", server, ways, until }).await;
}
