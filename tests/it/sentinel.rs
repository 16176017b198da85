//! What `check` and `keys` tell of Sentinels, and how these let a worker in; for failovers see `faults`.

use std::process::Output;

use serde_json::Value;
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::{APP_ID, Authority, Cluster, PATIENCE, RedisServer, Sentinels, wait_until};

use crate::setup::{cluster, refresh_at, until};

const URL: &str = "ZHONGKONG__REDIS__URL";
const USERNAME: &str = "ZHONGKONG__REDIS__SENTINEL_USERNAME";
const PASSWORD: &str = "ZHONGKONG__REDIS__SENTINEL_PASSWORD";

/// One who may ask what a worker asks, and one who may not.
const USERS: &str = "\
    user watch on >watched resetchannels -@all +sentinel|get-master-addr-by-name +sentinel|master \
    +sentinel|ckquorum +ping\n\
    user blind on >watched resetchannels -@all +ping";

/// What `check` of a worker says of one thing: each line's verdict and text; and its exit code.
async fn checked(cluster: &Cluster, worker: usize, what: &str) -> (Vec<(String, String)>, i32) {
    let output: Output = cluster.workers()[worker].run_command(&["check", "--json"]).await;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let found = findings.iter().filter(|finding| finding["what"] == what);
    let found = found.map(|finding| (text(finding, "verdict"), text(finding, "text"))).collect();
    (found, output.status.code().unwrap())
}

