//! Upstream calls per refresh, over many refreshes of tokens with short lives.

use std::time::Duration;

use tokio::time::sleep;
use zhongkong_testkit::Timings;

use super::Setup;
use crate::alone::Alone;
use crate::figures::Report;
use crate::redis_side::Commands;
use crate::stage::{Cast, Stage, app_id, until};

/// As far away as a real upstream.
const LATENCY: Duration = Duration::from_millis(50);
/// A refresh about every four and a half seconds.
const LIFE: Duration = Duration::from_secs(9);
/// Longer than the life, so that tokens expire in every window.
const WINDOW: Duration = Duration::from_secs(10);

/// One reading of all counters.
#[derive(Debug)]
struct Counted {
    calls: u64,
    refreshes: u64,
    commands: Commands,
    alone: (u64, u64),
}

pub(super) async fn run(setup: &Setup) -> Report {
    let units = setup.size(40, 3);
    let mut report = Report::new(
        "calls",
        format!(
            "{units} units whose tokens live {LIFE:?}, an upstream that takes {LATENCY:?}, {} windows of {WINDOW:?}. \
             A refresh is another token in Redis; beside it, a token that expired.",
            setup.runs
        ),
    );
    let sizes: &[usize] = if setup.smallest { &[2] } else { &[1, 5, 20] };
    for &workers in sizes {
        measure(setup, &mut report, (units, workers)).await;
    }
    report
}

async fn measure(setup: &Setup, report: &mut Report, (units, workers): (usize, usize)) {
    let cast = Cast {
        units,
        timings: Timings { life: LIFE, ..Timings::default() },
        latency: LATENCY,
        probe_interval: "0s",
    };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    stage.start_workers(workers).await;
    let accounts = (0..units).map(|unit| format!("alone-{}", app_id(unit))).collect();
    let alone = Alone::start(workers, stage.simulator.url(), accounts, LIFE).await;
    until("every process for itself has its tokens", async || alone.is_complete(units).await).await;
    stage.settle().await;

    let (mut ours, mut theirs, mut scripts) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0;
    let mut before = count(&stage, &alone).await;
    for _ in 0..setup.runs {
        sleep(WINDOW).await;
        let now = count(&stage, &alone).await;
        total += now.refreshes - before.refreshes;
        let refreshed = (now.refreshes - before.refreshes) as f64;
        ours.push((now.calls - before.calls) as f64 / refreshed);
        scripts.push(now.commands.since(&before.commands).scripts() as f64 / refreshed);
        theirs.push((now.alone.0 - before.alone.0) as f64 / (now.alone.1 - before.alone.1) as f64);
        before = now;
    }
    let overlap = |accounts: &dyn Fn(usize) -> String| {
        let most = (0..units).map(|unit| stage.simulator.max_overlap(&accounts(unit))).max();
        f64::from(most.unwrap_or(0))
    };
    let what = format!("{workers} workers, {total} refreshes: upstream calls per refresh");
    let other = format!("{workers} processes, each for itself");
    report.add_beside((what, &ours), "calls", (other, &theirs));
    report.add_beside(
        (format!("{workers} workers: most calls for one unit at once"), &[overlap(&app_id)]),
        "calls",
        ("each for itself", &[overlap(&|unit| format!("alone-{}", app_id(unit)))]),
    );
    report.add(format!("{workers} workers: scripts in Redis per refresh"), "scripts", &scripts);
}

/// Counts at an instant at which no refresh is under way, so that calls and tokens belong together.
async fn count(stage: &Stage, alone: &Alone) -> Counted {
    let mut counted = None;
    until("no refresh is under way", async || {
        let calls = stage.upstream_calls();
        let idle = stage.field_of_all("intent").await.iter().all(Option::is_none);
        let refreshes = stage.sum_of("generation").await;
        if !idle || stage.upstream_calls() != calls {
            return false;
        }
        let commands = Commands::of(&stage.redis).await;
        counted = Some(Counted { calls, refreshes, commands, alone: alone.calls_and_ends().await });
        true
    })
    .await;
    counted.expect("it was counted")
}
