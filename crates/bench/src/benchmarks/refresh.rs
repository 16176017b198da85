//! What a refresh adds to the upstream's own time.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use zhongkong_testkit::Timings;

use super::Setup;
use crate::alone::fetch_token;
use crate::figures::{Report, at, ms};
use crate::monitor::{Line, Monitor};
use crate::redis_side::connect;
use crate::stage::{Cast, Stage, app_id, requests_upstream, state_key, token_key, until};

/// The upstream next door, and one as far away as a real one.
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];

pub(super) async fn run(setup: &Setup) -> Report {
    let refreshes = setup.size(40, 3);
    let mut report = Report::new(
        "refresh",
        format!(
            "One worker, one unit, {} runs of {refreshes} forced refreshes, in turn with as many of the bare way: \
             connect, GET the token, SET it in Redis. Times are medians of a run.",
            setup.runs
        ),
    );
    let timings = Timings {
        life: Duration::from_hours(2),
        // Forced refreshes follow each other at once.
        spacing: Duration::from_millis(1),
        ..Timings::default()
    };
    let cast = Cast { units: 1, timings, latency: Duration::ZERO, probe_interval: "0s" };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    stage.start_workers(1).await;
    stage.settle().await;
    let monitor = Monitor::start(&stage.redis).await;
    for latency in LATENCIES {
        stage.set_latency(latency);
        // Connections are made, caches are warm.
        measure(&stage, &monitor, 3).await;
        let (mut published, mut answered, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        let (mut upstream, mut commands) = (Vec::new(), Vec::new());
        for _ in 0..setup.runs {
            let run = measure(&stage, &monitor, refreshes).await;
            published.push(at(&run.published_ms, 0.5));
            answered.push(at(&run.answered_ms, 0.5));
            upstream.push(run.upstream_ms);
            commands.push(run.commands);
            bare.push(at(&bare_way(&stage, refreshes).await, 0.5));
        }
        let far = format!("upstream takes {} ms", latency.as_millis());
        let beside = || ("GET + SET".to_owned(), &*bare);
        report.add_beside((format!("{far}: claim → token in Redis"), &published), "ms", beside());
        report.add_beside((format!("{far}: of that, the request"), &upstream), "ms", beside());
        report.add_beside((format!("{far}: forced over HTTP → answer"), &answered), "ms", beside());
        report.add(format!("{far}: round trips to Redis from claim to token"), "", &commands);
    }
    report
}

/// What one run of refreshes took.
#[derive(Debug, Default)]
struct Run {
    published_ms: Vec<f64>,
    answered_ms: Vec<f64>,
    /// On average, by the worker's own metric.
    upstream_ms: f64,
    /// Round trips a refresh.
    commands: f64,
}

async fn measure(stage: &Stage, monitor: &Monitor, refreshes: usize) -> Run {
    let mut run = Run::default();
    let worker = &stage.workers[0];
    let before = requests_upstream(worker).await;
    let mut round_trips = 0;
    for _ in 0..refreshes {
        monitor.take();
        let asked = Instant::now();
        let path = format!("/v1/credentials/{}/refresh", app_id(0));
        let answer = worker.post(&path, &json!({ "force": true })).await.expect("an answer");
        run.answered_ms.push(ms(asked.elapsed()));
        assert!(answer.is_success(), "{answer:?}");
        let mut lines = Vec::new();
        let mut seen = None;
        until("redis tells of the commit", async || {
            lines.extend(monitor.take());
            seen = claim_and_commit(&lines);
            seen.is_some()
        })
        .await;
        let (claim, commit) = seen.expect("it was seen");
        run.published_ms.push((lines[commit].at_micros - lines[claim].at_micros) as f64 / 1_000.0);
        let own = |line: &&Line| !line.by_script && line.words.contains(&app_id(0));
        round_trips += lines[claim..=commit].iter().filter(own).count();
    }
    let after = requests_upstream(worker).await;
    run.upstream_ms = (after.0 - before.0) * 1_000.0 / (after.1 - before.1);
    run.commands = round_trips as f64 / refreshes as f64;
    run
}

/// Where the claim arrived that set the lock, and where the reader's key was set after it.
fn claim_and_commit(lines: &[Line]) -> Option<(usize, usize)> {
    let lock = format!("{}:lock", token_key(0));
    let locked = lines.iter().position(|line| line.by_script && line.is("SET", &lock))?;
    let claim = lines[..locked].iter().rposition(Line::is_script)?;
    let published = |line: &Line| line.by_script && line.is("SET", &token_key(0));
    let commit = lines[locked..].iter().position(published)?;
    // The claim is the unit's own: nothing else sets its lock.
    assert!(lines[claim].words.contains(&state_key(0)), "{}", lines[claim].words);
    Some((claim, locked + commit))
}

/// Milliseconds of each.
async fn bare_way(stage: &Stage, times: usize) -> Vec<f64> {
    let mut redis = connect(&stage.redis).await;
    let upstream = stage.simulator.url();
    let mut took = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let token = fetch_token(&upstream, "bare").await;
        let mut set = redis::cmd("SET");
        set.arg("bare").arg(token).arg("PX").arg(7_200_000);
        let () = set.query_async(&mut redis).await.expect("redis answers");
        took.push(ms(began.elapsed()));
    }
    took
}
