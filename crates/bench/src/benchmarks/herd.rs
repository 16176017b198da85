//! Thousands of readers report the same dead token.

use std::time::Duration;

use serde_json::json;
use zhongkong_simulator::Endpoint;
use zhongkong_testkit::Timings;

use super::Setup;
use crate::figures::Report;
use crate::load::{Load, Loaded, authority};
use crate::redis_side::ask;
use crate::stage::{Cast, Stage, app_id, token_key};

const WORKERS: usize = 3;
/// As far away as a real upstream.
const LATENCY: Duration = Duration::from_millis(50);

pub(super) async fn run(setup: &Setup) -> Report {
    let (requests, connections) = (setup.size(10_000, 60), setup.size(600, 12));
    let runs = setup.runs as usize;
    let mut report = Report::new(
        "herd",
        format!(
            "{WORKERS} workers; {runs} times a token dies upstream, and is reported {requests} times over \
             {connections} connections at once. The upstream takes {LATENCY:?}; the probe and the fetch are two calls."
        ),
    );
    let cast = Cast {
        units: runs + 1,
        timings: Timings { life: Duration::from_hours(2), ..Timings::default() },
        latency: LATENCY,
        probe_interval: "0s",
    };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    stage.start_workers(WORKERS).await;
    stage.settle().await;
    let authorities = stage.workers.iter().map(|worker| authority(&worker.http_url())).collect();
    let load = Load { authorities, path: "/healthz".to_owned(), post: None, connections, requests };

    let mut herds = Vec::new();
    let (mut health, mut tokens) = (Vec::new(), Vec::new());
    let (mut calls, mut probes) = (Vec::new(), Vec::new());
    for unit in 0..runs {
        let herd = stampede(&stage, unit, &load).await;
        let seen = stage.simulator.journal_of(&app_id(unit)).calls;
        let count = |probe: bool| {
            let of = seen.iter().filter(|call| (call.endpoint == Endpoint::Probe) == probe);
            of.count() as f64
        };
        // Its two first fetches are not the herd's.
        calls.push(count(false) - 2.0);
        probes.push(count(true));
        herds.push(herd);
        health.push(good(&load).await);
        let path = format!("/v1/credentials/{}/token", app_id(runs));
        tokens.push(good(&Load { path, ..load.clone() }).await);
    }
    let of = |runs: &[Loaded], share: f64| -> Vec<f64> {
        runs.iter().map(|run| run.latency_ms(share)).collect()
    };
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let reports = of(&herds, share);
        report.add_beside(
            (format!("reports, {name}"), &reports),
            "ms",
            ("GET /healthz", &of(&health, share)),
        );
        report.add_beside(
            (format!("reports, {name}"), &reports),
            "ms",
            ("GET …/token", &of(&tokens, share)),
        );
    }
    let rates = |runs: &[Loaded]| -> Vec<f64> { runs.iter().map(Loaded::per_second).collect() };
    let herd = rates(&herds);
    report.add_beside(("reports a second", &herd), "1/s", ("GET /healthz", &rates(&health)));
    report.add_beside(("reports a second", &herd), "1/s", ("GET …/token", &rates(&tokens)));
    report.add("fetches per herd", "calls", &calls);
    report.add("probes per herd", "calls", &probes);
    report
}

/// Kills the unit's token, and has it reported.
async fn stampede(stage: &Stage, unit: usize, load: &Load) -> Loaded {
    let token: String = ask(&stage.redis, &["GET", &token_key(unit)]).await;
    assert!(stage.simulator.revoke(&token, true), "the upstream knows its token");
    let path = format!("/v1/credentials/{}/report", app_id(unit));
    let post = Some(json!({ "token": token, "wait": "10s" }).to_string());
    let herd = Load { path, post, ..load.clone() }.drive().await;
    let useful = |answer: &String| answer == "200 refreshed" || answer == "200 already_newer";
    assert!(herd.answers.keys().all(useful), "{:?}", herd.answers);
    herd
}

async fn good(load: &Load) -> Loaded {
    let loaded = load.drive().await;
    loaded.must_be_good();
    loaded
}
