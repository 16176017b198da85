//! The simulated upstream as a process, and the orders that make it misbehave.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;
use zhongkong_testkit::cluster::{APP_ID, SECRET};
use zhongkong_testkit::{Timings, http, process};

use crate::journal::Journal;

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The upstream. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    url: String,
    _child: Child,
}

impl Upstream {
    pub(crate) async fn start(
        binary: &Path,
        timings: &Timings,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        let mut child = process::command(binary)
            .args(["--listen", "127.0.0.1:0", "--account", &format!("{APP_ID}:{SECRET}")])
            .args(["--life", &ms(timings.life), "--overlap", &ms(timings.overlap)])
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .context("the simulator does not start")?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(START_TIMEOUT, lines.next_line()).await;
        let line = line.context("the simulator says nothing")??.unwrap_or_default();
        let url = line.strip_prefix("listening on ").context("the simulator did not start")?;
        Ok(Self { url: url.to_owned(), _child: child })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it is for a caller that it is to see at `address`.
    pub(crate) fn url_as(&self, address: IpAddr) -> String {
        format!("{}/as/{address}", self.url)
    }

    /// Token calls that reached it so far.
    pub(crate) async fn calls(&self) -> anyhow::Result<u64> {
        self.summary().await?["calls"].as_u64().context("the simulator counts its calls")
    }

    /// The counts of the account: `calls`, `under_way`, `newest` (a fingerprint) and others.
    pub(crate) async fn summary(&self) -> anyhow::Result<Value> {
        Ok(http::get(&self.control(&format!("summary?app_id={APP_ID}"))).await?.json())
    }

    /// Lets the next token call stand still when it arrives, before anything is issued.
    pub(crate) async fn hold_next(&self) -> anyhow::Result<()> {
        self.order("hold", &json!({ "point": "received", "app_id": APP_ID, "times": 1 })).await
    }

    /// Waits until a call stands still.
    pub(crate) async fn wait_held(&self, patience: Duration) -> anyhow::Result<()> {
        let request = http::Request::new("GET", &self.control("held?at_least=1"));
        request.within(patience).send().await.context("no call reached the upstream in time")?;
        Ok(())
    }

    /// Lets it go on.
    pub(crate) async fn release(&self) -> anyhow::Result<()> {
        self.order("release", &json!({})).await
    }

    /// Issues a token for the next call, and cuts the connection instead of answering.
    pub(crate) async fn lose_next_reply(&self) -> anyhow::Result<()> {
        self.order("faults", &json!({ "kind": "lost_reply", "app_id": APP_ID, "times": 1 })).await
    }

    /// What really happened.
    pub(crate) async fn journal(&self) -> anyhow::Result<Journal> {
        let answer = http::get(&self.control(&format!("journal?app_id={APP_ID}"))).await?;
        Journal::read(&answer.json())
    }

    /// Another party with the same secret fetches a token.
    pub(crate) async fn foreign_refresh(&self) -> anyhow::Result<()> {
        self.order("foreign_refresh", &json!({ "app_id": APP_ID })).await
    }

    /// Kills the newest token.
    pub(crate) async fn revoke(&self) -> anyhow::Result<()> {
        self.order("revoke", &json!({ "app_id": APP_ID })).await
    }

    /// Lets only these addresses fetch.
    pub(crate) async fn allow(&self, addresses: &[IpAddr]) -> anyhow::Result<()> {
        let request = http::Request::new("PUT", &self.control(&format!("accounts/{APP_ID}")));
        let answer = request.json(&json!({ "whitelist": addresses })).send().await?;
        ensure!(answer.is_success(), "the simulator refuses an IP list: {}", answer.body);
        Ok(())
    }

    async fn order(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = http::post(&self.control(path), body).await?;
        ensure!(answer.is_success(), "the simulator refuses {path}: {}", answer.body);
        Ok(())
    }

    fn control(&self, path: &str) -> String {
        format!("{}/_simulator/{path}", self.url)
    }
}
