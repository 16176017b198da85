//! The points of a fetch are reached in their order, with the request where they say it is.

use std::sync::{Arc, Mutex};

use zhongkong_core::clock::Clock;
use zhongkong_core::ports::{Fetched, Upstream};
use zhongkong_upstream::Transport;
use zhongkong_upstream::failpoint::{Hook, HookPoint};

use crate::server::{Script, Server, ok};
use crate::setup::{
    LONG, SHORT, TestClock, check_one_request, check_unknown, settings, transport, wechat,
};

type Reached = Arc<Mutex<Vec<HookPoint>>>;

fn recording() -> (Hook, Reached) {
    let reached = Reached::default();
    let points = Arc::clone(&reached);
    let hook = Hook::new(move |point| {
        points.lock().unwrap().push(point);
        async {}
    });
    (hook, reached)
}

#[tokio::test]
async fn a_fetch_that_is_answered_reaches_every_point_once() {
    let server = Server::start(Script::Answer(ok(r#"{"access_token":"abc"}"#))).await;
    let (hook, reached) = recording();
    let wechat = wechat(server.url(), transport().with_hook(hook));
    let fetched = wechat.fetch(TestClock::at(LONG), LONG, false).await;
    assert!(matches!(fetched, Fetched::Token { .. }), "{fetched:?}");
    let expected = [HookPoint::AfterCheck, HookPoint::AfterSend, HookPoint::AfterAnswer];
    assert_eq!(*reached.lock().unwrap(), expected);
    check_one_request(&server.received().await);
}

#[tokio::test]
async fn a_fetch_without_an_answer_reaches_no_point_after_it() {
    let server = Server::start(Script::Stall(Vec::new())).await;
    let (hook, reached) = recording();
    let wechat = wechat(server.url(), transport().with_hook(hook));
    check_unknown(&wechat.fetch(TestClock::at(LONG), SHORT, false).await, "no answer");
    assert_eq!(*reached.lock().unwrap(), [HookPoint::AfterCheck, HookPoint::AfterSend]);
}

#[tokio::test]
async fn the_request_is_out_when_the_point_after_sending_is_reached() {
    let server = Server::start(Script::Stall(Vec::new())).await;
    let requested = Arc::clone(&server.requested);
    let hook = Hook::new(move |point| {
        let requested = Arc::clone(&requested);
        async move {
            if point == HookPoint::AfterSend {
                requested.notified().await;
            }
        }
    });
    let wechat = wechat(server.url(), transport().with_hook(hook));
    check_unknown(&wechat.fetch(TestClock::at(LONG), SHORT, false).await, "no answer");
}

#[tokio::test]
async fn a_stall_between_the_check_and_the_sending_sends_late() {
    let server = Server::start(Script::Answer(ok(r#"{"access_token":"abc"}"#))).await;
    let hook = Hook::new(|point| async move {
        if point == HookPoint::AfterCheck {
            // The stall itself is the subject.
            tokio::time::sleep(4 * SHORT).await;
        }
    });
    let clock = TestClock::new();
    let transport = Transport::new(&settings(), Arc::<TestClock>::clone(&clock)).unwrap();
    let wechat = wechat(server.url(), transport.with_hook(hook));
    let fetched = wechat.fetch(clock.now() + 2 * SHORT, SHORT, false).await;
    assert!(matches!(fetched, Fetched::Token { .. }), "{fetched:?}");
    check_one_request(&server.received().await);
}
