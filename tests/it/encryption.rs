//! Redis over TLS, with authorities of one's own, and over a Unix socket.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::{Authority, Cluster, ClusterBuilder, RedisServer};

use crate::setup::{cluster, force, settled_again, until};

const URL: &str = "ZHONGKONG__REDIS__URL";
const CA: &str = "ZHONGKONG__REDIS__CA";
const CERTIFICATE: &str = "ZHONGKONG__REDIS__CLIENT_CERT";
const KEY: &str = "ZHONGKONG__REDIS__CLIENT_KEY";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn strs(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// A cluster to be whose Redis asks for certificates that `authority` signed, and its port for encrypted connections.
fn encrypted(authority: &Authority) -> (ClusterBuilder, u16) {
    let port = free_port();
    let options = authority.redis_options(port, &authority.sign("127.0.0.1"), true);
    let cluster = cluster()
        .redis_options(&strs(&options))
        .env(URL, &format!("rediss://127.0.0.1:{port}"))
        .env(CA, text(&authority.ca()));
    (cluster, port)
}

/// How many clients Redis has at its end `at`, of which the workers are to be all.
async fn connected_at(redis: &RedisServer, at: &str) -> usize {
    let list: String = redis.command(&["CLIENT", "LIST"]).await;
    list.lines().filter(|line| line.contains(&format!("laddr={at} "))).count()
}

/// How often the workers said `what`.
fn said(cluster: &Cluster, what: &str) -> usize {
    cluster.output().matches(what).count()
}

fn replace(files: &[PathBuf; 2], by: &[PathBuf; 2]) {
    for (file, by) in files.iter().zip(by) {
        std::fs::copy(by, file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_lives_encrypted_and_takes_a_new_certificate_without_a_restart() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.sign("worker");
    let (cluster, port) = encrypted(&authority);
    let cluster = cluster.workers(1).env(CERTIFICATE, text(&own[0])).env(KEY, text(&own[1]));
    let cluster = cluster.start().await;
    cluster.settle().await;
    let at = format!("127.0.0.1:{port}");
    // Commands, reports, events.
    assert!(connected_at(&cluster.redis, &at).await >= 3);
    let config = cluster.workers()[0].run_command(&["check", "--json"]).await;
    assert!(config.status.success(), "{config:?}");

    replace(&own, &stranger.sign("worker"));
    let () = cluster.redis.command(&["CLIENT", "KILL", "LADDR", &at]).await;
    until(&cluster, "the stranger's certificate is refused", async || {
        said(&cluster, "does not accept the certificate in") > 0
    })
    .await;
    replace(&own, &authority.sign("successor"));
    until(&cluster, "the new certificate is taken", async || {
        cluster.workers()[0].is_ready().await && connected_at(&cluster.redis, &at).await >= 3
    })
    .await;
    force(&cluster).await;
    settled_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_encryption_is_told_with_what_to_do() {
    let (authority, other) = (Authority::new(), Authority::new());
    let start = async |files: [PathBuf; 2], asks: bool| {
        let port = free_port();
        let options = authority.redis_options(port, &files, asks);
        (RedisServer::start_with(&strs(&options), &[]).await, port)
    };
    let (good, good_port) = start(authority.sign("127.0.0.1"), true).await;
    let (_expired, expired_port) = start(authority.sign_expired("127.0.0.1"), false).await;
    let (_other_name, other_name_port) = start(authority.sign("redis.example"), false).await;
    let [own_cert, own_key] = authority.sign("worker");
    let [_, another_key] = authority.sign("another");
    let [foreign_cert, foreign_key] = other.sign("stranger");

    let at = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
    let (ca, other_ca) = (authority.ca(), other.ca());
    let cases = [
        (at("rediss", good_port), Some(&other_ca), None, "no authority in", "set redis.ca"),
        (at("rediss", good_port), None, None, "no authority that this system", "set redis.ca"),
        (
            at("rediss", other_name_port),
            Some(&ca),
            None,
            "not for 127.0.0.1 but for",
            "redis.url must name it",
        ),
        (at("rediss", expired_port), Some(&ca), None, "has expired", "renew it"),
        (
            at("rediss", good_port),
            Some(&ca),
            None,
            "asks for a certificate",
            "set redis.client_cert and redis.client_key",
        ),
        (
            at("rediss", good_port),
            Some(&ca),
            Some((&foreign_cert, &foreign_key)),
            "does not accept the certificate",
            "an authority that it trusts",
        ),
        (
            at("rediss", good_port),
            Some(&ca),
            Some((&own_cert, &another_key)),
            "do not belong together",
            "client_key",
        ),
        (at("rediss", good.port()), Some(&ca), None, "does not speak TLS", "tls-port"),
        (at("redis", good_port), None, None, "encrypted connections", "use rediss://"),
    ];
    let mut builder = cluster().workers(cases.len());
    for (worker, (url, ca, own, ..)) in (1..).zip(&cases) {
        builder = builder.worker_env(worker, URL, url);
        if let Some(ca) = ca {
            builder = builder.worker_env(worker, CA, text(ca));
        }
        if let Some((certificate, key)) = own {
            builder = builder.worker_env(worker, CERTIFICATE, text(certificate));
            builder = builder.worker_env(worker, KEY, text(key));
        }
    }
    let cluster = builder.start_unready().await;
    for (worker, (url, _, _, what, advice)) in cluster.workers().iter().zip(&cases) {
        let check = worker.run_command(&["check", "--json"]).await;
        assert_eq!(check.status.code(), Some(69), "{url} {check:?}");
        let findings: Value = serde_json::from_slice(&check.stdout).unwrap();
        let mut findings = findings.as_array().unwrap().iter();
        let finding = findings.find(|finding| finding["what"] == "redis").unwrap();
        let told = finding["text"].as_str().unwrap();
        assert!(told.contains(what) && told.contains(advice), "{url}: {told}");
        until(&cluster, told, async || {
            let output = worker.output();
            output.lines().any(|line| line.contains(what) && line.contains(advice))
        })
        .await;
    }
    for key in [&own_key, &foreign_key] {
        let key = std::fs::read_to_string(key).unwrap();
        let line = key.lines().nth(1).unwrap();
        assert!(!cluster.output().contains(line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_lives_on_a_socket_with_a_login() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock");
    let mut cluster = cluster()
        .workers(2)
        .redis_options(&["--unixsocket", text(&socket)])
        .env(URL, &format!("unix://{}", text(&socket)))
        .env("ZHONGKONG__REDIS__USERNAME", "worker")
        .env("ZHONGKONG__REDIS__PASSWORD", "pass word")
        .prepare()
        .await;
    let rights = ["on", ">pass word", "+@all", "~zhongkong:*", "&zhongkong:*"];
    let () = cluster.redis.command(&[&["ACL", "SETUSER", "worker"], &rights[..]].concat()).await;
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    cluster.settle().await;
    let list: String = cluster.redis.command(&["CLIENT", "LIST"]).await;
    let workers: Vec<&str> = list.lines().filter(|line| line.contains("user=worker")).collect();
    assert!(workers.len() >= 6, "{list}");
    assert!(workers.iter().all(|line| line.contains(&format!("laddr={}:0", text(&socket)))));
    let () = cluster.redis.command(&["CLIENT", "KILL", "USER", "worker"]).await;
    until(&cluster, "the workers are there again", async || {
        let list: String = cluster.redis.command(&["CLIENT", "LIST"]).await;
        list.matches("user=worker").count() >= 6
    })
    .await;
    force(&cluster).await;
    settled_again(&cluster).await;
    let status = cluster.workers()[0].run_command(&["status", "--json"]).await;
    assert!(status.status.success(), "{status:?}");
}
