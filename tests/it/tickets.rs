//! Tickets: got with the access token, kept through its refreshes, and got again when it was stale.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::task::JoinSet;
use zhongkong_history::{Limits, check};
use zhongkong_simulator::{Endpoint, FaultKind, Outcome, Point, Scope};
use zhongkong_testkit::cluster::key_of;
use zhongkong_testkit::http::Request;
use zhongkong_testkit::{APP_ID, Cluster, Recorder};

use crate::setup::{all_good, cluster, force, ms, settled_again, until};

const JSAPI: &str = "jsapi_ticket";
const WX_CARD: &str = "wx_card_ticket";

/// Whose access token and tickets fall due after every test's end, and whose gentle polls come then, too.
fn at_rest() -> zhongkong_testkit::ClusterBuilder {
    let resting = cluster().life(ms(600_000)).tickets(&["jsapi", "wx_card"]);
    resting.env("ZHONGKONG__REFRESH__HUMAN_POLL", "10m")
}

/// Waits until readers find the tickets `kinds`, and nobody is about to fetch one.
async fn arrived(cluster: &Cluster, kinds: &[&str]) {
    cluster.settle().await;
    for kind in kinds {
        until(cluster, kind, async || {
            let state = cluster.state_of(kind).await;
            cluster.ticket(kind).await.is_some() && !state.contains_key("intent")
        })
        .await;
    }
}

/// What the upstream made of each call for a ticket.
fn calls(cluster: &Cluster) -> Vec<Option<Outcome>> {
    let calls = cluster.simulator.journal_of(APP_ID).calls;
    calls.into_iter().filter(|of| of.endpoint == Endpoint::Ticket).map(|of| of.outcome).collect()
}

/// How often a token was tried against the upstream.
fn probes(cluster: &Cluster) -> usize {
    let calls = cluster.simulator.journal_of(APP_ID).calls;
    calls.iter().filter(|call| call.endpoint == Endpoint::Probe).count()
}

/// Calls for tickets, and no others.
fn of_tickets() -> Scope {
    Scope::account(APP_ID).at_endpoint(Endpoint::Ticket)
}

/// Asks the first worker for a refresh of `kind`, owed or not, and waits for what comes of it.
async fn refreshed(cluster: &Cluster, kind: &str) -> (u16, Value) {
    let url = format!("{}/v1/credentials/{APP_ID}/refresh", cluster.workers()[0].http_url());
    let body = json!({ "kind": kind, "force": true });
    let answer = Request::new("POST", &url).json(&body).within(ms(30_000)).send().await.unwrap();
    (answer.status, answer.json())
}

