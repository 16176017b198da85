//! What the command line answers: to people, to programs, and where it has no configuration.

use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use zhongkong_simulator::Scope;
use zhongkong_testkit::process::command;
use zhongkong_testkit::{APP_ID, Cluster, RedisServer, SECRET};

use crate::setup::{cluster, force, ms, settled_again, until};

const CHINESE: (&str, &str) = ("LANG", "zh_CN.UTF-8");

/// Runs the program in `directory`, with nothing in its environment but `variables`.
async fn run(directory: &TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut program = command(env!("CARGO_BIN_EXE_zhongkong-under-test"));
    program.args(arguments).current_dir(directory.path()).env_clear();
    program.env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(variables.iter().copied());
    program.output().await.unwrap()
}

/// What a command that ended with `code` said on standard output, without any colour.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let (said, complaint) = (&output.stdout, &output.stderr);
    let [said, complaint] = [said, complaint].map(|bytes| String::from_utf8_lossy(bytes));
    assert_eq!(output.status.code(), Some(code), "{said}{complaint}");
    assert!(!said.contains('\x1b') && !complaint.contains('\x1b'), "{said}{complaint}");
    said.into_owned()
}

#[track_caller]
fn json(output: &Output, code: i32) -> Value {
    serde_json::from_str(&said(output, code)).unwrap()
}

/// A directory with a configuration, of an account at `redis`.
fn configured(redis: &RedisServer) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "[redis]\nurl = {:?}\n[[credentials]]\nprovider = \"wechat\"\napp_id = {APP_ID:?}\nsecret = \"plain\"\n\
         base_url = \"http://127.0.0.1:9\"\n",
        redis.url()
    );
    std::fs::write(directory.path().join("zhongkong.toml"), text).unwrap();
    directory
}

#[tokio::test]
async fn what_needs_no_configuration_runs_without_one_and_beside_a_wrong_one() {
    let directory = tempfile::tempdir().unwrap();
    for broken in [false, true] {
        if broken {
            std::fs::write(directory.path().join("zhongkong.toml"), "nonsense").unwrap();
        }
        let explained = said(&run(&directory, &[], &["explain", "40001"]).await, 0);
        assert!(explained.contains("the AppSecret is wrong"), "{explained}");
        let page = said(&run(&directory, &[], &["man"]).await, 0);
        for name in ["zhongkong-run 1", "zhongkong-explain 1", "zhongkong-keys 1"] {
            assert!(page.contains(&format!(".TH {name}")), "{name} is not in {page}");
        }
        for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")]
        {
            let script = said(&run(&directory, &[], &["completions", shell]).await, 0);
            assert!(script.contains(part) && script.contains("explain"), "{script}");
        }
        assert_eq!(run(&directory, &[], &["status"]).await.status.code(), Some(78));
    }
    said(&run(&directory, &[], &["man", "--dir", "pages"]).await, 0);
    assert!(directory.path().join("pages/zhongkong.1").exists());
    assert!(directory.path().join("pages/zhongkong-check.1").exists());
}

