//! Three Sentinels that watch a primary, and agree upon another one when it is gone.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::ports::free_port;
use crate::process;
use crate::proxy::Proxy;
use crate::wait::{PATIENCE, wait_until};

/// What they call the primary.
pub const PRIMARY: &str = "mymaster";

/// How often readers look where the primary is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Three Sentinels; two of them decide.
#[derive(Debug)]
pub struct Sentinels {
    ports: [u16; 3],
    children: Vec<Child>,
    // Dropped last: they write here.
    directory: TempDir,
}

impl Default for Sentinels {
    fn default() -> Self {
        Self::new()
    }
}

impl Sentinels {
    /// Ports only, so that workers can be told of them; see [`Self::watch`].
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { ports: std::array::from_fn(|_| free_port()), children: Vec::new(), directory }
    }

    /// Where they are.
    pub const fn ports(&self) -> [u16; 3] {
        self.ports
    }

    /// `redis+sentinel://…` of those at `ports`.
    pub fn url(ports: &[u16]) -> String {
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{PRIMARY}", hosts.join(","))
    }

    /// Starts them with further lines of configuration for each, and waits until they know the primary's replicas and each
    /// other.
    ///
    /// A primary that does not answer for 600 ms is taken for dead.
    pub async fn watch(&mut self, primary: u16, replicas: usize, lines: impl Fn(usize) -> String) {
        for (index, port) in self.ports.into_iter().enumerate() {
            let directory = self.directory.path().join(port.to_string());
            std::fs::create_dir(&directory).unwrap();
            let file = directory.join("sentinel.conf");
            let configuration = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\n\
                 sentinel monitor {PRIMARY} 127.0.0.1 {primary} 2\n\
                 sentinel down-after-milliseconds {PRIMARY} 600\n\
                 sentinel failover-timeout {PRIMARY} 4000\n\
                 sentinel parallel-syncs {PRIMARY} 2\n{}\n",
                directory.display(),
                lines(index)
            );
            std::fs::write(&file, configuration).unwrap();
            let child = process::command("redis-server")
                .arg(&file)
                .arg("--sentinel")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("redis-server must be installed (apt-get install redis-server)");
            self.children.push(child);
        }
        let know = [("num-slaves", replicas), ("num-other-sentinels", 2)];
        wait_until("the sentinels know each other", PATIENCE, async || {
            for port in self.ports {
                let known: redis::RedisResult<std::collections::HashMap<String, String>> =
                    ask(port, &["SENTINEL", "MASTER", PRIMARY]).await;
                let all = known.is_ok_and(|known| {
                    know.iter().all(|(field, number)| known[*field] == number.to_string())
                });
                if !all {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// The primary's port, as most of them name it.
    pub async fn primary(&self) -> Option<u16> {
        named_by_most(self.ports).await
    }

    /// Has them make another server the primary.
    pub async fn fail_over(&self) {
        let () = ask(self.ports[0], &["SENTINEL", "FAILOVER", PRIMARY]).await.unwrap();
    }

    /// One of them is killed.
    pub async fn kill(&mut self, index: usize) {
        self.children[index].kill().await.unwrap();
    }

    /// A way that leads to the primary as they name it, for readers that follow them.
    pub async fn way(&self, primary: u16) -> (Arc<Proxy>, JoinSet<()>) {
        let (way, ports) = (Arc::new(Proxy::to(primary).await), self.ports);
        let mut following = JoinSet::new();
        let led = Arc::clone(&way);
        following.spawn(async move {
            let mut last = primary;
            loop {
                sleep(LOOK_EVERY).await;
                if let Some(now) = named_by_most(ports).await
                    && now != last
                {
                    led.lead_to(now);
                    led.cut();
                    last = now;
                }
            }
        });
        (way, following)
    }
}

async fn named_by_most(ports: [u16; 3]) -> Option<u16> {
    let mut named = Vec::new();
    for port in ports {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY];
        if let Ok((_, primary)) = ask::<(String, u16)>(port, &words).await {
            named.push(primary);
        }
    }
    let votes = |port: &u16| named.iter().filter(|other| *other == port).count();
    named.iter().copied().find(|port| votes(port) >= 2)
}

async fn ask<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
}
