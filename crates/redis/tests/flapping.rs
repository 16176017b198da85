//! A way to Redis on which each question leads to another server.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::ports::Store;
use zhongkong_core::state::Memory;
use zhongkong_redis::{
    Access, Deployment, Hindrance, Keys, RedisAddress, RedisSettings, RedisStore, Replicas,
};
use zhongkong_testkit::RedisServer;

/// A proxy that sends what begins with `INFO` to primary and replica by turns, and all else to the primary, as those do
/// that balance reads. It ends with the set.
async fn balancer(primary: u16, replica: u16, tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let servers = [primary, replica].map(|port| TcpStream::connect(("127.0.0.1", port)));
            let [primary, replica] = servers;
            connections.spawn(balance(client, primary.await.unwrap(), replica.await.unwrap()));
        }
    });
    port
}

async fn balance(mut client: TcpStream, mut primary: TcpStream, mut replica: TcpStream) {
    let buffer = || vec![0; 65_536];
    let (mut asked, mut from_primary, mut from_replica) = (buffer(), buffer(), buffer());
    let mut to_replica = false;
    loop {
        tokio::select! {
            size = client.read(&mut asked) => {
                let Ok(size @ 1..) = size else { return };
                let text = String::from_utf8_lossy(&asked[..size]);
                let info = text.lines().nth(2) == Some("INFO");
                if text.contains("HELLO") || text.contains("SETINFO") {
                    // Both have to know whom they speak to; one answers.
                    replica.write_all(&asked[..size]).await.unwrap();
                    assert!(replica.read(&mut from_replica).await.unwrap() > 0);
                }
                let server = if info && to_replica { &mut replica } else { &mut primary };
                to_replica ^= info;
                server.write_all(&asked[..size]).await.unwrap();
            }
            Ok(size) = primary.read(&mut from_primary) => {
                client.write_all(&from_primary[..size]).await.unwrap();
            }
            Ok(size) = replica.read(&mut from_replica) => {
                client.write_all(&from_replica[..size]).await.unwrap();
            }
        }
    }
}

fn store(port: u16) -> RedisStore {
    let settings = RedisSettings {
        deployment: Deployment::Server(RedisAddress::Tcp("127.0.0.1".to_owned(), port)),
        access: Access::default(),
    };
    RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Number(0))
}

fn claim(worker: Worker) -> ClaimRequest {
    let (identity, configuration) = (worker.identity.clone(), "configuration".to_owned());
    let memory = Memory::default();
    let rules = Rules {
        nature: Nature::Idempotent,
        request_timeout_ms: 5_000,
        lease_ms: 8_000,
        drain_ms: 60_000,
        spacing_ms: 30_000,
        overlap_ms: 300_000,
    };
    let viewer = Viewer { identity, configuration, epoch: String::new(), memory };
    ClaimRequest { worker, nonce: "nonce".to_owned(), viewer, rules, alive: None }
}

#[tokio::test]
async fn where_the_epoch_flaps_it_is_not_believed_and_that_is_told() {
    let primary = RedisServer::start().await;
    let follow = ["--replicaof", &format!("127.0.0.1 {}", primary.port())];
    let replica = RedisServer::start_with(&follow, &[]).await;
    let mut tasks = JoinSet::new();
    let behind = store(balancer(primary.port(), replica.port(), &mut tasks).await);
    let straight = store(primary.port());
    let worker = Worker::new("worker".parse().unwrap(), 1);

    let mut believed = 0;
    for _ in 0..8 {
        believed += behind.beat(&worker).await.unwrap().epochs.len();
        assert_eq!(straight.beat(&worker).await.unwrap().epochs.len(), 1);
    }
    // At first nobody can know; from then on nothing is believed.
    assert!((2..8).contains(&believed), "{believed} of 8 were believed");
    assert!(behind.beat(&worker).await.unwrap().epochs.is_empty());
    let unit = Unit::access_token("wx1".parse().unwrap());
    let read = behind.read(std::slice::from_ref(&unit)).await.unwrap().remove(0).unwrap();
    assert_eq!(&*read.epoch, "");

    // A script reaches the primary each time, and does not look either.
    let claimed = behind.claim(&unit, &claim(worker)).await.unwrap();
    assert!(matches!(claimed.answer, ClaimAnswer::Claimed { .. }), "{claimed:?}");
    assert_eq!((claimed.epoch.as_str(), claimed.observed.state.epoch.as_str()), ("", ""));

    assert_eq!(behind.hindrances().await.unwrap(), [Hindrance::EpochFlaps]);
    assert_eq!(straight.hindrances().await.unwrap(), []);
}
