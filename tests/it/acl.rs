//! The users of `deploy/redis/users.acl`: what each role may do, that a worker needs all of its own, and that `check` tells what is lacking.

mod rights;
mod roles;
mod worker;

use std::collections::BTreeSet;

use serde_json::Value;
use zhongkong_client::{Client, Mode, ReportError};
use zhongkong_core::token::Fingerprint;
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::{APP_ID, Cluster, PATIENCE, RedisServer, wait_until};

use crate::setup::{settled_again, until};
use roles::{ROLES, Roles, grants_of, line_of};

/// Adds a report of `token` as the readers' guide does, under a role; what Redis answers.
async fn report(cluster: &Cluster, roles: &Roles, role: &str, token: &str) -> String {
    let fingerprint = Fingerprint::of(token);
    let command = format!(
        "XADD zhongkong:reports MAXLEN ~ 10000 * id {APP_ID} kind access_token fingerprint {fingerprint}"
    );
    roles.answer(&cluster.redis, role, &command).await
}

/// The finding of `check` about rights: its verdict, and what it says.
async fn finding(cluster: &Cluster) -> (String, String) {
    let output = cluster.workers()[0].run_command(&["check", "--json"]).await;
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut findings = findings.as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["what"] == "acl");
    let finding = finding.unwrap_or_else(|| panic!("nothing about rights: {output:?}"));
    let text = |field: &str| finding[field].as_str().unwrap().to_owned();
    (text("verdict"), text("text"))
}

