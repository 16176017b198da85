//! A private Prometheus that scrapes the workers of a cluster, and is asked over its HTTP interface.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::process::command;
use zhongkong_testkit::{Cluster, PATIENCE, http, wait_until};

/// What is shipped for Prometheus.
pub(super) fn shipped(file: &str) -> PathBuf {
    super::root().join("deploy").join(file)
}

/// Runs promtool, which comes with Prometheus, and panics with what it said if it found anything wrong.
pub(super) async fn promtool(arguments: &[&str], input: impl Into<Stdio>) {
    let mut command = command("promtool");
    command.args(arguments).current_dir(shipped("prometheus")).stdin(input);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{arguments:?}: {status}: {said}");
}

/// A Prometheus of one's own, ended on drop.
#[derive(Debug)]
pub(super) struct Prometheus {
    port: u16,
    child: Child,
    // Dropped last: the server writes here.
    _directory: TempDir,
}

impl Prometheus {
    /// Scrapes the workers of `cluster` twice a second, with the rules as they are but for the time that they wait.
    pub(super) async fn start(cluster: &Cluster) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rules = std::fs::read_to_string(shipped("prometheus/zhongkong.rules.yml")).unwrap();
        let is_wait = |line: &&str| !line.trim_start().starts_with("for: ");
        let impatient = rules.lines().filter(is_wait).collect::<Vec<_>>().join("\n");
        std::fs::write(directory.path().join("zhongkong.rules.yml"), impatient).unwrap();
        let configuration = directory.path().join("prometheus.yml");
        std::fs::write(&configuration, Self::configuration(cluster)).unwrap();
        let port = free_port();
        let child = Self::spawn(port, &configuration, &directory.path().join("data"));
        let mut prometheus = Self { port, child, _directory: directory };
        wait_until("prometheus is ready", PATIENCE, async || {
            let ended = prometheus.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "prometheus must be installed (apt-get install prometheus) and start: {ended:?}"
            );
            let answer = http::get(&prometheus.url("/-/ready")).await;
            answer.is_ok_and(|answer| answer.is_success())
        })
        .await;
        prometheus
    }

    fn configuration(cluster: &Cluster) -> String {
        let mut text = "global: { scrape_interval: 500ms, evaluation_interval: 500ms }\n\
            rule_files: [zhongkong.rules.yml]\n\
            scrape_configs:\n- job_name: zhongkong\n  static_configs:\n  - targets:\n"
            .to_owned();
        for worker in cluster.workers() {
            let url = worker.http_url();
            writeln!(text, "    - {}", url.trim_start_matches("http://")).unwrap();
        }
        text
    }

    fn spawn(port: u16, configuration: &Path, data: &Path) -> Child {
        command("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The `data` of an answer of its interface; panics if it is an error.
    pub(super) async fn ask(&self, path: &str) -> Value {
        let answer = http::get(&self.url(path)).await.unwrap().json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// The values of an expression now; panics if it is refused.
    pub(super) async fn query(&self, expression: &str) -> Vec<f64> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            write!(path, "%{byte:02X}").unwrap();
        }
        let data = self.ask(&path).await;
        let series = data["result"].as_array().unwrap().iter();
        series.map(|series| series["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Every rule, with its query, health and alerts.
    pub(super) async fn rules(&self) -> Vec<Value> {
        let data = self.ask("/api/v1/rules").await;
        let groups = data["groups"].as_array().unwrap().clone();
        groups.into_iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// The alerts that fire, by name and severity.
    pub(super) async fn firing(&self) -> Vec<(String, String)> {
        let data = self.ask("/api/v1/alerts").await;
        let alerts = data["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        firing
            .map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["severity"])))
            .collect()
    }
}
