//! `health`: whether the worker beside this command is ready. For the health checks of containers, which have no curl.

mod encrypted;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures_util::future::join;
use http::header::{CONNECTION, HOST};
use http::{Request, StatusCode};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::Listen;
use crate::language::Language;
use crate::terminal::{Exit, answer, complain};

/// The longest answer that is looked at, in bytes; a worker's is shorter.
const ANSWER_MAX: usize = 4 * 1024;
/// So many characters of it are shown.
const SHOWN_MAX: usize = 200;

/// Asks the worker that listens there for its `/readyz`, and waits for so long at most.
pub(crate) async fn health(
    Listen { address, encrypted }: Listen,
    wait: Duration,
    language: Language,
) -> anyhow::Result<Exit> {
    let address = reached(address);
    let colon = language.colon();
    let complaint = match tokio::time::timeout(wait, ask(address, encrypted)).await {
        Ok(Ok((StatusCode::OK, said))) => {
            answer(&said);
            return Ok(Exit::Done);
        }
        Ok(Ok((status, said))) => match language {
            Language::English => {
                format!("not ready: {address} answers {}{colon}{said}", status.as_u16())
            }
            Language::Chinese => {
                format!("未就绪：{address} 返回 {}{colon}{said}", status.as_u16())
            }
        },
        Ok(Err(error)) => match language {
            Language::English => format!(
                "no worker answers at {address}: {error:#}; is it running, and is this the http.listen that it was started with?"
            ),
            Language::Chinese => format!(
                "{address} 没有 worker 应答：{error:#}；请确认它正在运行，且启动时的 http.listen 与此一致"
            ),
        },
        Err(_) => {
            let wait = humantime::format_duration(wait);
            match language {
                Language::English => format!("the worker at {address} gives no answer in {wait}"),
                Language::Chinese => format!("{address} 上的 worker 在 {wait} 内没有应答"),
            }
        }
    };
    complain(&complaint);
    Ok(Exit::Failed)
}

/// Where a worker that listens at `listen` is reached from its own machine.
fn reached(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The status, and what is shown of the answer: its first line.
async fn ask(address: SocketAddr, encrypted: bool) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    if encrypted {
        converse(encrypted::agree(stream, address.ip()).await?, address).await
    } else {
        converse(stream, address).await
    }
}

async fn converse<S>(stream: S, address: SocketAddr) -> anyhow::Result<(StatusCode, String)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let asked = async move {
        let request = Request::get("/readyz")
            .header(HOST, address.to_string())
            .header(CONNECTION, "close")
            .body(Body::empty())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_MAX).await?;
        Ok((status, first_line(&String::from_utf8_lossy(&body))))
    };
    // The connection ends with the question, or the question with the connection.
    let (answer, _) = join(asked, connection).await;
    answer
}

/// It may be any program that listens there, so what it says is not trusted with the terminal.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_listens_everywhere_is_asked_on_loopback_and_another_where_it_listens() {
        for (listen, asked) in [
            ("0.0.0.0:8620", "127.0.0.1:8620"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.1:8621", "127.0.0.1:8621"),
            ("10.0.0.7:8620", "10.0.0.7:8620"),
        ] {
            assert_eq!(reached(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn what_is_shown_of_an_answer_is_one_short_line_without_control_characters() {
        assert_eq!(first_line("ready\n"), "ready");
        assert_eq!(first_line("\x1b[31mred\nsecond"), "[31mred");
        assert_eq!(first_line(&"x".repeat(ANSWER_MAX)).len(), SHOWN_MAX);
        assert_eq!(first_line(""), "");
    }
}