/// The rules in the line that ends a finding.
fn granted(text: &str, user: &str) -> BTreeSet<String> {
    let line = text.split_once(&format!("ACL SETUSER {user} ")).map(|(_, rules)| rules);
    line.unwrap_or_else(|| panic!("no line: {text}")).split(' ').map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn the_file_as_it_is_lets_nobody_in() {
    let roles = Roles::untouched();
    let redis = roles.redis().await;
    for role in ROLES {
        let users: Vec<String> = redis.command(&["ACL", "LIST"]).await;
        let user = users.iter().find(|user| user.starts_with(&format!("user {role} ")));
        assert!(
            user.is_some_and(|user| user.contains(" off ") && !user.contains('#')),
            "{users:?}"
        );
        for password in ["\"\"", "worker", "PASSWORD"] {
            let refused = roles.answer_as(&redis, role, password, "PING").await;
            assert!(refused.starts_with("-WRONGPASS"), "{role}: {refused}");
        }
    }
}

#[tokio::test]
async fn the_lines_as_commands_make_the_same_users_and_leave_passwords_alone() {
    let roles = Roles::made().await;
    let from_file = roles.redis().await;
    let by_command = RedisServer::start().await;
    let earlier = ["on", ">earlier", "~*", "&*", "+@all", "(+@all ~*)"];
    let () = by_command.command(&[&["ACL", "SETUSER", "reader"], &earlier[..]].concat()).await;
    for role in ROLES {
        let line = line_of(role);
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let () = by_command.command(&[&["ACL", "SETUSER"], &words[..]].concat()).await;
        let of = async |redis: &RedisServer| {
            let users: Vec<String> = redis.command(&["ACL", "LIST"]).await;
            let user = users.into_iter().find(|user| user.starts_with(&format!("user {role} ")));
            let user = user.unwrap();
            // In an order that Redis chooses, and with the password.
            let words = user.split(' ').filter(|word| !word.starts_with('#'));
            words.filter(|word| !["on", "off"].contains(word)).map(ToOwned::to_owned).collect()
        };
        let [from_file, by_command]: [BTreeSet<String>; 2] =
            [of(&from_file).await, of(&by_command).await];
        assert_eq!(from_file, by_command, "{role}");
    }
    let kept = roles.answer_as(&by_command, "reader", "earlier", "GET zhongkong:workers").await;
    assert!(kept.starts_with("-NOPERM"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_the_token_and_a_reporter_has_it_replaced_and_neither_does_the_others_part()
 {
    let roles = Roles::made().await;
    let cluster = roles.cluster().workers(2).start().await;
    cluster.settle().await;
    let url = cluster.redis.url();
    let client = Client::builder(&url).username("reader").password(roles.password("reader"));
    let client = client.start().unwrap();
    let reader = client.access_token(APP_ID).unwrap();
    let token = reader.ready(PATIENCE).await.unwrap();
    assert_eq!(cluster.token().await.as_deref(), Some(token.expose()));
    assert!(client.mode() == Some(Mode::Tracking) && token.expires_in().is_some());
    let plain = roles.answer(&cluster.redis, "reader", &format!("GET {TOKEN_KEY}")).await;
    assert_eq!(plain, format!("${}", token.expose().len()));

    let error = reader.report(&token).await.unwrap_err();
    assert!(matches!(error, ReportError::Refused(_)), "{error:?}");
    let forbidden = report(&cluster, &roles, "reader", token.expose()).await;
    assert!(forbidden.starts_with("-NOPERM"), "{forbidden}");
    let forbidden = roles.answer(&cluster.redis, "reporter", &format!("GET {TOKEN_KEY}")).await;
    assert!(forbidden.starts_with("-NOPERM"), "{forbidden}");

    cluster.simulator.revoke(token.expose(), true);
    let added = report(&cluster, &roles, "reporter", token.expose()).await;
    assert!(added.starts_with('$'), "{added}");
    until(&cluster, "the report is served", async || {
        cluster.redis.command::<u64>(&["XLEN", "zhongkong:reports"]).await == 0
    })
    .await;
    settled_again(&cluster).await;
    let newest = cluster.token().await.unwrap();
    assert_ne!(newest, token.expose());
    wait_until("the reader has heard of it", PATIENCE, async || {
        reader.current().is_ok_and(|current| current.expose() == newest)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_rule_that_is_taken_from_the_workers_role() {
    let roles = Roles::made().await;
    let mut cluster = roles.cluster().workers(1).prepare().await;
    cluster.start_worker(1).wait_ready().await;
    let line = line_of("worker");
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let grants = grants_of("worker");
    assert!(grants.len() > 30, "{grants:?}");
    for rule in &grants {
        let lacking: Vec<&str> = words.iter().copied().filter(|word| word != rule).collect();
        let () = cluster.redis.command(&[&["ACL", "SETUSER"], &lacking[..]].concat()).await;
        let (verdict, text) = finding(&cluster).await;
        assert_ne!(verdict, "ok", "{rule} is of no use");
        let mut named = granted(&text, "worker");
        if rule.starts_with('&') {
            // Without the channel neither command is of use, and which of the three is lacking cannot be told.
            named.retain(|rule| !["+publish", "+subscribe"].contains(&rule.as_str()));
        }
        assert_eq!(named, BTreeSet::from([(*rule).to_owned()]), "{text}");
    }
    let () = cluster.redis.command(&[&["ACL", "SETUSER"], &words[..]].concat()).await;
    assert_eq!(finding(&cluster).await.0, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_a_worker_that_logs_in_as_another_role() {
    let roles = Roles::made().await;
    let mut cluster = roles.cluster_as("reader").workers(1).prepare().await;
    cluster.start_worker(1);
    let (verdict, text) = finding(&cluster).await;
    assert_eq!(verdict, "wrong");
    for part in ["reader", "deploy/redis/users.acl", "ACL SETUSER reader +eval"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_right_to_another_database() {
    let roles = Roles::made().await;
    let mut cluster = roles.cluster().workers(1).prepare().await;
    let url = format!("{}/1", cluster.redis.url());
    cluster.start_worker(1).kill9().await;
    let environment = &mut cluster.worker(1).plan_mut().environment;
    environment.push(("ZHONGKONG__REDIS__URL".to_owned(), url));
    let output = cluster.workers()[0].run_command(&["check"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    let line = said.lines().find(|line| line.starts_with("redis: ")).unwrap();
    assert!(line.ends_with(": ACL SETUSER worker +select"), "{said}");
    let () = cluster.redis.command(&["ACL", "SETUSER", "worker", "+select"]).await;
    cluster.worker(1).restart();
    cluster.worker(1).wait_ready().await;
    let (verdict, text) = finding(&cluster).await;
    assert_eq!(verdict, "ok", "{text}");
}
