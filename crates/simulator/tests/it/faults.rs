//! Each fault, as a caller sees it and as the journal tells it.

use serde_json::json;
use zhongkong_simulator::{Ending, Endpoint, FaultKind, Outcome, Point, Scope, Simulator};

use crate::client::{Answer, LEGACY, call, legacy, legacy_as, probe, receive, send};
use crate::{start, within};

/// One call with a fault, and how the journal tells it.
async fn strike(simulator: &Simulator, kind: FaultKind) -> (Option<Answer>, Outcome, Ending) {
    simulator.set_fault(kind.clone(), Scope::account("wx1").times(1));
    let answer = call(simulator, "GET", LEGACY, "").await;
    let record = simulator.journal().calls.pop().unwrap();
    assert_eq!(record.fault, Some(kind.name()));
    assert!(simulator.faults().is_empty());
    (answer, record.outcome.unwrap(), record.ending.unwrap())
}

#[tokio::test]
async fn a_lost_reply_has_issued_a_token_and_shows_not_a_byte() {
    let simulator = start().await;
    let (answer, outcome, ending) = strike(&simulator, FaultKind::LostReply).await;
    assert!(answer.is_none());
    assert_eq!((outcome, ending), (Outcome::Issued { serial: 1 }, Ending::Cut));
    assert_eq!(simulator.issued_tokens().len(), 1);
}

#[tokio::test]
async fn no_reply_has_issued_nothing() {
    let simulator = start().await;
    let (answer, outcome, ending) = strike(&simulator, FaultKind::NoReply).await;
    assert!(answer.is_none());
    assert_eq!((outcome, ending), (Outcome::Nothing, Ending::Cut));
    assert!(simulator.issued_tokens().is_empty());
}

#[tokio::test]
async fn a_cut_body_is_half_of_what_was_promised() {
    let simulator = start().await;
    for (issue, issued) in [(false, 0), (true, 1)] {
        let (answer, _, ending) = strike(&simulator, FaultKind::Cut { issue }).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, ending), (200, Ending::Cut));
        assert!(answer.body.starts_with("{\"access_token\"") && !answer.is_whole());
        assert_eq!(simulator.issued_tokens().len(), issued);
    }
}

#[tokio::test]
async fn answers_that_are_no_json_come_with_or_without_a_token_behind_them() {
    let simulator = start().await;
    let (answer, outcome, _) =
        strike(&simulator, FaultKind::HttpStatus { status: 502, issue: false }).await;
    assert_eq!((answer.unwrap().status, outcome), (502, Outcome::Nothing));
    let (answer, outcome, _) = strike(&simulator, FaultKind::Html { issue: true }).await;
    assert!(answer.unwrap().body.starts_with("<html>"));
    assert_eq!(outcome, Outcome::Issued { serial: 1 });
    let (answer, _, _) = strike(&simulator, FaultKind::Empty { issue: false }).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn an_oversized_answer_is_well_formed() {
    let simulator = start().await;
    let (answer, ..) = strike(&simulator, FaultKind::Oversized { issue: true }).await;
    let answer = answer.unwrap();
    assert!(answer.is_whole() && answer.body.len() > 1024 * 1024);
    assert!(simulator.is_alive("wx1", &answer.token()));
    let (answer, ..) = strike(&simulator, FaultKind::Oversized { issue: false }).await;
    assert!(!simulator.is_alive("wx1", &answer.unwrap().token()));
}

#[tokio::test]
async fn expires_in_can_be_anything_or_missing() {
    let simulator = start().await;
    for value in [json!(0), json!(-1), json!("7200"), json!(1e300), json!([])] {
        let kind = FaultKind::OddExpiresIn { value: value.clone() };
        let (answer, ..) = strike(&simulator, kind).await;
        assert_eq!(answer.unwrap().json()["expires_in"], value);
    }
    let kind = FaultKind::OddExpiresIn { value: json!(null) };
    let (answer, ..) = strike(&simulator, kind).await;
    assert!(answer.unwrap().json().get("expires_in").is_none());
}

#[tokio::test]
async fn a_redirect_names_another_place() {
    let simulator = start().await;
    let location = "http://127.0.0.1:9/elsewhere".to_owned();
    let (answer, ..) = strike(&simulator, FaultKind::Redirect { location: location.clone() }).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("location")), (302, Some(location.as_str())));
}

