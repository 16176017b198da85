//! Readers report that a token was rejected, or the probe finds it; and what an operator may do about a unit.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zhongkong_core::token::Fingerprint;
use zhongkong_simulator::{Endpoint, Outcome, Pool};
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::http::Request;
use zhongkong_testkit::{APP_ID, Cluster, Worker};

use crate::setup::{Failpoints, cluster, counted, ms, probes, settled_again, until};

/// The stream in which readers leave reports.
const REPORTS: &str = "zhongkong:reports";

/// A cluster that settled long enough ago for the next fetch not to wait for the spacing.
async fn settled(builder: zhongkong_testkit::ClusterBuilder) -> Cluster {
    let cluster = builder.start().await;
    cluster.settle().await;
    until(&cluster, "the spacing is over", async || {
        now_ms(&cluster).await > cluster.state_number("spaced_from_ms").await + 400
    })
    .await;
    cluster
}

/// Redis' time, in milliseconds since 1970.
async fn now_ms(cluster: &Cluster) -> u64 {
    let (seconds, micros): (u64, u64) = cluster.redis.command(&["TIME"]).await;
    seconds * 1_000 + micros / 1_000
}

async fn leave(cluster: &Cluster, id: &str, token: &str) {
    let fingerprint = Fingerprint::of(token);
    let entry = ["id", id, "kind", "access_token", "fingerprint", fingerprint.as_str()];
    let mut command = vec!["XADD", REPORTS, "MAXLEN", "~", "10000", "*"];
    command.extend(entry);
    let _: String = cluster.redis.command(&command).await;
}

/// Reports `token` to worker `index`: the status, and the body.
async fn report(cluster: &Cluster, index: usize, token: &str) -> (u16, Value) {
    let url = format!("{}/v1/credentials/{APP_ID}/report", cluster.workers()[index].http_url());
    let body = json!({ "token": token });
    let answer = Request::new("POST", &url).json(&body).within(ms(30_000)).send().await.unwrap();
    (answer.status, answer.json())
}

