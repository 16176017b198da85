//! A refresher is killed in mid-call: how long until another worker claims, and until readers have the next token.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSubStream;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use zhongkong_simulator::{Point, Scope};
use zhongkong_testkit::{Timings, http};

use super::Setup;
use crate::figures::Report;
use crate::redis_side::ask;
use crate::stage::{Cast, Stage, app_id, token_key};

const WORKERS: usize = 3;
/// An event that does not come is a failure.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

/// The defaults, each divided by four.
const TIMINGS: Timings = Timings {
    life: Duration::from_mins(30),
    overlap: Duration::from_secs(75),
    hold: Duration::from_secs(10),
    ahead: Duration::from_secs(150),
    request_timeout: Duration::from_millis(1_250),
    lease: Duration::from_secs(2),
    drain: Duration::from_secs(15),
    spacing: Duration::from_millis(7_500),
    human_poll: Duration::from_secs(15),
};

pub(super) async fn run(setup: &Setup) -> Report {
    let runs = setup.runs as usize;
    let mut report = Report::new(
        "takeover",
        format!(
            "{WORKERS} workers whose times are the defaults divided by four (lease {:?}); {runs} times the one that \
             refreshes is killed while the upstream holds its request.",
            TIMINGS.lease
        ),
    );
    let timings = if setup.smallest { Timings::default() } else { TIMINGS };
    let cast = Cast { units: runs, timings, latency: Duration::ZERO, probe_interval: "0s" };
    let mut stage = Stage::build(setup.worker.clone(), cast).await;
    stage.start_workers(WORKERS).await;
    stage.settle().await;

    let (mut claimed, mut published, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for unit in 0..runs {
        // Each kill has a unit of its own: none begins with another's doubt.
        let seen = kill(&mut stage, unit).await;
        claimed.push(seen.claimed.as_secs_f64());
        published.push(seen.published.as_secs_f64());
        late.push(seen.after_lease_ms);
    }
    let lease = vec![timings.lease.as_secs_f64(); runs];
    report.add_beside(("killed → next claim", &claimed), "s", ("the lease", &lease));
    report.add_beside(("killed → next token in Redis", &published), "s", ("the lease", &lease));
    report.add("end of the lease → next claim", "ms", &late);
    report
}

#[derive(Debug)]
struct Seen {
    claimed: Duration,
    published: Duration,
    /// By Redis' own clock.
    after_lease_ms: f64,
}

async fn kill(stage: &mut Stage, unit: usize) -> Seen {
    let client = redis::Client::open(stage.redis.url()).expect("a URL");
    let mut pubsub = client.get_async_pubsub().await.expect("redis answers");
    pubsub.subscribe("zhongkong:events").await.expect("redis answers");
    let mut events = pubsub.into_on_message();

    stage.simulator.hold(Point::Received, Scope::account(app_id(unit)).times(1));
    let url = format!("{}/v1/credentials/{}/refresh", stage.workers[0].http_url(), app_id(unit));
    let mut asking = JoinSet::new();
    // The worker that is asked may be the one that is killed.
    asking.spawn(async move { http::post(&url, &json!({ "force": true })).await.is_ok() });
    let first = heard(&mut events, unit, "claimed").await;
    stage.simulator.wait_held(1).await;
    let lock: String = ask(&stage.redis, &["GET", &format!("{}:lock", token_key(unit))]).await;
    let (_, holder) = lock.split_once(':').expect("<fence>:<worker>");
    let worker = stage.workers.iter_mut().find(|worker| worker.name() == holder);
    let worker = worker.expect("the holder is one of the workers");
    worker.kill9().await;
    let killed = Instant::now();

    let next = heard(&mut events, unit, "claimed").await;
    let claimed = killed.elapsed();
    heard(&mut events, unit, "refreshed").await;
    let published = killed.elapsed();
    stage.simulator.release_all();
    worker.restart();
    worker.wait_ready().await;
    let after_lease_ms = number(&next["time_ms"]) - number(&first["until_ms"]);
    Seen { claimed, published, after_lease_ms }
}

async fn heard(events: &mut PubSubStream, unit: usize, what: &str) -> Value {
    let event = async {
        loop {
            let message = events.next().await.expect("redis goes on");
            let event: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
            if event["type"] == what && event["id"] == app_id(unit).as_str() {
                return event;
            }
        }
    };
    timeout(HEARD_WITHIN, event).await.expect("an event in time")
}

/// A number, or a text that is one.
fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
}
