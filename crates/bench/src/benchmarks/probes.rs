//! What settled units cost: each token is tried against its upstream every so often.

use std::time::Duration;

use tokio::time::sleep;
use zhongkong_testkit::Timings;

use super::Setup;
use crate::figures::Report;
use crate::process_side::cpu_seconds;
use crate::redis_side::Commands;
use crate::stage::{Cast, Stage, requests_upstream, until};

pub(super) async fn run(setup: &Setup) -> Report {
    let units = setup.size(10_000, 100);
    // As many probes a second as ten times the units have with the default of five minutes.
    let (probe_interval, every) = if setup.smallest { ("1s", 1.0) } else { ("30s", 30.0) };
    let window = Duration::from_secs(setup.size(5, 1) as u64);
    let mut report = Report::new(
        "probes",
        format!(
            "One worker, {units} settled units whose tokens are tried every {probe_interval}, {} windows of {window:?}. \
             By default it is five minutes: the same load with ten times the units.",
            setup.runs
        ),
    );
    let cast = Cast {
        units,
        timings: Timings { life: Duration::from_hours(2), ..Timings::default() },
        latency: Duration::ZERO,
        probe_interval,
    };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    stage.start_workers(1).await;
    stage.settle().await;
    let settled = requests_upstream(&stage.workers[0]).await.1;
    until("every token was tried once", async || {
        requests_upstream(&stage.workers[0]).await.1 >= settled + units as f64
    })
    .await;

    let pids = [stage.workers[0].pid(), stage.redis.pid().expect("redis runs")];
    let (mut probes, mut commands) = (Vec::new(), Vec::new());
    let mut micros = [Vec::new(), Vec::new()];
    for _ in 0..setup.runs {
        // A probe asks Redis first: its commands are counted from before the first request, to after the last.
        let commands_before = Commands::of(&stage.redis).await;
        let requests_before = requests_upstream(&stage.workers[0]).await.1;
        let seconds_before = pids.map(cpu_seconds);
        sleep(window).await;
        let tried = requests_upstream(&stage.workers[0]).await.1 - requests_before;
        probes.push(tried / window.as_secs_f64());
        let since = Commands::of(&stage.redis).await.since(&commands_before);
        commands.push(since.all() as f64 / tried);
        for (index, micros) in micros.iter_mut().enumerate() {
            micros.push((cpu_seconds(pids[index]) - seconds_before[index]) * 1e6 / tried);
        }
    }
    let expected = vec![units as f64 / every; probes.len()];
    report.add_beside(("probes a second", &probes), "1/s", ("units / interval", &expected));
    report.add("commands in Redis a probe, in one round trip", "", &commands);
    report.add("processor time a probe: worker", "µs", &micros[0]);
    report.add("processor time a probe: redis-server", "µs", &micros[1]);
    report
}
