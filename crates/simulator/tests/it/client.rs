//! A caller that sees every byte: what a real client would hide (a cut, a missing status line) shows.

use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zhongkong_simulator::Simulator;

use crate::within;

/// An answer as it came off the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    pub(crate) fn errcode(&self) -> i64 {
        self.json()["errcode"].as_i64().unwrap_or_default()
    }

    pub(crate) fn token(&self) -> String {
        self.json()["access_token"].as_str().expect("a token").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.header("content-length").is_some_and(|length| length == self.body.len().to_string())
    }
}

/// Sends a request and leaves the answer unread.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: upstream\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads to the end of the connection; `None` if it ended without a byte.
pub(crate) async fn receive(mut stream: TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let read = within(stream.read_to_end(&mut bytes)).await;
    if bytes.is_empty() {
        return None;
    }
    // A cut may end in a reset; what came before it counts.
    drop(read);
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Some(Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() })
}

pub(crate) async fn call(
    simulator: &Simulator,
    method: &str,
    path: &str,
    body: &str,
) -> Option<Answer> {
    let stream = send(simulator.address(), method, path, body).await.expect("a connection");
    receive(stream).await
}

pub(crate) const LEGACY: &str = "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=hush";

pub(crate) async fn legacy(simulator: &Simulator) -> Answer {
    call(simulator, "GET", LEGACY, "").await.expect("an answer")
}

pub(crate) async fn legacy_as(simulator: &Simulator, caller: &str) -> Answer {
    call(simulator, "GET", &format!("/as/{caller}{LEGACY}"), "").await.expect("an answer")
}

pub(crate) async fn stable(simulator: &Simulator, force: bool) -> Answer {
    let body = json!({
        "grant_type": "client_credential",
        "appid": "wx1",
        "secret": "hush",
        "force_refresh": force,
    });
    let body = body.to_string();
    call(simulator, "POST", "/cgi-bin/stable_token", &body).await.expect("an answer")
}

pub(crate) async fn probe(simulator: &Simulator, token: &str) -> i64 {
    let path = format!("/cgi-bin/get_api_domain_ip?access_token={token}");
    call(simulator, "GET", &path, "").await.expect("an answer").errcode()
}
