//! The control routes, and that none of them gives away a token or a secret.

use serde_json::{Value, json};
use zhongkong_simulator::Simulator;

use crate::client::{Answer, LEGACY, call, legacy, legacy_as, receive, send};
use crate::{start, within};

async fn order(simulator: &Simulator, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let path = format!("/_simulator{path}");
    call(simulator, method, &path, &body).await.expect("an answer")
}

#[tokio::test]
async fn the_journal_shows_neither_tokens_nor_secrets() {
    let simulator = start().await;
    let token = legacy(&simulator).await.token();
    let answer = order(&simulator, "GET", "/journal?app_id=wx1", json!(null)).await;
    assert!(!answer.body.contains(&token) && !answer.body.contains("hush"));
    let journal = answer.json();
    let (made, fetched) = (&journal["tokens"][0], &journal["calls"][0]);
    assert_eq!(made["fingerprint"], json!(simulator.newest("wx1").unwrap().fingerprint));
    assert_eq!(made["death"], json!("expired"));
    assert_eq!(fetched["outcome"], json!({ "issued": { "serial": 1 } }));
    assert_eq!((&fetched["endpoint"], &fetched["caller"]), (&json!("legacy"), &json!("127.0.0.1")));
    let other = order(&simulator, "GET", "/journal?app_id=wx2", json!(null)).await.json();
    assert_eq!(other["calls"], json!([]));
}

#[tokio::test]
async fn the_summary_and_the_life_of_a_token_can_be_asked() {
    let simulator = start().await;
    let token = legacy(&simulator).await.token();
    let summary = order(&simulator, "GET", "/summary?app_id=wx1", json!(null)).await.json();
    assert_eq!((&summary["calls"], &summary["max_overlapping"]), (&json!(1), &json!(1)));
    let path = format!("/alive?app_id=wx1&token={token}");
    let alive = order(&simulator, "GET", &path, json!(null)).await.json();
    assert_eq!(alive, json!({ "alive": true }));
    order(&simulator, "POST", "/revoke", json!({ "app_id": "wx1" })).await;
    let alive = order(&simulator, "GET", &path, json!(null)).await.json();
    assert_eq!(alive, json!({ "alive": false }));
}

#[tokio::test]
async fn faults_are_ordered_and_cleared() {
    let simulator = start().await;
    let fault = json!({ "kind": "errcode", "errcode": 45011, "app_id": "wx1" });
    assert_eq!(order(&simulator, "POST", "/faults", fault).await.status, 204);
    assert_eq!(legacy(&simulator).await.errcode(), 45011);
    let faults = order(&simulator, "GET", "/faults", json!(null)).await.json();
    assert_eq!(faults[0]["kind"], json!("errcode"));
    order(&simulator, "DELETE", "/faults", json!(null)).await;
    assert_eq!(legacy(&simulator).await.errcode(), 0);
    let wrong = order(&simulator, "POST", "/faults", json!({ "kind": "earthquake" })).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_call_is_held_found_and_released() {
    let simulator = start().await;
    let wanted = json!({ "point": "received", "app_id": "wx1", "times": 1 });
    assert_eq!(order(&simulator, "POST", "/hold", wanted).await.status, 204);
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    let held = within(order(&simulator, "GET", "/held?at_least=1", json!(null))).await.json();
    let release = json!({ "call": held[0]["call"] });
    let released = order(&simulator, "POST", "/release", release).await.json();
    assert_eq!(released, json!({ "released": 1 }));
    assert_eq!(receive(stream).await.unwrap().errcode(), 0);
    let released = order(&simulator, "POST", "/release", json!(null)).await.json();
    assert_eq!(released, json!({ "released": 0 }));
}

#[tokio::test]
async fn accounts_are_changed_and_their_administrators_answer() {
    let simulator = start().await;
    let change = json!({ "risk": true, "whitelist": ["10.0.0.7"] });
    assert_eq!(order(&simulator, "PUT", "/accounts/wx1", change).await.status, 204);
    assert_eq!(legacy(&simulator).await.errcode(), 40164);
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 89503);
    let caller = json!({ "ip": "10.0.0.7" });
    order(&simulator, "POST", "/accounts/wx1/refuse", caller.clone()).await;
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 89507);
    order(&simulator, "POST", "/advance", json!({ "ms": 3_600_000 })).await;
    order(&simulator, "POST", "/accounts/wx1/confirm", caller).await;
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 0);
    let unknown = order(&simulator, "PUT", "/accounts/wx9", json!({ "frozen": true })).await;
    assert_eq!(unknown.status, 404);
    let misspelt = order(&simulator, "PUT", "/accounts/wx1", json!({ "freeze": true })).await;
    assert_eq!(misspelt.status, 400);
}

#[tokio::test]
async fn another_party_can_be_ordered_to_fetch() {
    let simulator = start().await;
    let answer =
        order(&simulator, "POST", "/foreign_refresh", json!({ "app_id": "wx1" })).await.json();
    assert_eq!((&answer["serial"], &answer["pool"]), (&json!(1), &json!("legacy")));
    assert!(answer.get("value").is_none());
    let stable = json!({ "app_id": "wx1", "pool": "stable" });
    let answer = order(&simulator, "POST", "/foreign_refresh", stable).await.json();
    assert_eq!(answer["pool"], json!("stable"));
}
