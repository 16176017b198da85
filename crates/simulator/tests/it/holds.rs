//! Calls that stand still at a point, and what the journal says of those that overlap.

use zhongkong_simulator::{Ending, Outcome, Point, Scope};

use crate::client::{LEGACY, legacy, receive, send};
use crate::{start, within};

#[tokio::test]
async fn a_call_held_before_processing_issues_only_on_release() {
    let simulator = start().await;
    simulator.hold(Point::Received, Scope::account("wx1").times(1));
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    let held = within(simulator.wait_held(1)).await;
    assert_eq!((held[0].point, held[0].app_id.as_str()), (Point::Received, "wx1"));
    assert!(simulator.issued_tokens().is_empty());
    assert_eq!(simulator.release_all(), 1);
    let answer = receive(stream).await.unwrap();
    assert_eq!(simulator.issued_tokens(), [answer.token()]);
    assert!(!simulator.release(held[0].call));
}

#[tokio::test]
async fn a_call_held_after_processing_has_issued_already() {
    let simulator = start().await;
    simulator.hold(Point::Processed, Scope::account("wx1").times(1));
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    let held = within(simulator.wait_held(1)).await;
    let token = simulator.newest("wx1").unwrap().value;
    assert!(simulator.is_alive("wx1", &token));
    assert!(simulator.release(held[0].call));
    assert_eq!(receive(stream).await.unwrap().token(), token);
}

#[tokio::test]
async fn a_held_call_keeps_its_place_when_its_caller_goes_away() {
    let simulator = start().await;
    simulator.hold(Point::Received, Scope::account("wx1").times(1));
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    let held = within(simulator.wait_held(1)).await;
    drop(stream);
    within(simulator.wait_for_summary("wx1", |summary| summary.awaited == 0)).await;
    let second = legacy(&simulator).await.token();
    assert!(simulator.release(held[0].call));
    within(simulator.wait_until_idle("wx1")).await;

    // Processed last although received first: its token is the newest, and nobody knows it.
    let newest = simulator.newest("wx1").unwrap();
    assert_ne!(newest.value, second);
    let calls = simulator.journal_of("wx1").calls;
    assert_eq!(calls[0].outcome, Some(Outcome::Issued { serial: newest.serial }));
    assert_eq!(calls[0].ending, Some(Ending::CallerGone));
    assert_eq!((calls[1].overlapping, calls[1].overlapping_awaited), (2, 1));
    assert_eq!((simulator.calls("wx1"), simulator.max_overlap("wx1")), (2, 2));
    assert_eq!(simulator.summary("wx1").max_overlapping_awaited, 1);
}

#[tokio::test]
async fn calls_one_after_the_other_never_overlap() {
    let simulator = start().await;
    for _ in 0..20 {
        legacy(&simulator).await;
    }
    assert_eq!((simulator.calls("wx1"), simulator.max_overlap("wx1")), (20, 1));
}

#[tokio::test]
async fn a_hold_without_a_number_lasts_until_it_is_cleared() {
    let simulator = start().await;
    simulator.hold(Point::Received, Scope::account("wx1"));
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(send(simulator.address(), "GET", LEGACY, "").await.unwrap());
    }
    within(simulator.wait_held(3)).await;
    simulator.clear_holds();
    assert_eq!(simulator.held().len(), 3);
    assert_eq!(legacy(&simulator).await.errcode(), 0);
    assert_eq!(simulator.release_all(), 3);
    for stream in streams {
        assert_eq!(receive(stream).await.unwrap().errcode(), 0);
    }
    assert_eq!(simulator.max_overlap("wx1"), 4);
}

#[tokio::test]
async fn stopping_gives_up_the_calls_that_are_held() {
    let simulator = start().await;
    simulator.hold(Point::Received, Scope::account("wx1"));
    let stream = send(simulator.address(), "GET", LEGACY, "").await.unwrap();
    within(simulator.wait_held(1)).await;
    within(simulator.stop()).await;
    assert!(receive(stream).await.is_none());
    assert_eq!(simulator.journal().calls[0].ending, Some(Ending::Stopped));
}
