//! A cluster that is recorded, and how its history is judged.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use zhongkong_history::{
    Found, History, Kind, Limits, Processed, UpstreamEvent, Violation, What, check,
};
use zhongkong_testkit::{Cluster, ClusterBuilder, PATIENCE, Recorder};

use crate::setup::{Failpoints, force, settled_again, until};

/// How much of a history is shown around the first violation.
const STORY_MARGIN_MS: u64 = 3_000;

/// How long nothing must happen before a history is judged.
const QUIET: Duration = Duration::from_millis(300);

/// The recorder hears the cluster by Redis' clock, and the upstream by the simulator's.
const SKEW_MS: u64 = 20;

/// A cluster, settled when its recording began, whose workers look for failpoints.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) failpoints: Failpoints,
    pub(super) recorder: Recorder,
}

/// A failpoint, and how often each worker had reached it before it was armed.
#[derive(Debug)]
pub(super) struct Armed<'a> {
    point: &'a str,
    before: Vec<usize>,
}

impl Scene {
    pub(super) async fn new(change: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        let failpoints = Failpoints::new();
        let cluster = change(failpoints.cluster()).start().await;
        Self::of(cluster, failpoints).await
    }

    /// Lets the cluster settle, and records it from then on.
    pub(super) async fn of(cluster: Cluster, failpoints: Failpoints) -> Self {
        cluster.settle().await;
        let recorder = Recorder::start(&cluster).await;
        Self { cluster, failpoints, recorder }
    }

    /// The next worker that reaches `point` does `action`; [`Self::struck`] says which one it was.
    pub(super) fn arm<'a>(&self, point: &'a str, action: &str) -> Armed<'a> {
        let armed = Armed { point, before: self.times_reached(point) };
        self.failpoints.arm(point, action);
        armed
    }

    /// Waits until a worker is struck, and gives its index.
    pub(super) async fn struck(&self, armed: &Armed<'_>) -> usize {
        let Armed { point, before } = armed;
        let mut struck = None;
        until(&self.cluster, point, async || {
            let now = self.times_reached(point);
            struck = now.iter().zip(before).position(|(now, before)| now > before);
            struck.is_some()
        })
        .await;
        let struck = struck.unwrap();
        self.recorder.note(format!("{} stands {point}", self.name(struck)));
        struck
    }

    /// A worker that refreshes stands at `point` from now on; its index. It goes on with [`Failpoints::release`].
    pub(super) async fn refresher_at(&self, point: &str) -> usize {
        let armed = self.arm(point, "hold");
        force(&self.cluster).await;
        self.struck(&armed).await
    }

    /// How often each worker said that it reached `point`.
    fn times_reached(&self, point: &str) -> Vec<usize> {
        let said = format!("point=\"{point}\"");
        let workers = self.cluster.workers().iter();
        workers.map(|worker| worker.output().matches(&said).count()).collect()
    }

    pub(super) fn name(&self, index: usize) -> &str {
        self.cluster.workers()[index].name()
    }

    /// Waits until everything is settled and has been for a while, and gives the history up to there.
    pub(super) async fn settled(&self) -> History {
        loop {
            settled_again(&self.cluster).await;
            // Whoever was paused or cut off may still have something to say.
            let fence = self.cluster.state_number("fence").await;
            tokio::time::sleep(QUIET).await;
            let is_quiet = self.cluster.state_number("fence").await == fence;
            if is_quiet
                && self.knows_its_epoch().await
                && let Some(history) = self.recorder.history().await
            {
                return history;
            }
        }
    }

    /// Whether the unit was settled in the epoch that Redis is in now.
    async fn knows_its_epoch(&self) -> bool {
        let info: String = self.cluster.redis.command(&["INFO"]).await;
        let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let epoch = format!("{}:{}", value("run_id:"), value("master_replid2:"));
        self.cluster.state().await["epoch"] == epoch
    }

    /// What may happen from the begin of the recording on.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            from_ms: self.recorder.begun_at_ms(),
            skew_ms: SKEW_MS,
            doubt_ms: 20_000,
            ..Limits::default()
        }
    }

    /// Waits until everything is settled, and panics if anything was not allowed on the way there.
    pub(super) async fn judge(&self, name: &str, limits: &Limits) -> History {
        let deadline = Instant::now() + PATIENCE;
        let (history, found) = loop {
            let history = self.settled().await;
            let found = check(&history, limits);
            // Somebody had something to say after all, between the last two looks.
            if kinds(&found) != [Kind::End] || Instant::now() > deadline {
                break (history, found);
            }
        };
        let reads = show(name, &history, &found);
        assert!(reads > 0, "{name}: nobody read");
        assert!(found.is_empty(), "{name}\n{}\n{}", told(&history, &found), self.cluster.tails());
        history
    }
}

/// A row of the table of scenarios: calls, dead reads, absent reads, reads without
/// an answer, all reads, violations. Returns how many reads were answered.
#[expect(clippy::print_stdout, reason = "shown with --nocapture, and of a test that fails")]
pub(super) fn show(name: &str, history: &History, found: &[Violation]) -> u64 {
    let (mut calls, mut absent, mut unanswered, mut reads) = (0, 0, 0, 0);
    let mut deaths = std::collections::HashMap::new();
    for record in history.records() {
        if let What::Upstream(UpstreamEvent::Processed {
            outcome: Processed::Issued(life), ..
        }) = &record.what
        {
            deaths.insert(life.fingerprint.clone(), life.dies_at_ms);
        }
    }
    let mut dead = 0;
    for record in history.records() {
        match &record.what {
            What::Upstream(UpstreamEvent::Received { .. }) => calls += 1,
            What::Reader(read) => {
                reads += 1;
                match &read.found {
                    Found::Absent => absent += 1,
                    Found::NoAnswer => unanswered += 1,
                    Found::Token(token) => {
                        let dies_at_ms = deaths.get(token).copied().unwrap_or(u64::MAX);
                        dead += u64::from(read.asked_at_ms >= dies_at_ms);
                    }
                }
            }
            _ => {}
        }
    }
    let found = found.len();
    println!("| {name} | {calls} | {dead} | {absent} | {unanswered} | {reads} | {found} |");
    reads - unanswered
}

/// The violations, and what happened around the first of them.
pub(super) fn told(history: &History, found: &[Violation]) -> String {
    let sentences: Vec<String> = found.iter().map(ToString::to_string).collect();
    let story = found.first().map(|first| history.story_around(first.at_ms, STORY_MARGIN_MS));
    format!("{}\n{}", sentences.join("\n"), story.unwrap_or_default())
}

/// The kinds of the violations, each once.
pub(super) fn kinds(found: &[Violation]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = found.iter().map(|violation| violation.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Why a scenario that takes minutes is left out.
pub(super) const WIDE: &str = "set ZHONGKONG_FAULTS=wide, as `make faults` does";

/// Whether there is time for everything.
#[expect(clippy::disallowed_methods, reason = "how long a run may take is said from outside")]
pub(super) fn is_wide() -> bool {
    std::env::var("ZHONGKONG_FAULTS").is_ok_and(|faults| faults == "wide")
}

/// Says, captured or not, that a scenario was left out, and how many were.
pub(crate) fn skipped(name: &str, why: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Not a macro: what those print is captured.
    let line = format!("SKIPPED: {name}: {why} ({count} left out so far)\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}
