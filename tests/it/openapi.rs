//! The description at `/openapi.json`, held against real workers by schemathesis: it makes requests of the description,
//! good and bad ones, and finds every answer that the description does not tell of.
//!
//! It is installed into a folder of its own, from `tests/openapi`, whose settings say that the same requests are made
//! each time.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::time::timeout;
use zhongkong_testkit::{APP_ID, Cluster, process};

use crate::python::{Environment, environment};
use crate::setup::{cluster, ms, refresh_at, until};

const SETTINGS: &str = include_str!("../openapi/schemathesis.toml");

const READ: &str = "a-bearer-token-to-read";
const TOKEN: &str = "a-bearer-token-for-tokens";
const ADMIN: &str = "a-bearer-token-for-all";

/// Longest wait for all requests of one run.
const RUN_PATIENCE: Duration = Duration::from_mins(5);

/// Every id is the one that the worker knows.
const KNOWN_ID: &str = "parameters.\"path.id\" = \"wx-test\"";
/// Who may not ask is told so, whatever else is said. That wrong bearer tokens are refused is seen to by the whole run:
/// more of them would be too many from one address.
const BRIEFLY: &str = "phases.fuzzing.enabled = false
checks.ignored_auth.enabled = false
generation.with-security-parameters = false";
/// Whatever is asked rightly is done.
const ALL_IS_DONE: &str = "checks.positive_data_acceptance.expected-statuses = [\"200\"]";
/// Without `http.tokens` it does not matter who asks; else that counts as a bad request that is not refused.
const NOBODY_SIGNS_IN: &str = "checks.ignored_auth.enabled = false
checks.missing_required_header.enabled = false
checks.negative_data_rejection.enabled = false";

async fn schemathesis() -> Option<Environment> {
    environment("openapi", include_str!("../openapi/requirements.txt")).await
}

/// Makes requests of the description of the cluster's worker, as somebody with `bearer`; tells of each wrong answer.
async fn hold(program: &Environment, cluster: &Cluster, bearer: Option<&str>, settings: &[&str]) {
    let folder = TempDir::new().unwrap();
    let settings = [settings.join("\n"), SETTINGS.to_owned()].join("\n");
    fs::write(folder.path().join("schemathesis.toml"), settings).unwrap();
    let url = format!("{}/openapi.json", cluster.workers()[0].http_url());
    let mut command = process::command("nice");
    command.args(["-n", "19"]).arg(program.program("schemathesis")).args(["run", &url]);
    if let Some(bearer) = bearer {
        command.args(["--header", &format!("Authorization: Bearer {bearer}")]);
    }
    command.current_dir(folder.path()).stdin(Stdio::null());
    let output = timeout(RUN_PATIENCE, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{bearer:?}: {said}\n{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_to_anybody_is_one_that_is_not_described() {
    let Some(program) = schemathesis().await else { return };
    let token = |scope: &str, secret: &str| {
        format!("[[http.tokens]]\nname = {scope:?}\nscope = {scope:?}\nsecret = {secret:?}\n")
    };
    let tokens = [("read", READ), ("token", TOKEN), ("admin", ADMIN)];
    let tokens = tokens.map(|(scope, secret)| token(scope, secret)).concat();
    let service = "[[http.wechat]]\nname = \"shop\"\nsecret = \"the-secret-of-the-shop\"\n";
    let toml = tokens + service;
    let cluster = cluster().workers(1).life(ms(600_000)).toml(&toml).start().await;
    cluster.settle().await;
    join_all([
        hold(&program, &cluster, None, &[KNOWN_ID, BRIEFLY]),
        hold(&program, &cluster, Some(READ), &[KNOWN_ID, BRIEFLY]),
        hold(&program, &cluster, Some(TOKEN), &[KNOWN_ID, BRIEFLY]),
        hold(&program, &cluster, Some(ADMIN), &[]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_good_request_for_a_known_account_is_done() {
    let Some(program) = schemathesis().await else { return };
    let tickets = ["jsapi", "wx_card"];
    let cluster = cluster().workers(1).life(ms(600_000)).tickets(&tickets).start().await;
    cluster.settle().await;
    for kind in ["jsapi_ticket", "wx_card_ticket"] {
        until(&cluster, kind, async || cluster.ticket(kind).await.is_some()).await;
    }
    let calls = cluster.simulator.calls(APP_ID);
    hold(&program, &cluster, None, &[KNOWN_ID, ALL_IS_DONE, NOBODY_SIGNS_IN]).await;
    assert!(cluster.simulator.calls(APP_ID) > calls, "refreshes were asked for, and came");
    cluster.settle().await;
    assert_eq!(refresh_at(&cluster, 0, false).await.0, 200);
}
