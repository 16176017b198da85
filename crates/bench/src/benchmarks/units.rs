//! Many units in one worker and one Redis: until all have their tokens, and from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use zhongkong_testkit::Timings;

use super::Setup;
use crate::alone::fetch_token;
use crate::figures::Report;
use crate::load::{Load, Loaded};
use crate::process_side::{cpu_seconds, resident_bytes, resident_peak_bytes};
use crate::redis_side::{Commands, ask, info, scripts_a_second, sets_a_second};
use crate::stage::{Cast, Stage, app_id, until};

/// As many as a worker has under way by default: of 64 calls, a quarter is for the probe.
const AT_ONCE: usize = 48;
/// How often the worker's counters are read while it fetches.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An upstream as far away as a real one would hide what the worker costs: this one is next door.
const LATENCY: Duration = Duration::ZERO;

/// WeChat's times, but for a hold that fits an upstream next door: each unit is fetched twice, the second time after
/// the drain.
const TIMINGS: Timings = Timings {
    life: Duration::from_hours(2),
    overlap: Duration::from_mins(5),
    hold: Duration::from_secs(2),
    ahead: Duration::from_mins(10),
    request_timeout: Duration::from_secs(5),
    lease: Duration::from_secs(8),
    drain: Duration::from_secs(10),
    spacing: Duration::from_secs(1),
    human_poll: Duration::from_mins(1),
};

pub(super) async fn run(setup: &Setup) -> Report {
    let units = setup.units as usize;
    let window = Duration::from_secs(setup.size(10, 1) as u64);
    let mut report = Report::new(
        "units",
        format!(
            "One worker, {units} units at cgi-bin/token, from nothing: each is fetched twice, because nobody knows what \
             was under way before. Redis has no persistence. The tokens have 136 characters."
        ),
    );
    let mut small = Stage::build(setup.worker.clone(), cast_of(setup, 1)).await;
    small.start_workers(1).await;
    small.settle().await;
    let empty = resident_bytes(small.workers[0].pid());
    drop(small);

    let mut stage = Stage::build(setup.worker.clone(), cast_of(setup, units)).await;
    let bare = bare_rates(&stage, Duration::from_secs(setup.size(3, 1) as u64)).await;
    let memory = info(&stage.redis, "memory", "used_memory").await;
    first_tokens(&mut stage, &mut report, &bare).await;

    let each = |bytes: f64| bytes / units as f64;
    let held = info(&stage.redis, "memory", "used_memory").await - memory;
    report.add("memory in Redis per unit", "bytes", &[each(held as f64)]);
    let worker = stage.workers[0].pid();
    let resident = [each(resident_bytes(worker) - empty)];
    report.add("memory in the worker per unit", "bytes", &resident);
    let peak = [each(resident_peak_bytes(worker) - empty)];
    report.add("the same, at its peak", "bytes", &peak);
    idle(&stage, &mut report, window).await;
    tokens_over_http(setup, &stage, &mut report).await;
    second_worker(&mut stage, &mut report).await;
    report
}

fn cast_of(setup: &Setup, units: usize) -> Cast {
    let short = Timings { life: TIMINGS.life, ..Timings::default() };
    let timings = if setup.smallest { short } else { TIMINGS };
    Cast { units, timings, latency: LATENCY, probe_interval: "0s" }
}

/// What Redis and the upstream do when they do nothing else, a second.
#[derive(Debug)]
struct BareRates {
    sets: [f64; 2],
    scripts: [f64; 2],
    upstream: f64,
}

async fn bare_rates(stage: &Stage, lasting: Duration) -> BareRates {
    let redis = &stage.redis;
    let sets =
        [sets_a_second(redis, 1, lasting).await, sets_a_second(redis, AT_ONCE, lasting).await];
    let scripts = [
        scripts_a_second(redis, 1, lasting).await,
        scripts_a_second(redis, AT_ONCE, lasting).await,
    ];
    let () = ask(redis, &["FLUSHALL"]).await;
    let url = stage.simulator.url();
    let calls = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (url, calls) = (url.clone(), Arc::clone(&calls));
        callers.spawn(async move {
            while began.elapsed() < lasting {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                fetch_token(&url, &format!("bare-{}", call % 1_000)).await;
            }
        });
    }
    callers.join_all().await;
    let upstream = calls.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    BareRates { sets, scripts, upstream }
}

