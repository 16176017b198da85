//! The store on a real Redis Cluster: units of all its primaries, and units whose slot moves, or whose primary is gone.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::CommitRequest;
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::ports::{Claimed, Notice, Reading, Store, StoreError, TouchedKey};
use zhongkong_core::state::Memory;
use zhongkong_core::token::Token;
use zhongkong_redis::{Access, Deployment, Keys, RedisSettings, RedisStore, Replicas};
use zhongkong_testkit::{PATIENCE, RedisCluster, wait_until};

/// Whatever is owed may run at once.
const WECHAT: Rules = Rules {
    nature: Nature::WECHAT,
    request_timeout_ms: 5_000,
    lease_ms: 8_000,
    drain_ms: 1,
    spacing_ms: 1,
    overlap_ms: 300_000,
};

/// What was not heard by then is yet to come.
const SOON: Duration = Duration::from_millis(100);

fn store_with(cluster: &RedisCluster, replicas: Replicas) -> RedisStore {
    let deployment = Deployment::Cluster(cluster.addresses().split_off(1));
    let settings = RedisSettings { deployment, access: Access::default() };
    RedisStore::new(&settings, Keys::new("zhongkong"), replicas)
}

fn store_of(cluster: &RedisCluster) -> RedisStore {
    store_with(cluster, Replicas::Number(0))
}

fn worker() -> Worker {
    Worker::new("w".parse().unwrap(), 7)
}

fn unit(number: usize) -> Unit {
    Unit::access_token(format!("wx{number}").parse().unwrap())
}

/// The first unit whose slot a server has.
async fn unit_of(cluster: &RedisCluster, server: usize) -> (Unit, u16) {
    for number in 0.. {
        let unit = unit(number);
        let slot = cluster.slot_of(&format!("{{{}}}", unit.id)).await;
        if cluster.owner_of(slot).await == Some(server) {
            return (unit, slot);
        }
    }
    unreachable!()
}

fn request(nonce: &str) -> ClaimRequest {
    ClaimRequest {
        worker: worker(),
        nonce: nonce.to_owned(),
        viewer: Viewer {
            identity: worker().identity,
            configuration: "cfg".to_owned(),
            epoch: String::new(),
            memory: Memory::default(),
        },
        rules: WECHAT,
        alive: None,
    }
}

async fn claim(store: &RedisStore, unit: &Unit) -> Claimed {
    store.claim(unit, &request(&format!("nonce-of-{}", unit.id))).await.unwrap()
}

/// Claims, and publishes a token that is the unit's own.
async fn refresh(store: &RedisStore, unit: &Unit) -> Claimed {
    let claimed = claim(store, unit).await;
    commit(store, unit, &claimed).await.unwrap();
    claimed
}

async fn commit(store: &RedisStore, unit: &Unit, claimed: &Claimed) -> Result<(), StoreError> {
    let ClaimAnswer::Claimed { fence, .. } = claimed.answer else { panic!("{claimed:?}") };
    let request = CommitRequest {
        fence,
        nonce: format!("nonce-of-{}", unit.id),
        token: token_of(unit),
        age_ms: 0,
        life_ms: 7_200_000,
        ahead_ms: 600_000,
        assumed: false,
        idempotent: false,
        spacing_ms: 1_000,
    };
    store.commit(unit, &request).await.map(drop)
}

fn token_of(unit: &Unit) -> Token {
    Token::new(format!("token-of-{}", unit.id)).unwrap()
}

async fn read(store: &RedisStore, unit: &Unit) -> Result<Reading, StoreError> {
    store.read(std::slice::from_ref(unit)).await.unwrap().remove(0)
}

fn keys_of(unit: &Unit) -> Vec<String> {
    let keys = Keys::new("zhongkong");
    vec![keys.state(unit), keys.reader(unit)]
}

