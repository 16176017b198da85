//! Hostile requests on the wire, each with its answer: odd addresses, framing that two programs might read differently,
//! bodies that do not come, names that are none of the worker's. The same over TCP and within TLS.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zhongkong_testkit::{APP_ID, Authority, Cluster};

use crate::https::{start, with_certificate};
use crate::setup::{cluster, ms};
use crate::wire::{Way, rest};

/// Comes behind each request on its connection. Whether it is answered says where the worker thinks that one ended.
const NEXT: &str = "GET /healthz?next HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// What a request is answered.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// With this status and, if it is a problem, its code; then what comes behind it is answered.
    Then(u16, &'static str),
    /// Likewise, but nothing that comes behind it is read.
    Last(u16, &'static str),
    /// It is no HTTP: with this status, without a body.
    Bare(u16),
    /// It is another protocol: with nothing at all.
    Silence,
}

use Answer::{Bare, Last, Silence, Then};

/// A request, and its answer.
type Case = (Vec<u8>, Answer);

fn get(target: &str) -> Vec<u8> {
    with("GET", target, "host: localhost\r\n")
}

/// With these lines of headers; each needs its end.
fn with(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\n{headers}\r\n").into_bytes()
}

fn header(line: &str) -> Vec<u8> {
    with("GET", "/v1/credentials", &format!("host: localhost\r\n{line}\r\n"))
}

/// A body that is read and leads to 404, if it is `{}`.
fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/credentials/nobody/refresh HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\n{headers}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    post("transfer-encoding: chunked", body)
}

/// Nobody resolves dots, joins slashes or decodes before it is decided which call is meant.
fn addresses() -> Vec<Case> {
    let unknown = Then(404, "unknown_credential");
    let nothing = Then(404, "not_found");
    let cases = [
        ("/healthz", Then(200, "")),
        ("/v1/../healthz", nothing),
        ("/./healthz", nothing),
        ("/v1/credentials/../../metrics", nothing),
        ("/v1/credentials/%2e%2e/%2e%2e/metrics", nothing),
        ("/v1/credentials/..%2f..%2fmetrics", unknown),
        ("/v1/credentials/%2e%2e", unknown),
        ("/v1/credentials/wx-test%2ftoken", unknown),
        ("/v1/credentials/wx-test%252ftoken", unknown),
        ("/v1/credentials/wx-test%0d%0aset-cookie:%20a=b", unknown),
        ("/v1/credentials/%00", unknown),
        ("/v1/credentials/wx-test%00/token", unknown),
        ("/v1/credentials/%ff", Then(400, "invalid_request")),
        ("/v1/credentials/wx-test/token?kind=access_token%00", Then(400, "invalid_request")),
        ("/v1%2fcredentials", nothing),
        ("//v1/credentials", nothing),
        ("/v1//credentials", nothing),
        ("//evil.example/healthz", nothing),
        ("/healthz/", nothing),
        ("/healthz;x=y", nothing),
        ("/healthz%00", nothing),
        ("/healthz%20", nothing),
        ("/%68ealthz", nothing),
        ("/HEALTHZ", nothing),
        ("/healthz\\..\\metrics", nothing),
        ("/dashboard/../healthz", nothing),
        ("/dashboard/x/..%2f..%2f..%2fetc%2fpasswd", nothing),
        ("/healthz#/../metrics", Then(200, "")),
        ("/v1/credentials/\u{e9}", unknown),
        ("*", nothing),
        ("localhost:80", nothing),
        ("http://localhost/healthz", Then(200, "")),
        ("https://localhost/healthz", Then(200, "")),
        ("http://localhost", Then(200, "")),
        ("http://evil.example/v1/credentials", Then(403, "forbidden")),
        ("http:///healthz", Bare(400)),
        ("http://local host/healthz", Bare(400)),
        ("/health\0z", Bare(400)),
        ("/health z", Bare(400)),
        ("", Bare(400)),
    ];
    let mut cases: Vec<Case> =
        cases.into_iter().map(|(target, answer)| (get(target), answer)).collect();
    for (method, target, answer) in [
        ("CONNECT", "localhost:80", Then(404, "not_found")),
        ("CONNECT", "/healthz", Then(405, "method_not_allowed")),
        ("TRACE", "/healthz", Then(405, "method_not_allowed")),
        ("TRACK", "/healthz", Then(405, "method_not_allowed")),
        ("OPTIONS", "*", Then(404, "not_found")),
        ("get", "/healthz", Then(405, "method_not_allowed")),
        ("PRI", "*", Then(404, "not_found")),
        ("G/T", "/healthz", Bare(400)),
        ("", "/healthz", Bare(400)),
    ] {
        cases.push((with(method, target, "host: localhost\r\n"), answer));
    }
    cases
}

