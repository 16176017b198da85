//! What the answers, and the lack of them, come to.

use std::time::Duration;

use url::Url;
use zhongkong_core::ports::{Fetched, Upstream};
use zhongkong_upstream::{Provider, WeChat};

use crate::server::{Script, Server, ok, with_status};
use crate::setup::{
    LONG, SECRET, SHORT, TestClock, account, check_one_request, check_text, check_unknown, fetch,
    transport,
};

const TOKEN: &str = r#"{"access_token":"abc","expires_in":7200}"#;

#[track_caller]
fn check_token(fetched: &Fetched) {
    let Fetched::Token { token, life, sent_at } = fetched else { panic!("no token: {fetched:?}") };
    assert_eq!((token.expose(), *life), ("abc", Some(Duration::from_hours(2))));
    assert!((TestClock::at(Duration::ZERO)..TestClock::at(LONG)).contains(sent_at));
}

async fn unknown(script: Script, timeout: Duration, expected: &str) {
    let server = Server::start(script).await;
    let fetched = fetch(server.url(), timeout).await;
    check_unknown(&fetched, expected);
    check_one_request(&server.received().await);
}

#[tokio::test]
async fn a_token_is_fetched_with_one_get() {
    let server = Server::start(Script::Answer(ok(TOKEN))).await;
    check_token(&fetch(server.url(), LONG).await);
    let received = server.received().await;
    check_one_request(&received);
    let (method, rest) = received[0].split_once(' ').unwrap();
    let (target, rest) = rest.split_once(' ').unwrap();
    assert!(method == "GET" && rest.starts_with("HTTP/1.1\r\n"), "{received:?}");
    let url = Url::parse("http://h").unwrap().join(target).unwrap();
    assert!(url.query_pairs().any(|(name, value)| name == "secret" && value == SECRET), "{url}");
    let agent = concat!("user-agent: zhongkong/", env!("CARGO_PKG_VERSION"), "\r\n");
    assert!(rest.contains(agent) && !rest.contains("referer"), "{rest}");
}

#[tokio::test]
async fn a_stable_token_is_fetched_with_one_post_that_forces_nothing() {
    let server = Server::start(Script::Answer(ok(TOKEN))).await;
    let wechat = WeChat::new(account(Provider::WeChatStable, server.url()), transport());
    check_token(&wechat.fetch(TestClock::at(LONG), LONG, false).await);
    let received = server.received().await;
    check_one_request(&received);
    assert!(received[0].starts_with("POST /cgi-bin/stable_token HTTP/1.1\r\n"), "{received:?}");
    let body = received[0].split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["secret"], &body["force_refresh"]), (&SECRET.into(), &false.into()));
}

#[tokio::test]
async fn every_fetch_has_a_connection_of_its_own() {
    let server = Server::start(Script::Stall(ok(TOKEN))).await;
    let wechat = WeChat::new(account(Provider::WeChat, server.url()), transport());
    for _ in 0..3 {
        check_token(&wechat.fetch(TestClock::at(LONG), LONG, false).await);
    }
    assert_eq!(server.received().await.len(), 3);
}

#[tokio::test]
async fn an_answer_counts_whatever_its_content_type_is_and_however_it_is_cut() {
    let html = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=gbk\r\nConnection: close\r\n\r\n{TOKEN}"
    );
    let (one, two) = TOKEN.split_at(9);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    for answer in [html, chunks] {
        let server = Server::start(Script::Answer(answer.into_bytes())).await;
        check_token(&fetch(server.url(), LONG).await);
        check_one_request(&server.received().await);
    }
}

#[tokio::test]
async fn an_error_code_is_a_refusal_even_under_another_status() {
    for status in ["200 OK", "403 Forbidden"] {
        let answer = with_status(status, r#"{"errcode":40164,"errmsg":"invalid ip 1.2.3.4"}"#);
        let server = Server::start(Script::Answer(answer)).await;
        let fetched = fetch(server.url(), LONG).await;
        let expected = Fetched::Refused { code: 40164, message: "invalid ip 1.2.3.4".to_owned() };
        assert_eq!(fetched, expected);
        check_one_request(&server.received().await);
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_definite_is_unknown_and_the_request_is_not_repeated() {
    let answer = |status, body| Script::Answer(with_status(status, body));
    for (script, expected) in [
        (answer("200 OK", r#"{"errcode":-1,"errmsg":"system error"}"#), "busy"),
        (answer("200 OK", ""), "empty body"),
        (answer("200 OK", "<html></html>"), "no JSON"),
        (answer("200 OK", "{}"), "neither"),
        (answer("404 Not Found", "<html></html>"), "HTTP 404"),
        (answer("408 Request Timeout", ""), "HTTP 408"),
        (answer("500 Internal Server Error", TOKEN), "HTTP 500"),
        (answer("502 Bad Gateway", "<html></html>"), "HTTP 502"),
        (answer("503 Service Unavailable\r\nRetry-After: 0", ""), "HTTP 503"),
    ] {
        unknown(script, LONG, expected).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(Script::Answer(ok(TOKEN))).await;
    for status in ["301", "302", "307", "308"] {
        let status = format!("{status} Elsewhere\r\nLocation: {}", elsewhere.url());
        let script = Script::Answer(with_status(&status, ""));
        unknown(script, LONG, &format!("HTTP {}", &status[..3])).await;
    }
    assert!(elsewhere.received().await.is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_off_after_the_request_is_unknown() {
    let cut = ok(TOKEN)[..60].to_vec();
    for script in [Script::Cut, Script::Reset, Script::Answer(cut)] {
        unknown(script, LONG, "the connection broke off").await;
    }
    let no_http = Script::Answer(b"220 mail.example.com ESMTP\r\n".to_vec());
    unknown(no_http, LONG, "the connection broke off").await;
}

#[tokio::test]
async fn an_answer_without_an_end_is_read_up_to_a_mebibyte() {
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let mut just_right = [head.as_slice(), TOKEN.as_bytes()].concat();
    just_right.resize(head.len() + 1024 * 1024, b' ');
    let server = Server::start(Script::Answer(just_right.clone())).await;
    check_token(&fetch(server.url(), LONG).await);
    check_one_request(&server.received().await);

    just_right.push(b' ');
    unknown(Script::Stall(just_right), LONG, "more than 1048576 bytes").await;
}

#[tokio::test]
async fn the_whole_answer_must_arrive_within_the_timeout() {
    let whole = ok(TOKEN);
    for arrived in [&whole[..0], &whole[..10], &whole[..whole.len() - 1]] {
        unknown(Script::Stall(arrived.to_vec()), SHORT, "no answer within 200ms").await;
    }
}

#[tokio::test]
async fn an_echoed_secret_is_taken_out_of_the_refusal() {
    for provider in Provider::ALL {
        let server = Server::start(Script::Echo).await;
        let wechat = WeChat::new(account(provider, server.url()), transport());
        let fetched = wechat.fetch(TestClock::at(LONG), LONG, false).await;
        let Fetched::Refused { code: 40013, message } = &fetched else { panic!("{fetched:?}") };
        check_text(message, "HTTP/1.1");
        check_text(&format!("{wechat:?} {fetched:?}"), "Refused");
        check_one_request(&server.received().await);
    }
}
