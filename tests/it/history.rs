//! What is kept of what happened: who refreshed, why, and with which outcome.

use serde_json::Value;
use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::http::Request;
use zhongkong_testkit::{APP_ID, Cluster, SECRET, Worker};

use crate::setup::{Failpoints, cluster, force, ms, refresh_at, settled_again, until};

/// What `zhongkong history` prints as JSON: the newest line first.
async fn history(cluster: &Cluster, more: &[&str]) -> Vec<Value> {
    let command = [&["history", APP_ID, "--json"], more].concat();
    let output = cluster.workers()[0].run_command(&command).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The last line of `what`.
fn last<'a>(lines: &'a [Value], what: &str) -> &'a Value {
    let line = lines.iter().find(|line| line["type"] == what);
    line.unwrap_or_else(|| panic!("no line of {what}: {lines:#?}"))
}

fn place(lines: &[Value], what: &str) -> usize {
    lines.iter().position(|line| line["type"] == what).unwrap()
}

/// No token and no secret is in `text`.
fn is_free_of_secrets(cluster: &Cluster, text: &str) {
    for secret in cluster.simulator.issued_tokens().into_iter().chain([SECRET.to_owned()]) {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_mid_call_and_the_one_that_took_over_have_a_line_each() {
    let failpoints = Failpoints::new();
    let mut cluster = failpoints.cluster().workers(3).life(ms(600_000)).start().await;
    cluster.settle().await;
    failpoints.arm("after_send", "kill");
    force(&cluster).await;
    failpoints.reached("after_send").await;
    let fence = cluster.state_number("fence").await.to_string();
    until(&cluster, "another worker claims", async || {
        cluster.state_number("fence").await.to_string() != fence
    })
    .await;
    settled_again(&cluster).await;
    let living: Vec<bool> = cluster.workers_mut().iter_mut().map(Worker::is_running).collect();
    let dead = living.iter().position(|lives| !lives).unwrap();
    let dead = cluster.workers()[dead].name().to_owned();

    let lines = history(&cluster, &[]).await;
    let unfinished = last(&lines, "unfinished");
    assert_eq!(
        (&unfinished["by"], &unfinished["reason"]),
        (&dead.as_str().into(), &"forced".into())
    );
    assert_eq!(unfinished["fence"], fence);
    let at = place(&lines, "unfinished");
    let takeover = &lines[at - 1];
    assert_eq!((&takeover["type"], &takeover["reason"]), (&"refreshed".into(), &"takeover".into()));
    assert_ne!(takeover["by"], dead);
    assert_eq!(takeover["doubt"], serde_json::json!(["takeover"]), "its token is provisional");
    assert_eq!(lines[0]["reason"], "doubt", "and one more fetch settles it: {lines:#?}");
    let forced = last(&lines, "forced");
    assert!(place(&lines, "forced") > at && forced["by"] == "loopback@worker-1", "{forced}");
    is_free_of_secrets(&cluster, &serde_json::to_string(&lines).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_reports_and_wishes_say_by_whom_and_why_and_pages_are_read_one_after_the_other() {
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    let first = history(&cluster, &[]).await;
    let generation = cluster.state_number("generation").await;
    let refreshed = last(&first, "refreshed");
    assert_eq!(
        (&refreshed["generation"], &refreshed["by"]),
        (&generation.into(), &"worker-1".into())
    );
    assert_eq!(refreshed["fingerprint"], cluster.state().await["fingerprint"]);
    assert_eq!(last(&first, "doubted")["doubt"], serde_json::json!(["cold_start"]));

    let errmsg = Some(format!("no such thing: secret={SECRET} rid: 1"));
    cluster
        .simulator
        .set_fault(FaultKind::Errcode { errcode: 45_009, errmsg }, Scope::account(APP_ID));
    let output = cluster.workers()[0].run_command(&["refresh", APP_ID, "--force"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = history(&cluster, &[]).await;
    let refused = last(&lines, "refused");
    assert_eq!((&refused["by"], &refused["reason"]), (&"worker-1".into(), &"forced".into()));
    assert_eq!((&refused["code"], &refused["status"]), (&45_009.into(), &"throttled".into()));
    assert!(refused["message"].as_str().unwrap().contains("no such thing"), "{refused}");
    let by = last(&lines, "forced")["by"].as_str().unwrap();
    assert!(by.contains('@') && !by.contains("worker-1"), "{by}");
    cluster.simulator.clear_faults();
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 200);

    let token = cluster.token().await.unwrap();
    cluster.simulator.revoke(&token, true);
    let url = format!("{}/v1/credentials/{APP_ID}/report", cluster.workers()[0].http_url());
    let body = serde_json::json!({ "token": token, "wait": "20s" });
    let answer = Request::new("POST", &url).json(&body).within(ms(30_000)).send().await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    settled_again(&cluster).await;
    let lines = history(&cluster, &[]).await;
    let reported = last(&lines, "reported");
    assert_eq!((&reported["reason"], &reported["by"]), (&"dead".into(), &"worker-1".into()));
    let after = &lines[..place(&lines, "reported")];
    assert!(after.iter().any(|line| line["type"] == "refreshed"), "{lines:#?}");

    // The same over HTTP, a few at a time.
    let mut read: Vec<Value> = Vec::new();
    let mut before = String::new();
    loop {
        let path = format!("/v1/credentials/{APP_ID}/history?limit=3{before}");
        let answer = cluster.workers()[0].get(&path).await.unwrap();
        is_free_of_secrets(&cluster, &answer.body);
        let page = answer.json();
        read.extend(page["entries"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(read, lines);
    let all = cluster.workers()[0].get("/v1/history?limit=4").await.unwrap().json();
    assert_eq!(all["entries"].as_array().unwrap()[..], lines[..4]);
    for bad in ["limit=0", "limit=201", "before=1", "kind=x", "limit=1&limit=1", "x"] {
        let path = format!("/v1/credentials/{APP_ID}/history?{bad}");
        assert_eq!(cluster.workers()[0].get(&path).await.unwrap().status, 400, "{bad}");
    }
    let path = format!("/v1/credentials/{APP_ID}/history?before=0-0");
    let none = cluster.workers()[0].get(&path).await.unwrap();
    assert_eq!((none.status, none.body.as_str()), (200, "{\"entries\":[]}"), "nothing is older");
    let nobody = cluster.workers()[0].get("/v1/credentials/wx-nobody/history").await.unwrap();
    assert_eq!(nobody.json()["code"], "unknown_credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_it_in_words_and_forget_leaves_none_of_it() {
    let mut cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    let worker = &cluster.workers()[0];
    assert!(worker.run_command(&["pause", APP_ID]).await.status.success());
    assert!(worker.run_command(&["resume", APP_ID]).await.status.success());
    let said = async |cluster: &Cluster, command: &[&str], code: i32| {
        let output = cluster.workers()[0].run_command(command).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let table = said(&cluster, &["history", APP_ID, "access_token", "--limit", "3"], 0).await;
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("WHEN") && lines[0].ends_with("OUTCOME"), "{table}");
    assert!(lines[1].contains("resumed") && lines[1].contains('@'), "{table}");
    assert!(lines[2].contains("paused"), "{table}");
    assert!(
        lines[3].contains("refreshed  worker-1  ") && lines[3].contains("generation "),
        "{table}"
    );
    assert!(table.ends_with("the last 3; --limit shows more\n"), "{table}");
    let of_another_kind = said(&cluster, &["history", "wx-nobody"], 1).await;
    assert!(of_another_kind.contains("neither in this configuration nor in Redis"));
    assert_eq!(cluster.workers()[0].run_command(&["history"]).await.status.code(), Some(2));

    let worker = &mut cluster.workers_mut()[0];
    worker.terminate();
    worker.wait_exit().await;
    said(&cluster, &["forget", APP_ID, "--yes"], 0).await;
    let keys: Vec<String> = cluster.redis.command(&["KEYS", "zhongkong:{*"]).await;
    assert!(keys.is_empty(), "{keys:?}");
    let none = said(&cluster, &["history", APP_ID], 0).await;
    assert!(none.contains("nothing is recorded yet"), "{none}");
    cluster.redis.kill().await;
    said(&cluster, &["history", APP_ID], 69).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_redis_refuses_the_stream_tokens_are_refreshed_all_the_same() {
    const KEY: &str = "zhongkong:{wx-test}:history";
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    let generation = cluster.state_number("generation").await;
    // As the user of a worker that was upgraded may lack it; and as somebody may have taken the name.
    for hindrance in [&["ACL", "SETUSER", "default", "-xadd", "-xrevrange"][..], &["DEL", KEY]] {
        let _: redis::Value = cluster.redis.command(hindrance).await;
    }
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 200);
    let _: u64 = cluster.redis.command(&["RPUSH", KEY, "somebody's"]).await;
    let _: String = cluster.redis.command(&["ACL", "SETUSER", "default", "+@all"]).await;
    settled_again(&cluster).await;
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 200);
    assert_eq!(cluster.state_number("generation").await, generation + 2);
    let kept: Vec<String> = cluster.redis.command(&["LRANGE", KEY, "0", "-1"]).await;
    assert_eq!(kept, ["somebody's"]);
}
