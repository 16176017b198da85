//! A bare route: the same server library, an answer of the same size, and nothing behind it.

use std::net::Ipv4Addr;
use std::path::Path;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::process::Child;
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::process;

use crate::stage::until;

/// As long as a worker's answer about a token of 136 characters.
const ANSWER: &str = r#"{"id":"wx0000000000000000","kind":"access_token","token":"tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt","expires_in":7199,"expires_at":1790000000,"generation":1}"#;

/// A process that serves the route; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct BareRoute {
    child: Child,
    url: String,
}

impl BareRoute {
    /// Starts this program, `exe`, once more.
    pub(crate) async fn start(exe: &Path) -> Self {
        let port = free_port();
        let child = process::command(exe)
            .args(["--bare-route", &port.to_string()])
            .spawn()
            .expect("this program can be started again");
        let url = format!("http://127.0.0.1:{port}");
        until("the bare route answers", async || zhongkong_testkit::http::get(&url).await.is_ok())
            .await;
        Self { child, url }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("its end was not waited for")
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a free port");
    let route = get(async || ([(CONTENT_TYPE, "application/json")], ANSWER));
    axum::serve(listener, Router::new().route("/", route)).await.expect("a socket that lasts");
}
