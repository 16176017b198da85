//! From nothing to the first token, and what a worker with one credential is: its memory, and its program's size.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use zhongkong_testkit::{Timings, Worker, process};

use super::Setup;
use crate::figures::{Report, ms};
use crate::process_side::{resident_bytes, resident_peak_bytes};
use crate::redis_side::{ask, connect};
use crate::route::BareRoute;
use crate::stage::{Cast, Stage, token_key};

/// How often is looked; less than what anything here takes.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const MEGABYTE: f64 = 1e6;

pub(super) async fn run(setup: &Setup) -> Report {
    let mut report = Report::new(
        "start",
        format!(
            "{} starts, one credential at cgi-bin/token, an upstream that answers at once.",
            setup.runs
        ),
    );
    let timings = Timings { life: Duration::from_hours(2), ..Timings::default() };
    let cast = Cast { units: 1, timings, latency: Duration::ZERO, probe_interval: "0s" };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    let (mut bare, mut ready, mut token) = (Vec::new(), Vec::new(), Vec::new());
    let (mut resident, mut peak) = (Vec::new(), Vec::new());
    for _ in 0..setup.runs {
        bare.push(program_alone(setup).await);
        let () = ask(&stage.redis, &["FLUSHALL"]).await;
        let began = Instant::now();
        stage.start_worker();
        let worker = &stage.workers[0];
        until_ready(worker).await;
        ready.push(ms(began.elapsed()));
        until_token(&stage).await;
        token.push(ms(began.elapsed()));
        stage.settle().await;
        resident.push(resident_bytes(worker.pid()) / MEGABYTE);
        peak.push(resident_peak_bytes(worker.pid()) / MEGABYTE);
        stage.stop_workers().await;
    }
    let beside = ("the program's start and end: --version", &*bare);
    report.add_beside(("start → ready", &ready), "ms", beside);
    report.add_beside(("start → the first token is in Redis", &token), "ms", beside);
    let route = BareRoute::start(&setup.exe).await;
    let route = vec![resident_bytes(route.pid()) / MEGABYTE; resident.len()];
    report.add_beside(("memory with one credential", &resident), "MB", ("a bare route", &route));
    report.add("the same, at its peak", "MB", &peak);
    let size = std::fs::metadata(&setup.worker).expect("the worker's program").len();
    report.add("size of the program", "MB", &[size as f64 / MEGABYTE]);
    report
}

/// How long the program takes to say its version, in milliseconds: what no start is quicker than.
async fn program_alone(setup: &Setup) -> f64 {
    let began = Instant::now();
    let output = process::command(&setup.worker).arg("--version").output().await;
    assert!(output.expect("the worker's program runs").status.success());
    ms(began.elapsed())
}

async fn until_ready(worker: &Worker) {
    while !worker.is_ready().await {
        sleep(LOOK_EVERY).await;
    }
}

async fn until_token(stage: &Stage) {
    let mut connection = connect(&stage.redis).await;
    let mut get = redis::cmd("EXISTS");
    get.arg(token_key(0));
    while !get.query_async::<bool>(&mut connection).await.expect("redis answers") {
        sleep(LOOK_EVERY).await;
    }
}
