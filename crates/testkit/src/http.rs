//! Just enough of an HTTP client for loopback: requests, answers, JSON.

use std::io::{self, ErrorKind};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

/// `GET`s a URL such as `http://127.0.0.1:8620/readyz`.
pub async fn get(url: &str) -> io::Result<Answer> {
    Request::new("GET", url).send().await
}

/// `POST`s JSON.
pub async fn post(url: &str, body: &Value) -> io::Result<Answer> {
    Request::new("POST", url).json(body).send().await
}

/// `DELETE`s a URL.
pub async fn delete(url: &str) -> io::Result<Answer> {
    Request::new("DELETE", url).send().await
}

impl Request {
    /// A request without a body.
    pub fn new(method: &'static str, url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("only http://");
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        Self {
            method,
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
            timeout: PATIENCE,
        }
    }

    /// One more header; a `host` replaces the URL's.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// JSON as the body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Any body.
    #[must_use]
    pub fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Gives up after this long.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends it on a connection of its own, and reads the whole answer.
    pub async fn send(self) -> io::Result<Answer> {
        timeout(self.timeout, self.exchange()).await.map_err(|_| ErrorKind::TimedOut)?
    }

    async fn exchange(&self) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.authority).await?;
        stream.write_all(self.to_wire().as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData)?;
        Answer::parse(&text).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// As HTTP/1.0: the answer then ends with the connection and never comes in chunks.
    fn to_wire(&self) -> String {
        let Self { method, authority, path, headers, body, .. } = self;
        let mut lines =
            vec![format!("{method} {path} HTTP/1.0"), format!("content-length: {}", body.len())];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            lines.push(format!("host: {authority}"));
        }
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.join("\r\n") + "\r\n\r\n" + body
    }
}

impl Answer {
    /// None if it was cut short.
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let answer = Self { status, head: head.to_owned(), body: body.to_owned() };
        let whole = answer
            .header("content-length")
            .is_none_or(|length| length.parse() == Ok(answer.body.len()));
        whole.then_some(answer)
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhongkong_simulator::{Account, Settings, Simulator};

    use super::*;

    #[tokio::test]
    async fn requests_reach_a_server_and_come_back_whole() {
        let accounts = vec![Account::new("wx1", "hush")];
        let simulator =
            Simulator::start(Settings { accounts, ..Settings::default() }).await.unwrap();
        let control = |path: &str| format!("{}/_simulator/{path}", simulator.url());
        let answer = post(&control("foreign_refresh"), &json!({ "app_id": "wx1" })).await.unwrap();
        assert_eq!(answer.json()["serial"], 1, "{answer:?}");
        let answer = get(&control("summary?app_id=wx1")).await.unwrap();
        assert!(answer.is_success() && answer.header("Content-Type").is_some());
        assert_eq!(answer.json()["foreign"], 1);
        assert_eq!(delete(&control("faults")).await.unwrap().status, 204);
        assert_eq!(get(&simulator.url()).await.unwrap().status, 404);
    }

    #[test]
    fn an_answer_cut_short_is_none() {
        assert!(Answer::parse("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab").is_none());
        assert!(Answer::parse("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab").is_some());
        assert!(Answer::parse("HTTP/1.1 200 OK\r\ncontent-le").is_none());
    }

    #[test]
    fn a_host_of_ones_own_replaces_the_urls() {
        let wire = Request::new("GET", "http://127.0.0.1:1").header("Host", "evil").to_wire();
        assert_eq!(wire.matches("ost: ").count(), 1, "{wire}");
        assert!(wire.starts_with("GET / HTTP/1.0\r\n"));
    }
}