async fn sign(cluster: &Cluster, body: &Value, bearer: &str) -> zhongkong_testkit::http::Answer {
    let worker = &cluster.workers()[0];
    let url = format!("{}/v1/credentials/{APP_ID}/jssdk-signature", worker.http_url());
    let bearer = format!("Bearer {bearer}");
    Request::new("POST", &url).header("Authorization", &bearer).json(body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_arrive_with_one_call_each_and_no_refresh_of_the_access_token_costs_another() {
    let cluster = at_rest().workers(3).start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let tickets = [cluster.ticket(JSAPI).await, cluster.ticket(WX_CARD).await];
    assert_ne!(tickets[0], tickets[1]);
    for _ in 0..3 {
        let before = cluster.token().await;
        force(&cluster).await;
        settled_again(&cluster).await;
        assert_ne!(cluster.token().await, before);
    }
    for ticket in tickets.iter().flatten() {
        assert!(cluster.simulator.is_alive(APP_ID, ticket));
    }
    assert_eq!([cluster.ticket(JSAPI).await, cluster.ticket(WX_CARD).await], tickets);
    let calls = calls(&cluster);
    let issued = |call: &Option<Outcome>| matches!(call, Some(Outcome::Issued { .. }));
    assert!(calls.len() == 2 && calls.iter().all(issued), "{calls:?}\n{}", cluster.tails());
    let left_ms: u64 = cluster.redis.command(&["PTTL", &key_of(JSAPI)]).await;
    assert!(left_ms <= 300_000, "half of what the upstream names is sure, not {left_ms} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_waits_for_an_access_token_and_is_asked_for_as_soon_as_there_is_one() {
    let cluster = at_rest().workers(2).prepare().await;
    let mut cluster = cluster;
    cluster.simulator.set_outcome(45_011, Scope::account(APP_ID));
    for index in 1..=2 {
        cluster.start_worker(index);
    }
    until(&cluster, "the access token is refused", async || {
        cluster.state().await.get("status").is_some_and(|status| status == "throttled")
    })
    .await;
    assert!(cluster.state_of(JSAPI).await.is_empty(), "nothing is claimed in vain");
    assert!(calls(&cluster).is_empty(), "nothing is asked for in vain");
    cluster.simulator.clear_faults();
    force(&cluster).await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    assert_eq!(calls(&cluster).len(), 2, "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_access_token_is_reported_and_the_ticket_asked_for_once_more_with_the_next() {
    let cluster = at_rest().workers(3).start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let (stale, asked) = (cluster.token().await.unwrap(), cluster.simulator.calls(APP_ID));
    cluster.simulator.revoke(&stale, true);
    let (status, body) = refreshed(&cluster, JSAPI).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("still_valid")), "{body}");
    assert_eq!(body["token"].as_str(), cluster.ticket(JSAPI).await.as_deref());
    settled_again(&cluster).await;
    assert_ne!(cluster.token().await, Some(stale));
    let calls = calls(&cluster);
    let refused = Some(Outcome::Errcode { errcode: 40_001 });
    assert_eq!((calls.len(), calls[2]), (4, refused), "one retry: {calls:?}");
    assert!(matches!(calls[3], Some(Outcome::Returned { .. })), "{calls:?}");
    assert_eq!((cluster.simulator.calls(APP_ID), probes(&cluster)), (asked + 1, 1));
    for kind in ["access_token", JSAPI] {
        assert_eq!(cluster.state_of(kind).await["status"], "ok", "{kind}");
    }
    let said = cluster.output();
    assert!(said.contains("the access token that the ticket was asked for with was rejected"));
    assert!(!said.contains("AppSecret is wrong"), "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_works_is_kept_whatever_a_call_for_a_ticket_says_of_it() {
    let cluster = at_rest().workers(2).env("ZHONGKONG__REFRESH__HUMAN_POLL", "2s").start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let (good, asked) = (cluster.token().await, cluster.simulator.calls(APP_ID));
    cluster.simulator.set_outcome(40_001, of_tickets().times(1));
    let (status, body) = refreshed(&cluster, WX_CARD).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("still_valid")), "{body}");
    assert_eq!((cluster.token().await, cluster.simulator.calls(APP_ID)), (good, asked));
    assert_eq!((calls(&cluster).len(), probes(&cluster)), (4, 1), "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_the_permission_is_asked_gently_and_keeps_its_access_token() {
    let cluster = at_rest().workers(2).prepare().await;
    let mut cluster = cluster;
    cluster.simulator.set_outcome(48_001, of_tickets());
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    cluster.settle().await;
    for kind in [JSAPI, WX_CARD] {
        until(&cluster, "the ticket is refused", async || {
            let state = cluster.state_of(kind).await;
            state.get("status").is_some_and(|status| status == "misconfigured")
        })
        .await;
    }
    force(&cluster).await;
    settled_again(&cluster).await;
    assert_eq!(calls(&cluster).len(), 2, "another access token is no reason to ask again");
    assert_eq!(cluster.state().await["status"], "ok");
    let status = cluster.workers()[0].run_command(&["status", APP_ID]).await;
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("this account may not fetch such a ticket (48001)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_while_it_asks_for_a_ticket_is_made_up_for() {
    let mut cluster = at_rest().workers(3).start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let before = cluster.state_of(JSAPI).await["fence"].clone();
    cluster.simulator.hold(Point::Processed, of_tickets().times(1));
    let url = format!("{}/v1/credentials/{APP_ID}/refresh", cluster.workers()[0].http_url());
    let mut asking = JoinSet::new();
    asking.spawn(async move {
        let body = json!({ "kind": JSAPI, "force": true });
        // The worker that answers may be the one that is killed.
        drop(Request::new("POST", &url).json(&body).within(ms(30_000)).send().await);
    });
    cluster.simulator.wait_held(1).await;
    let holder = cluster.state_of(JSAPI).await["worker"].clone();
    cluster.worker_named(&holder).kill9().await;
    until(&cluster, "another worker takes over", async || {
        let state = cluster.state_of(JSAPI).await;
        state["fence"] != before && state["worker"] != holder && !state.contains_key("intent")
    })
    .await;
    cluster.simulator.release_all();
    asking.join_next().await.unwrap().unwrap();
    let state = cluster.state_of(JSAPI).await;
    assert!(!state.contains_key("doubt") && state["status"] == "ok", "{state:?}");
    assert!(cluster.simulator.is_alive(APP_ID, &cluster.ticket(JSAPI).await.unwrap()));
}

/// The upstream changes its ticket every twelve seconds, and accepts it for eighteen.
#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_ticket_find_none_that_died_while_it_changes_and_workers_are_killed() {
    let mut cluster = cluster().life(ms(12_000)).tickets(&["jsapi"]).workers(3).start().await;
    arrived(&cluster, &[JSAPI]).await;
    let recorder = Recorder::of_ticket(&cluster, JSAPI).await;
    let reader = cluster.reader_of(JSAPI);
    reader.begin_counting();
    for index in 1..=2 {
        let before = cluster.ticket(JSAPI).await;
        cluster.worker(index).kill9().await;
        until(&cluster, "another ticket", async || cluster.ticket(JSAPI).await != before).await;
    }
    let counts = reader.stop().await;
    all_good(&counts, &cluster);
    let mut history = None;
    until(&cluster, "the ticket is at rest", async || {
        history = recorder.history().await;
        history.is_some()
    })
    .await;
    let history = history.unwrap();
    let limits = Limits { from_ms: recorder.begun_at_ms(), skew_ms: 100, ..Limits::default() };
    let found = check(&history, &limits);
    assert!(found.is_empty(), "{found:?}\n{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_ticket_has_no_probe_and_costs_one_call() {
    let cluster = at_rest().workers(2).start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let ticket = cluster.ticket(JSAPI).await.unwrap();
    cluster.simulator.revoke(&ticket, true);
    let url = format!("{}/v1/credentials/{APP_ID}/report", cluster.workers()[0].http_url());
    let body = json!({ "kind": JSAPI, "token": ticket, "wait": "20s" });
    let reports = (0..50).map(|_| Request::new("POST", &url).json(&body).within(ms(30_000)).send());
    for answer in futures_util::future::join_all(reports).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_ne!(answer.json()["token"], json!(ticket));
    }
    assert_eq!((calls(&cluster).len(), probes(&cluster)), (3, 0), "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_gets_its_signature_and_never_the_ticket() {
    let token = |name: &str, scope: &str| {
        format!("[[http.tokens]]\nname = {name:?}\nscope = {scope:?}\nsecret = \"bearer-{name}\"\n")
    };
    let tokens = token("watcher", "read") + &token("shop", "token");
    let cluster = at_rest().workers(1).toml(&tokens).start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let page = json!({ "url": "https://shop.example/a?b=c%20d#/route", "nonce": "Wm3W", "timestamp": 1_414_587_457 });
    assert_eq!(sign(&cluster, &page, "unknown").await.status, 401);
    assert_eq!(sign(&cluster, &page, "bearer-watcher").await.status, 403);
    let answer = sign(&cluster, &page, "bearer-shop").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let ticket = cluster.ticket(JSAPI).await.unwrap();
    let signed = format!(
        "jsapi_ticket={ticket}&noncestr=Wm3W&timestamp=1414587457&url=https://shop.example/a?b=c%20d"
    );
    let signature = hex::encode(Sha1::digest(signed));
    assert_eq!(
        answer.json(),
        json!({
            "appId": APP_ID,
            "timestamp": 1_414_587_457,
            "nonceStr": "Wm3W",
            "signature": signature,
            "url": "https://shop.example/a?b=c%20d",
        })
    );
    assert!(!answer.body.contains(&ticket));
    let fresh = json!({ "url": "https://shop.example/" });
    let [one, other] =
        [sign(&cluster, &fresh, "bearer-shop").await, sign(&cluster, &fresh, "bearer-shop").await];
    assert_ne!(one.json()["nonceStr"], other.json()["nonceStr"]);
    let missing = sign(&cluster, &json!({}), "bearer-shop").await;
    assert_eq!((missing.status, &missing.json()["code"]), (400, &json!("invalid_request")));

    let output = cluster.output();
    assert!(!output.contains(&ticket) && !output.contains(&cluster.token().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ticket_no_page_is_signed_and_the_answer_says_why() {
    let unconfigured = cluster().workers(1).start().await;
    unconfigured.settle().await;
    let page = json!({ "url": "https://shop.example/" });
    let answer = sign(&unconfigured, &page, "any").await;
    assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("unknown_credential")));
    assert!(answer.body.contains("tickets"), "{answer:?}");

    let cluster = at_rest().workers(1).prepare().await;
    let mut cluster = cluster;
    cluster.simulator.set_fault(FaultKind::NoReply, of_tickets());
    cluster.start_worker(1).wait_ready().await;
    cluster.settle().await;
    let answer = sign(&cluster, &page, "any").await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("no_valid_token")));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_knows_tickets() {
    let cluster = at_rest().workers(1).start().await;
    arrived(&cluster, &[JSAPI, WX_CARD]).await;
    let run = async |arguments: &[&str]| {
        let output = cluster.workers()[0].run_command(arguments).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    };
    let ticket = cluster.ticket(WX_CARD).await.unwrap();
    assert_eq!(run(&["get", APP_ID, WX_CARD]).await, (0, format!("{ticket}\n")));
    let (code, status) = run(&["status"]).await;
    let ok = |kind: &str| status.lines().any(|line| line.contains(kind) && line.contains("ok"));
    assert!(code == 0 && ["access_token", JSAPI, WX_CARD].into_iter().all(ok), "{status}");
    let (_, keys) = run(&["keys", APP_ID]).await;
    assert!(keys.contains("zhongkong:{wx-test}:jsapi_ticket"), "{keys}");
    let (code, refused) = run(&["refresh", APP_ID, JSAPI, "--invalidate"]).await;
    assert!(code == 2 && refused.contains("ticket"), "{code} {refused}");
    let (code, refreshed) = run(&["refresh", APP_ID, JSAPI, "--force"]).await;
    assert!(code == 0 && refreshed.contains("confirmed"), "{code} {refreshed}");
    assert_eq!(run(&["pause", APP_ID]).await.1.matches("paused;").count(), 3);
    let (code, forgotten) = run(&["forget", APP_ID, "--yes"]).await;
    assert!(code == 0 && forgotten.contains("keys removed"), "{code} {forgotten}");
}