#[tokio::test]
async fn units_of_all_primaries_are_refreshed_and_read_each_with_its_primarys_epoch() {
    let cluster = RedisCluster::start(3, 0).await;
    let store = store_of(&cluster);
    let units: Vec<Unit> = (0..40).map(unit).collect();
    let mut epochs = Vec::new();
    for unit in &units {
        epochs.push(refresh(&store, unit).await.epoch);
    }
    let readings = store.read(&units).await.unwrap();
    for ((unit, reading), epoch) in units.iter().zip(readings).zip(&epochs) {
        let reading = reading.unwrap();
        assert_eq!(reading.state.fingerprint, Some(token_of(unit).fingerprint()));
        assert!(reading.published && reading.now_ms > 0);
        assert_eq!((&*reading.epoch, &*reading.state.epoch), (epoch.as_str(), epoch.as_str()));
        let found = store.token(unit).await.unwrap().unwrap();
        assert_eq!((found.token, found.generation), (token_of(unit), 1));
    }
    let beat = store.beat(&worker()).await.unwrap();
    assert_eq!(beat.epochs, epochs.into_iter().collect::<BTreeSet<_>>());
    assert_eq!((beat.epochs.len(), beat.missing), (3, Vec::<String>::new()));
    assert_eq!(beat.living, [worker().identity]);
    assert_eq!(store.living().await.unwrap(), [worker().identity]);
    assert_eq!(store.forget(&units[0]).await.unwrap(), 4 - 1, "no lock is left of it");
    assert!(!read(&store, &units[0]).await.unwrap().state.exists());
}

#[tokio::test]
async fn a_unit_that_moved_is_found_by_whoever_has_the_old_map_and_belongs_to_another_epoch() {
    let cluster = RedisCluster::start(3, 0).await;
    let store = store_of(&cluster);
    let (unit, slot) = unit_of(&cluster, 0).await;
    let before = refresh(&store, &unit).await.epoch;
    for (from, to) in [(0, 1), (1, 2)] {
        cluster.move_slot(slot, from, to).await;
        let found = store.token(&unit).await.unwrap().unwrap();
        assert_eq!(found.token, token_of(&unit));
    }
    cluster.move_slot(slot, 2, 1).await;
    let reading = read(&store, &unit).await.unwrap();
    assert_eq!(reading.state.epoch, before);
    assert_ne!(*reading.epoch, *before);
    // The token that its old primary gave out is not trusted, but it is kept until there is another one.
    let again = store.claim(&unit, &request("another")).await.unwrap();
    assert_eq!(again.epoch, *reading.epoch);
    let ClaimAnswer::Claimed { raised, .. } = again.answer else { panic!("{again:?}") };
    assert_eq!(raised.to_string(), "epoch");
}

#[tokio::test]
async fn a_slot_on_its_way_answers_what_one_key_says_and_no_claim_until_it_is_there() {
    let cluster = RedisCluster::start(3, 0).await;
    let store = store_of(&cluster);
    let (unit, slot) = unit_of(&cluster, 0).await;
    let [state, reader] = keys_of(&unit).try_into().unwrap();
    let claimed = claim(&store, &unit).await;
    commit(&store, &unit, &claimed).await.unwrap();
    let before = read(&store, &unit).await.unwrap();

    cluster.begin_move(slot, 0, 1).await;
    let unmoved = read(&store, &unit).await.unwrap();
    assert_eq!((&unmoved.state, &unmoved.epoch), (&before.state, &before.epoch));
    cluster.move_keys(&[reader], 0, 1).await;
    let half = read(&store, &unit).await.unwrap();
    assert_eq!((&half.state, half.published, &half.epoch), (&before.state, true, &before.epoch));
    cluster.move_keys(&[state], 0, 1).await;
    let asked = read(&store, &unit).await.unwrap();
    assert_eq!((&asked.state, asked.published), (&before.state, true));
    assert_ne!(asked.epoch, before.epoch, "it is the other primary's already");
    assert_eq!(store.token(&unit).await.unwrap().unwrap().token, token_of(&unit));
    // The lock does not exist, so a script of all three keys can run nowhere.
    let Err(StoreError::Unavailable(why)) = store.claim(&unit, &request("another")).await else {
        panic!("it was claimed");
    };
    assert!(why.contains(&format!("slot {slot}")) && why.contains("rehashing"), "{why}");

    let (claim, end) = tokio::join!(
        async {
            loop {
                match store.claim(&unit, &request("another")).await {
                    Err(StoreError::Unavailable(_)) => {}
                    claimed => return claimed,
                }
            }
        },
        cluster.end_move(slot, 0, 1)
    );
    let () = end;
    assert_eq!(claim.unwrap().epoch, *asked.epoch);
}

