//! Five hundred readers whose calls are rejected all at once, and who all say so.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::time::{Instant, sleep};
use zhongkong_testkit::cluster::{APP_ID, TOKEN_KEY};
use zhongkong_testkit::{Worker, http};

use crate::stage::{Published, Stage};

/// Readers that report over HTTP, and wait for the answer.
pub(crate) const BY_HTTP: usize = 400;
/// Readers that leave a report in the stream, and look at the key again.
pub(crate) const BY_STREAM: usize = 100;
/// The stream.
pub(crate) const STREAM: &str = "zhongkong:reports";

/// How long a reader waits for another token.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at the key.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the readers got. Has no `Debug`, because it holds tokens.
pub(crate) struct Answered {
    pub(crate) readers: usize,
    /// The tokens that they go on with, each once.
    pub(crate) tokens: BTreeSet<String>,
    /// Until the last of them had one.
    pub(crate) took: Duration,
}

/// All report `dead` at once; returns when each has a token to go on with.
pub(crate) async fn report(stage: &Stage, dead: &Published) -> anyhow::Result<Answered> {
    let began = Instant::now();
    let workers: Vec<String> = stage.workers.iter().map(Worker::http_url).collect();
    let urls = workers.iter().cycle().take(BY_HTTP);
    let connection = stage.redis.connect().await;
    let (told, left) = tokio::try_join!(
        try_join_all(urls.map(|url| tell(url, dead))),
        try_join_all((0..BY_STREAM).map(|_| leave(connection.clone(), dead))),
    )?;
    let readers = told.len() + left.len();
    let tokens = told.into_iter().chain(left).collect();
    Ok(Answered { readers, tokens, took: began.elapsed() })
}

/// Reports over HTTP; the answer is the token to use.
async fn tell(worker: &str, dead: &Published) -> anyhow::Result<String> {
    let url = format!("{worker}/v1/credentials/{APP_ID}/report");
    let request = http::Request::new("POST", &url).json(&json!({ "token": dead.token }));
    let answer = request.within(PATIENCE).send().await.context("a report was not answered")?;
    ensure!(answer.is_success(), "a report was refused: {}", answer.body);
    let body = answer.json();
    let outcome = body["outcome"].as_str().unwrap_or_default();
    ensure!(["refreshed", "already_newer"].contains(&outcome), "a report came to {outcome:?}");
    Ok(body["token"].as_str().context("an answer has a token")?.to_owned())
}

/// Reports without HTTP: a line in the stream, and the key again until it holds another token.
async fn leave(mut connection: MultiplexedConnection, dead: &Published) -> anyhow::Result<String> {
    let began = Instant::now();
    let mut entry = redis::cmd("XADD");
    entry.arg(STREAM).arg("MAXLEN").arg("~").arg(10_000).arg("*");
    entry.arg("id").arg(APP_ID).arg("kind").arg("access_token");
    entry.arg("fingerprint").arg(&dead.fingerprint);
    let _: String = entry.query_async(&mut connection).await?;
    while began.elapsed() < PATIENCE {
        let token: Option<String> =
            redis::cmd("GET").arg(TOKEN_KEY).query_async(&mut connection).await?;
        if let Some(token) = token.filter(|token| *token != dead.token) {
            return Ok(token);
        }
        sleep(LOOK_EVERY).await;
    }
    bail!("a reader that left a report found no other token within {PATIENCE:?}");
}
