//! What operators watch: metrics, the rules and the board that read them, and what to do about an alert.

mod prometheus;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Seek, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use zhongkong_core::codes;
use zhongkong_core::refusal::{Scope as Concern, Status};
use zhongkong_simulator::{FaultKind, Pool, Scope};
use zhongkong_testkit::{APP_ID, Cluster, PATIENCE, wait_until};

use self::prometheus::{Prometheus, promtool, shipped};
use crate::setup::{cluster, first_worker, force, refresh_at, settled_again, until, until_refused};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rules() -> String {
    std::fs::read_to_string(shipped("prometheus/zhongkong.rules.yml")).unwrap()
}

/// The values of all keys of that name in the rules.
fn values<'a>(rules: &'a str, key: &str) -> Vec<&'a str> {
    let lines = rules.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

/// What the board asks, by panel.
fn board() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(shipped("grafana/zhongkong.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let panels = board["panels"].as_array().unwrap().iter();
    let shown = panels.filter(|panel| panel["type"] != "row");
    shown
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(|target| (text(&panel["title"]), text(&target["expr"])))
        })
        .collect()
}

async fn metrics(cluster: &Cluster) -> String {
    cluster.workers()[0].get("/metrics").await.unwrap().body
}

/// Refreshes, a lost answer, a token that somebody else killed and that a reader reports.
async fn much_happens(cluster: &Cluster) {
    assert_eq!(refresh_at(cluster, 0, true).await.0, 200);
    cluster.simulator.set_fault(FaultKind::LostReply, Scope::account(APP_ID).times(1));
    force(cluster).await;
    settled_again(cluster).await;
    let dead = cluster.token().await.unwrap();
    cluster.simulator.foreign_refresh(APP_ID, Pool::Legacy).unwrap();
    cluster.simulator.revoke(&dead, true);
    let path = format!("/v1/credentials/{APP_ID}/report");
    let report = serde_json::json!({ "token": dead, "wait": "30s" });
    assert_eq!(cluster.workers()[0].post(&path, &report).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_gets_data_for_every_panel_and_fires_and_ends_an_alert() {
    // So long that a worker which is refused once is not refused again while that is waited for.
    let cluster = cluster().workers(3).own_callers().life(PATIENCE * 10).start().await;
    cluster.settle().await;
    let prometheus = Prometheus::start(&cluster).await;
    // The rises of counters are what is asked for, so their first values come first.
    wait_until("every worker is scraped", PATIENCE, async || {
        prometheus.query("count(zhongkong_store_up == 1)").await == [3.0]
    })
    .await;
    much_happens(&cluster).await;
    // One worker alone is refused: the others refresh, and the status says nothing of it.
    let not_allowed = |severity: &str| ("ZhongkongIpNotAllowed".to_owned(), severity.to_owned());
    assert!(!prometheus.firing().await.contains(&not_allowed("warning")));
    let first = first_worker(&cluster).await;
    let others = (1..=3).filter(|n| n - 1 != first).map(|n| cluster.caller_of(n)).collect();
    cluster.simulator.set_whitelist(APP_ID, Some(others)).unwrap();
    until_refused(&cluster).await;
    wait_until("one worker's refusal is told of", PATIENCE, async || {
        let firing = prometheus.firing().await;
        firing.contains(&not_allowed("warning")) && !firing.contains(&not_allowed("critical"))
    })
    .await;
    cluster.simulator.set_whitelist(APP_ID, Some(Vec::new())).unwrap();
    force(&cluster).await;
    wait_until("nobody is allowed", PATIENCE, async || {
        prometheus.firing().await.contains(&not_allowed("critical"))
    })
    .await;

    let panels = board();
    assert!(panels.len() > 20, "{panels:?}");
    for (panel, expression) in panels {
        let asked = expression
            .replace("$__rate_interval", "30s")
            .replace("$job", ".*")
            .replace("$id", ".*");
        assert!(!asked.contains('$'), "{panel}: a variable that nobody fills: {asked}");
        wait_until(&format!("{panel} has data: {asked}"), PATIENCE, async || {
            prometheus.query(&asked).await.into_iter().any(f64::is_finite)
        })
        .await;
    }
    for rule in prometheus.rules().await {
        assert_eq!(rule["health"], "ok", "{rule}");
        prometheus.query(rule["query"].as_str().unwrap()).await;
        assert!(!rule.to_string().contains("error expanding template"), "{rule}");
    }
    let foreign = ("ZhongkongForeignRefresh".to_owned(), "warning".to_owned());
    wait_until("somebody else is told of", PATIENCE, async || {
        prometheus.firing().await.contains(&foreign)
    })
    .await;

    cluster.simulator.set_whitelist(APP_ID, None).unwrap();
    wait_until("the alert is over", PATIENCE, async || {
        !prometheus.firing().await.contains(&not_allowed("critical"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_fires_in_its_situation_and_stays_silent_in_any_other() {
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "zhongkong.rules.yml"],
        ["test", "rules", "zhongkong.rules.test.yml"],
    ] {
        promtool(&arguments, Stdio::null()).await;
    }
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_a_section_that_says_what_to_do() {
    let rules = rules();
    let cases = std::fs::read_to_string(shipped("prometheus/zhongkong.rules.test.yml")).unwrap();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(!alerts.is_empty());
    for alert in &alerts {
        let name = alert.lines().next().unwrap();
        let (_, severity) = alert.split_once("severity: ").unwrap();
        let severity = severity.split(' ').next().unwrap();
        let fires = format!("alertname=\"{name}\", severity=\"{severity}\"");
        assert!(cases.contains(&fires), "no case: {fires}");
        let section = format!("runbook_url: docs/alerts.md#{}\n", name.to_lowercase());
        assert!(alert.contains(&section), "{name} leads to another section");
    }
    let named: BTreeSet<&str> = values(&rules, "alert").into_iter().collect();
    for page in ["docs/alerts.md", "docs/alerts.zh-CN.md"] {
        let page = std::fs::read_to_string(root().join(page)).unwrap();
        let sections = page.lines().filter_map(|line| line.strip_prefix("## Zhongkong"));
        let sections: Vec<String> = sections.map(|rest| format!("Zhongkong{rest}")).collect();
        let sections: BTreeSet<&str> = sections.iter().map(String::as_str).collect();
        assert_eq!(sections, named);
    }
}

#[test]
fn each_panel_that_a_section_looks_at_is_on_the_board() {
    let titles: BTreeSet<String> = board().into_iter().map(|(title, _)| title).collect();
    for (page, word, open, close) in
        [("docs/alerts.md", "panel", '"', '"'), ("docs/alerts.zh-CN.md", "面板", '“', '”')]
    {
        let page = std::fs::read_to_string(root().join(page)).unwrap();
        let lines = page.lines().filter(|line| line.contains(word));
        let named: BTreeSet<&str> = lines
            .flat_map(|line| {
                let (_, rest) = line.split_once(word).unwrap();
                rest.split(open).skip(1).step_by(if open == close { 2 } else { 1 })
            })
            .map(|quoted| quoted.split(close).next().unwrap())
            .collect();
        assert!(named.len() > 5, "{named:?}");
        for title in named {
            // A section may leave out what a title says of its unit or its extent.
            assert!(titles.iter().any(|known| known.starts_with(title)), "no panel: {title}");
        }
    }
}

#[test]
fn the_rules_know_each_code_that_one_worker_alone_may_be_refused_with() {
    let rules = rules();
    for code in 1..100_000 {
        let Some(ruling) = codes::known(code) else { continue };
        let expected = matches!(ruling.scope, Concern::Worker | Concern::Configuration);
        let status = format!("labels: {{ status: {} }}", ruling.status);
        let recorded = rules.split("- record: ").find(|rule| rule.contains(&status));
        let listed = recorded.is_some_and(|rule| {
            let written = match code {
                89501..=89505 => "8950[1-5]".to_owned(),
                _ => code.to_string(),
            };
            rule.matches(&written).count() == 2
        });
        assert_eq!(listed, expected, "{code}: {}", ruling.status);
    }
}

#[test]
fn every_metric_of_the_rules_and_the_board_is_one_that_the_readme_explains() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let board: String = board().into_iter().map(|(_, expression)| expression + "\n").collect();
    let text = rules() + &board;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("zhongkong_")).collect();
    assert!(asked.len() > 10, "{asked:?}");
    for name in asked {
        let name = name.trim_end_matches("_bucket").trim_end_matches("_count");
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
    let rules = rules();
    let statuses = values(&rules, "expr").into_iter().filter_map(|expression| {
        let (_, rest) = expression.split_once("status=\"")?;
        Some(rest.split('"').next().unwrap().to_owned())
    });
    for status in statuses {
        assert!(Status::ALL.iter().any(|known| known.as_str() == status), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_a_worker_is_described_and_named_as_prometheus_wants_it() {
    // A receiver that is not there: that it was tried is counted, too.
    let more = "publish = [\"wechatpy\"]\n[[notify]]\nname = \"ops\"\ntype = \"webhook\"\n\
                url = \"http://127.0.0.1:9/\"\nsecret = \"signs what is told to ops\"\ngroup_wait = \"100ms\"\n";
    let cluster = cluster().workers(1).toml(more).start().await;
    cluster.settle().await;
    much_happens(&cluster).await;
    cluster.simulator.set_outcome(50002, Scope::account(APP_ID));
    assert_eq!(refresh_at(&cluster, 0, true).await.0, 502);
    until(&cluster, "it is tried to tell somebody", async || {
        metrics(&cluster).await.contains("# HELP zhongkong_notifications_total")
    })
    .await;
    let scraped = metrics(&cluster).await;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(scraped.as_bytes()).unwrap();
    file.rewind().unwrap();
    promtool(&["check", "metrics"], file).await;
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let explained = text.lines().filter_map(|line| line.strip_prefix("| `zhongkong_"));
    let explained: BTreeSet<_> = explained.filter_map(|row| row.split('`').next()).collect();
    let described = scraped.lines().filter_map(|line| line.strip_prefix("# HELP zhongkong_"));
    let described: BTreeSet<_> = described.filter_map(|row| row.split(' ').next()).collect();
    assert_eq!(described, explained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_kept_no_more_raises_no_alert() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    let ok =
        format!("zhongkong_unit_status{{id=\"{APP_ID}\",kind=\"access_token\",status=\"ok\"}}");
    assert!(metrics(&cluster).await.contains(&format!("{ok} 1\n")));
    let path = cluster.workers()[0].config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[[credentials]]\n", "[[credentials]]\nid = \"other\"\n"))
        .unwrap();
    cluster.workers()[0].reload();
    let expires = "zhongkong_token_expires_timestamp_seconds";
    let gone = format!("{expires}{{id=\"{APP_ID}\",kind=\"access_token\"}} NaN\n");
    until(&cluster, "the credential is gone", async || metrics(&cluster).await.contains(&gone))
        .await;
    assert!(metrics(&cluster).await.contains(&format!("{ok} 0\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_more_than_a_thousand_credentials_fold_into_totals() {
    let open = |settings: &mut zhongkong_simulator::Settings| settings.open = true;
    let mut cluster = cluster().workers(1).life(PATIENCE * 10).upstream(open).prepare().await;
    let url = cluster.simulator.url();
    let mut more = String::new();
    for n in 0..1_000 {
        write!(
            more,
            "[[credentials]]\nprovider = \"wechat-stable\"\napp_id = \"wx{n}\"\n\
             secret = {{ file = \"worker-1.secret\" }}\nbase_url = {url:?}\noverlap = \"5s\"\nhold = \"500ms\"\n"
        )
        .unwrap();
    }
    let worker = cluster.start_worker(1);
    worker.kill9().await;
    let text = std::fs::read_to_string(worker.config_path()).unwrap();
    std::fs::write(worker.config_path(), text + &more).unwrap();
    worker.restart();
    worker.wait_ready().await;
    let all_ok = "zhongkong_unit_status{id=\"\",kind=\"access_token\",status=\"ok\"} 1001\n";
    until(&cluster, "all have a token", async || metrics(&cluster).await.contains(all_ok)).await;
    let text = metrics(&cluster).await;
    assert!(!text.contains("id=\"wx"), "{text}");
    let expires = "zhongkong_token_expires_timestamp_seconds{id=\"\",kind=\"access_token\"} ";
    let (_, rest) = text.split_once(expires).unwrap();
    let first: f64 = rest.lines().next().unwrap().parse().unwrap();
    let known = cluster.state_number("expires_at_ms").await as f64 / 1_000.0;
    assert!(first > 0.0 && first <= known + 0.001, "{first} {known}");
    // One of them is in trouble, and shows among all.
    cluster.simulator.set_outcome(50002, Scope::account(APP_ID));
    force(&cluster).await;
    let frozen = "status=\"account_frozen\"} 1\n";
    until(&cluster, "one is frozen", async || metrics(&cluster).await.contains(frozen)).await;
}
