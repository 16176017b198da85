//! The store alone: claims and commits of many units in one Redis, and in a cluster of three primaries, without an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::CommitRequest;
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::ports::Store;
use zhongkong_core::state::Memory;
use zhongkong_core::token::Token;
use zhongkong_redis::{
    Access, Deployment, Keys, RedisAddress, RedisSettings, RedisStore, Replicas,
};
use zhongkong_testkit::{RedisCluster, RedisServer, wait_until};

use super::Setup;
use crate::figures::Report;
use crate::process_side::cpu_seconds;
use crate::redis_side::{ask, info};
use crate::stage::app_id;

/// As many as a worker has under way by default.
const AT_ONCE: usize = 48;
/// As long as WeChat's.
const TOKEN_LENGTH: usize = 136;
const PATIENCE: Duration = Duration::from_mins(1);

const RULES: Rules = Rules {
    nature: Nature::WECHAT,
    request_timeout_ms: 5_000,
    lease_ms: 8_000,
    drain_ms: 48_000,
    spacing_ms: 1_000,
    overlap_ms: 300_000,
};

/// Servers that hold all units.
#[derive(Debug)]
enum Place {
    /// The primary, and its replica if it has one.
    One(Vec<RedisServer>),
    Three(RedisCluster),
}

/// What the units cost in one place, once for each run.
#[derive(Debug, Default)]
struct Costs {
    rates: Vec<f64>,
    micros: Vec<f64>,
    bytes: Vec<f64>,
}

pub(super) async fn run(setup: &Setup) -> Report {
    // Fewer take the servers no time that the kernel counts.
    let units = setup.size(20_000, 1_500);
    let mut report = Report::new(
        "cluster",
        format!(
            "{units} units, each claimed and committed once by one process with {AT_ONCE} under way, no upstream; a worker's \
             store, and servers without persistence. All processes share this machine's processors."
        ),
    );
    for (replicas, with) in [(0, ""), (1, ", a replica each")] {
        let places = [
            (format!("one Redis{with}"), Place::one(replicas > 0).await),
            (
                format!("three primaries{with}"),
                Place::Three(RedisCluster::start(3, replicas).await),
            ),
        ];
        let mut costs = [Costs::default(), Costs::default()];
        for _ in 0..setup.runs {
            for ((_, place), costs) in places.iter().zip(&mut costs) {
                measure(place, units, u32::try_from(replicas).expect("one"), costs).await;
            }
        }
        let [(one, _), (three, _)] = places;
        let [of_one, of_three] = costs;
        let mut add = |what: &str, unit, of_three: &Vec<f64>, of_one: &Vec<f64>| {
            report.add_beside((format!("{what}, {three}"), of_three), unit, (&one, of_one));
        };
        add("refreshes a second", "1/s", &of_three.rates, &of_one.rates);
        add("processor time a refresh of all servers", "µs", &of_three.micros, &of_one.micros);
        add("memory in all primaries per unit", "bytes", &of_three.bytes, &of_one.bytes);
    }
    report
}

impl Place {
    async fn one(replicated: bool) -> Self {
        let mut servers = vec![RedisServer::start().await];
        if replicated {
            let of = format!("127.0.0.1 {}", servers[0].port());
            servers.push(RedisServer::start_with(&["--replicaof", &of], &[]).await);
            wait_until("the replica follows", PATIENCE, async || {
                let said: String = ask(&servers[1], &["INFO", "replication"]).await;
                said.contains("master_link_status:up")
            })
            .await;
        }
        Self::One(servers)
    }

    fn servers(&self) -> &[RedisServer] {
        match self {
            Self::One(servers) => servers,
            Self::Three(cluster) => cluster.servers(),
        }
    }

    fn primaries(&self) -> &[RedisServer] {
        match self {
            Self::One(servers) => &servers[..1],
            Self::Three(cluster) => &cluster.servers()[..3],
        }
    }

    fn store(&self, replicas: u32) -> RedisStore {
        let deployment = match self {
            Self::One(servers) => {
                Deployment::Server(RedisAddress::Tcp("127.0.0.1".to_owned(), servers[0].port()))
            }
            Self::Three(cluster) => Deployment::Cluster(cluster.addresses()),
        };
        let settings = RedisSettings { deployment, access: Access::default() };
        RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Number(replicas))
    }

    async fn memory(&self) -> u64 {
        let mut bytes = 0;
        for primary in self.primaries() {
            bytes += info(primary, "memory", "used_memory_dataset").await;
        }
        bytes
    }

    fn cpu_seconds(&self) -> f64 {
        self.servers().iter().filter_map(RedisServer::pid).map(cpu_seconds).sum()
    }
}

async fn measure(place: &Place, units: usize, replicas: u32, costs: &mut Costs) {
    for primary in place.primaries() {
        let () = ask(primary, &["FLUSHALL"]).await;
    }
    let store = Arc::new(place.store(replicas));
    // The connections are there, and the scripts known, before anything is measured.
    for warm in 0..AT_ONCE {
        refresh(&store, units + warm).await;
    }
    let (memory, used, began) = (place.memory().await, place.cpu_seconds(), Instant::now());
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let unit = next.fetch_add(1, Ordering::Relaxed);
                if unit >= units {
                    return;
                }
                refresh(&store, unit).await;
            }
        });
    }
    callers.join_all().await;
    let each = |amount: f64| amount / units as f64;
    costs.rates.push(1.0 / each(began.elapsed().as_secs_f64()));
    costs.micros.push(each((place.cpu_seconds() - used) * 1e6));
    costs.bytes.push(each(place.memory().await as f64 - memory as f64));
}

async fn refresh(store: &RedisStore, number: usize) {
    let unit = Unit::access_token(app_id(number).parse().expect("an id"));
    let worker = Worker::new("bench".parse().expect("a name"), 1);
    let nonce = format!("{number:032x}");
    let viewer = Viewer {
        identity: worker.identity.clone(),
        configuration: "configuration".to_owned(),
        epoch: String::new(),
        memory: Memory::default(),
    };
    let claim = ClaimRequest { worker, nonce: nonce.clone(), viewer, rules: RULES, alive: None };
    let claimed = store.claim(&unit, &claim).await.expect("redis answers");
    assert!(claimed.acknowledged >= claimed.required, "{claimed:?}");
    let ClaimAnswer::Claimed { fence, .. } = claimed.answer else { panic!("{claimed:?}") };
    let commit = CommitRequest {
        fence,
        nonce,
        token: Token::new(format!("{number:0>TOKEN_LENGTH$}")).expect("a token"),
        age_ms: 0,
        life_ms: 7_200_000,
        ahead_ms: 600_000,
        assumed: false,
        idempotent: false,
        spacing_ms: RULES.spacing_ms,
    };
    store.commit(&unit, &commit).await.expect("redis answers");
}
