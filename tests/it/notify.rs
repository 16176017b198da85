//! Notifications: a person is told once by the whole cluster that it is needed, and once that it no longer is.

mod receiver;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::{APP_ID, Cluster, ClusterBuilder, PATIENCE, process};

pub(crate) use self::receiver::{Receiver, Reply};
use crate::setup::{all_good, first_worker, force, settled_again, until, until_refused, watched};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PAGES: [&str; 2] = ["docs/notifications.md", "docs/notifications.zh-CN.md"];

/// As long as it takes for a message to show that should not be there.
const SILENCE: Duration = Duration::from_secs(4);

/// A cluster whose tokens outlive its test: one that ended would be told, too.
fn cluster() -> ClusterBuilder {
    crate::setup::cluster().life(PATIENCE * 10)
}

/// A webhook whose times are short enough to wait for.
fn webhook(name: &str, url: &str) -> String {
    format!(
        "[[notify]]\nname = {name:?}\ntype = \"webhook\"\nurl = {url:?}\nsecret = {SECRET:?}\n\
         group_wait = \"300ms\"\ngroup_interval = \"300ms\"\nover_after = \"1500ms\"\n"
    )
}

async fn until_told(cluster: &Cluster, receiver: &Receiver, messages: usize) {
    let what = format!("{messages} messages arrive");
    until(cluster, &what, async || receiver.got().len() >= messages).await;
}

/// What the cluster remembers of what it told `receiver`, without its rate.
async fn remembered(cluster: &Cluster, receiver: &str) -> BTreeMap<String, Value> {
    let key = format!("zhongkong:notify:{receiver}");
    let fields: BTreeMap<String, String> = cluster.redis.command(&["HGETALL", &key]).await;
    let records = fields.into_iter().filter(|(field, _)| field != "sent");
    records.map(|(field, text)| (field, serde_json::from_str(&text).unwrap())).collect()
}

/// Waits until what was sent is also recorded as sent.
async fn until_recorded(cluster: &Cluster, receiver: &str) {
    until(cluster, "it is recorded", async || {
        let records = remembered(cluster, receiver).await;
        records.values().all(|record| record.get("holder").is_none())
    })
    .await;
}

