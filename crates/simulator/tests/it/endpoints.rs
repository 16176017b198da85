//! The upstream's endpoints as a caller sees them.

use std::time::Duration;

use serde_json::json;
use zhongkong_simulator::{
    AccountChange, ContentType, Death, Pool, Settings, Simulator, WhitelistMessage,
};

use crate::client::{call, legacy, legacy_as, probe, stable};
use crate::{settings, start};

#[tokio::test]
async fn a_token_is_answered_without_an_errcode() {
    let simulator = start().await;
    let answer = legacy(&simulator).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({ "access_token": answer.token(), "expires_in": 7200 }));
    assert_eq!(answer.token().len(), 136);
    assert!(simulator.is_alive("wx1", &answer.token()));
    assert!(!simulator.is_alive("wx2", &answer.token()));
    assert_eq!(simulator.newest("wx1").unwrap().value, answer.token());
}

#[tokio::test]
async fn the_previous_token_dies_after_the_overlap() {
    let simulator = start().await;
    let first = legacy(&simulator).await.token();
    let second = legacy(&simulator).await.token();
    assert_eq!((probe(&simulator, &first).await, probe(&simulator, &second).await), (0, 0));
    simulator.advance(Duration::from_mins(5));
    assert_eq!((probe(&simulator, &first).await, probe(&simulator, &second).await), (40001, 0));
    simulator.advance(Duration::from_hours(2));
    assert_eq!(probe(&simulator, &second).await, 42001);
    assert_eq!(probe(&simulator, "made-up").await, 40014);
    assert_eq!(probe(&simulator, "").await, 41001);
    assert_eq!(simulator.token(&first).unwrap().death, Death::Replaced);
}

#[tokio::test]
async fn a_stable_token_stays_the_same_until_a_refresh_is_forced() {
    let simulator = start().await;
    let first = stable(&simulator, false).await.token();
    assert_eq!(stable(&simulator, false).await.token(), first);
    let forced = stable(&simulator, true).await.token();
    assert_ne!(forced, first);
    assert_eq!(probe(&simulator, &first).await, 40001);
    assert_eq!(stable(&simulator, true).await.token(), forced);
    simulator.advance(Duration::from_secs(30));
    assert_ne!(stable(&simulator, true).await.token(), forced);
}

#[tokio::test]
async fn a_stable_call_by_get_is_told_to_post() {
    let simulator = start().await;
    let answer = call(&simulator, "GET", "/cgi-bin/stable_token", "").await.unwrap();
    assert_eq!((answer.status, answer.errcode()), (200, 43002));
    let message = answer.json()["errmsg"].as_str().unwrap().to_owned();
    let rid = message.strip_prefix("require POST method rid: ").unwrap();
    assert_eq!(rid.split('-').map(str::len).collect::<Vec<_>>(), [8, 8, 8]);
}

#[tokio::test]
async fn a_refused_address_is_named_as_the_path_names_it() {
    let simulator = start().await;
    simulator.set_whitelist("wx1", Some(vec!["10.0.0.7".parse().unwrap()])).unwrap();
    let answer = legacy_as(&simulator, "10.0.0.8").await;
    assert_eq!(answer.errcode(), 40164);
    let expected = "invalid ip 10.0.0.8 ipv6 ::ffff:10.0.0.8, not in whitelist rid: ";
    assert!(answer.json()["errmsg"].as_str().unwrap().starts_with(expected));
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 0);
    let change = AccountChange {
        whitelist_message: Some(WhitelistMessage::Older),
        ..AccountChange::default()
    };
    simulator.change_account("wx1", change).unwrap();
    let answer = legacy(&simulator).await;
    let expected = "invalid ip 127.0.0.1, not in whitelist hint: [";
    assert!(answer.json()["errmsg"].as_str().unwrap().starts_with(expected));
    simulator.set_whitelist("wx1", None).unwrap();
    assert_eq!(legacy(&simulator).await.errcode(), 0);
}

#[tokio::test]
async fn an_unknown_address_is_let_in_by_the_administrator() {
    let simulator = start().await;
    let change = AccountChange { risk: Some(true), ..AccountChange::default() };
    simulator.change_account("wx1", change).unwrap();
    let caller = "10.0.0.7".parse().unwrap();
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 89503);
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 89501);
    simulator.refuse("wx1", caller).unwrap();
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 89507);
    simulator.refuse("wx1", caller).unwrap();
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 89506);
    simulator.confirm("wx1", caller).unwrap();
    assert_eq!(legacy_as(&simulator, "10.0.0.7").await.errcode(), 0);
}

