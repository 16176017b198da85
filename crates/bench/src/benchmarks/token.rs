//! `GET …/token` of a worker, beside a bare route, `/healthz` and Redis itself.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong_testkit::{RedisServer, Timings};

use super::Setup;
use crate::figures::{Report, at, ms};
use crate::load::{Load, Loaded};
use crate::redis_side::connect;
use crate::route::BareRoute;
use crate::stage::{Cast, Stage, app_id, token_key};

pub(super) async fn run(setup: &Setup) -> Report {
    let (requests, connections) = (setup.size(20_000, 100), setup.size(32, 4));
    let mut report = Report::new(
        "token",
        format!(
            "{requests} requests over {connections} connections that stay open, {} runs in turn; Redis over one \
             connection with {connections} under way.",
            setup.runs
        ),
    );
    let timings = Timings { life: Duration::from_hours(2), ..Timings::default() };
    let cast = Cast { units: 1, timings, latency: Duration::ZERO, probe_interval: "0s" };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    stage.start_workers(1).await;
    stage.settle().await;
    let bare_route = BareRoute::start(&setup.exe).await;

    let url = stage.workers[0].http_url();
    let path = format!("/v1/credentials/{}/token", app_id(0));
    let loads = [
        Load::get(&url, &path, connections, requests),
        Load::get(bare_route.url(), "/", connections, requests),
        Load::get(&url, "/healthz", connections, requests),
    ];
    let mut loaded: [Vec<Loaded>; 3] = Default::default();
    let mut redis = Vec::new();
    for _ in 0..setup.runs {
        for (load, loaded) in loads.iter().zip(&mut loaded) {
            let run = load.drive().await;
            run.must_be_good();
            loaded.push(run);
        }
        redis.push(read_redis(&stage.redis, connections, requests).await);
    }
    let [tokens, bare, health] = &loaded;
    let of = |runs: &[Loaded], what: &dyn Fn(&Loaded) -> f64| -> Vec<f64> {
        runs.iter().map(what).collect()
    };
    let gets = |what: fn(&Gets) -> f64| -> Vec<f64> { redis.iter().map(what).collect() };
    let rates = (Loaded::per_second, gets(|gets| gets.per_second));
    let p50 = (|run: &Loaded| run.latency_ms(0.5), gets(|gets| gets.p50_ms));
    let p99 = (|run: &Loaded| run.latency_ms(0.99), gets(|gets| gets.p99_ms));
    let mut rows = |name: &str, unit, what: &dyn Fn(&Loaded) -> f64, redis: &[f64]| {
        let token = of(tokens, what);
        for (beside, runs) in [
            ("a bare route", &*of(bare, what)),
            ("GET /healthz", &of(health, what)),
            ("GET in Redis", redis),
        ] {
            report.add_beside((format!("GET …/token, {name}"), &token), unit, (beside, runs));
        }
    };
    rows("a second", "1/s", &rates.0, &rates.1);
    rows("p50", "ms", &p50.0, &p50.1);
    rows("p99", "ms", &p99.0, &p99.1);
    report
}

/// What readers get who speak to Redis.
#[derive(Debug)]
struct Gets {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

async fn read_redis(redis: &RedisServer, at_once: usize, requests: usize) -> Gets {
    let connection = connect(redis).await;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let mut connection = connection.clone();
        callers.spawn(async move {
            let mut latencies_ms = Vec::new();
            for _ in 0..requests / at_once {
                let asked = Instant::now();
                let mut get = redis::cmd("GET");
                let _: String =
                    get.arg(token_key(0)).query_async(&mut connection).await.expect("a token");
                latencies_ms.push(ms(asked.elapsed()));
            }
            latencies_ms
        });
    }
    let latencies: Vec<f64> = callers.join_all().await.into_iter().flatten().collect();
    Gets {
        per_second: latencies.len() as f64 / began.elapsed().as_secs_f64(),
        p50_ms: at(&latencies, 0.5),
        p99_ms: at(&latencies, 0.99),
    }
}