#[tokio::test]
async fn a_claim_made_before_its_slot_moved_is_committed_after_it() {
    let cluster = RedisCluster::start(3, 0).await;
    let store = store_of(&cluster);
    let (unit, slot) = unit_of(&cluster, 2).await;
    let claimed = claim(&store, &unit).await;
    cluster.move_slot(slot, 2, 0).await;
    commit(&store, &unit, &claimed).await.unwrap();
    assert_eq!(store.token(&unit).await.unwrap().unwrap().token, token_of(&unit));
    // And repeated: its fence is still the last.
    commit(&store, &unit, &claimed).await.unwrap();
}

#[tokio::test]
async fn a_slot_that_nobody_has_concerns_its_units_alone() {
    let mut cluster = RedisCluster::start(3, 0).await;
    let store = store_of(&cluster);
    let units =
        [unit_of(&cluster, 0).await.0, unit_of(&cluster, 1).await.0, unit_of(&cluster, 2).await.0];
    for unit in &units {
        refresh(&store, unit).await;
    }
    let epochs = store.beat(&worker()).await.unwrap().epochs;
    let lost = cluster.slot_of("zhongkong:workers").await;
    let lost = (cluster.owner_of(lost).await.unwrap() + 1) % 3;
    cluster.server_mut(lost).kill().await;
    wait_until("the others have noticed", PATIENCE, async || {
        let beat = store.beat(&worker()).await.unwrap();
        // What it was last known by: a primary that is away is no other one.
        assert_eq!(beat.epochs, epochs);
        beat.missing.len() == 1
    })
    .await;
    let readings = store.read(&units).await.unwrap();
    for (index, (unit, reading)) in units.iter().zip(readings).enumerate() {
        let token = store.token(unit).await;
        if index == lost {
            assert!(matches!(reading, Err(StoreError::Unavailable(_))), "{reading:?}");
            assert!(matches!(token, Err(StoreError::Unavailable(_))), "{token:?}");
            let claimed = store.claim(unit, &request("another")).await;
            assert!(matches!(claimed, Err(StoreError::Unavailable(_))), "{claimed:?}");
        } else {
            assert!(reading.unwrap().published);
            assert_eq!(token.unwrap().unwrap().token, token_of(unit));
        }
    }
    cluster.server_mut(lost).restart().await;
    cluster.whole().await;
    wait_until("it is back, empty", PATIENCE, async || {
        let beat = store.beat(&worker()).await.unwrap();
        beat.missing.is_empty() && beat.epochs != epochs && beat.epochs.len() == 3
    })
    .await;
    wait_until("its unit is read again", PATIENCE, async || {
        read(&store, &units[lost]).await.is_ok_and(|reading| !reading.state.exists())
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_takes_over_is_found_whether_its_primary_died_or_only_hangs() {
    let mut cluster = RedisCluster::start(3, 1).await;
    let store = store_with(&cluster, Replicas::Auto);
    assert_eq!(store.beat(&worker()).await.unwrap().missing, Vec::<String>::new());
    for (lost, dies) in [(0, true), (1, false)] {
        let (unit, slot) = unit_of(&cluster, lost).await;
        let claimed = refresh(&store, &unit).await;
        assert_eq!((claimed.required, claimed.acknowledged), (1, 1));
        if dies {
            cluster.server_mut(lost).kill().await;
        } else {
            cluster.server(lost).pause();
        }
        wait_until("the token is found at the replica", PATIENCE, async || {
            let found = store.token(&unit).await;
            found.is_ok_and(|found| found.is_some_and(|found| found.token == token_of(&unit)))
        })
        .await;
        assert_eq!(cluster.owner_of(slot).await, Some(3 + lost));
        let reading = read(&store, &unit).await.unwrap();
        assert_ne!(*reading.epoch, *claimed.epoch);
        // Nobody else acknowledges now.
        let again = store.claim(&unit, &request("another")).await.unwrap();
        assert_eq!((again.required, again.acknowledged), (1, 0));
    }
    cluster.server(1).resume();
}

#[tokio::test]
async fn of_uneven_replicas_as_many_are_waited_for_as_every_primary_had() {
    let mut cluster = RedisCluster::start(3, 1).await;
    // One primary is left without, and another has two.
    let second = cluster.id(1).await;
    let () = cluster.server(3).command(&["CLUSTER", "REPLICATE", &second]).await;
    cluster.whole().await;
    let two = async || {
        let info: String = cluster.server(1).command(&["INFO", "replication"]).await;
        info.contains("connected_slaves:2")
    };
    wait_until("it has two", PATIENCE, two).await;
    let store = store_with(&cluster, Replicas::Auto);
    store.beat(&worker()).await.unwrap();
    let (unit, _) = unit_of(&cluster, 1).await;
    assert_eq!(claim(&store, &unit).await.required, 0);
    let first = cluster.id(0).await;
    let () = cluster.server(3).command(&["CLUSTER", "REPLICATE", &first]).await;
    cluster.whole().await;
    let store = store_with(&cluster, Replicas::Auto);
    wait_until("each has one", PATIENCE, async || {
        store.beat(&worker()).await.unwrap();
        store.claim(&unit, &request("nonce-of-it")).await.unwrap().required == 1
    })
    .await;
    // It is remembered when one is gone, and by workers that come later.
    cluster.server_mut(5).kill().await;
    let later = store_with(&cluster, Replicas::Auto);
    assert_eq!(later.claim(&unit, &request("nonce-of-it")).await.unwrap().required, 1);
}

/// What a store hears.
fn heard(store: &Arc<RedisStore>, tasks: &mut JoinSet<()>) -> mpsc::UnboundedReceiver<Notice> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let store = Arc::clone(store);
    tasks.spawn(async move {
        // Whoever no longer listens has heard enough.
        let hear = move |notice| drop(sender.send(notice));
        store.listen(&hear).await;
    });
    receiver
}

/// Does something again and again until it is heard.
async fn until_heard(
    notices: &mut mpsc::UnboundedReceiver<Notice>,
    cause: impl AsyncFn(),
    is_it: impl Fn(&Notice) -> bool,
) {
    let mut found = false;
    wait_until("it is heard", PATIENCE, async || {
        cause().await;
        while let Ok(Some(notice)) = timeout(SOON, notices.recv()).await {
            found |= is_it(&notice);
        }
        found
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_touched_keys_of_every_primary_are_heard_also_after_each_was_replaced() {
    let mut cluster = RedisCluster::start(3, 1).await;
    let store = Arc::new(store_of(&cluster));
    let mut tasks = JoinSet::new();
    let mut notices = heard(&store, &mut tasks);
    let mut units = Vec::new();
    for server in 0..3 {
        units.push(unit_of(&cluster, server).await.0);
    }
    // The one that is subscribed to the events is among them.
    for lost in [None, Some(0), Some(1), Some(2)] {
        if let Some(lost) = lost {
            cluster.server_mut(lost).kill().await;
            let slot = cluster.slot_of(&keys_of(&units[lost])[0]).await;
            let taken_over = async || cluster.owner_of(slot).await == Some(3 + lost);
            wait_until("its replica has taken over", PATIENCE, taken_over).await;
            until_heard(&mut notices, async || {}, |notice| *notice == Notice::Listening).await;
        }
        for of in &units {
            let force = async || drop(store.force(of, &WECHAT, "operator").await);
            let event = |notice: &Notice| matches!(notice, Notice::Event { unit, what, .. } if unit == of && what == "forced");
            until_heard(&mut notices, force, event).await;
            let key = Keys::new("zhongkong").reader(of);
            let set = async || cluster.command(&key, &["SET", &key, "by hand"]).await;
            let touch = |notice: &Notice| matches!(notice, Notice::Touched { unit, key: TouchedKey::Reader } if unit == of);
            until_heard(&mut notices, set, touch).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_heard_also_when_the_server_that_told_them_is_gone_for_good() {
    let mut cluster = RedisCluster::start(3, 0).await;
    let store = Arc::new(store_of(&cluster));
    let mut tasks = JoinSet::new();
    let mut notices = heard(&store, &mut tasks);
    let mut teller = None;
    wait_until("one of them tells the events", PATIENCE, async || {
        for (index, server) in cluster.servers().iter().enumerate() {
            let subscribed = ["PUBSUB", "NUMSUB", "zhongkong:events"];
            let (_, count): (String, u64) = server.command(&subscribed).await;
            if count > 0 {
                assert_eq!(teller.replace(index).unwrap_or(index), index, "one is enough");
            }
        }
        teller.is_some()
    })
    .await;
    let teller = teller.unwrap();
    let (other, _) = unit_of(&cluster, (teller + 1) % 3).await;
    cluster.server_mut(teller).kill().await;
    let force = async || drop(store.force(&other, &WECHAT, "operator").await);
    let event = |notice: &Notice| matches!(notice, Notice::Event { unit, .. } if *unit == other);
    until_heard(&mut notices, force, event).await;
}
