//! A primary is demoted while a claim waits for its replicas.

use std::sync::Mutex;

use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::ports::{Notice, Store};
use zhongkong_core::state::Memory;
use zhongkong_redis::{
    Access, Deployment, Keys, RedisAddress, RedisSettings, RedisStore, Replicas,
};
use zhongkong_testkit::{PATIENCE, RedisServer, wait_until};

fn request(worker: &Worker) -> ClaimRequest {
    let viewer = Viewer {
        identity: worker.identity.clone(),
        configuration: String::new(),
        epoch: String::new(),
        memory: Memory::default(),
    };
    let rules = Rules {
        nature: Nature::Rotating { honours: 2 },
        request_timeout_ms: 1_000,
        lease_ms: 2_000,
        drain_ms: 5_000,
        spacing_ms: 5_000,
        overlap_ms: 5_000,
    };
    let nonce = "0123456789abcdef".to_owned();
    ClaimRequest { worker: worker.clone(), nonce, viewer, rules, alive: None }
}

fn store(server: &RedisServer) -> RedisStore {
    let address = RedisAddress::Tcp("127.0.0.1".to_owned(), server.port());
    let settings =
        RedisSettings { deployment: Deployment::Server(address), access: Access::default() };
    RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Auto)
}

#[tokio::test]
async fn a_listener_leaves_a_server_that_a_command_found_demoted() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let worker = Worker::new("worker-1".parse().unwrap(), 7);
    let heard = Mutex::new(Vec::new());
    let hear = |notice: Notice| heard.lock().unwrap().push(notice);
    let times = |notice: &Notice| heard.lock().unwrap().iter().filter(|n| *n == notice).count();
    let watching = async {
        wait_until("it listens", PATIENCE, async || times(&Notice::Listening) == 1).await;
        let () = server.command(&["REPLICAOF", "127.0.0.1", "9"]).await;
        // Whoever only listens is not told.
        assert!(server.command::<String>(&["CLIENT", "LIST"]).await.contains("sub=1"));
        assert!(store.beat(&worker).await.is_err());
        wait_until("it listens anew", PATIENCE, async || times(&Notice::Listening) == 2).await;
        assert_eq!(times(&Notice::Deaf), 1);
    };
    tokio::select! {
        () = store.listen(&hear) => panic!("it ended"),
        () = watching => {}
    }
}

#[tokio::test]
async fn a_claim_that_waits_while_its_primary_is_demoted_is_not_acknowledged() {
    let primary = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"], &[]).await;
    let replica = primary.replica().await;
    let store = store(&primary);
    let worker = Worker::new("worker-1".parse().unwrap(), 7);
    let [first, second] = ["wx1", "wx2"].map(|id| Unit::access_token(id.parse().unwrap()));
    let request = request(&worker);
    // The script is known from here on, and that there is one replica.
    let acknowledged = store.claim(&first, &request).await.unwrap().acknowledged;
    assert_eq!(acknowledged, 1);
    replica.pause();
    let claiming = store.claim(&second, &request);
    let demoting = async {
        wait_until("the claim waits", PATIENCE, async || {
            let clients: String = primary.command(&["CLIENT", "LIST"]).await;
            clients.contains("cmd=wait")
        })
        .await;
        let () = primary.command(&["REPLICAOF", "127.0.0.1", "9"]).await;
    };
    let (claimed, ()) = tokio::join!(claiming, demoting);
    let claimed = claimed.unwrap();
    assert!(matches!(claimed.answer, ClaimAnswer::Claimed { .. }), "{:?}", claimed.answer);
    assert_eq!((claimed.acknowledged, claimed.required), (0, 1));
}
