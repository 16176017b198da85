//! A private Redis Cluster of several redis-server processes, whose slots can be moved step by step.

use std::time::Duration;

use crate::ports::free_port;
use crate::server::RedisServer;
use crate::wait::{PATIENCE, wait_until};

/// Slots of a cluster.
pub const SLOTS: u16 = 16_384;
/// After so long without an answer a primary is replaced; long enough for a busy machine.
const NODE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A cluster of one's own: first the primaries, then the replicas of each in turn.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// So many primaries that share the slots evenly, each with so many replicas. A slot that is lost takes no other with it.
    pub async fn start(primaries: usize, replicas: usize) -> Self {
        let mut servers = Vec::new();
        for _ in 0..primaries * (1 + replicas) {
            servers.push(server().await);
        }
        let cluster = Self { servers };
        cluster.meet().await;
        let (each, count) = (usize::from(SLOTS) / primaries, primaries);
        for (index, server) in cluster.servers.iter().take(primaries).enumerate() {
            let last = if index + 1 == count { usize::from(SLOTS) } else { (index + 1) * each } - 1;
            let (first, last) = ((index * each).to_string(), last.to_string());
            let () = server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
        }
        for (index, replica) in cluster.servers.iter().skip(primaries).enumerate() {
            let primary = cluster.id(index % primaries).await;
            let () = replica.command(&["CLUSTER", "REPLICATE", &primary]).await;
        }
        cluster.whole().await;
        cluster
    }

    async fn meet(&self) {
        let (first, others) = self.servers.split_first().expect("a cluster has servers");
        for (index, server) in self.servers.iter().enumerate() {
            let epoch = (index + 1).to_string();
            let () = server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
        for server in others {
            let (port, bus) = (server.port().to_string(), bus_of(server).await);
            let () = first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        for server in &self.servers {
            wait_until("all servers of the cluster know each other", PATIENCE, async || {
                let nodes: String = server.command(&["CLUSTER", "NODES"]).await;
                let known = nodes.lines().filter(|line| !line.contains("handshake")).count();
                known == self.servers.len()
            })
            .await;
        }
    }

    /// Waits until every server that runs says that the cluster is well, and every replica follows.
    pub async fn whole(&self) {
        for server in self.servers.iter().filter(|server| server.pid().is_some()) {
            wait_until("the cluster is whole", PATIENCE, async || {
                let info: String = server.command(&["CLUSTER", "INFO"]).await;
                let replication: String = server.command(&["INFO", "replication"]).await;
                // Where not every slot has to be covered, one that nobody is known to have fails nothing.
                let assigned = format!("cluster_slots_assigned:{SLOTS}\r");
                info.contains("cluster_state:ok")
                    && info.contains(&assigned)
                    && info.contains("cluster_slots_fail:0")
                    && info.contains("cluster_slots_pfail:0")
                    && !replication.contains("master_link_status:down")
            })
            .await;
        }
    }

    /// `redis+cluster://…`: two of its servers.
    pub fn url(&self) -> String {
        let ports: Vec<String> =
            self.servers.iter().take(2).map(|s| format!("127.0.0.1:{}", s.port())).collect();
        format!("redis+cluster://{}", ports.join(","))
    }

    /// Hosts and ports of all of its servers.
    pub fn addresses(&self) -> Vec<(String, u16)> {
        self.servers.iter().map(|server| ("127.0.0.1".to_owned(), server.port())).collect()
    }

    /// One of its servers.
    pub fn server(&self, index: usize) -> &RedisServer {
        &self.servers[index]
    }

    /// One of its servers, to be disturbed.
    pub fn server_mut(&mut self, index: usize) -> &mut RedisServer {
        &mut self.servers[index]
    }

    /// All of its servers.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The name that a server has in the cluster.
    pub async fn id(&self, index: usize) -> String {
        self.servers[index].command(&["CLUSTER", "MYID"]).await
    }

    /// The slot of `key`.
    pub async fn slot_of(&self, key: &str) -> u16 {
        let server = self.servers.iter().find(|server| server.pid().is_some());
        server.expect("a server runs").command(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// Which of its servers has the slot, as those say of themselves.
    pub async fn owner_of(&self, slot: u16) -> Option<usize> {
        for (index, server) in self.servers.iter().enumerate() {
            if server.pid().is_some() && !server.is_paused() && owns(server, slot).await {
                return Some(index);
            }
        }
        None
    }

    /// One command at the server that has `key`.
    pub async fn command<T: redis::FromRedisValue>(&self, key: &str, words: &[&str]) -> T {
        let slot = self.slot_of(key).await;
        let owner = self.owner_of(slot).await.expect("somebody has the slot");
        self.servers[owner].command(words).await
    }
}

/// A slot's way from one server to another, step by step.
impl RedisCluster {
    /// From now on keys that `from` lacks are asked for at `to`.
    pub async fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (self.id(from).await, self.id(to).await);
        let slot = slot.to_string();
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source];
        let () = self.servers[to].command(&importing).await;
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target];
        let () = self.servers[from].command(&migrating).await;
    }

    /// Moves keys.
    pub async fn move_keys(&self, keys: &[String], from: usize, to: usize) {
        let port = self.servers[to].port().to_string();
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        words.extend(keys.iter().map(String::as_str));
        let _: String = self.servers[from].command(&words).await;
    }

    /// Moves every key that is left in the slot.
    pub async fn move_rest(&self, slot: u16, from: usize, to: usize) {
        loop {
            let number = slot.to_string();
            let some = ["CLUSTER", "GETKEYSINSLOT", &number, "100"];
            let keys: Vec<String> = self.servers[from].command(&some).await;
            if keys.is_empty() {
                return;
            }
            self.move_keys(&keys, from, to).await;
        }
    }

    /// The slot is `to`'s from now on.
    pub async fn end_move(&self, slot: u16, from: usize, to: usize) {
        let (slot, target) = (slot.to_string(), self.id(to).await);
        for index in [to, from] {
            let () =
                self.servers[index].command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
        }
    }

    /// Moves a slot and all that is in it.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        self.begin_move(slot, from, to).await;
        self.move_rest(slot, from, to).await;
        self.end_move(slot, from, to).await;
    }
}

async fn server() -> RedisServer {
    let (bus, timeout) = (free_port().to_string(), NODE_TIMEOUT.as_millis().to_string());
    let options = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
        ["--cluster-node-timeout", &timeout],
        ["--cluster-require-full-coverage", "no"],
        // Whoever is lost stays lost, until the test says otherwise.
        ["--cluster-allow-replica-migration", "no"],
        ["--cluster-replica-validity-factor", "0"],
        ["--repl-diskless-sync-delay", "0"],
    ];
    RedisServer::start_with(options.as_flattened(), &[]).await
}

async fn bus_of(server: &RedisServer) -> String {
    let (_, bus): (String, String) = server.command(&["CONFIG", "GET", "cluster-port"]).await;
    bus
}

/// Whether the server says that it is the primary of the slot.
async fn owns(server: &RedisServer, slot: u16) -> bool {
    let nodes: String = server.command(&["CLUSTER", "NODES"]).await;
    let Some(line) = nodes.lines().find(|line| line.contains("myself")) else { return false };
    let ranges = line.split(' ').skip(8).filter(|range| !range.starts_with('['));
    line.contains("master")
        && ranges.into_iter().any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.parse().unwrap_or(SLOTS);
            (number(first)..=number(last)).contains(&slot)
        })
}