/// Waits until every report in the stream was served.
async fn served(cluster: &Cluster) {
    until(cluster, "every report is served", async || {
        cluster.redis.command::<u64>(&["XLEN", REPORTS]).await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_reports_of_a_dead_token_over_three_workers_cost_one_fetch() {
    let cluster = settled(cluster().workers(3)).await;
    let dead = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    assert!(cluster.simulator.revoke(&dead, true));
    let reports = (0..500).map(|n| report(&cluster, n % 3, &dead));
    let mut answers = Vec::with_capacity(500);
    for answer in futures_util::future::join_all(reports).await {
        answers.push(answer);
    }
    let newest = cluster.simulator.newest(APP_ID).unwrap().value;
    for (status, body) in &answers {
        assert_eq!((*status, &body["token"]), (200, &json!(newest)), "{body}");
        let outcome = body["outcome"].as_str().unwrap();
        assert!(["refreshed", "already_newer"].contains(&outcome), "{body}");
    }
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1, "{}", cluster.tails());
    assert_eq!(probes(&cluster), 1, "a herd costs one probe");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_reports_left_in_the_stream_cost_one_fetch() {
    let cluster = settled(cluster().workers(3)).await;
    let dead = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    cluster.simulator.revoke(&dead, true);
    for _ in 0..500 {
        leave(&cluster, APP_ID, &dead).await;
    }
    served(&cluster).await;
    until(&cluster, "another token", async || cluster.token().await.unwrap() != dead).await;
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1, "{}", cluster.tails());
    let pending: Vec<redis::Value> =
        cluster.redis.command(&["XPENDING", REPORTS, "zhongkong", "-", "+", "9"]).await;
    assert!(pending.is_empty(), "{pending:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_an_old_or_a_good_token_cost_no_fetch() {
    let cluster = settled(cluster().workers(2)).await;
    let good = cluster.token().await.unwrap();
    let old = cluster.simulator.tokens(APP_ID).first().unwrap().value.clone();
    assert_ne!(good, old);
    let calls = cluster.simulator.calls(APP_ID);
    for index in 0..2 {
        let (status, body) = report(&cluster, index, &old).await;
        assert_eq!((status, &body["outcome"]), (200, &json!("already_newer")), "{body}");
        assert_eq!((&body["token"], &body["refreshed"]), (&json!(good), &json!(false)), "{body}");
    }
    let (status, body) = report(&cluster, 0, &good).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("still_valid")), "{body}");
    leave(&cluster, APP_ID, &old).await;
    served(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
    assert!(!cluster.state().await.contains_key("rejected"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_served_by_another_worker_if_the_one_that_took_it_is_killed() {
    let failpoints = Failpoints::new();
    let cluster = settled(failpoints.cluster().workers(3)).await;
    let dead = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    cluster.simulator.revoke(&dead, true);
    failpoints.arm("before_report", "kill");
    leave(&cluster, APP_ID, &dead).await;
    failpoints.reached("before_report").await;
    served(&cluster).await;
    until(&cluster, "another token", async || cluster.token().await.unwrap() != dead).await;
    settled_again(&cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1, "{}", cluster.tails());
    until(&cluster, "the dead worker's consumer is removed", async || {
        let living: BTreeSet<String> =
            cluster.redis.command(&["ZRANGE", "zhongkong:workers", "0", "-1"]).await;
        let consumers: Vec<std::collections::HashMap<String, redis::Value>> =
            cluster.redis.command(&["XINFO", "CONSUMERS", REPORTS, "zhongkong"]).await;
        let names = consumers
            .into_iter()
            .map(|consumer| redis::from_redis_value::<String>(consumer["name"].clone()).unwrap());
        let names = names.collect::<BTreeSet<_>>();
        living.len() == 2 && names.is_subset(&living)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_nobody_can_know_are_dropped_and_counted() {
    let cluster = settled(cluster().workers(1)).await;
    leave(&cluster, "wx-nobody", "T").await;
    let _: String = cluster.redis.command(&["XADD", REPORTS, "*", "hello", "world"]).await;
    served(&cluster).await;
    let dropped = counted(&cluster, "zhongkong_reports_total", "outcome=\"dropped\"").await;
    assert!((dropped - 2.0).abs() < 0.1, "{dropped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_about_a_credential_of_other_workers_is_recorded() {
    let cluster = settled(cluster().workers(1)).await;
    let state = "zhongkong:{wx-other}:access_token:state";
    let fingerprint = Fingerprint::of("T");
    let hash =
        ["HSET", state, "v", "1", "fence", "7", "token", "T", "fingerprint", fingerprint.as_str()];
    let _: u64 = cluster.redis.command(&hash).await;
    leave(&cluster, "wx-other", "T").await;
    served(&cluster).await;
    let noted: Option<String> = cluster.redis.command(&["HGET", state, "reported"]).await;
    assert_eq!(noted.as_deref(), Some(fingerprint.as_str()));
    // Nobody looked, and readers insist.
    until(&cluster, "the token is marked", async || {
        leave(&cluster, "wx-other", "T").await;
        served(&cluster).await;
        let marked: Option<String> = cluster.redis.command(&["HGET", state, "rejected"]).await;
        marked.as_deref() == Some("reported")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_fetch_leaves_a_report_to_one_that_may() {
    let cluster = settled(cluster().workers(2).own_callers()).await;
    let barred = crate::setup::first_worker(&cluster).await;
    let allowed = vec![cluster.caller_of(2 - barred)];
    cluster.simulator.set_whitelist(APP_ID, Some(allowed)).unwrap();
    for _ in 0..2 {
        let dead = cluster.token().await.unwrap();
        cluster.simulator.revoke(&dead, true);
        let (status, body) = report(&cluster, barred, &dead).await;
        assert_eq!((status, &body["outcome"]), (200, &json!("refreshed")), "{body}");
        assert_ne!(body["token"], json!(dead));
        settled_again(&cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_token_that_somebody_wrote_by_hand_puts_the_key_right() {
    let cluster = settled(cluster().workers(1)).await;
    let good = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    let _: String = cluster.redis.command(&["SET", TOKEN_KEY, "by-hand", "PX", "60000"]).await;
    let (status, body) = report(&cluster, 0, "by-hand").await;
    assert_eq!((status, &body["token"]), (200, &json!(good)), "{body}");
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_took_and_could_not_record_is_served_later_by_itself() {
    let cluster = settled(cluster().workers(1)).await;
    let dead = cluster.token().await.unwrap();
    cluster.simulator.revoke(&dead, true);
    let living: Vec<String> =
        cluster.redis.command(&["ZRANGE", "zhongkong:workers", "0", "-1"]).await;
    // An answer that got lost: taken in the worker's name, and never heard of by it. Long ago, as the group sees it.
    leave(&cluster, "wx-nobody", "T").await;
    served(&cluster).await;
    let fingerprint = Fingerprint::of(&dead);
    let entry: String = cluster
        .redis
        .command(&["XADD", "other", "*", "id", APP_ID, "fingerprint", fingerprint.as_str()])
        .await;
    let group = ["XGROUP", "CREATE", "other", "zhongkong", "0"];
    let _: String = cluster.redis.command(&group).await;
    let read = ["XREADGROUP", "GROUP", "zhongkong", &living[0], "STREAMS", "other", ">"];
    let _: redis::Value = cluster.redis.command(&read).await;
    let idle =
        ["XCLAIM", "other", "zhongkong", &living[0], "0", &entry, "IDLE", "3600000", "JUSTID"];
    let _: redis::Value = cluster.redis.command(&idle).await;
    let _: String = cluster.redis.command(&["RENAME", "other", REPORTS]).await;
    served(&cluster).await;
    until(&cluster, "another token", async || cluster.token().await.unwrap() != dead).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lacks_the_credential_has_the_others_look() {
    // Long enough that nothing is due, and that no reader can insist.
    let spacing = ("ZHONGKONG__REFRESH__SPACING", "4s");
    let builder = cluster().workers(2).life(ms(600_000)).env(spacing.0, spacing.1);
    let mut cluster = builder.start().await;
    cluster.settle().await;
    let worker = cluster.worker(2);
    worker.terminate();
    worker.wait_exit().await;
    let configuration = &mut worker.plan_mut().configuration;
    *configuration = configuration.replace(APP_ID, "wx-else");
    let (path, text) = (worker.config_path(), worker.plan_mut().configuration.clone());
    std::fs::write(path, text).unwrap();
    worker.restart();
    worker.wait_ready().await;

    let good = cluster.token().await.unwrap();
    let (status, body) = report(&cluster, 1, &good).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("deferred")), "{body}");
    // A tenth of the spacing is how long the answer of a probe holds.
    until(&cluster, "the other worker looked, a while ago", async || {
        let looked_ms = cluster.state_number("alive_at_ms").await;
        looked_ms > 0 && now_ms(&cluster).await > looked_ms + 400
    })
    .await;
    cluster.simulator.revoke(&good, true);
    let (status, body) = report(&cluster, 1, &good).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("deferred")), "{body}");
    until(&cluster, "another token", async || cluster.token().await.unwrap() != good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_always_reports_costs_at_most_the_budget() {
    let budget = 2;
    let cluster = cluster()
        .workers(2)
        .env("ZHONGKONG__REFRESH__REPORT_BUDGET", &budget.to_string())
        .env("ZHONGKONG__REFRESH__SPACING", "50ms");
    let cluster = settled(cluster).await;
    // What is due meanwhile is no report's doing.
    let by_reports =
        async || counted(&cluster, "zhongkong_refreshes_total", "reason=\"reported\"").await;
    let mut answers = BTreeSet::new();
    until(&cluster, "the budget is spent", async || {
        let token = cluster.token().await.unwrap();
        let (status, body) = report(&cluster, 0, &token).await;
        assert_eq!(status, 200, "{body}");
        answers.insert(body["outcome"].as_str().unwrap().to_owned());
        let hours = 3_600;
        body["outcome"] == "deferred" && body["retry_after"].as_u64().unwrap_or(0) > 60
            || cluster.state_number("rejected_from_ms").await
                > cluster.state_number("spaced_from_ms").await + hours * 1_000
    })
    .await;
    assert!(answers.contains("still_valid"), "{answers:?}");
    let fetched = by_reports().await;
    assert!((fetched - f64::from(budget)).abs() < 0.1, "{fetched} by {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_finds_a_token_that_somebody_elses_refresh_killed() {
    let cluster = cluster().workers(2).env("ZHONGKONG__REFRESH__PROBE_INTERVAL", "200ms");
    let cluster = settled(cluster).await;
    let before = cluster.token().await.unwrap();
    cluster.simulator.foreign_refresh(APP_ID, Pool::Legacy).unwrap();
    // The other party's refresh kills the token at the end of the overlap.
    until(&cluster, "another token", async || cluster.token().await.unwrap() != before).await;
    settled_again(&cluster).await;
    let foreign = counted(&cluster, "zhongkong_foreign_refreshes_total", APP_ID).await;
    assert!((foreign - 1.0).abs() < 0.1, "{foreign}");
    let doubts = counted(&cluster, "zhongkong_doubts_total", "foreign").await;
    assert!((doubts - 1.0).abs() < 0.1, "{doubts}");
    assert!(cluster.output().contains("look for another program"), "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_worker_probes_and_only_while_the_token_is_good() {
    let cluster = cluster().workers(3).env("ZHONGKONG__REFRESH__PROBE_INTERVAL", "100ms");
    let cluster = settled(cluster).await;
    // Until the workers know of each other, each is the first.
    until(&cluster, "every worker knows of the others", async || {
        for worker in cluster.workers() {
            if !worker.get("/metrics").await.unwrap().body.contains("zhongkong_workers 3") {
                return false;
            }
        }
        true
    })
    .await;
    // A probe reads the token first.
    let read = async |worker: &Worker| {
        let body = worker.get("/metrics").await.unwrap().body;
        let line = body.lines().find(|l| l.contains("duration_seconds_count{op=\"token\""));
        line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
    };
    let first = crate::setup::first_worker(&cluster).await;
    let mut before = Vec::new();
    for worker in cluster.workers() {
        before.push(read(worker).await);
    }
    let probed = probes(&cluster);
    until(&cluster, "a few probes", async || probes(&cluster) >= probed + 5).await;
    for (index, worker) in cluster.workers().iter().enumerate() {
        let probed = read(worker).await > before[index];
        assert_eq!(probed, index == first, "{}", worker.name());
    }
    assert!(!cluster.state().await.contains_key("doubt"));
    assert!(
        cluster.simulator.journal().calls.iter().all(|call| {
            call.endpoint != Endpoint::Probe || call.outcome == Some(Outcome::Served)
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_while_redis_is_away_is_refused_and_calls_nobody() {
    let mut cluster = settled(cluster().workers(1)).await;
    let token = cluster.token().await.unwrap();
    cluster.simulator.revoke(&token, true);
    let calls = cluster.simulator.journal().calls.len();
    cluster.redis.kill().await;
    let (status, body) = report(&cluster, 0, &token).await;
    assert_eq!((status, &body["code"]), (503, &json!("store_unavailable")), "{body}");
    assert_eq!(cluster.simulator.journal().calls.len(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_unit_is_not_refreshed_whoever_asks() {
    let cluster = settled(cluster().workers(2)).await;
    let worker = &cluster.workers()[0];
    let paused = worker.run_command(&["pause", APP_ID]).await;
    assert!(paused.status.success(), "{paused:?}");
    assert_eq!(cluster.state().await["status"], "paused");
    let token = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    cluster.simulator.revoke(&token, true);
    let (status, body) = report(&cluster, 1, &token).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("deferred")), "{body}");
    let (status, body) = crate::setup::refresh_at(&cluster, 0, true).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("paused")), "{body}");
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
    let resumed = worker.run_command(&["resume", APP_ID]).await;
    assert!(resumed.status.success(), "{resumed:?}");
    until(&cluster, "another token", async || cluster.token().await.unwrap() != token).await;
    assert_eq!(cluster.state().await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidation_replaces_a_stable_token_that_an_ordinary_refresh_cannot() {
    let cluster = settled(cluster().workers(2).stable()).await;
    let before = cluster.token().await.unwrap();
    let worker = &cluster.workers()[0];
    let forced = worker.run_command(&["refresh", APP_ID, "--force"]).await;
    assert!(forced.status.success(), "{forced:?}");
    assert_eq!(cluster.token().await.unwrap(), before);
    let forced_calls = || {
        let calls = cluster.simulator.journal().calls;
        calls.into_iter().filter(|call| call.forced).count()
    };
    assert_eq!(forced_calls(), 0);
    let killed = worker.run_command(&["refresh", APP_ID, "--invalidate"]).await;
    assert!(killed.status.success(), "{killed:?}");
    assert_ne!(cluster.token().await.unwrap(), before);
    assert_eq!(forced_calls(), 1);
    assert!(!cluster.simulator.is_alive(APP_ID, &before));
}
