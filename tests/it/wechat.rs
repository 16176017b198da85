//! Tokens as WeChat would answer for them: what services get, what nobody gets, and a real SDK that needs no change but
//! of its address.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;
use zhongkong_simulator::Scope;
use zhongkong_testkit::http::{Answer, Request};
use zhongkong_testkit::{APP_ID, Cluster, ClusterBuilder, PATIENCE, SECRET, process};

use crate::python::{Environment, environment};
use crate::setup::{cluster, ms, refresh_at, until};

const SHOP: &str = "the-secret-of-the-shop";
const CMS: &str = "the-secret-of-the-cms";

/// One worker with two services, whose token falls due after every test's end.
fn with_services() -> ClusterBuilder {
    cluster().workers(1).life(ms(600_000)).toml(&services())
}

fn services() -> String {
    let service = |name: &str, secret: &str, more: &str| {
        format!("[[http.wechat]]\nname = {name:?}\nsecret = {secret:?}\n{more}\n")
    };
    service("shop", SHOP, "") + &service("cms", CMS, "credentials = []")
}

fn legacy(app_id: &str, secret: &str) -> String {
    format!("/cgi-bin/token?grant_type=client_credential&appid={app_id}&secret={secret}")
}

async fn get(cluster: &Cluster, path: &str) -> Answer {
    cluster.workers()[0].get(path).await.unwrap()
}