#[tokio::test]
async fn a_code_is_explained_in_both_languages_and_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let chinese = said(&run(&directory, &[CHINESE], &["explain", "40164"]).await, 0);
    assert!(chinese.contains("白名单") && chinese.contains("状态：ip_not_allowed"), "{chinese}");
    let busy = json(&run(&directory, &[], &["explain", "-1", "--json"]).await, 0);
    assert_eq!((&busy["code"], &busy["known"]), (&(-1).into(), &true.into()));
    assert!(busy["token_endpoint"]["doubt"].is_string(), "{busy}");
    let unknown = json(&run(&directory, &[], &["explain", "12345", "--json"]).await, 0);
    assert_eq!((&unknown["known"], &unknown["calls"]), (&false.into(), &Value::Null));
    assert_eq!(run(&directory, &[], &["explain", "what"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn the_lines_that_keys_shows_do_what_they_say() {
    let redis = RedisServer::start().await;
    let directory = configured(&redis);
    let () = redis.command(&["SET", "zhongkong:{wx-test}:access_token", "a-token"]).await;
    let entries = json(&run(&directory, &[], &["keys", APP_ID, "--json"]).await, 0);
    let line = |form: &str| {
        let entries = entries.as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["type"] == form).unwrap();
        entry["command"].as_str().unwrap().to_owned()
    };
    let shell = async |line: String| {
        let output = command("sh").args(["-c", &line]).output().await.unwrap();
        said(&output, 0)
    };
    assert_eq!(shell(line("string")).await, "a-token\n");
    shell(line("stream")).await;
    let reports: Vec<(String, Vec<String>)> =
        redis.command(&["XRANGE", "zhongkong:reports", "-", "+"]).await;
    let fields = ["id", APP_ID, "kind", "access_token", "fingerprint", "FINGERPRINT"];
    assert_eq!(reports[0].1, fields);
    assert!(line("channel").ends_with("SUBSCRIBE zhongkong:events"));

    let chinese = said(&run(&directory, &[CHINESE], &["keys", APP_ID]).await, 0);
    assert!(chinese.contains("字符串：") && chinese.contains(&line("string")), "{chinese}");
    let nobody = run(&directory, &[], &["keys", "nobody"]).await;
    assert_eq!((said(&nobody, 1).as_str(), nobody.stderr.is_empty()), ("", false));
}

#[tokio::test]
async fn check_tells_a_wrong_configuration_as_findings_and_ends_with_78() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zhongkong.toml");
    std::fs::write(&path, "[refresh]\nlease = 8\n[log]\nlevl = \"info\"\n").unwrap();
    let output = run(&directory, &[], &["check", "--json"]).await;
    let findings = json(&output, 78);
    assert!(output.stderr.is_empty());
    let findings = findings.as_array().unwrap();
    assert_eq!(findings.len(), 2);
    for part in ["toml:2: refresh.lease", "toml:4: log.levl"] {
        let told = |finding: &&Value| finding["text"].as_str().unwrap().contains(part);
        let finding = findings.iter().find(told).unwrap();
        assert_eq!(
            (&finding["what"], &finding["verdict"]),
            (&"configuration".into(), &"wrong".into())
        );
    }
    let chinese = said(&run(&directory, &[CHINESE], &["check"]).await, 78);
    assert!(chinese.starts_with("配置：错误："), "{chinese}");
}

#[tokio::test]
async fn check_has_warnings_among_its_findings_and_names_that_no_language_changes() {
    let redis = RedisServer::start().await;
    let directory = configured(&redis);
    let output = run(&directory, &[CHINESE], &["check", "--json"]).await;
    let findings = json(&output, 1);
    assert!(output.stderr.is_empty());
    let named = |what: &str, verdict: &str| {
        let all = findings.as_array().unwrap().iter();
        all.filter(|finding| finding["what"] == what && finding["verdict"] == verdict).count()
    };
    assert_eq!(named("configuration", "ok"), 1);
    assert_eq!(named("configuration", "warning"), 1, "the secret in plain text");
    for what in ["redis", "acl", "eviction", "replicas", "clock"] {
        assert_eq!(named(what, "ok"), 1, "{what} in {findings}");
    }
    assert_eq!((named("persistence", "warning"), named("upstream", "wrong")), (1, 1));
    let chinese = said(&run(&directory, &[CHINESE], &["check"]).await, 1);
    for line in
        ["配置：注意：", "权限：正常：", "淘汰策略：正常：", "持久化：注意：", "上游：错误："]
    {
        assert!(chinese.contains(line), "{line:?} is not in {chinese}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_rights_that_check_asks_for_can_run_a_worker() {
    let builder = cluster().workers(1).env("ZHONGKONG__REDIS__USERNAME", "worker");
    let mut cluster = builder.env("ZHONGKONG__REDIS__PASSWORD", "a-password").prepare().await;
    let user = ["ACL", "SETUSER", "worker", "reset", "on", ">a-password", "+eval"];
    let () = cluster.redis.command(&user).await;
    cluster.start_worker(1);
    // What is lacked shows in two steps: whoever may not touch the keys cannot be asked for commands on them.
    for step in ["commands", "keys", "nothing"] {
        let checked = cluster.workers()[0].run_command(&["check"]).await;
        let checked = said(&checked, i32::from(step != "nothing"));
        let rules = checked.split_once("ACL SETUSER worker ").map(|(_, rest)| rest);
        assert_eq!(rules.is_none(), step == "nothing", "{step}: {checked}");
        let Some(rules) = rules.and_then(|rest| rest.lines().next()) else { break };
        let rules: Vec<&str> = rules.split(' ').collect();
        let () = cluster.redis.command(&[&["ACL", "SETUSER", "worker"], &rules[..]].concat()).await;
    }

    cluster.worker(1).kill9().await;
    let lacking = cluster.output().len();
    cluster.worker(1).restart();
    cluster.worker(1).wait_ready().await;
    cluster.settle().await;
    force(&cluster).await;
    settled_again(&cluster).await;
    let () = cluster.redis.command(&["DEL", zhongkong_testkit::cluster::TOKEN_KEY]).await;
    until(&cluster, "the key is back", async || cluster.token().await.is_some()).await;
    cluster.worker(1).terminate();
    assert_eq!(cluster.worker(1).wait_exit().await.code(), Some(0));
    let output = cluster.output()[lacking..].to_lowercase();
    assert!(!output.contains("permission") && !output.contains("refuse"), "{output}");
}

/// A worker and its token, whose next refresh is far away.
async fn at_rest() -> Cluster {
    let cluster = cluster().workers(1).life(ms(600_000)).start().await;
    cluster.settle().await;
    cluster
}

/// Reads lines until one contains `last`.
async fn lines_until<T: AsyncRead + Unpin>(lines: &mut Lines<BufReader<T>>, last: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(last) {
        heard.push_str(&lines.next_line().await.unwrap().unwrap());
        heard.push('\n');
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_and_server_sent_events_tell_what_happens_and_never_a_token() {
    let cluster = at_rest().await;
    let worker = &cluster.workers()[0];
    let mut program = command(env!("CARGO_BIN_EXE_zhongkong-under-test"));
    program.args(["watch", "--json", "--config"]).arg(worker.config_path());
    let mut child = program.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut watched = BufReader::new(child.stdout.take().unwrap()).lines();
    let host = worker.http_url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let request = format!("GET /v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut streamed = BufReader::new(stream).lines();
    let head = lines_until(&mut streamed, "content-type").await;
    assert!(head.contains("200 OK") && head.contains("text/event-stream"), "{head}");
    // The worker listens, or it would not have settled; the command does once it has heard of something.
    let noise = async {
        loop {
            for what in ["pause", "resume"] {
                let output = worker.run_command(&[what, APP_ID]).await;
                assert!(output.status.success(), "{output:?}");
            }
        }
    };
    tokio::select! {
        () = noise => {}
        _ = lines_until(&mut watched, "\n") => {}
    }
    worker.run_command(&["resume", APP_ID]).await;
    force(&cluster).await;
    settled_again(&cluster).await;
    let watched = lines_until(&mut watched, "\"type\":\"refreshed\"").await;
    let streamed = lines_until(&mut streamed, "\"type\":\"refreshed\"").await;
    for what in ["forced", "claimed", "refreshed"] {
        for heard in [&watched, &streamed] {
            assert!(heard.contains(&format!("\"type\":\"{what}\"")), "{what}: {heard}");
        }
    }
    for secret in cluster.simulator.issued_tokens().into_iter().chain([SECRET.to_owned()]) {
        assert!(!watched.contains(&secret) && !streamed.contains(&secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_asks_the_workers_and_says_what_came_of_it() {
    let mut cluster = at_rest().await;
    let calls = cluster.simulator.calls(APP_ID);
    let refresh = async |cluster: &Cluster, more: &[&str]| {
        cluster.workers()[0].run_command(&[&["refresh", APP_ID, "--json"], more].concat()).await
    };
    let none_owed = json(&refresh(&cluster, &[]).await, 0);
    assert_eq!(none_owed["outcome"], "not_owed");
    assert_eq!(cluster.simulator.calls(APP_ID), calls);

    let forced = json(&refresh(&cluster, &["--force"]).await, 0);
    assert_eq!(forced["outcome"], "refreshed", "{forced}");
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1);

    cluster.simulator.set_outcome(45009, Scope::default());
    let refused = json(&refresh(&cluster, &["--force"]).await, 1);
    assert_eq!(refused["outcome"], "refused", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("quota"), "{refused}");
    cluster.simulator.clear_faults();

    let cleared = cluster.workers()[0].run_command(&["clear-quota", APP_ID, "--json"]).await;
    assert_eq!(cleared.status.code(), Some(2), "nobody is there to be asked: {cleared:?}");
    let before = cluster.token().await;
    let cleared = cluster.workers()[0].run_command(&["clear-quota", APP_ID, "--yes"]).await;
    assert!(said(&cleared, 0).contains("tried now"));
    until(&cluster, "the refresh that waited", async || cluster.token().await != before).await;
    settled_again(&cluster).await;

    cluster.workers_mut()[0].kill9().await;
    until(&cluster, "the worker is known to be dead", async || {
        let output = refresh(&cluster, &["--force", "--wait", "0s"]).await;
        json(&output, 1)["outcome"] == "no_worker"
    })
    .await;
    assert_eq!(cluster.state().await["rejected"], "forced", "the wish is kept");
    let unknown = cluster.workers()[0].run_command(&["refresh", "wx-nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    cluster.redis.kill().await;
    let away = refresh(&cluster, &[]).await;
    assert_eq!(away.status.code(), Some(69), "{away:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_by_its_exit_code_whether_the_worker_beside_it_is_ready() {
    let mut cluster = at_rest().await;
    let healthy = cluster.workers()[0].run_command(&["health"]).await;
    assert_eq!(said(&healthy, 0), "ready\n");
    let unready = |output: &Output, part: &str| {
        assert_eq!(said(output, 1), "");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(part), "{complaint}");
    };

    cluster.workers()[0].pause().await;
    let silent = cluster.workers()[0].run_command(&["health", "--wait", "300ms"]).await;
    unready(&silent, "gives no answer in 300ms");
    cluster.workers()[0].resume();

    cluster.redis.kill().await;
    until(&cluster, "the worker knows", async || !cluster.workers()[0].is_ready().await).await;
    let without_redis = cluster.workers()[0].run_command(&["health"]).await;
    unready(&without_redis, "answers 503: redis does not answer");
    cluster.redis.restart().await;
    cluster.worker(1).wait_ready().await;

    // It goes on with the configuration that it has, so a file that became wrong since does not make it ill.
    let path = cluster.workers()[0].config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n[refersh]\nlease = 1\n")).unwrap();
    let checked = cluster.workers()[0].run_command(&["check"]).await;
    assert_eq!(checked.status.code(), Some(78), "{checked:?}");
    let healthy = cluster.workers()[0].run_command(&["health"]).await;
    assert_eq!(said(&healthy, 0), "ready\n");

    cluster.worker(1).kill9().await;
    let nobody = cluster.workers()[0].run_command(&["health"]).await;
    unready(&nobody, "no worker answers at 127.0.0.1:");
    std::fs::write(&path, "[http]\nlisten = \"here\"\n").unwrap();
    let nowhere = cluster.workers()[0].run_command(&["health"]).await;
    assert_eq!(said(&nowhere, 78), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_written_is_no_success() {
    let cluster = at_rest().await;
    let mut get = command(env!("CARGO_BIN_EXE_zhongkong-under-test"));
    get.args(["get", APP_ID, "--config"]).arg(cluster.workers()[0].config_path());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = get.stdout(full).stderr(Stdio::null()).status().await.unwrap();
    assert_eq!(ended.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_asks_first_and_leaves_nothing() {
    let mut cluster = at_rest().await;
    let worker = &cluster.workers()[0];
    let refused = worker.run_command(&["forget", APP_ID]).await;
    assert_eq!(refused.status.code(), Some(2), "nobody is there to be asked: {refused:?}");
    assert!(cluster.token().await.is_some());
    let worker = &mut cluster.workers_mut()[0];
    worker.terminate();
    worker.wait_exit().await;
    let removed = worker.run_command(&["forget", APP_ID, "--yes", "--json"]).await;
    assert_eq!(json(&removed, 0)["removed"], 3, "token, state and history");
    let keys: Vec<String> = cluster.redis.command(&["KEYS", "zhongkong:{*"]).await;
    assert!(keys.is_empty(), "{keys:?}");
}