fn news(what: &str, problem: &str) -> (String, String) {
    (what.to_owned(), problem.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_tell_once_that_a_person_is_needed_and_once_that_it_is_over() {
    let receiver = Receiver::start(&[]).await;
    let toml = webhook("ops", &receiver.url("/hook"));
    let mut cluster = cluster().workers(3).toml(&toml).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(89503, Scope::account(APP_ID));
    force(&cluster).await;
    until_told(&cluster, &receiver, 1).await;
    until_recorded(&cluster, "ops").await;
    let json = receiver.got()[0].json();
    assert_eq!(receiver.news(), [news("begun", "awaiting_admin")], "{json}");
    assert_eq!((&json["count"], &json["units"][0]["id"]), (&json!(1), &json!(APP_ID)));
    assert_eq!(json["units"][0]["code"], 89503);
    let text = json["text"].as_str().unwrap();
    for part in ["What happened: the account's administrator", "What to do: ask the administrator"]
    {
        assert!(text.contains(part), "{text}");
    }

    // Who starts anew knows what was told.
    for worker in cluster.workers_mut() {
        worker.kill9().await;
        worker.restart();
        worker.wait_ready().await;
    }
    tokio::time::sleep(SILENCE).await;
    assert_eq!(receiver.got().len(), 1, "{:?}", receiver.news());

    cluster.simulator.clear_faults();
    force(&cluster).await;
    settled_again(&cluster).await;
    until_told(&cluster, &receiver, 2).await;
    tokio::time::sleep(SILENCE).await;
    let told = [news("begun", "awaiting_admin"), news("over", "awaiting_admin")];
    assert_eq!(receiver.news(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_worker_is_refused_is_not_over_because_another_refreshes() {
    let receiver = Receiver::start(&[]).await;
    let toml = webhook("ops", &receiver.url("/hook"));
    let (cluster, mut reader) = watched(cluster().workers(3).own_callers().toml(&toml)).await;
    let index = first_worker(&cluster).await;
    let name = cluster.workers()[index].name().to_owned();
    let allowed = (1..=3).filter(|n| n - 1 != index).map(|n| cluster.caller_of(n)).collect();
    cluster.simulator.set_whitelist(APP_ID, Some(allowed)).unwrap();
    until_refused(&cluster).await;
    until_told(&cluster, &receiver, 1).await;
    let json = receiver.got()[0].json();
    assert_eq!(receiver.news(), [news("begun", "ip_not_allowed")]);
    assert_eq!(json["address"], cluster.caller_of(index + 1).to_string());
    assert_eq!(json["units"][0]["workers"], json!([name]));
    tokio::time::sleep(SILENCE).await;
    assert_eq!(receiver.got().len(), 1, "{:?}", receiver.news());

    cluster.simulator.set_whitelist(APP_ID, None).unwrap();
    until(&cluster, "the refusal is over", async || {
        force(&cluster).await;
        settled_again(&cluster).await;
        !cluster.state().await.contains_key("refusals")
    })
    .await;
    until_told(&cluster, &receiver, 2).await;
    assert_eq!(receiver.news()[1], news("over", "ip_not_allowed"));
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_between_its_claim_and_its_message_is_replaced() {
    let receiver = Receiver::start(&[Reply::Stall]).await;
    let toml = webhook("ops", &receiver.url("/hook"));
    let mut cluster = cluster().workers(2).toml(&toml).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(40243, Scope::account(APP_ID));
    force(&cluster).await;
    until_told(&cluster, &receiver, 1).await;
    let records = remembered(&cluster, "ops").await;
    let record = records.values().next().unwrap();
    assert!(record.get("told_ms").is_none(), "{record}");
    let holder = record["holder"].as_str().unwrap().split('#').next().unwrap();
    cluster.worker_named(holder).kill9().await;
    until_told(&cluster, &receiver, 2).await;
    until_recorded(&cluster, "ops").await;
    tokio::time::sleep(SILENCE).await;
    let got = receiver.got();
    assert_eq!(receiver.news(), vec![news("begun", "account_frozen"); 2]);
    assert_eq!(got[0].headers["webhook-id"], got[1].headers["webhook-id"], "it is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_gets_the_message_again_until_it_takes_it() {
    let receiver = Receiver::start(&[Reply::Status(500), Reply::Status(503)]).await;
    let toml = webhook("ops", &receiver.url("/hook"));
    let cluster = cluster().workers(3).toml(&toml).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(40125, Scope::account(APP_ID));
    force(&cluster).await;
    until_told(&cluster, &receiver, 3).await;
    until_recorded(&cluster, "ops").await;
    tokio::time::sleep(SILENCE).await;
    let got = receiver.got();
    assert_eq!(receiver.news(), vec![news("begun", "misconfigured"); 3]);
    assert!(got.iter().all(|one| one.headers["webhook-id"] == got[0].headers["webhook-id"]));
    let (mut sent, mut retried) = (0, 0);
    for worker in cluster.workers() {
        let metrics = worker.get("/metrics").await.unwrap().body;
        let of = |outcome: &str| -> u32 {
            let begins =
                format!("zhongkong_notifications_total{{receiver=\"ops\",outcome=\"{outcome}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&begins));
            line.unwrap_or_else(|| panic!("{begins}\n{metrics}")).parse().unwrap()
        };
        sent += of("sent");
        retried += of("retried");
    }
    assert_eq!((sent, retried), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_get_what_they_understand_and_get_it_again_if_they_answer_with_a_code() {
    let busy = r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#;
    let wecom = Receiver::start(&[Reply::Body(busy)]).await;
    let busy = r#"{"code":9499,"msg":"too many request"}"#;
    let feishu = Receiver::start(&[Reply::Body(busy)]).await;
    let busy = r#"{"errcode":-1,"errmsg":"系统繁忙"}"#;
    let dingtalk = Receiver::start(&[Reply::Body(busy)]).await;
    let robot = |kind: &str, url: String, more: &str| {
        format!(
            "[[notify]]\nname = {kind:?}\ntype = {kind:?}\nurl = {url:?}\nlanguage = \"zh\"\n\
             group_wait = \"300ms\"\n{more}\n"
        )
    };
    let secret = "secret = \"SEC-0123456789\"";
    let toml = robot("wecom", wecom.url("/cgi-bin/webhook/send?key=k"), "")
        + &robot("feishu", feishu.url("/open-apis/bot/v2/hook/k"), secret)
        + &robot("dingtalk", dingtalk.url("/robot/send?access_token=t"), secret);
    let cluster = cluster().workers(2).toml(&toml).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(40243, Scope::account(APP_ID));
    force(&cluster).await;
    for receiver in [&wecom, &feishu, &dingtalk] {
        until_told(&cluster, receiver, 2).await;
    }
    let got = &wecom.got()[1];
    let json = got.json();
    assert_eq!(
        (got.path.as_str(), &json["msgtype"]),
        ("/cgi-bin/webhook/send?key=k", &json!("markdown"))
    );
    let text = json["markdown"]["content"].as_str().unwrap().to_owned();
    assert!(text.contains("账号被冻结") && text.contains("**处理办法**"), "{text}");
    let json = feishu.got()[1].json();
    assert_eq!(
        (&json["msg_type"], &json["card"]["header"]["template"]),
        (&json!("interactive"), &json!("red"))
    );
    assert!(json["sign"].is_string() && json["timestamp"].is_string(), "{json}");
    let got = &dingtalk.got()[1];
    assert!(got.path.starts_with("/robot/send?access_token=t&timestamp="), "{}", got.path);
    assert!(got.path.contains("&sign="), "{}", got.path);
    assert_eq!(got.json()["msgtype"], "markdown");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_accounts_that_fail_together_are_one_message() {
    let receiver = Receiver::start(&[]).await;
    let mut toml = webhook("ops", &receiver.url("/hook")).replace("300ms", "3s");
    let prepared = cluster().workers(2).prepare().await;
    let url = prepared.simulator.url();
    // The platform knows none of them.
    for n in 0..300 {
        write!(
            toml,
            "[[credentials]]\nprovider = \"wechat\"\napp_id = \"wx-many-{n}\"\nsecret = \"none\"\n\
             base_url = {url:?}\noverlap = \"5s\"\nhold = \"500ms\"\n"
        )
        .unwrap();
    }
    let mut cluster = prepared;
    for index in 1..=2 {
        let worker = cluster.start_worker(index);
        let text = std::fs::read_to_string(worker.config_path()).unwrap();
        std::fs::write(worker.config_path(), text + &toml).unwrap();
        worker.wait_ready().await;
        worker.reload();
    }
    until_told(&cluster, &receiver, 1).await;
    let json = receiver.got()[0].json();
    assert_eq!(receiver.news()[0], news("begun", "misconfigured"));
    let count = json["count"].as_u64().unwrap();
    assert!(count > 20, "{count}");
    let text = json["text"].as_str().unwrap();
    assert!(text.contains(&format!("and {} more", count - 20)), "{text}");
    let told = async || {
        let counts = receiver.got().into_iter().map(|got| got.json()["count"].as_u64().unwrap());
        counts.sum::<u64>()
    };
    until(&cluster, "each of them is told", async || told().await == 300).await;
    assert!(receiver.got().len() <= 6, "{:?}", receiver.news());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_anything_while_nobody_is_needed() {
    let receiver = Receiver::start(&[]).await;
    let toml = webhook("ops", &receiver.url("/hook"));
    let mut cluster = cluster().workers(3).toml(&toml).start().await;
    cluster.settle().await;
    for fault in [
        FaultKind::LostReply,
        FaultKind::HttpStatus { status: 500, issue: false },
        FaultKind::Errcode { errcode: -1, errmsg: None },
    ] {
        cluster.simulator.set_fault(fault, Scope::account(APP_ID).times(1));
        force(&cluster).await;
        settled_again(&cluster).await;
    }
    cluster.redis.restart().await;
    settled_again(&cluster).await;
    cluster.workers_mut()[0].kill9().await;
    force_at_another(&cluster).await;
    tokio::time::sleep(SILENCE).await;
    assert!(receiver.got().is_empty(), "{:?}", receiver.news());
}

/// Asks the second worker for a refresh, and waits for it.
async fn force_at_another(cluster: &Cluster) {
    let (status, body) = crate::setup::refresh_at(cluster, 1, true).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_also_forgets_what_was_told_of_the_account() {
    let receiver = Receiver::start(&[]).await;
    let toml = webhook("ops", &receiver.url("/hook")).replace("1500ms", "1h");
    let mut cluster = cluster().workers(1).toml(&toml).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(40243, Scope::account(APP_ID));
    force(&cluster).await;
    until_told(&cluster, &receiver, 1).await;
    until_recorded(&cluster, "ops").await;
    assert_eq!(remembered(&cluster, "ops").await.len(), 1);
    let worker = &mut cluster.workers_mut()[0];
    worker.terminate();
    worker.wait_exit().await;
    let output = worker.run_command(&["forget", APP_ID, "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(remembered(&cluster, "ops").await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_a_reload_brings_is_told_what_lasts() {
    let receiver = Receiver::start(&[]).await;
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(40243, Scope::account(APP_ID));
    force(&cluster).await;
    let worker = &cluster.workers()[0];
    let text = std::fs::read_to_string(worker.config_path()).unwrap();
    std::fs::write(worker.config_path(), text + &webhook("new", &receiver.url("/hook"))).unwrap();
    worker.reload();
    until_told(&cluster, &receiver, 1).await;
    assert_eq!(receiver.news(), [news("begun", "account_frozen")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_goes_to_each_receiver_and_the_command_says_what_came_back() {
    let good = Receiver::start(&[]).await;
    let refused = r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#;
    let bad = Receiver::start(&[Reply::Body(refused), Reply::Body(refused)]).await;
    let robot = format!(
        "[[notify]]\nname = \"group\"\ntype = \"wecom\"\nurl = {:?}\n",
        bad.url("/send?key=robot-key-0123456789")
    );
    let cluster =
        cluster().workers(1).toml(&(webhook("ops", &good.url("/hook")) + &robot)).start().await;
    let worker = &cluster.workers()[0];
    let run = async |arguments: &[&str], code| {
        let output = worker.run_command(arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}{complaint}");
        assert!(!text.contains("robot-key"), "{text}");
        text + &complaint
    };
    let said = run(&["notify", "--test"], 1).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "ops (webhook): delivered: HTTP 200");
    let failed = "group (wecom): NOT DELIVERED: errcode 93000: invalid webhook url; the robot was";
    assert!(lines[1].starts_with(failed), "{said}");
    assert_eq!(good.got()[0].json()["type"], "test");
    let said = run(&["notify", "--test", "ops", "--json"], 0).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said[0]["receiver"], &said[0]["delivered"]), (&json!("ops"), &json!(true)));
    let said = run(&["notify", "--test", "nobody"], 2).await;
    assert!(said.contains("there are: ops, group"), "{said}");
    run(&["notify"], 2).await;
    // A check tells nobody.
    let before = good.got().len();
    let said = worker.run_command(&["check"]).await;
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("notify: ok: ops (webhook): 127.0.0.1:"), "{said}");
    assert_eq!(good.got().len(), before);
}

/// The Python of the page, which a receiver is to use.
fn python(page: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let (_, code) = text.split_once("```python\n").unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

/// What the page's `verify` says to a request.
async fn verified(
    code: &str,
    secret: &str,
    headers: &BTreeMap<String, String>,
    body: &str,
) -> bool {
    const MAIN: &str = "\nimport json, sys\nasked = json.load(sys.stdin)\n\
                        headers = asked['headers']\n\
                        print(verify(asked['secret'], headers, asked['body'].encode()))\n";
    let mut python = process::command("python3");
    python.args(["-c", &format!("{code}{MAIN}")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    let asked = json!({ "secret": secret, "headers": headers, "body": body }).to_string();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    match String::from_utf8(output.stdout).unwrap().trim() {
        "True" => true,
        "False" => false,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_lines_of_python_know_a_message_from_a_forged_or_an_old_one() {
    let receiver = Receiver::start(&[]).await;
    let toml = webhook("ops", &receiver.url("/hook"));
    let cluster = cluster().workers(1).toml(&toml).start().await;
    let output = cluster.workers()[0].run_command(&["notify", "--test"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let got = receiver.got().remove(0);
    let codes = PAGES.map(python);
    assert_eq!(codes[0], codes[1]);
    let code = &codes[0];
    assert!(verified(code, SECRET, &got.headers, &got.body).await);
    assert!(!verified(code, "whsec_AAAA", &got.headers, &got.body).await);
    assert!(!verified(code, SECRET, &got.headers, &format!("{} ", got.body)).await);
    let mut old = got.headers.clone();
    old.insert("webhook-timestamp".to_owned(), "1600000000".to_owned());
    assert!(!verified(code, SECRET, &old, &got.body).await);
}