async fn stable(cluster: &Cluster, force: bool) -> Value {
    let body = json!({
        "grant_type": "client_credential", "appid": APP_ID, "secret": SHOP, "force_refresh": force
    });
    let answer = cluster.workers()[0].post("/cgi-bin/stable_token", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_the_clusters_token_and_the_upstream_is_not_asked() {
    let cluster = with_services().env("RUST_LOG", "trace").start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    let token = cluster.token().await.unwrap();
    let legacy_answer = get(&cluster, &legacy(APP_ID, SHOP)).await;
    assert_eq!(legacy_answer.status, 200, "{legacy_answer:?}");
    assert_eq!(legacy_answer.header("cache-control"), Some("no-store"));
    for body in [legacy_answer.json(), stable(&cluster, false).await] {
        assert_eq!(body["access_token"], *token, "{body}");
        assert!((1..=600).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
        assert_eq!(body.as_object().unwrap().len(), 2, "as WeChat's, without errcode: {body}");
    }
    assert_eq!(cluster.simulator.calls(APP_ID), calls);

    for (path, errcode) in [
        (legacy(APP_ID, "another-secret-of-the-shop"), 40125),
        (legacy(APP_ID, SECRET), 40125),
        (legacy("wx-unknown", SHOP), 40013),
        (legacy(APP_ID, CMS), 40013),
        (legacy(APP_ID, ""), 41004),
        (legacy("", SHOP), 41002),
        ("/cgi-bin/token".to_owned(), 40002),
        (legacy(APP_ID, SHOP).replace("client_credential", "password"), 40002),
    ] {
        let answer = get(&cluster, &path).await;
        assert_eq!((answer.status, &answer.json()["errcode"]), (200, &errcode.into()), "{path}");
        assert!(!answer.json()["errmsg"].as_str().unwrap().is_empty());
        assert!(!answer.body.contains(&token), "{answer:?}");
    }
    let url = format!("{}/cgi-bin/stable_token", cluster.workers()[0].http_url());
    for (body, errcode) in [("", 44002), ("appid=wx-test", 47001)] {
        let answer = Request::new("POST", &url).body(body).send().await.unwrap();
        assert_eq!((answer.status, &answer.json()["errcode"]), (200, &errcode.into()), "{body}");
    }
    let url = format!("{}{}", cluster.workers()[0].http_url(), legacy(APP_ID, SHOP));
    let foreign = Request::new("GET", &url).header("Host", "evil.example").send().await.unwrap();
    assert_eq!((foreign.status, &foreign.json()["code"]), (403, &"forbidden".into()));
    let said = cluster.output();
    for secret in [SHOP, CMS, &token] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_refresh_of_a_service_replaces_no_token_but_a_dead_one() {
    let cluster = with_services().stable().start().await;
    cluster.settle().await;
    let token = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    assert_eq!(stable(&cluster, true).await["access_token"], *token);
    assert_eq!(cluster.simulator.calls(APP_ID), calls, "the token works, and lives on");
    assert!(cluster.simulator.revoke(&token, true));
    until(&cluster, "another token", async || {
        let answer = stable(&cluster, true).await;
        answer["access_token"].as_str().is_some_and(|answered| answered != token)
    })
    .await;
    let answered = stable(&cluster, false).await;
    assert_eq!(answered["access_token"], *cluster.token().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_a_service_is_told_to_try_again() {
    let mut cluster = with_services().prepare().await;
    cluster.simulator.set_outcome(40125, Scope::account(APP_ID));
    cluster.start_worker(1).wait_ready().await;
    let answer = get(&cluster, &legacy(APP_ID, SHOP)).await;
    assert_eq!((answer.status, &answer.json()["errcode"]), (200, &(-1).into()), "{answer:?}");
    cluster.redis.kill().await;
    let answer = get(&cluster, &legacy(APP_ID, SHOP)).await;
    assert_eq!((answer.status, &answer.json()["errcode"]), (200, &(-1).into()), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unless_services_are_configured_there_is_nothing_at_these_addresses() {
    let cluster = with_services().start().await;
    cluster.settle().await;
    let worker = &cluster.workers()[0];
    assert!(get(&cluster, &legacy(APP_ID, SHOP)).await.json()["access_token"].is_string());
    let text = std::fs::read_to_string(worker.config_path()).unwrap();
    let (before, rest) = text.split_once("[[http.wechat]]").unwrap();
    let after = rest.rfind("credentials = []\n").unwrap() + "credentials = []\n".len();
    std::fs::write(worker.config_path(), before.to_owned() + &rest[after..]).unwrap();
    worker.reload();
    until(&cluster, "the services are gone", async || {
        let answer = get(&cluster, &legacy(APP_ID, SHOP)).await;
        answer.status == 404 && answer.json()["code"] == "not_found"
    })
    .await;
    let answer = worker.post("/cgi-bin/stable_token", &json!({})).await.unwrap();
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_a_ticket_for_the_newest_access_token() {
    let cluster = cluster().workers(1).life(ms(600_000)).tickets(&["jsapi"]).toml(&services());
    let cluster = cluster.start().await;
    cluster.settle().await;
    until(&cluster, "a ticket", async || cluster.ticket("jsapi_ticket").await.is_some()).await;
    let token = cluster.token().await.unwrap();
    let ticket = async |token: &str, kind: &str| {
        let path = format!("/cgi-bin/ticket/getticket?access_token={token}&type={kind}");
        let answer = get(&cluster, &path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let body = ticket(&token, "jsapi").await;
    assert_eq!(body["ticket"], *cluster.ticket("jsapi_ticket").await.unwrap(), "{body}");
    assert_eq!((&body["errcode"], &body["errmsg"]), (&0.into(), &"ok".into()));
    assert!((1..=600).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
    for (token, kind, errcode) in [
        ("another-token", "jsapi", 40001),
        ("", "jsapi", 41001),
        (&*token, "", 40097),
        (&*token, "card", 40097),
        (&*token, "wx_card", 48001),
    ] {
        assert_eq!(ticket(token, kind).await["errcode"], errcode, "{token} {kind}");
    }
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 200);
    assert_eq!(ticket(&token, "jsapi").await["errcode"], 40001, "it is not the newest any more");
    let newest = cluster.token().await.unwrap();
    assert_eq!(ticket(&newest, "jsapi").await["errcode"], 0);
}

/// wechatpy in a process of its own; it ends with the test.
struct Service {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start(environment: &Environment, cluster: &Cluster) -> Self {
        let mut child = process::command(environment.program("python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/wechat/driver.py"))
            .env("WORKER_URL", cluster.workers()[0].http_url())
            .env("SIMULATOR_URL", cluster.simulator.url())
            .env("APP_ID", APP_ID)
            .env("SHOP_SECRET", SHOP)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, input, lines }
    }

    /// What became of one call of the platform.
    async fn call(&mut self) -> String {
        self.input.write_all(b"\n").await.unwrap();
        timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_sdk_lives_on_the_clusters_tokens_and_never_fetches_one() {
    let Some(environment) = environment("wechat", include_str!("../wechat/requirements.txt")).await
    else {
        return;
    };
    let cluster = with_services().start().await;
    cluster.settle().await;
    let mut services =
        [Service::start(&environment, &cluster), Service::start(&environment, &cluster)];
    let first = cluster.token().await.unwrap();
    for service in &mut services {
        assert_eq!(service.call().await, format!("accepted {first}"));
    }
    // The old token is dead: each asks the worker for the one that there is, and calls again.
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 200);
    assert!(cluster.simulator.revoke(&first, true));
    let second = cluster.token().await.unwrap();
    let calls = cluster.simulator.calls(APP_ID);
    for service in &mut services {
        assert_eq!(service.call().await, format!("accepted {second}"));
    }
    assert_eq!(cluster.simulator.calls(APP_ID), calls, "the SDK fetched nothing");
}
