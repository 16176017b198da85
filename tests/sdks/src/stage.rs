//! One run: upstream, Redis, workers if any, and a herd of services.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use zhongkong_simulator::{Endpoint, FaultKind, Handle, Scope};
use zhongkong_testkit::{APP_ID, Cluster, Namespace, Proxy, SECRET, Timings, process};

use crate::count::Count;
use crate::platform::{NAME, Platform};
use crate::say;
use crate::sdk::{DUMMY, Sdk};

/// So long after the last one, the next refresh of an SDK on its own is due.
const PERIOD: Duration = Duration::from_secs(15);
/// A token is refreshed at an operator's word, too: SDKs with wide margins need tokens that outlive the run.
const FORCED_EVERY: Duration = Duration::from_secs(11);
/// For so long in the middle of a run, the upstream issues no token.
const OUTAGE: Duration = Duration::from_secs(4);
/// The upstream takes its time to answer whoever asks for a token, as the real one does.
const LATENCY_MS: u64 = 200;
/// Workers beside a herd.
const WORKERS: usize = 3;
/// How many of a herd's complaints are shown.
const SHOWN: u64 = 3;

/// What all runs have in common.
pub(crate) struct Stage {
    pub(crate) worker: PathBuf,
    pub(crate) processes: u16,
    pub(crate) lasts: Duration,
}

impl Stage {
    /// One run of a herd, beside workers that publish its keys if `publish` says so.
    pub(crate) async fn run(&self, sdk: &Sdk, home: &Path, publish: Option<&str>) -> Count {
        let namespace = Namespace::new()
            .unwrap_or_else(|why| panic!("a herd needs a network of its own: {why}"));
        namespace.host_is_called(&[NAME]);
        let timings = Timings { ahead: PERIOD / 2, ..Timings::default() };
        let builder = Cluster::builder(&self.worker)
            .workers(if publish.is_some() { WORKERS } else { 0 })
            .timings(Timings {
                life: sdk.margin + PERIOD,
                overlap: Duration::from_secs(5),
                ..timings
            });
        let builder = match publish {
            Some(publish) => builder.toml(&format!("publish = {publish}")),
            None => builder,
        };
        let mut cluster = builder.start().await;
        if publish.is_some() {
            cluster.settle().await;
        }
        let (_, port) = cluster
            .simulator
            .url()
            .rsplit_once(':')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("a URL with a port");
        let platform = Platform::start(namespace.host(), port.parse().unwrap()).await;
        let redis = Proxy::at(namespace.host(), cluster.redis.port()).await;
        let secret = if publish.is_some() { DUMMY } else { SECRET };

        answer_tokens(&cluster.simulator, &FaultKind::Latency { ms: LATENCY_MS });
        let from_ms = cluster.simulator.now_ms();
        let failed = Arc::new(AtomicU64::new(0));
        let mut listening = JoinSet::new();
        let mut herd = Vec::new();
        for _ in 0..self.processes {
            let mut service = start(sdk, home, &namespace, &redis, &platform, secret);
            listening
                .spawn(listen(service.stdout.take().expect("it is read"), Arc::clone(&failed)));
            herd.push(service);
        }
        self.disturb(&mut cluster, publish.is_some()).await;
        for service in &mut herd {
            assert!(service.try_wait().unwrap().is_none(), "{}: a service ended", sdk.name);
        }
        drop(herd);
        Count::of(&cluster.simulator.journal(), from_ms, failed.load(Ordering::Relaxed))
    }

    /// Lets the run last, with an outage in its middle, and refreshes at an operator's word where there are workers.
    async fn disturb(&self, cluster: &mut Cluster, workers: bool) {
        let end = Instant::now() + self.lasts;
        let outage = end - self.lasts / 2;
        let simulator = cluster.simulator.handle();
        let mut outages = JoinSet::new();
        outages.spawn(async move {
            sleep_until(outage).await;
            answer_tokens(&simulator, &FaultKind::HttpStatus { status: 502, issue: false });
            sleep(OUTAGE).await;
            answer_tokens(&simulator, &FaultKind::Latency { ms: LATENCY_MS });
        });
        while Instant::now() + FORCED_EVERY < end {
            sleep(FORCED_EVERY).await;
            if workers {
                let answer = cluster.worker(1).run_command(&["refresh", APP_ID, "--force"]).await;
                if !answer.status.success() {
                    say(&String::from_utf8_lossy(&answer.stderr));
                }
            }
        }
        sleep_until(end).await;
    }
}

/// Lets the upstream answer calls for a token in this way from now on.
fn answer_tokens(simulator: &Handle, fault: &FaultKind) {
    simulator.clear_faults();
    for endpoint in [Endpoint::Legacy, Endpoint::Stable] {
        simulator.set_fault(fault.clone(), Scope::account(APP_ID).at_endpoint(endpoint));
    }
}

fn start(
    sdk: &Sdk,
    home: &Path,
    namespace: &Namespace,
    redis: &Proxy,
    platform: &Platform,
    secret: &str,
) -> Child {
    let ca = platform.ca();
    process::command("ip")
        .args(["netns", "exec", namespace.name(), "sh", "-c", sdk.run])
        .current_dir(home)
        .env("REDIS_URL", format!("redis://{}", redis.address()))
        .env("APP_ID", APP_ID)
        .env("SECRET", secret)
        .envs(
            ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"].map(|name| (name, &ca)),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Counts a service's complaints, and shows the first.
async fn listen(output: tokio::process::ChildStdout, failed: Arc<AtomicU64>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("failed:") && failed.fetch_add(1, Ordering::Relaxed) < SHOWN {
            say(&format!("  {}", line.chars().take(300).collect::<String>()));
        }
    }
}
