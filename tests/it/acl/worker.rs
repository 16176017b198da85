//! A cluster's life under the role `worker`: nothing that it does is refused, and nothing that the role allows is left unused.

use std::collections::BTreeSet;

use zhongkong_core::token::Fingerprint;
use zhongkong_simulator::Scope;
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::{APP_ID, Cluster, PATIENCE, RedisServer, wait_until};

use super::roles::{Roles, grants_of};
use crate::notify::Receiver;
use crate::setup::refresh_at;

const REPORTS: &str = "zhongkong:reports";

/// What Redis counts beside what the role allows: logins, which need no right, and what is tried and done without.
const BESIDE: [&str; 4] = ["auth", "hello", "client|setinfo", "config|get"];
/// What the test itself says, and its replica. Nothing of it is in the role, so that only workers count.
const OF_THE_TEST: [&str; 8] =
    ["acl|log", "append", "config|resetstat", "keys", "psync", "replconf", "unlink", "xlen"];

/// The token that the worker's own interface shows; asked there, since what the test asks of Redis counts as well.
async fn shown(cluster: &Cluster) -> Option<String> {
    let answer = cluster.workers()[0].get(&format!("/v1/credentials/{APP_ID}/token")).await.ok()?;
    answer.is_success().then(|| answer.json()["token"].as_str().unwrap().to_owned())
}

async fn shows_the_newest(cluster: &Cluster) {
    cluster
        .wait_until("the newest token is shown", PATIENCE, async || {
            let newest = cluster.simulator.newest(APP_ID).map(|token| token.value);
            newest.is_some() && newest == shown(cluster).await
        })
        .await;
}

async fn reports_are_served(redis: &RedisServer) {
    wait_until("every report is served", PATIENCE, async || {
        redis.command::<u64>(&["XLEN", REPORTS]).await == 0
    })
    .await;
}

/// A report that a worker took that is no more.
async fn leave_with_a_dead_worker(redis: &RedisServer) {
    let () = redis.command(&["XGROUP", "CREATE", REPORTS, "zhongkong", "0", "MKSTREAM"]).await;
    let fingerprint = Fingerprint::of("an older token");
    let entry = ["id", APP_ID, "fingerprint", fingerprint.as_str()];
    let _: String = redis.command(&[&["XADD", REPORTS, "*"], &entry[..]].concat()).await;
    let read = ["XREADGROUP", "GROUP", "zhongkong", "dead#0", "STREAMS", REPORTS, ">"];
    let _: redis::Value = redis.command(&read).await;
}

/// The commands that were called since the counts began.
async fn called(redis: &RedisServer) -> BTreeSet<String> {
    let info: String = redis.command(&["INFO", "commandstats"]).await;
    let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    lines.map(ToOwned::to_owned).collect()
}

/// What users were refused since the log was emptied.
async fn refused(redis: &RedisServer) -> BTreeSet<String> {
    let log: Vec<std::collections::HashMap<String, redis::Value>> =
        redis.command(&["ACL", "LOG"]).await;
    let objects = log.into_iter().map(|mut entry| entry.remove("object").unwrap());
    objects.map(|object| redis::from_redis_value(object).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_its_role_is_refused_nothing_and_uses_every_right() {
    let roles = Roles::made().await;
    let receiver = Receiver::start(&[]).await;
    let notify = "[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = { env = \"HOOK\" }\n\
                  secret = { env = \"SIGNS\" }\ngroup_wait = \"100ms\"";
    let cluster = roles.cluster().workers(2).toml(notify).env("SIGNS", "signs-0123456789");
    let mut cluster = cluster.env("HOOK", &receiver.url("/hook")).prepare().await;
    let replica = cluster.redis.replica().await;
    leave_with_a_dead_worker(&cluster.redis).await;
    let () = cluster.redis.command(&["ACL", "LOG", "RESET"]).await;
    let () = cluster.redis.command(&["CONFIG", "RESETSTAT"]).await;

    for index in [1, 2] {
        cluster.start_worker(index).wait_ready().await;
    }
    shows_the_newest(&cluster).await;
    reports_are_served(&cluster.redis).await;
    let checked = cluster.workers()[0].run_command(&["check"]).await;
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    let complaint = said.lines().find(|line| !line.contains(": ok: "));
    assert_eq!(complaint, None, "{said}");

    // A key that is gone or spoilt is published again, and a stream that is gone is made again.
    for command in [&["UNLINK", TOKEN_KEY][..], &["APPEND", TOKEN_KEY, "text"]] {
        let () = cluster.redis.command(command).await;
        shows_the_newest(&cluster).await;
    }
    let () = cluster.redis.command(&["UNLINK", REPORTS]).await;
    wait_until("the stream is there", PATIENCE, async || {
        !cluster.redis.command::<Vec<String>>(&["KEYS", REPORTS]).await.is_empty()
    })
    .await;
    let dead = shown(&cluster).await.unwrap();
    cluster.simulator.revoke(&dead, true);
    let fingerprint = Fingerprint::of(&dead);
    let report = format!("XADD {REPORTS} * id {APP_ID} fingerprint {fingerprint}");
    roles.answer(&cluster.redis, "reporter", &report).await;
    reports_are_served(&cluster.redis).await;
    cluster
        .wait_until("another token is shown", PATIENCE, async || {
            shown(&cluster).await.is_some_and(|token| token != dead)
        })
        .await;
    cluster.simulator.set_outcome(40243, Scope::account(APP_ID));
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 502);
    wait_until("a person is told", PATIENCE, async || !receiver.got().is_empty()).await;
    cluster.simulator.clear_faults();
    let (status, body) = refresh_at(&cluster, 0, true).await;
    assert_eq!(status, 200, "{body}");

    for command in [
        &["get", APP_ID][..],
        &["status", APP_ID],
        &["history", APP_ID],
        &["refresh", APP_ID],
        &["refresh", APP_ID, "--force"],
        &["pause", APP_ID],
        &["resume", APP_ID],
        &["forget", APP_ID, "--yes"],
    ] {
        let output = cluster.workers()[0].run_command(command).await;
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    for worker in cluster.workers_mut() {
        worker.terminate();
        assert_eq!(worker.wait_exit().await.code(), Some(0));
    }

    let refused = refused(&cluster.redis).await;
    let unexpected: Vec<&String> =
        refused.iter().filter(|what| !BESIDE.contains(&what.as_str())).collect();
    assert!(unexpected.is_empty(), "refused: {unexpected:?}");
    let called = called(&cluster.redis).await;
    let beside =
        |command: &String| ![&BESIDE[..], &OF_THE_TEST].concat().contains(&command.as_str());
    let called: BTreeSet<String> = called.into_iter().filter(beside).collect();
    let grants = grants_of("worker").into_iter().filter_map(|rule| rule.strip_prefix('+'));
    assert_eq!(called, grants.map(ToOwned::to_owned).collect(), "what was called, and what may be");
    drop(replica);
}