#[tokio::test]
async fn any_errcode_can_be_answered_to_one_caller_only() {
    let simulator = start().await;
    let scope = Scope::account("wx1").from_caller("10.0.0.7".parse().unwrap()).times(2);
    simulator.set_outcome(-1, scope);
    let errcodes = [
        legacy_as(&simulator, "10.0.0.7").await.errcode(),
        legacy_as(&simulator, "10.0.0.8").await.errcode(),
        legacy_as(&simulator, "10.0.0.7").await.errcode(),
        legacy_as(&simulator, "10.0.0.7").await.errcode(),
    ];
    assert_eq!(errcodes, [-1, 0, -1, 0]);
    let errmsg = Some("of its own".to_owned());
    simulator.set_fault(FaultKind::Errcode { errcode: 99999, errmsg }, Scope::default());
    let expected = json!({ "errcode": 99999, "errmsg": "of its own" });
    assert_eq!(legacy(&simulator).await.json(), expected);
    simulator.clear_faults();
    assert_eq!(legacy(&simulator).await.errcode(), 0);
}

#[tokio::test]
async fn a_fault_can_be_meant_for_the_probe() {
    let simulator = start().await;
    let token = legacy(&simulator).await.token();
    simulator.set_outcome(40001, Scope::account("wx1").at_endpoint(Endpoint::Probe));
    assert_eq!(probe(&simulator, &token).await, 40001);
    assert_eq!(legacy(&simulator).await.errcode(), 0);
}

#[tokio::test]
async fn latency_comes_after_processing() {
    let simulator = start().await;
    let (answer, outcome, ending) = strike(&simulator, FaultKind::Latency { ms: 60 }).await;
    assert_eq!(answer.unwrap().errcode(), 0);
    assert_eq!((outcome, ending), (Outcome::Issued { serial: 1 }, Ending::Answered));
    let record = simulator.journal().calls.pop().unwrap();
    assert!(record.ended_at_ms.unwrap() >= record.processed_at_ms.unwrap() + 60);
}

#[tokio::test]
async fn a_late_call_is_processed_although_its_caller_is_gone() {
    let simulator = start().await;
    simulator.set_fault(FaultKind::Late { ms: 500 }, Scope::account("wx1").times(1));
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    within(simulator.wait_for_calls("wx1", 1)).await;
    drop(stream);
    within(simulator.wait_for_summary("wx1", |summary| summary.awaited == 0)).await;
    assert!(simulator.issued_tokens().is_empty());
    within(simulator.wait_until_idle("wx1")).await;
    let record = simulator.journal().calls.pop().unwrap();
    assert_eq!(record.outcome, Some(Outcome::Issued { serial: 1 }));
    assert_eq!(record.ending, Some(Ending::CallerGone));
    assert!(record.caller_gone_at_ms.unwrap() <= record.processed_at_ms.unwrap());
}

#[tokio::test]
async fn a_hanging_call_ends_with_its_caller_or_with_a_release() {
    let simulator = start().await;
    simulator.set_fault(FaultKind::Hang, Scope::account("wx1").times(2));
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    within(simulator.wait_held(1)).await;
    drop(stream);
    within(simulator.wait_until_idle("wx1")).await;
    assert!(simulator.held().is_empty() && simulator.issued_tokens().is_empty());

    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    let held = within(simulator.wait_held(1)).await;
    assert!(simulator.release(held[0].call));
    let answer = receive(stream).await.unwrap();
    assert!(simulator.is_alive("wx1", &answer.token()));
}

#[tokio::test]
async fn a_cut_connection_leaves_the_others_alone() {
    let simulator = start().await;
    simulator.hold(Point::Processed, Scope::account("wx1").times(1));
    let first = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    within(simulator.wait_held(1)).await;
    let (answer, ..) = strike(&simulator, FaultKind::LostReply).await;
    assert!(answer.is_none());
    assert_eq!(simulator.release_all(), 1);
    assert_eq!(receive(first).await.unwrap().errcode(), 0);
    assert_eq!(simulator.max_overlap("wx1"), 2);
}
