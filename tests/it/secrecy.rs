//! No secret and no token leaves: not in logs at their loudest, not in answers, not in metrics or events.

use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::{APP_ID, Cluster, SECRET};

use crate::notify::{Receiver, Reply};
use crate::setup::{Failpoints, force, paused_worker, settled_again, until};

/// What lets one write into a chat, and what signs a webhook's messages.
const ROBOT_KEY: &str = "r0bot-key-0123456789-c0ffee";
const SIGNS: &str = "signs-0123456789-c0ffee";

/// The configuration of the receivers of notifications.
fn receivers(taker: &Receiver, mirror: &Receiver) -> String {
    let receiver = |name: &str, url: String| {
        format!(
            "[[notify]]\nname = {name:?}\ntype = \"webhook\"\nurl = {url:?}\nsecret = {SIGNS:?}\n\
             group_wait = \"100ms\"\n"
        )
    };
    receiver("taker", taker.url(&format!("/hook/{ROBOT_KEY}")))
        + &receiver("mirror", mirror.url(&format!("/send?key={ROBOT_KEY}")))
        + &receiver("nobody", format!("http://127.0.0.1:9/send?key={ROBOT_KEY}"))
}

/// What the workers logged, and what they and the command line answer.
async fn all_that_is_said(cluster: &Cluster) -> String {
    let mut said = cluster.output();
    for worker in cluster.workers() {
        for path in ["/v1/credentials", "/metrics", "/readyz"] {
            said += &worker.get(path).await.unwrap().body;
        }
        let commands = [
            vec!["status"],
            vec!["status", "--json"],
            vec!["check"],
            vec!["notify", "--test"],
            vec!["notify", "--test", "--json"],
        ];
        for command in commands {
            let output = worker.run_command(&command).await;
            said += &String::from_utf8_lossy(&output.stdout);
            said += &String::from_utf8_lossy(&output.stderr);
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_fault_at_trace_level_no_output_has_the_secret_or_a_token() {
    let failpoints = Failpoints::new();
    // Of the receivers of notifications, one takes them, one sends back what it got, and one is not there.
    let [taker, mirror] = [Receiver::start(&[]).await, Receiver::start(&[Reply::Echo; 64]).await];
    let receivers = receivers(&taker, &mirror);
    let mut cluster =
        failpoints.cluster().toml(&receivers).workers(3).env("RUST_LOG", "trace").start().await;
    cluster.settle().await;
    let monitor = cluster.redis.subscribe("zhongkong:events").await;
    let location = format!("http://127.0.0.1:9/?secret={SECRET}");
    let echo = format!("invalid secret {SECRET} in https://upstream/cgi-bin/token?secret={SECRET}");
    let scope = || Scope::account(APP_ID).times(1);
    for fault in [
        FaultKind::LostReply,
        FaultKind::Hang,
        FaultKind::Cut { issue: true },
        FaultKind::HttpStatus { status: 500, issue: true },
        FaultKind::Html { issue: true },
        FaultKind::Oversized { issue: true },
        FaultKind::Redirect { location },
        FaultKind::OddExpiresIn { value: serde_json::json!(-1) },
        FaultKind::Errcode { errcode: 40125, errmsg: Some(echo) },
        FaultKind::Errcode { errcode: 40164, errmsg: None },
    ] {
        let calls = cluster.simulator.calls(APP_ID);
        cluster.simulator.set_fault(fault, scope());
        force(&cluster).await;
        cluster.simulator.wait_for_calls(APP_ID, calls + 1).await;
        cluster.simulator.wait_until_idle(APP_ID).await;
        until(&cluster, "the outcome is recorded", async || {
            !cluster.state().await.contains_key("intent")
        })
        .await;
    }
    // What only a person can lift is told, or could not be.
    cluster.simulator.set_outcome(40243, Scope::account(APP_ID));
    force(&cluster).await;
    until(&cluster, "notifications are tried", async || {
        !taker.got().is_empty()
            && !mirror.got().is_empty()
            && cluster.output().contains("could not be delivered")
    })
    .await;
    cluster.simulator.clear_faults();
    force(&cluster).await;
    settled_again(&cluster).await;
    // A token that is fenced off, and a Redis that goes away in the middle.
    failpoints.arm("after_answer", "stop");
    force(&cluster).await;
    failpoints.reached("after_answer").await;
    let paused = paused_worker(&cluster).await;
    settled_again(&cluster).await;
    cluster.workers()[paused].resume();
    cluster.redis.restart().await;
    settled_again(&cluster).await;

    // Those who may have the token get it, and nobody else hears of it.
    for worker in cluster.workers() {
        let answer = worker.get(&format!("/v1/credentials/{APP_ID}/token")).await.unwrap();
        let token = answer.json()["token"].as_str().unwrap_or_default().to_owned();
        assert!(cluster.simulator.issued_tokens().contains(&token), "{answer:?}");
    }
    // Readers report tokens, and name them as they are.
    let token = cluster.token().await.unwrap();
    cluster.simulator.revoke(&token, true);
    let entry = ["XADD", "zhongkong:reports", "*", "id", APP_ID, "token", &token];
    let _: String = cluster.redis.command(&entry).await;
    let body = serde_json::json!({ "token": token });
    let path = format!("/v1/credentials/{APP_ID}/report");
    let answer = cluster.workers()[0].post(&path, &body).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    settled_again(&cluster).await;
    let mut said = all_that_is_said(&cluster).await;
    said += &monitor.messages();
    assert!(said.contains("refreshed") && said.contains("\"type\":\"claimed\""));
    for secret in [ROBOT_KEY, SIGNS] {
        assert!(!said.contains(secret), "a secret of a receiver is out");
    }
    for got in taker.got() {
        assert!(!got.body.contains(ROBOT_KEY) && !got.body.contains(SIGNS), "{got:?}");
        said += &got.body;
    }
    assert!(!said.contains(SECRET), "the secret is out");
    let tokens = cluster.simulator.issued_tokens();
    assert!(tokens.len() > 10);
    for token in tokens {
        assert!(!said.contains(&token), "a token is out: {token}");
    }
    let keys: Vec<String> = cluster.redis.command(&["KEYS", "*"]).await;
    for key in keys {
        let kind: String = cluster.redis.command(&["TYPE", &key]).await;
        let content = match kind.as_str() {
            "hash" => cluster.redis.command::<Vec<String>>(&["HGETALL", &key]).await.concat(),
            "string" => cluster.redis.command::<String>(&["GET", &key]).await,
            _ => String::new(),
        };
        assert!(!content.contains(SECRET), "the secret is in {key}");
    }
}
