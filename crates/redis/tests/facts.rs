//! What `check` learns of a real redis-server, and that asking changes nothing.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use zhongkong_core::credential::Unit;
use zhongkong_redis::{
    Access, Deployment, Facts, Keys, RedisAddress, RedisSettings, RedisStore, Replicas, SdkKeys,
};
use zhongkong_testkit::server::program;
use zhongkong_testkit::{RedisServer, process};

/// What a user is told who may log in and do exactly `rules`.
async fn facts_of(server: &RedisServer, rules: &str) -> Facts {
    let words = ["ACL", "SETUSER", "worker", "reset", "on", ">password"];
    let () = server.command(&[&words[..], &rules.split(' ').collect::<Vec<_>>()].concat()).await;
    let settings = RedisSettings {
        deployment: Deployment::Server(RedisAddress::Tcp("127.0.0.1".to_owned(), server.port())),
        access: Access {
            username: Some("worker".to_owned()),
            password: Some("password".into()),
            ..Access::default()
        },
    };
    let store = RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Auto);
    let [pattern, one] = ["wechatpy:*", "wechatpy:wx1_access_token"].map(ToOwned::to_owned);
    let sdk = [SdkKeys { pattern, one }];
    store.facts(&Unit::access_token("wx1".parse().unwrap()), &sdk).await.unwrap()
}

#[track_caller]
fn lacks(facts: &Facts, rules: &str, expected: &[&str]) {
    let denied = facts.denied.clone().unwrap();
    assert_eq!(denied, expected, "lacked by a user who may {rules}");
}

#[tokio::test]
async fn each_right_that_a_user_lacks_is_named_by_the_rule_that_grants_it() {
    let server = RedisServer::start().await;
    let ours = "~zhongkong:* ~wechatpy:* &zhongkong:events";
    for (rules, expected) in [
        (format!("+@all {ours}"), &[][..]),
        (format!("+@all -evalsha -info {ours}"), &["+evalsha", "+info"]),
        (format!("+@all -eval {ours}"), &["+eval"]),
        (format!("+@all -wait -client {ours}"), &["+wait", "+client|tracking"]),
        (format!("+@all -xreadgroup -xack {ours}"), &["+xreadgroup", "+xack"]),
        (
            format!("+@all -xclaim -xgroup {ours}"),
            &["+xgroup|create", "+xclaim", "+xgroup|delconsumer"],
        ),
        (format!("+@all -zadd -hdel {ours}"), &["+hdel", "+zadd"]),
        (format!("+@all -subscribe {ours}"), &["+subscribe"]),
        (format!("+@all -publish {ours}"), &["+publish"]),
        ("+@all ~zhongkong:* &zhongkong:events".to_owned(), &["~wechatpy:*"]),
        ("+@all &* ~other:*".to_owned(), &["~zhongkong:*", "~wechatpy:*"]),
        ("+@all &* ~wechatpy:* %R~zhongkong:*".to_owned(), &["~zhongkong:*"]),
        ("+@all &* ~wechatpy:* ~zhongkong:{*".to_owned(), &["~zhongkong:*"]),
        (
            "+@all ~* resetchannels &other".to_owned(),
            &["+publish", "+subscribe", "&zhongkong:events"],
        ),
        ("+@all -time &* ~wechatpy:*".to_owned(), &["+time", "~zhongkong:*"]),
    ] {
        lacks(&facts_of(&server, &rules).await, &rules, expected);
    }
}

#[tokio::test]
async fn asking_what_a_user_may_do_changes_nothing_and_publishes_nothing() {
    let server = RedisServer::start().await;
    let rules = "+@all ~* &*";
    lacks(&facts_of(&server, rules).await, rules, &[]);
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await, 0);
    for command in ["publish", "set", "hset", "del", "zadd", "xgroup|create", "client|tracking"] {
        assert_eq!(server.calls_of(command).await, 0, "{command}");
    }
}

#[tokio::test]
async fn the_server_is_named_as_it_names_itself() {
    let told = process::command(program()).arg("--version").output().await.unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    // Redis server v=7.0.15 sha=…, or Valkey server v=9.1.2 sha=…
    let (name, rest) = told.split_once(" server v=").unwrap();
    let version = rest.split(' ').next().unwrap();
    let expected = if name == "Redis" { version.to_owned() } else { format!("{name} {version}") };
    let facts = facts_of(&RedisServer::start().await, "+@all ~* &*").await;
    assert_eq!(facts.version, Some(expected));
}