/// Only what the worker itself is called at counts; what a proxy might be told does not.
fn names() -> Vec<Case> {
    let malformed = Then(400, "invalid_request");
    let forbidden = Then(403, "forbidden");
    let mut cases = Vec::new();
    for (hosts, answer) in [
        ("host: evil.example\r\n", forbidden),
        ("host: localhost.evil.example\r\n", forbidden),
        ("host: localhost.\r\n", forbidden),
        ("host: 2130706433\r\n", forbidden),
        ("host: [::ffff:127.0.0.1]:8620\r\n", Then(200, "")),
        ("host: localhost:8620:1\r\n", malformed),
        ("host: localhost:-1\r\n", malformed),
        ("host: localhost/..\r\n", malformed),
        ("host: localhost@evil.example\r\n", malformed),
        ("host: evil.example@localhost\r\n", malformed),
        ("host: localhost, evil.example\r\n", malformed),
        ("host: localhost\r\nhost: localhost\r\n", malformed),
        ("host: localhost\r\nHOST: evil.example\r\n", malformed),
        ("host:\r\n", malformed),
        ("", malformed),
        ("host: localhost\0evil.example\r\n", Bare(400)),
        ("host: localhost\r\n evil.example\r\n", Bare(400)),
        ("host : localhost\r\n", Bare(400)),
    ] {
        cases.push((with("GET", "/v1/credentials", hosts), answer));
    }
    let host =
        |bytes: &[u8]| [b"GET /v1/credentials HTTP/1.1\r\nhost: ", bytes, b"\r\n\r\n"].concat();
    cases.push((host(b"local\xffhost"), malformed));
    for (line, answer) in [
        ("origin: https://evil.example", forbidden),
        ("origin: null", forbidden),
        ("origin: \u{ff}", forbidden),
        ("sec-fetch-site: cross-site", forbidden),
        ("sec-fetch-site: same-site", forbidden),
        ("x-forwarded-host: evil.example", Then(200, "")),
        ("forwarded: for=evil;host=evil.example;proto=https", Then(200, "")),
        ("x-original-url: /metrics", Then(200, "")),
        ("x-http-method-override: DELETE", Then(200, "")),
        ("range: bytes=0-0", Then(200, "")),
        ("accept-encoding: gzip", Then(200, "")),
        ("x: \u{ff}\u{fe}", Then(200, "")),
        ("x: a\0b", Bare(400)),
        ("x: a\rb", Bare(400)),
        ("x y: z", Bare(400)),
        (": z", Bare(400)),
        ("x", Bare(400)),
    ] {
        cases.push((header(line), answer));
    }
    let elsewhere = "host: localhost\r\nx-original-url: /healthz\r\nx-rewrite-url: /healthz\r\n";
    cases.push((with("GET", "/nowhere", elsewhere), Then(404, "not_found")));
    let method = "host: localhost\r\nx-http-method-override: POST\r\n";
    let refresh = "/v1/credentials/wx-test/refresh";
    cases.push((with("GET", refresh, method), Then(405, "method_not_allowed")));
    let many = |count: usize| "x: y\r\n".repeat(count);
    for (lines, answer) in [
        (many(50), Then(200, "")),
        (many(5_000), Bare(431)),
        (format!("x: {}\r\n", "y".repeat(100_000)), Bare(431)),
    ] {
        let lines = format!("host: localhost\r\n{lines}");
        cases.push((with("GET", "/v1/credentials", &lines), answer));
    }
    cases.push((get(&format!("/{}", "x".repeat(100_000))), Bare(431)));
    cases
}

