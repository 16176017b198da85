//! A call with the token, such as a service makes: one that changes nothing, and needs no more than a token that works.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};
use futures_util::future::join;
use http::header::{CONNECTION, HOST};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The longest answer, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// `host:port` of the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    authority: String,
}

impl FromStr for Upstream {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse()?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let authority = uri.authority().filter(|_| plain).context("expected http://host:port")?;
        ensure!(!authority.as_str().contains('@'), "expected http://host:port");
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority: format!("{}:{port}", authority.host()) })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl Upstream {
    /// The code of the answer, 0 for a call that succeeded. The caller bounds the time; no error has the token.
    pub(crate) async fn call(&self, token: &str) -> anyhow::Result<i64> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let called = async move {
            let request = Request::get(format!("/cgi-bin/get_api_domain_ip?access_token={token}"))
                .header(HOST, &self.authority)
                .header(CONNECTION, "close")
                .body(Empty::<Bytes>::new())?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            ensure!(status.is_success(), "HTTP status {}", status.as_u16());
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
            let body = body.ok().context("its answer is cut short, or too long")?.to_bytes();
            let answer: Value =
                serde_json::from_slice(&body).ok().context("its answer is no JSON")?;
            Ok(answer["errcode"].as_i64().unwrap_or_default())
        };
        // The connection ends with the call, or the call with the connection.
        join(called, connection).await.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        let address = |url: &str| url.parse::<Upstream>().map(|upstream| upstream.to_string());
        assert_eq!(address("http://simulator:8630").unwrap(), "simulator:8630");
        assert_eq!(address("http://simulator/").unwrap(), "simulator:80");
        for wrong in ["https://a", "simulator:8630", "http://a/b", "http://u:p@a", "http://a/?b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
