//! Start, configuration, reload and stop of a worker.

use std::fmt::Write;
use std::process::Output;

use serde_json::json;
use tokio::net::UnixDatagram;
use tokio::time::timeout;
use zhongkong_simulator::{Point, Scope};
use zhongkong_testkit::http::Request;
use zhongkong_testkit::{APP_ID, Cluster, PATIENCE};

use crate::setup::{Failpoints, all_good, cluster, force, refresh_at, until, watched};

/// One worker that was never started, with `change` made to its configuration; what it says when it is run.
async fn run_with(change: impl FnOnce(String) -> String) -> (Cluster, Output) {
    let mut cluster = cluster().workers(1).prepare().await;
    let worker = cluster.start_worker(1);
    worker.kill9().await;
    let path = worker.config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(text)).unwrap();
    let output = worker.run_command(&["run"]).await;
    (cluster, output)
}

/// The configuration is refused with 78, and the message has all of `parts`.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictory_times_end_with_78_and_name_the_file_the_line_and_both_values() {
    let change = |text: String| text.replace("lease = \"1250ms\"", "lease = \"600ms\"");
    let (_cluster, output) = run_with(change).await;
    refused(&output, &["worker-1.toml:10:", "refresh.lease", "request_timeout", "lease of"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_ends_with_78_and_names_the_nearest_known_one() {
    let change = |text: String| text.replace("spacing =", "spacng =");
    let (_cluster, output) = run_with(change).await;
    refused(&output, &["worker-1.toml:12:", "spacng", "spacing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_toml_ends_with_78_and_names_the_line() {
    let (_cluster, output) = run_with(|text| text + "\n[[credentials\n").await;
    refused(&output, &["worker-1.toml:22:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_without_redis_says_so_is_not_ready_and_recovers() {
    let mut cluster = cluster().workers(1).prepare().await;
    cluster.redis.kill().await;
    cluster.start_worker(1);
    until(&cluster, "the worker says that Redis is missing", async || {
        cluster.workers()[0].output().contains("redis does not answer")
    })
    .await;
    let ready = cluster.workers()[0].get("/readyz").await.unwrap();
    assert_eq!(ready.status, 503);
    assert_eq!(cluster.workers()[0].get("/healthz").await.unwrap().status, 200);
    assert_eq!(cluster.workers()[0].run_command(&["get", APP_ID]).await.status.code(), Some(69));
    cluster.redis.restart().await;
    cluster.worker(1).wait_ready().await;
    cluster.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_the_refresh_under_way() {
    let mut cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    cluster.simulator.hold(Point::Processed, Scope::account(APP_ID).times(1));
    force(&cluster).await;
    cluster.simulator.wait_held(1).await;
    cluster.worker(1).terminate();
    until(&cluster, "readiness goes first", async || !cluster.workers()[0].is_ready().await).await;
    cluster.simulator.release_all();
    assert_eq!(cluster.worker(1).wait_exit().await.code(), Some(0));
    assert!(cluster.newest_is_published().await);
    assert_eq!(cluster.who_refreshes().await, None, "the lock is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_worker_at_once() {
    let failpoints = Failpoints::new();
    let mut cluster = failpoints.cluster().workers(1).start().await;
    cluster.settle().await;
    failpoints.arm("before_commit", "hold");
    force(&cluster).await;
    failpoints.reached("before_commit").await;
    cluster.worker(1).terminate();
    until(&cluster, "the first signal is heard", async || {
        cluster.workers()[0].output().contains("stopping")
    })
    .await;
    cluster.worker(1).terminate();
    assert_eq!(cluster.worker(1).wait_exit().await.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_is_replaced_without_waiting_for_anything() {
    let (mut cluster, mut reader) = watched(cluster().workers(2)).await;
    let first = cluster.state().await["worker"].clone();
    cluster.worker_named(&first).terminate();
    assert_eq!(cluster.worker_named(&first).wait_exit().await.code(), Some(0));
    let left = usize::from(cluster.workers()[0].name() == first);
    let (status, body) = refresh_at(&cluster, left, true).await;
    assert_eq!((status, &body["outcome"]), (200, &"refreshed".into()), "{body}");
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_not_reloaded_and_a_good_one_is() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    let worker = &cluster.workers()[0];
    let good = std::fs::read_to_string(worker.config_path()).unwrap();
    std::fs::write(worker.config_path(), "nonsense = ").unwrap();
    worker.reload();
    until(&cluster, "the bad file is refused", async || {
        cluster.workers()[0].output().contains("goes on with the old one")
    })
    .await;
    assert!(worker.is_ready().await);

    let url = cluster.simulator.url();
    let second = format!(
        "[[credentials]]\nid = \"second\"\nprovider = \"wechat\"\napp_id = {APP_ID:?}\n\
         secret = {{ file = \"worker-1.secret\" }}\nbase_url = {url:?}\noverlap = \"5s\"\nhold = \"500ms\"\n"
    );
    std::fs::write(worker.config_path(), good + &second).unwrap();
    worker.reload();
    until(&cluster, "the second credential has a token", async || {
        let key = "zhongkong:{second}:access_token";
        cluster.redis.command::<Option<String>>(&["GET", key]).await.is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_that_a_worker_runs_reloads_and_stops() {
    let mut cluster = cluster().workers(1).start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let heard = async || {
        let mut message = [0; 4096];
        let length = timeout(PATIENCE, socket.recv(&mut message)).await.unwrap().unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let variable = ("NOTIFY_SOCKET".to_owned(), path.to_str().unwrap().to_owned());
    let worker = cluster.worker(1);
    worker.kill9().await;
    worker.plan_mut().environment.push(variable);
    worker.restart();
    assert_eq!(heard().await, "READY=1\nSTATUS=runs; credentials: 1\n");

    worker.reload();
    let reloading = heard().await;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(heard().await, "READY=1\nSTATUS=runs; credentials: 1\n");

    std::fs::write(worker.config_path(), "nonsense = ").unwrap();
    worker.reload();
    assert!(heard().await.starts_with("RELOADING=1\n"));
    let refused = heard().await;
    assert!(
        refused.starts_with("READY=1\nSTATUS=") && refused.contains("old configuration"),
        "{refused}"
    );

    worker.terminate();
    assert!(heard().await.starts_with("STOPPING=1\n"));
    assert_eq!(worker.wait_exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_tells_everything_but_tokens_and_refuses_foreign_pages() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    let worker = &cluster.workers()[0];
    let token = cluster.token().await.unwrap();

    let all = worker.get("/v1/credentials").await.unwrap();
    assert_eq!(all.status, 200);
    assert!(all.body.contains("\"status\":\"ok\"") && !all.body.contains(&token), "{}", all.body);
    let one = worker.get(&format!("/v1/credentials/{APP_ID}")).await.unwrap();
    assert_eq!(one.status, 200);
    let none = worker.get("/v1/credentials/nobody").await.unwrap();
    assert_eq!(none.status, 404);
    assert!(none.body.contains("unknown_credential"), "{}", none.body);
    let metrics = worker.get("/metrics").await.unwrap().body;
    for series in
        ["zhongkong_refreshes_total", "zhongkong_store_up 1", "zhongkong_token_generation"]
    {
        assert!(metrics.contains(series), "{series} is not in {metrics}");
    }

    let url = format!("{}/v1/credentials", worker.http_url());
    let rebound = Request::new("GET", &url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status, 403, "{}", rebound.body);
    let page =
        Request::new("GET", &url).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(page.status, 403, "{}", page.body);
    let path = format!("/v1/credentials/{APP_ID}/refresh");
    let wrong = worker.post(&path, &json!({ "forced": true })).await.unwrap();
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    assert!(wrong.body.contains("invalid_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_the_token_alone_and_check_finds_everything_in_order() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    let worker = &cluster.workers()[0];
    let got = worker.run_command(&["get", APP_ID]).await;
    let token = cluster.token().await.unwrap();
    assert_eq!(
        (got.status.code(), String::from_utf8(got.stdout).unwrap()),
        (Some(0), format!("{token}\n"))
    );
    let alive = String::from_utf8(worker.run_command(&["status"]).await.stdout).unwrap();
    assert!(!alive.contains("no worker lives"), "{alive}");
    let missing = worker.run_command(&["get", "nobody"]).await;
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(69), 0));
    let checked = worker.run_command(&["check"]).await;
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    for line in ["configuration: ok", "redis: ok: 7", "eviction: ok", "clock: ok", "upstream: ok"] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    assert_eq!(worker.run_command(&["no-such-command"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_wait_their_turn_get_it_across_a_reload() {
    let open = |settings: &mut zhongkong_simulator::Settings| settings.open = true;
    let builder = cluster().workers(1).env("ZHONGKONG__UPSTREAM__MAX_CONCURRENT", "1");
    let mut cluster = builder.upstream(open).prepare().await;
    let url = cluster.simulator.url();
    let mut more = String::new();
    for n in 0..5 {
        write!(
            more,
            "[[credentials]]\nprovider = \"wechat\"\napp_id = \"wx{n}\"\nsecret = {{ file = \"worker-1.secret\" }}\n\
             base_url = {url:?}\noverlap = \"5s\"\nhold = \"500ms\"\n"
        )
        .unwrap();
    }
    // The first call stands still, so that all the others wait.
    cluster.simulator.hold(Point::Received, Scope::default().times(1));
    let worker = cluster.start_worker(1);
    worker.kill9().await;
    let text = std::fs::read_to_string(worker.config_path()).unwrap();
    std::fs::write(worker.config_path(), text + &more).unwrap();
    worker.restart();
    cluster.simulator.wait_held(1).await;
    cluster.workers()[0].reload();
    until(&cluster, "the reload", async || {
        cluster.workers()[0].output().contains("keeping these credentials")
    })
    .await;
    cluster.simulator.release_all();
    until(&cluster, "every unit has a token", async || {
        (0..5).all(|n| cluster.simulator.calls(&format!("wx{n}")) > 0)
    })
    .await;
    cluster.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_cannot_take_the_tokens_off_a_public_listener() {
    let tokens = "[[http.tokens]]\nname = \"watcher\"\nscope = \"read\"\nsecret = \"a-bearer-token-to-read\"\n";
    let mut cluster = cluster().workers(1).prepare().await;
    let worker = cluster.start_worker(1);
    worker.kill9().await;
    let loopback = std::fs::read_to_string(worker.config_path()).unwrap();
    let public = loopback.replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:") + tokens;
    std::fs::write(worker.config_path(), public).unwrap();
    worker.restart();
    worker.wait_ready().await;
    std::fs::write(worker.config_path(), loopback).unwrap();
    worker.reload();
    until(&cluster, "the reload is refused", async || {
        cluster.workers()[0].output().contains("removing them needs a restart")
    })
    .await;
    assert_eq!(cluster.workers()[0].get("/v1/credentials").await.unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_what_the_workers_user_may_not_do() {
    let cluster = cluster().workers(1).start().await;
    let worker = &cluster.workers()[0];
    let () = cluster.redis.command(&["ACL", "SETUSER", "default", "-evalsha", "-info"]).await;
    let checked = worker.run_command(&["check"]).await;
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("ACL SETUSER default +evalsha +info\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_that_no_worker_lives() {
    let mut cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    cluster.worker(1).terminate();
    cluster.worker(1).wait_exit().await;
    let shown = cluster.workers()[0].run_command(&["status"]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("no worker lives"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_to_redis_names_the_address_and_what_to_set() {
    let mut cluster = cluster().workers(1).prepare().await;
    let () = cluster.redis.command(&["CONFIG", "SET", "requirepass", "a-password"]).await;
    let worker = cluster.start_worker(1);
    let checked = worker.run_command(&["check"]).await;
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(69), "{said}");
    assert!(said.contains("127.0.0.1:") && said.contains("redis.password"), "{said}");
}