// What two programs might take for the end of a request at two places is refused, or is the last on its connection.

const GOOD: Answer = Then(404, "unknown_credential");
const BROKEN: Answer = Last(400, "invalid_request");
/// `{}` in a chunk.
const CHUNKS: &[u8] = b"2\r\n{}\r\n0\r\n\r\n";

/// Which of two lengths?
fn lengths() -> Vec<Case> {
    let last = Last(404, "unknown_credential");
    let cases = [
        ("content-length: 2", &b"{}"[..], GOOD),
        ("content-length: 2\r\ncontent-length: 2", b"{}", GOOD),
        ("content-length: 2\r\ncontent-length: 3", b"{}", Bare(400)),
        ("content-length: 2, 2", b"{}", Bare(400)),
        ("content-length: +2", b"{}", Bare(400)),
        ("content-length: -1", b"{}", Bare(400)),
        ("content-length: 0x2", b"{}", Bare(400)),
        ("content-length: 2 2", b"{}", Bare(400)),
        ("content-length:", b"{}", Bare(400)),
        ("content-length: 18446744073709551618", b"{}", Bare(400)),
        ("content-length: 2\r\ntransfer-encoding: chunked", CHUNKS, last),
        ("transfer-encoding: chunked\r\ncontent-length: 2", CHUNKS, last),
        ("transfer-encoding: chunked\r\ncontent-length: what", CHUNKS, last),
    ];
    cases.into_iter().map(|(headers, body, answer)| (post(headers, body), answer)).collect()
}

/// Is it chunked?
fn codings() -> Vec<Case> {
    let cases = [
        ("transfer-encoding: chunked", GOOD),
        ("transfer-encoding: identity", Bare(400)),
        ("transfer-encoding: xchunked", Bare(400)),
        ("transfer-encoding: chunked, identity", Bare(400)),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity", Bare(400)),
        ("transfer-encoding: \"chunked\"", Bare(400)),
        ("transfer-encoding: chunked;q=1", Bare(400)),
        ("transfer-encoding: chun\u{212a}ed", Bare(400)),
        ("transfer-encoding: \x0bchunked", Bare(400)),
        ("transfer-encoding : chunked", Bare(400)),
        (" transfer-encoding: chunked", Bare(400)),
        ("transfer-encoding:\r\n chunked", Bare(400)),
        ("x: y\r\n\ttransfer-encoding: chunked", Bare(400)),
    ];
    let mut cases: Vec<Case> =
        cases.into_iter().map(|(headers, answer)| (post(headers, CHUNKS), answer)).collect();
    cases.push((post("transfer_encoding: chunked", b""), GOOD));
    let old = b"POST /healthz HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    cases.push((old.to_vec(), Bare(400)));
    cases
}

/// Where does a chunk end?
fn chunks() -> Vec<Case> {
    let extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20_000));
    let cases = [
        (&b"2;name=value\r\n{}\r\n0\r\n\r\n"[..], GOOD),
        (extension.as_bytes(), BROKEN),
        (b"02\r\n{}\r\n000\r\n\r\n", GOOD),
        (b"2\n{}\n0\n\n", BROKEN),
        (b"2\r\n{}0\r\n\r\n", BROKEN),
        (b"0x2\r\n{}\r\n0\r\n\r\n", BROKEN),
        (b"-2\r\n{}\r\n0\r\n\r\n", BROKEN),
        (b"\r\n{}\r\n0\r\n\r\n", BROKEN),
        (b"what\r\n", BROKEN),
        (b"ffffffffffffffffff\r\n{}", BROKEN),
        (b"2\r\n{}\r\n0\r\nhost: evil.example\r\n\r\n", GOOD),
    ];
    cases.into_iter().map(|(body, answer)| (chunked(body), answer)).collect()
}