#[track_caller]
fn says(found: &[(String, String)], verdict: &str, part: &str) {
    let is_said = |(of, text): &(String, String)| of == verdict && text.contains(part);
    assert!(found.iter().any(is_said), "{verdict} {part:?} is not in {found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_of_sentinels_and_keys_asks_them_first() {
    let mut sentinels = Sentinels::new();
    let url = Sentinels::url(&sentinels.ports());
    let mut cluster = cluster()
        .workers(5)
        .redis_options(&["--repl-diskless-sync-delay", "0"])
        .env(URL, &url)
        .env(USERNAME, "watch")
        .env(PASSWORD, "watched")
        .worker_env(2, USERNAME, "blind")
        .worker_env(3, URL, &url.replace("mymaster", "theirs"))
        .worker_env(4, PASSWORD, "wrong")
        .worker_env(5, "ZHONGKONG__REDIS__USERNAME", "roleless")
        .worker_env(5, "ZHONGKONG__REDIS__PASSWORD", "word")
        .prepare()
        .await;
    let primary = cluster.redis.port();
    let _replica = cluster.redis.replica().await;
    sentinels.watch(primary, 1, |_| USERS.to_owned()).await;
    cluster.start_worker(1).wait_ready().await;
    let rights = ["on", ">word", "~*", "&*", "+@all", "-role"];
    let () = cluster.redis.command(&[&["ACL", "SETUSER", "roleless"], &rights[..]].concat()).await;
    for index in 2..=5 {
        cluster.start_worker(index);
    }
    cluster.settle().await;

    let (found, code) = checked(&cluster, 0, "sentinels").await;
    let told = format!(
        "3 of 3 answer; the primary is 127.0.0.1:{primary}, with 1 replicas and 3 sentinels"
    );
    assert_eq!((found, code), (vec![("ok".to_owned(), told)], 0));
    let (found, _) = checked(&cluster, 0, "replicas").await;
    says(&found, "warning", "set min-replicas-to-write 1");
    let () = cluster.redis.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    let (found, _) = checked(&cluster, 0, "replicas").await;
    assert!(found.iter().all(|(verdict, _)| verdict == "ok"), "{found:?}");

    for (worker, told) in [
        (1, "grant it +sentinel|get-master-addr-by-name +sentinel|master +sentinel|ckquorum"),
        (2, "watches no primary \"theirs\"; redis.url must have a name that it knows"),
        (3, "refuses the login: set redis.sentinel_username and redis.sentinel_password"),
    ] {
        let (found, code) = checked(&cluster, worker, "sentinels").await;
        says(&found, "wrong", told);
        assert_eq!(code, 69);
        let (found, _) = checked(&cluster, worker, "redis").await;
        says(&found, "wrong", "no sentinel names the primary");
    }

    let (found, code) = checked(&cluster, 4, "redis").await;
    says(&found, "wrong", "the worker's user needs +role");
    assert_eq!(code, 69);

    let keys = cluster.workers()[0].run_command(&["keys", APP_ID, "--json"]).await;
    let keys: Vec<Value> = serde_json::from_slice(&keys.stdout).unwrap();
    let line = keys[0]["command"].as_str().unwrap();
    let mut shell = tokio::process::Command::new("sh");
    let shell = shell.args(["-c", line]).env("SENTINEL_PASSWORD", "watched").output();
    let said = String::from_utf8(shell.await.unwrap().stdout).unwrap();
    assert_eq!(Some(said.trim().to_owned()), cluster.token().await, "{line}");

    sentinels.kill(0).await;
    let (found, code) = checked(&cluster, 0, "sentinels").await;
    says(&found, "ok", "2 of 3 answer");
    says(&found, "warning", &format!("127.0.0.1:{}: ", sentinels.ports()[0]));
    assert_eq!(code, 0);
    sentinels.kill(1).await;
    wait_until("a failover could not be agreed upon", PATIENCE, async || {
        let (found, _) = checked(&cluster, 0, "sentinels").await;
        found.iter().any(|(_, text)| text.contains("a failover could not be agreed upon now"))
    })
    .await;
    sentinels.kill(2).await;
    let (found, code) = checked(&cluster, 0, "sentinels").await;
    says(&found, "wrong", "refused");
    assert_eq!(code, 69);
    // A worker that knew the primary stays with it.
    let () = cluster.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    until(&cluster, "a refresh", async || refresh_at(&cluster, 0, true).await.0 == 200).await;
    assert!(cluster.workers()[0].output().contains("staying with the primary that was named last"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_finds_an_encrypted_primary_by_encrypted_sentinels() {
    let authority = Authority::new();
    let (port, files) = (free_port(), authority.sign("127.0.0.1"));
    let options = authority.redis_options(port, &files, true);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let [certificate, key] = authority.sign("worker");
    let cluster = cluster()
        .workers(1)
        .redis_options(&options)
        .env(URL, &Sentinels::url(&ports).replace("redis+", "rediss+"))
        .env("ZHONGKONG__REDIS__CA", authority.ca().to_str().unwrap())
        .env("ZHONGKONG__REDIS__CLIENT_CERT", certificate.to_str().unwrap())
        .env("ZHONGKONG__REDIS__CLIENT_KEY", key.to_str().unwrap());
    let mut cluster = cluster.prepare().await;
    let mut sentinels = Sentinels::new();
    let encrypted = |index: usize| {
        format!(
            "tls-port {}\ntls-replication yes\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}",
            ports[index],
            files[0].display(),
            files[1].display(),
            authority.ca().display()
        )
    };
    sentinels.watch(port, 0, encrypted).await;
    cluster.start_worker(1).wait_ready().await;
    cluster.settle().await;
    let list: String = cluster.redis.command(&["CLIENT", "LIST"]).await;
    assert!(list.matches(&format!("laddr=127.0.0.1:{port} ")).count() >= 3, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_sentinels_name_is_not_worked_with() {
    let mut sentinels = Sentinels::new();
    let primary = RedisServer::start().await;
    let url = Sentinels::url(&sentinels.ports());
    let mut cluster = cluster().workers(1).env(URL, &url).prepare().await;
    let port = primary.port().to_string();
    let () = cluster.redis.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    sentinels.watch(cluster.redis.port(), 0, |_| String::new()).await;
    cluster.start_worker(1);
    until(&cluster, "the role is noticed", async || {
        cluster.workers()[0].output().contains("the sentinels name it, but it is a replica")
    })
    .await;
    assert!(!cluster.workers()[0].is_ready().await);
    let () = cluster.redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    cluster.worker(1).wait_ready().await;
    cluster.settle().await;
}
