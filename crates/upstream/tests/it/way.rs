//! The way to the upstream: what fails on it is not sent, and nothing is sent too late.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;
use zhongkong_core::clock::Clock;
use zhongkong_core::ports::{Fetched, Upstream};
use zhongkong_upstream::{Transport, TransportError, TransportSettings};

use crate::server::{Script, Server, ok, with_status};
use crate::setup::{
    LONG, SHORT, TestClock, check_not_sent, check_one_request, fetch, settings, transport, wechat,
};

const TOKEN: &str = r#"{"access_token":"abc","expires_in":7200}"#;

#[tokio::test]
async fn a_deadline_that_has_passed_opens_no_connection() {
    let server = Server::start(Script::Answer(ok(TOKEN))).await;
    let clock = TestClock::new();
    let transport = Transport::new(&settings(), clock).unwrap();
    let past = TestClock::at(Duration::ZERO).before(Duration::from_millis(1));
    let fetched = wechat(server.url(), transport).fetch(past, LONG, false).await;
    check_not_sent(&fetched, "the deadline passed");
    assert!(server.received().await.is_empty());
}

#[tokio::test]
async fn a_worker_that_was_paused_while_it_connected_sends_nothing() {
    let server = Server::start(Script::Answer(ok(TOKEN))).await;
    let transport = Transport::new(&settings(), TestClock::jumping(2 * LONG)).unwrap();
    let fetched = wechat(server.url(), transport).fetch(TestClock::at(LONG), LONG, false).await;
    check_not_sent(&fetched, "the deadline passed");
    assert_eq!(server.received().await, [""]);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_at_the_deadline() {
    let server = Server::start(Script::Blurt(Vec::new())).await;
    let clock = TestClock::new();
    let transport = Transport::new(&settings(), Arc::<TestClock>::clone(&clock)).unwrap();
    let wechat = wechat(server.url_of("https"), transport);
    let fetched = wechat.fetch(clock.now() + SHORT, LONG, false).await;
    check_not_sent(&fetched, "the deadline passed");
    let received = server.received().await;
    assert!(received.len() == 1 && !received[0].contains("cgi-bin"), "{received:?}");
}

#[tokio::test]
async fn a_connection_that_takes_longer_than_a_request_may_is_the_ways_fault() {
    let server = Server::start(Script::Blurt(Vec::new())).await;
    let settings = TransportSettings { request_timeout: SHORT, ..settings() };
    let transport = Transport::new(&settings, TestClock::new()).unwrap();
    let wechat = wechat(server.url_of("https"), transport);
    let fetched = wechat.fetch(TestClock::at(LONG), SHORT, false).await;
    check_not_sent(&fetched, "no connection within 200ms");
}

#[tokio::test]
async fn a_handshake_that_fails_sends_nothing() {
    let server = Server::start(Script::Blurt(b"no TLS here\r\n".to_vec())).await;
    let fetched = fetch(server.url_of("https"), LONG).await;
    check_not_sent(&fetched, "no connection: ");
    let received = server.received().await;
    assert!(received.len() == 1 && !received[0].contains("cgi-bin"), "{received:?}");
}

#[tokio::test]
async fn a_refused_connection_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    check_not_sent(&fetch(url, LONG).await, "connection refused");
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_sends_nothing() {
    let url = Url::parse("http://nobody.invalid").unwrap();
    check_not_sent(&fetch(url, LONG).await, "cannot be resolved");
}

#[tokio::test]
async fn an_address_that_is_no_web_address_sends_nothing() {
    let url = Url::parse("ftp://127.0.0.1").unwrap();
    check_not_sent(&fetch(url, LONG).await, "scheme");
}

#[tokio::test]
async fn everything_goes_through_the_proxy() {
    let proxy = Server::start(Script::Answer(ok(TOKEN))).await;
    let settings = TransportSettings { proxy: Some(proxy.url()), ..settings() };
    let transport = Transport::new(&settings, TestClock::new()).unwrap();
    let upstream = Url::parse("http://upstream.invalid").unwrap();
    let fetched = wechat(upstream, transport).fetch(TestClock::at(LONG), LONG, false).await;
    assert!(matches!(fetched, Fetched::Token { .. }), "{fetched:?}");
    let received = proxy.received().await;
    check_one_request(&received);
    assert!(received[0].starts_with("GET http://upstream.invalid/cgi-bin/token?"));
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_never_sees_the_request() {
    let proxy = Server::start(Script::Answer(with_status("502 Bad Gateway", ""))).await;
    let settings = TransportSettings { proxy: Some(proxy.url()), ..settings() };
    let transport = Transport::new(&settings, TestClock::new()).unwrap();
    let upstream = Url::parse("https://upstream.invalid").unwrap();
    let fetched = wechat(upstream, transport).fetch(TestClock::at(LONG), LONG, false).await;
    check_not_sent(&fetched, "no connection: ");
    let received = proxy.received().await;
    assert_eq!(received.len(), 1);
    assert!(received[0].starts_with("CONNECT upstream.invalid:443 "), "{received:?}");
    assert!(!received[0].contains("secret"), "{received:?}");
}

#[test]
fn a_proxy_that_cannot_be_one_is_refused_and_its_password_not_shown() {
    for proxy in ["socks5://u:passw0rd@h:1", "mailto:passw0rd@h"] {
        let settings = TransportSettings { proxy: Url::parse(proxy).ok(), ..settings() };
        let error = Transport::new(&settings, TestClock::new()).unwrap_err();
        assert!(matches!(error, TransportError::Proxy));
        assert!(!format!("{error} {error:?} {settings:?}").contains("passw0rd"));
    }
}

#[test]
fn a_timeout_of_nothing_is_refused() {
    let settings = TransportSettings { request_timeout: Duration::from_micros(999), ..settings() };
    let error = Transport::new(&settings, TestClock::new()).unwrap_err();
    assert!(matches!(error, TransportError::Timeout));
}

#[test]
fn the_environments_proxies_are_ignored() {
    // Variables are the process's: another one of this program runs a fetch that would fail through such a proxy.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fetch::a_token_is_fetched_with_one_get"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env(name, "http://127.0.0.1:1");
    }
    let output = command.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}

#[tokio::test]
async fn a_fetch_that_is_dropped_closes_its_connection() {
    let server = Server::start(Script::Stall(Vec::new())).await;
    let requested = Arc::clone(&server.requested);
    let wechat = wechat(server.url(), transport());
    tokio::select! {
        fetched = wechat.fetch(TestClock::at(LONG), LONG, false) => panic!("{fetched:?}"),
        () = requested.notified() => {}
    }
    check_one_request(&server.received().await);
}