/// What is a line, and what is HTTP/1.1?
fn lines() -> Vec<Case> {
    let cases: [(&[u8], Answer); 14] = [
        (b"GET /healthz HTTP/1.1\nhost: localhost\n\n", Then(200, "")),
        (b"\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", Then(200, "")),
        (b"GET /healthz HTTP/1.1\rhost: localhost\r\r", Bare(400)),
        (b" GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"GET  /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"GET\t/healthz\tHTTP/1.1\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"GET /healthz\r\n\r\n", Bare(400)),
        (b"GET /healthz HTTP/0.9\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"GET /healthz HTTP/1.2\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"GET /healthz http/1.1\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"GET /healthz HTTP/1.1 x\r\nhost: localhost\r\n\r\n", Bare(400)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", Silence),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", Bare(400)),
        (b"GET /healthz HTTP/1.0\r\n\r\n", Last(200, "")),
    ];
    cases.into_iter().map(|(bytes, answer)| (bytes.to_vec(), answer)).collect()
}

/// What becomes of a body that is too large or none of what is wanted, or that nobody asked for?
fn bodies() -> Vec<Case> {
    let invalid = Then(400, "invalid_request");
    // A second chunk begins where there is too much already, and does not end.
    let flood = [b"10000\r\n".as_slice(), &vec![b' '; 0x1_0000], b"\r\n10000\r\n "];
    let announced = "host: localhost\r\ncontent-length: 1000000\r\n";
    vec![
        (post("content-length: 65537", b""), BROKEN),
        (post("content-length: 9000000000000000000", b"{"), BROKEN),
        (chunked(&flood.concat()), BROKEN),
        (post("content-length: 60000", "[".repeat(60_000).as_bytes()), invalid),
        (post("content-length: 2", b"\xff\xfe"), invalid),
        (post("content-length: 2\r\ncontent-type: application/json", b"{}"), invalid),
        (with("GET", "/healthz", announced), Last(200, "")),
        (with("POST", "/nowhere", announced), Last(404, "not_found")),
    ]
}

/// What else would be spoken?
fn upgrades() -> Vec<Case> {
    let h2c = "host: localhost\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
               http2-settings: AAMAAABkAAQAAP__\r\n";
    let socket = "host: evil.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let expectation = "host: localhost\r\nexpect: the-impossible\r\n";
    vec![
        (with("GET", "/healthz", h2c), Then(200, "")),
        (with("GET", "/v1/events", socket), Then(403, "forbidden")),
        (with("GET", "/healthz", expectation), Then(200, "")),
    ]
}

fn all() -> Vec<Case> {
    [addresses(), names(), lengths(), codings(), chunks(), lines(), bodies(), upgrades()].concat()
}

/// The statuses of all answers on a connection.
fn statuses(said: &str) -> Vec<u16> {
    let starts = said.split("HTTP/1.1 ").skip(1).chain(said.split("HTTP/1.0 ").skip(1));
    starts.map(|rest| rest[..3].parse().unwrap()).collect()
}

async fn each_is_answered(cluster: &Cluster, way: &Way) {
    let calls = cluster.simulator.calls(APP_ID);
    let mut wrong = Vec::new();
    for (bytes, expected) in all() {
        let said = way.ask(&[&bytes, NEXT.as_bytes()].concat()).await;
        let (status, code, follows) = match expected {
            Then(status, code) => (status, code, true),
            Last(status, code) => (status, code, false),
            Bare(status) => (status, "", false),
            Silence => (0, "", false),
        };
        let all: &[u16] = match status {
            0 => &[],
            status if follows => &[status, 200],
            status => &[status],
        };
        let coded = code.is_empty() || said.contains(&format!("\"code\":{code:?}"));
        let bare = !matches!(expected, Bare(_)) || said.ends_with("\r\n\r\n");
        let silent = !said.contains("set-cookie") && !said.contains("101 Switching");
        if statuses(&said) != all || !coded || !bare || !silent {
            let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
            wrong.push(format!("{sent:?}\nexpected {expected:?}, but was answered\n{said}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(cluster.simulator.calls(APP_ID), calls, "the upstream was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_request_has_its_answer() {
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    each_is_answered(&cluster, &Way::plain(&cluster.workers()[0])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_tls_each_hostile_request_has_the_same_answer() {
    let authority = Authority::new();
    let cluster = with_certificate(&authority.sign("127.0.0.1")).life(ms(600_000));
    let cluster = start(cluster, &authority).await;
    cluster.settle().await;
    each_is_answered(&cluster, &Way::encrypted(&cluster.workers()[0], &authority)).await;
}

/// Sends a byte now and then, and reads what is answered until the connection is closed.
async fn trickle(way: &Way, head: &[u8], bytes: &[u8]) -> String {
    let connection = way.open().await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(connection);
    writing.write_all(head).await.unwrap();
    let trickling = async {
        let mut bytes = bytes.iter().cycle();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if writing.write_all(&[*bytes.next().unwrap()]).await.is_err() {
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        said = rest(&mut reading) => said,
        () = trickling => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lets_a_body_trickle_is_answered_408_and_who_is_not_asked_for_one_is_cut_off() {
    let authority = Authority::new();
    let cluster = with_certificate(&authority.sign("127.0.0.1"));
    let cluster = start(cluster, &authority).await;
    let way = Way::encrypted(&cluster.workers()[0], &authority);
    let unasked = with("GET", "/healthz", "host: localhost\r\ncontent-length: 60000\r\n");
    let headers = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ";
    let (sized, chunks) = (post("content-length: 60000", b""), chunked(b""));
    let (sized, chunks, unasked, headers) = tokio::join!(
        trickle(&way, &sized, b" "),
        trickle(&way, &chunks, b"1\r\n \r\n"),
        trickle(&way, &unasked, b" "),
        trickle(&way, headers, b"y"),
    );
    for slow in [sized, chunks] {
        assert_eq!(statuses(&slow), [408], "{slow}");
        assert!(slow.contains("\"code\":\"slow_request\""), "{slow}");
    }
    assert_eq!(statuses(&unasked), [200], "{unasked}");
    assert_eq!(headers, "", "a request that is not finished in time has no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_in_the_middle_leaves_nothing_behind() {
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    let way = Way::plain(&cluster.workers()[0]);
    for (bytes, answered) in [
        (&b""[..], None),
        (b"GET", None),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n", None),
        (&post("content-length: 10", b"{"), Some("\"code\":\"invalid_request\"")),
        (&chunked(b"2\r\n{"), Some("\"code\":\"invalid_request\"")),
    ] {
        let mut connection = way.open().await.unwrap();
        connection.write_all(bytes).await.unwrap();
        // From now on it says nothing any more, but would hear.
        connection.shutdown().await.unwrap();
        let said = rest(&mut connection).await;
        let expected =
            answered.map_or(said.is_empty(), |part| said.is_empty() || said.contains(part));
        assert!(expected, "{:?}: {said}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(statuses(&way.ask(NEXT.as_bytes()).await), [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_first_is_told_to_go_on_only_where_the_body_is_wanted() {
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    let way = Way::plain(&cluster.workers()[0]);
    let mut connection = way.open().await.unwrap();
    let waiting = "expect: 100-continue\r\nconnection: close\r\ncontent-length: ";
    connection.write_all(&post(&format!("{waiting}2"), b"")).await.unwrap();
    let mut first = [0; 25];
    connection.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"{}").await.unwrap();
    let said = rest(&mut connection).await;
    assert_eq!(statuses(&said), [404], "{said}");

    for (length, target) in [("65537", "/v1/credentials/nobody/refresh"), ("2", "/nowhere")] {
        let call = with("POST", target, &format!("host: localhost\r\n{waiting}{length}\r\n"));
        let said = way.ask(&call).await;
        assert!(!said.contains("100 Continue"), "{said}");
        assert_eq!(statuses(&said).len(), 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_are_answered_in_their_order_until_one_is_no_http() {
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    let way = Way::plain(&cluster.workers()[0]);
    let row = [get("/healthz"), get("/nowhere"), get("/v1/credentials"), get("/readyz")].concat();
    let said = way.ask(&[&row, NEXT.as_bytes()].concat()).await;
    assert_eq!(statuses(&said), [200, 404, 200, 200, 200], "{said}");
    let row = [&get("/healthz")[..], b"what?\r\n\r\n", &get("/healthz")].concat();
    assert_eq!(statuses(&way.ask(&row).await), [200, 400]);
}