#[tokio::test]
async fn the_daily_limit_is_cleared_by_body_or_by_query() {
    let settings = Settings { daily_limit: 1, ..settings() };
    let simulator = Simulator::start(settings).await.unwrap();
    let body = json!({ "appid": "wx1", "appsecret": "hush" }).to_string();
    let path = "/cgi-bin/clear_quota/v2";
    let query = format!("{path}?appid=wx1&appsecret=hush");
    for (path, body) in [(path, body.as_str()), (&query, "")] {
        assert_eq!(legacy(&simulator).await.errcode(), 0);
        assert_eq!(legacy(&simulator).await.errcode(), 45009);
        let answer = call(&simulator, "POST", path, body).await.unwrap();
        assert_eq!(answer.json(), json!({ "errcode": 0, "errmsg": "ok" }));
    }
}

#[tokio::test]
async fn secrets_and_states_of_the_account_are_told_apart() {
    let simulator = start().await;
    simulator.set_secret("wx1", "new").unwrap();
    assert_eq!(legacy(&simulator).await.errcode(), 40125);
    simulator.set_secret("wx1", "hush").unwrap();
    simulator.freeze("wx1", true).unwrap();
    assert_eq!(legacy(&simulator).await.errcode(), 40243);
    simulator.freeze("wx1", false).unwrap();
    assert_eq!(legacy(&simulator).await.errcode(), 0);
}

#[tokio::test]
async fn a_ticket_is_answered_with_an_errcode() {
    let simulator = start().await;
    let token = stable(&simulator, false).await.token();
    let path = format!("/cgi-bin/ticket/getticket?type=jsapi&access_token={token}");
    let answer = call(&simulator, "GET", &path, "").await.unwrap().json();
    assert_eq!((&answer["errcode"], &answer["errmsg"]), (&json!(0), &json!("ok")));
    let ticket = answer["ticket"].as_str().unwrap();
    assert!(simulator.is_alive("wx1", ticket));
    assert_eq!(simulator.token(ticket).unwrap().pool, Pool::Jsapi);
    assert_eq!((simulator.calls("wx1"), simulator.tokens("wx1").len()), (1, 2));
    simulator.revoke(&token, false);
    assert_eq!(call(&simulator, "GET", &path, "").await.unwrap().errcode(), 40001);
}

#[tokio::test]
async fn the_content_type_alternates_unless_it_is_settled() {
    let settings = Settings { content_type: ContentType::Alternate, ..settings() };
    let simulator = Simulator::start(settings).await.unwrap();
    let first = legacy(&simulator).await;
    let second = legacy(&simulator).await;
    assert_ne!(first.header("content-type"), second.header("content-type"));
}

#[tokio::test]
async fn another_party_is_in_the_journal_but_not_among_the_calls() {
    let simulator = start().await;
    let ours = legacy(&simulator).await.token();
    let theirs = simulator.foreign_refresh("wx1", Pool::Legacy).unwrap();
    assert_ne!(theirs.value, ours);
    simulator.advance(Duration::from_mins(5));
    assert!(!simulator.is_alive("wx1", &ours));
    let summary = simulator.summary("wx1");
    assert_eq!((summary.calls, summary.issued, summary.foreign), (1, 2, 1));
    assert_eq!(summary.newest, Some(theirs.fingerprint));
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let simulator = start().await;
    assert_eq!(call(&simulator, "GET", "/cgi-bin/other", "").await.unwrap().status, 404);
    assert_eq!(call(&simulator, "GET", "/as/nobody/cgi-bin/token", "").await.unwrap().status, 404);
}

#[tokio::test]
async fn a_stopped_simulator_refuses_connections_and_keeps_its_journal() {
    let simulator = start().await;
    let token = legacy(&simulator).await.token();
    crate::within(simulator.stop()).await;
    let refused = tokio::net::TcpStream::connect(simulator.address()).await;
    assert!(refused.is_err());
    assert_eq!(simulator.issued_tokens(), [token]);
}