async fn first_tokens(stage: &mut Stage, report: &mut Report, bare: &BareRates) {
    let units = stage.cast.units;
    // Before the worker is ready, it has begun to fetch.
    let before = Commands::of(&stage.redis).await;
    let began = Instant::now();
    stage.start_workers(1).await;
    let ready = began.elapsed().as_secs_f64();
    let pids = [stage.workers[0].pid(), stage.redis.pid().unwrap(), std::process::id()];
    let used_before = pids.map(cpu_seconds);

    let (mut rates, mut all_published) = (Vec::new(), None);
    let mut last = (Instant::now(), 0.0);
    loop {
        sleep(LOOK_EVERY).await;
        let (first, all) = refreshed(stage).await;
        rates.push((all - last.1) / last.0.elapsed().as_secs_f64());
        last = (Instant::now(), all);
        if first >= units as f64 {
            all_published.get_or_insert(began.elapsed().as_secs_f64());
        }
        if all >= 2.0 * units as f64 {
            break;
        }
    }
    let settled = began.elapsed().as_secs_f64();
    let used: Vec<f64> =
        pids.iter().zip(used_before).map(|(pid, before)| cpu_seconds(*pid) - before).collect();
    let commands = Commands::of(&stage.redis).await.since(&before);
    stage.settle().await;
    let refreshes = 2.0 * units as f64;
    // Few units rest between their first fetch and the end of the drain.
    rates.retain(|rate| *rate > 0.0);
    // The first and the last look may have seen the half of a second.
    let whole = rates.get(1..rates.len() - 1).filter(|rates| !rates.is_empty()).unwrap_or(&rates);

    report.add("start → ready", "s", &[ready]);
    report.add("start → every unit has a token", "s", &[all_published.unwrap_or(settled)]);
    report.add("start → every unit is settled", "s", &[settled]);
    let what = format!("refreshes a second, {} in all, windows of 1 s", stage.upstream_calls());
    let mut beside = |other: &str, rate: f64| {
        report.add_beside((what.clone(), whole), "1/s", (other, &vec![rate; whole.len()]));
    };
    beside("SET, one under way", bare.sets[0]);
    beside("SET, 48 under way", bare.sets[1]);
    beside("EVALSHA of a SET, one under way", bare.scripts[0]);
    beside("EVALSHA of a SET, 48 under way", bare.scripts[1]);
    beside("bare calls of the upstream, 48 under way", bare.upstream);
    let micros = |seconds: f64| seconds * 1e6 / refreshes;
    report.add("processor time a refresh: worker", "µs", &[micros(used[0])]);
    report.add("processor time a refresh: redis-server", "µs", &[micros(used[1])]);
    report.add("processor time a refresh: upstream and looks", "µs", &[micros(used[2])]);
    report.add("Redis' own time for a script", "µs", &[commands.micros_a_script()]);
    report.add("scripts a refresh", "", &[commands.scripts() as f64 / refreshes]);
    report.add(
        "new connections to Redis a refresh",
        "",
        &[commands.calls(&["hello"]) as f64 / refreshes],
    );
}

/// Refreshes so far: of units without a token, and all.
async fn refreshed(stage: &Stage) -> (f64, f64) {
    let metrics = stage.workers[0].get("/metrics").await.expect("an answer").body;
    let of = |reason: &str| -> f64 {
        let lines = metrics.lines().filter(|line| {
            line.starts_with("zhongkong_refreshes_total{")
                && line.contains("outcome=\"refreshed\"")
                && line.contains(reason)
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    (of("reason=\"missing\""), of(""))
}

async fn idle(stage: &Stage, report: &mut Report, window: Duration) {
    let pids = [stage.workers[0].pid(), stage.redis.pid().unwrap()];
    let before = (Commands::of(&stage.redis).await, pids.map(cpu_seconds));
    sleep(window).await;
    let used = pids.map(cpu_seconds);
    let commands = Commands::of(&stage.redis).await.since(&before.0);
    let seconds = window.as_secs_f64();
    report.add("idle: commands in Redis a second", "1/s", &[commands.all() as f64 / seconds]);
    let share = |index: usize| [(used[index] - before.1[index]) * 100.0 / seconds];
    report.add("idle: share of one core, worker", "%", &share(0));
    report.add("idle: share of one core, redis-server", "%", &share(1));
}

async fn tokens_over_http(setup: &Setup, stage: &Stage, report: &mut Report) {
    let (requests, connections) = (setup.size(2_000, 40), 8);
    let url = stage.workers[0].http_url();
    let path = format!("/v1/credentials/{}/token", app_id(stage.cast.units / 2));
    let (mut tokens, mut health) = (Vec::new(), Vec::new());
    for _ in 0..setup.runs {
        let pair = [(&*path, &mut tokens), ("/healthz", &mut health)];
        for (path, runs) in pair {
            let loaded: Loaded = Load::get(&url, path, connections, requests).drive().await;
            loaded.must_be_good();
            runs.push(loaded.latency_ms(0.5));
        }
    }
    report.add_beside(("GET …/token, p50", &tokens), "ms", ("GET /healthz", &health));
}

/// Another worker starts: it reads every state once.
async fn second_worker(stage: &mut Stage, report: &mut Report) {
    let units = stage.cast.units as u64;
    let began = Instant::now();
    let before = Commands::of(&stage.redis).await;
    stage.start_workers(1).await;
    until("the second worker has read every state", async || {
        Commands::of(&stage.redis).await.since(&before).calls(&["hgetall"]) >= units
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    report.add("a second worker: start → every state read", "s", &[took]);
}
