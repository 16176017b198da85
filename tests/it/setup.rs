//! What the tests share: a cluster of this build's workers, and its failpoints.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::order::rank;
use zhongkong_simulator::Endpoint;
use zhongkong_testkit::{
    APP_ID, Cluster, ClusterBuilder, Counts, PATIENCE, Reader, Timings, wait_until,
};

/// The upstream may process a request after its caller has given up.
pub(crate) const PATIENT_UPSTREAM: Timings = Timings {
    life: ms(20_000),
    overlap: ms(5_000),
    hold: ms(900),
    ahead: ms(5_000),
    request_timeout: ms(500),
    lease: ms(1_100),
    drain: ms(2_000),
    spacing: ms(300),
    human_poll: ms(300),
};

/// A cluster to be, of the workers under test.
pub(crate) fn cluster() -> ClusterBuilder {
    Cluster::builder(env!("CARGO_BIN_EXE_zhongkong-under-test"))
}

/// Points in a refresh at which one worker is made to act.
#[derive(Debug)]
pub(crate) struct Failpoints {
    directory: TempDir,
}

impl Failpoints {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A cluster whose workers look for these failpoints.
    pub(crate) fn cluster(&self) -> ClusterBuilder {
        cluster().env("ZHONGKONG_FAILPOINTS", self.directory.path().to_str().unwrap())
    }

    /// The next worker that reaches `point` does `action`: `stop`, `kill` or `hold`.
    pub(crate) fn arm(&self, point: &str, action: &str) {
        let armed = self.directory.path().join(point);
        let draft = armed.with_extension("draft");
        // Written first and then named, so that nobody takes half a file.
        std::fs::write(&draft, action).unwrap();
        std::fs::rename(draft, armed).unwrap();
    }

    /// Waits until a worker has reached `point`.
    pub(crate) async fn reached(&self, point: &str) {
        let reached = self.marker(point);
        wait_until(point, PATIENCE, async || reached.exists()).await;
    }

    /// No worker that reaches a point from now on does anything there.
    pub(crate) fn disarm(&self) {
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none() {
                // An error says that a worker took it just now.
                drop(std::fs::remove_file(path));
            }
        }
    }

    /// Lets the worker go on that is held at `point`.
    pub(crate) fn release(&self, point: &str) {
        std::fs::remove_file(self.marker(point)).unwrap();
    }

    fn marker(&self, point: &str) -> PathBuf {
        self.directory.path().join(format!("{point}.reached"))
    }
}

/// Starts `cluster`, lets it settle, and has a reader count from then on.
pub(crate) async fn watched(cluster: ClusterBuilder) -> (Cluster, Reader) {
    let cluster = cluster.start().await;
    cluster.settle().await;
    let reader = cluster.reader();
    reader.begin_counting();
    (cluster, reader)
}

/// Asks the first worker that answers for a refresh, owed or not, and does not wait for it.
pub(crate) async fn force(cluster: &Cluster) {
    let path = format!("/v1/credentials/{APP_ID}/refresh");
    let url = format!("{}{path}", cluster.workers()[0].http_url());
    let body = json!({ "force": true });
    // The order has reached Redis when the mark is in the state. One that a refusal left behind is another's.
    let asked = zhongkong_testkit::http::post(&url, &body);
    let marked = until(cluster, "a forced refresh is marked or done", async || {
        let state = cluster.state().await;
        let lifted = state.contains_key("rejected") && !state.contains_key("refusals");
        lifted || state.contains_key("intent")
    });
    tokio::select! {
        // A refusal by the upstream is an answer, too.
        answer = asked => assert!([200, 502].contains(&answer.unwrap().status)),
        () = marked => {}
    }
}

/// Asks worker `index` for a refresh and waits for the answer.
pub(crate) async fn refresh_at(cluster: &Cluster, index: usize, force: bool) -> (u16, Value) {
    let path = format!("/v1/credentials/{APP_ID}/refresh");
    let answer = cluster.workers()[index].post(&path, &json!({ "force": force })).await.unwrap();
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// The index of the unit's first worker: the one that begins, as long as it lives and may.
pub(crate) async fn first_worker(cluster: &Cluster) -> usize {
    let living: Vec<String> =
        cluster.redis.command(&["ZRANGE", "zhongkong:workers", "0", "-1"]).await;
    let unit = Unit::access_token(APP_ID.parse().unwrap());
    let first = living.iter().find(|identity| rank(&unit, identity, &living) == 0).unwrap();
    let name = Worker::name_of(first);
    cluster.workers().iter().position(|worker| worker.name() == name).unwrap()
}

/// Has the token replaced until the state shows a refusal: a loaded machine may let another worker begin.
pub(crate) async fn until_refused(cluster: &Cluster) {
    until(cluster, "a refusal", async || {
        force(cluster).await;
        settled_again(cluster).await;
        cluster.state().await.contains_key("refusals")
    })
    .await;
}

/// The index of the worker that is paused now.
pub(crate) async fn paused_worker(cluster: &Cluster) -> usize {
    let mut found = None;
    until(cluster, "a worker is paused", async || {
        found =
            cluster.workers().iter().position(|w| zhongkong_testkit::process::is_stopped(w.pid()));
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Waits until `condition` holds; panics with what the workers said last if it does not in time.
pub(crate) async fn until(cluster: &Cluster, what: &str, condition: impl AsyncFnMut() -> bool) {
    cluster.wait_until(what, PATIENCE, condition).await;
}

/// Waits until the newest token is published, undoubted.
pub(crate) async fn settled_again(cluster: &Cluster) {
    until(cluster, "the cluster settles again", async || {
        cluster.is_settled().await && !cluster.state().await.contains_key("rejected")
    })
    .await;
}

/// Panics if a read was not good.
#[track_caller]
pub(crate) fn all_good(counts: &Counts, cluster: &Cluster) {
    assert!(counts.are_good(), "{counts:?}\n{}", cluster.tails());
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How often the workers tried a token against the upstream.
pub(crate) fn probes(cluster: &Cluster) -> usize {
    let calls = cluster.simulator.journal().calls;
    calls.iter().filter(|call| call.endpoint == Endpoint::Probe).count()
}

/// The sum of a counter over all workers, of the series that contain `label`.
pub(crate) async fn counted(cluster: &Cluster, name: &str, label: &str) -> f64 {
    let mut sum = 0.0;
    for worker in cluster.workers() {
        let Ok(answer) = worker.get("/metrics").await else { continue };
        let lines = answer.body.lines().filter(|l| l.starts_with(name) && l.contains(label));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        sum += values.sum::<f64>();
    }
    sum
}
