//! Random histories against a real redis-server and against the core's transitions: same answers, same state.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zhongkong_core::abandon::{AbandonRequest, Outcome};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::{CommitAnswer, CommitRequest};
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::keep::{KeepAnswer, ReaderKey};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::ports::{Observed, Store, StoreError};
use zhongkong_core::refusal::{Scope, Status};
use zhongkong_core::report::{Evidence, Probed, ReportRequest};
use zhongkong_core::state::{Alive, Memory, OwnClaim, State};
use zhongkong_core::token::{Fingerprint, Token};
use zhongkong_redis::{Keys, RedisAddress, RedisSettings, RedisStore, Replicas};
use zhongkong_testkit::RedisServer;

const START_US: u64 = 1_795_380_778_000_123;

const fn rules(nature: Nature) -> Rules {
    Rules {
        nature,
        request_timeout_ms: 1_000,
        lease_ms: 2_000,
        drain_ms: 10_000,
        spacing_ms: 4_000,
        overlap_ms: 30_000,
    }
}

/// One step of a history. Small numbers pick from what happened before.
#[derive(Clone, Debug)]
enum Step {
    Claim {
        worker: u8,
        repeat: bool,
        old_epoch: bool,
        forget: bool,
        ahead: u64,
        alive_ms: Option<u64>,
    },
    Commit {
        claim: u8,
        token: u8,
        age_ms: u64,
        life_ms: u64,
    },
    Abandon {
        claim: u8,
        how: u8,
        retry_in_ms: u64,
    },
    Keep {
        knows: bool,
        for_ms: u64,
    },
    Force,
    Invalidate,
    Pause {
        resume: bool,
    },
    Report {
        token: u8,
        evidence: u8,
        budget: u32,
    },
    Pass {
        ms: i64,
    },
    DeleteReader,
    OverwriteReader,
    ChangeEpoch,
    RewindFence,
    Forget,
    Wipe,
    ForgetScripts,
}

/// What a worker knows of the token's life: mostly nothing.
fn life() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 1 => (0..60_000_u64).prop_map(Some)]
}

/// Mostly the last claim; now and then one before it, which is late.
fn recent() -> impl Strategy<Value = u8> {
    prop_oneof![8 => Just(0_u8), 1 => 1..3_u8]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8, any::<bool>(), any::<bool>(), any::<bool>(), 0..3_u64, life()).prop_map(
            |(worker, repeat, old_epoch, forget, ahead, alive_ms)| Step::Claim {
                worker, repeat: repeat && worker > 0, old_epoch, forget, ahead, alive_ms,
            }
        ),
        6 => (recent(), 0..4_u8, 0..1_500_u64, prop_oneof![Just(1_000_u64), 20_000..60_000_u64])
            .prop_map(|(claim, token, age_ms, life_ms)| Step::Commit { claim, token, age_ms, life_ms }),
        4 => (recent(), prop_oneof![4 => Just(2_u8), 4 => 0..7_u8], 0..2_000_u64)
            .prop_map(|(claim, how, retry_in_ms)| Step::Abandon { claim, how, retry_in_ms }),
        2 => (any::<bool>(), 0..60_000_u64).prop_map(|(knows, for_ms)| Step::Keep { knows, for_ms }),
        1 => Just(Step::Force),
        1 => Just(Step::Invalidate),
        1 => any::<bool>().prop_map(|resume| Step::Pause { resume }),
        5 => (0..5_u8, 0..7_u8, 1..3_u32)
            .prop_map(|(token, evidence, budget)| Step::Report { token, evidence, budget }),
        8 => prop_oneof![
            6 => 0..3_000_i64, 3 => 3_000..40_000_i64, 1 => Just(-3_600_000_i64), 1 => Just(3_600_000_i64), 1 => Just(72_000_000_i64),
        ].prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::DeleteReader),
        1 => Just(Step::OverwriteReader),
        1 => Just(Step::ChangeEpoch),
        1 => Just(Step::RewindFence),
        1 => Just(Step::Forget),
        1 => Just(Step::Wipe),
        1 => Just(Step::ForgetScripts),
    ]
}

/// The same history, in Redis and in the core.
struct Both {
    server: redis::aio::MultiplexedConnection,
    store: Arc<RedisStore>,
    unit: Unit,
    nature: Nature,
    now_us: u64,
    epoch: String,
    model: State,
    /// Claims that were made: worker, fence, nonce.
    claims: Vec<(u8, u64, String)>,
    requests: u32,
}

impl Both {
    async fn redis<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.server).await.unwrap()
    }

    async fn set_clock(&mut self) {
        let (s, us) =
            ((self.now_us / 1_000_000).to_string(), (self.now_us % 1_000_000).to_string());
        self.redis::<()>(&["HSET", "test:clock", "s", &s, "us", &us]).await;
    }

    fn viewer(&self, worker: u8, old_epoch: bool, forget: bool, ahead: u64) -> Viewer {
        let own = self.claims.iter().rev().find(|(by, ..)| *by == worker);
        let epoch = if old_epoch { "old".to_owned() } else { self.epoch.clone() };
        let own = own.map(|(_, fence, nonce)| OwnClaim {
            fence: if forget { 0 } else { *fence },
            nonce: nonce.clone(),
            epoch,
        });
        let remembered = if ahead == 2 { self.model.fence + 5 } else { 0 };
        Viewer {
            identity: format!("w{worker}#{worker}"),
            configuration: format!("cfg{}", worker % 2),
            epoch: self.epoch.clone(),
            memory: Memory { remembered, own: own.filter(|_| ahead > 0) },
        }
    }

    fn claim_number(&self, back: u8) -> (u64, String) {
        let (_, fence, nonce) =
            self.claims.iter().rev().nth(usize::from(back)).cloned().unwrap_or_default();
        (fence, nonce)
    }

    async fn reader_key(&mut self) -> ReaderKey {
        let key = self.store.keys().reader(&self.unit);
        let value: Option<String> = self.redis(&["GET", &key]).await;
        let ttl: i64 = self.redis(&["PTTL", &key]).await;
        match (value, &self.model.token) {
            (None, _) => ReaderKey::Absent,
            (Some(value), Some(token)) if value == token.expose() => {
                ReaderKey::Current { ttl_ms: u64::try_from(ttl).ok() }
            }
            (Some(_), _) => ReaderKey::Other,
        }
    }

    async fn apply(&mut self, step: &Step) {
        match *step {
            Step::Claim { worker, repeat, old_epoch, forget, ahead, alive_ms } => {
                let viewer = self.viewer(worker, old_epoch, forget, ahead);
                self.claim(worker, repeat, viewer, alive_ms).await;
            }
            Step::Commit { claim, token, age_ms, life_ms } => {
                self.commit(claim, token, age_ms, life_ms).await;
            }
            Step::Abandon { claim, how, retry_in_ms } => {
                self.abandon(claim, how, retry_in_ms).await;
            }
            Step::Keep { knows, for_ms } => self.keep(knows, for_ms).await,
            Step::Force => {
                let rules = rules(self.nature);
                let observed = self.store.force(&self.unit, &rules).await.unwrap();
                let from_ms = self.model.force(self.now_us / 1_000, &rules);
                assert_eq!(observed.state.rejected_from_ms, from_ms);
                self.shows(&observed);
            }
            Step::Invalidate => {
                let rules = rules(self.nature);
                let (answer, observed) = self.store.invalidate(&self.unit, &rules).await.unwrap();
                assert_eq!(answer, self.model.invalidate(self.now_us / 1_000, &rules));
                self.shows(&observed);
            }
            Step::Pause { resume: false } => {
                let observed = self.store.pause(&self.unit).await.unwrap();
                self.model.pause();
                self.shows(&observed);
            }
            Step::Pause { resume: true } => {
                let observed = self.store.resume(&self.unit).await.unwrap();
                self.model.resume();
                self.shows(&observed);
            }
            Step::Forget => {
                self.store.forget(&self.unit).await.unwrap();
                self.model = State::default();
            }
            Step::Report { token, evidence, budget } => self.report(token, evidence, budget).await,
            Step::Pass { .. }
            | Step::DeleteReader
            | Step::OverwriteReader
            | Step::ChangeEpoch
            | Step::RewindFence
            | Step::Wipe
            | Step::ForgetScripts => self.disturb(step).await,
        }
        let key = self.store.keys().state(&self.unit);
        let fields: Vec<(String, String)> = self.redis(&["HGETALL", &key]).await;
        let state = State::from_fields(fields.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        assert_eq!(state, self.model, "after {step:?}");
        assert!(fields.iter().all(|(_, value)| !value.contains("e+")), "lost digits: {fields:?}");
    }

    async fn claim(&mut self, worker: u8, repeat: bool, viewer: Viewer, alive_ms: Option<u64>) {
        let repeated = self.claims.last().filter(|_| repeat).map(|(_, _, nonce)| nonce);
        let nonce = repeated.cloned().unwrap_or_else(|| format!("n{}", self.requests));
        self.requests += 1;
        let mut claimant = Worker::new(format!("w{worker}").parse().unwrap(), u32::from(worker));
        claimant.identity.clone_from(&viewer.identity);
        let rules = rules(self.nature);
        let token_fence = self.model.token_fence;
        let alive = alive_ms.map(|for_ms| Alive { token_fence, for_ms });
        let request = ClaimRequest { worker: claimant, nonce: nonce.clone(), viewer, rules, alive };
        let claimed = self.store.claim(&self.unit, &request).await.unwrap();
        assert_eq!(claimed.epoch, self.epoch);
        assert_eq!(claimed.answer, self.model.claim(self.now_us, &request));
        if let ClaimAnswer::Claimed { fence, .. } = claimed.answer {
            self.claims.push((worker, fence, nonce));
        }
    }

    async fn commit(&mut self, claim: u8, token: u8, age_ms: u64, life_ms: u64) {
        let (fence, nonce) = self.claim_number(claim);
        let request = CommitRequest {
            fence,
            nonce,
            token: Token::new(format!("token-{token}")).unwrap(),
            age_ms,
            life_ms,
            ahead_ms: life_ms / 4,
            assumed: token == 3,
            idempotent: self.nature.is_idempotent(),
            spacing_ms: rules(self.nature).spacing_ms,
        };
        let answer = match self.store.commit(&self.unit, &request).await {
            Ok(done) => {
                CommitAnswer::Committed { generation: done.generation, changed: done.changed }
            }
            Err(StoreError::Fenced) => CommitAnswer::Fenced,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(answer, self.model.commit(self.now_us / 1_000, &request));
    }

    async fn abandon(&mut self, claim: u8, how: u8, retry_in_ms: u64) {
        let (fence, nonce) = self.claim_number(claim);
        let why = "it \"broke\" / 坏了".to_owned();
        let scopes = [Scope::Worker, Scope::Configuration, Scope::Account, Scope::Transient];
        let outcome = match how {
            0 | 1 => Outcome::NotSent { why, retry_in_ms },
            2 => Outcome::Unknown { why, retry_in_ms },
            other => Outcome::Refused {
                scope: scopes[usize::from(other - 3)],
                status: Status::IpNotAllowed,
                code: 40164,
                message: why,
                retry_in_ms,
            },
        };
        let request = AbandonRequest { fence, nonce, drain_ms: 10_000, outcome };
        let (answer, observed) = self.store.abandon(&self.unit, &request).await.unwrap();
        assert_eq!(answer, self.model.abandon(self.now_us / 1_000, &request));
        self.shows(&observed);
    }

    /// What an answer shows of the state is the state.
    #[track_caller]
    fn shows(&self, observed: &Observed) {
        assert_eq!(observed.state, self.model.clone().without_token());
        assert_eq!(observed.now_ms, self.now_us / 1_000);
    }

    async fn report(&mut self, token: u8, evidence: u8, budget: u32) {
        // Mostly the current token: the others are answered alike.
        let current = self.model.fingerprint.clone().filter(|_| token < 4);
        let fingerprint = current.unwrap_or_else(|| Fingerprint::of(&format!("token-{token}")));
        let evidence = match evidence {
            0 | 1 => Evidence::Word { probe_ms: 1_000 * u64::from(evidence) },
            2 => Evidence::Checked(Probed::Alive),
            3 => Evidence::Checked(Probed::Dead),
            4 => Evidence::Checked(Probed::CannotTell),
            5 => Evidence::Hearsay,
            _ => Evidence::Found,
        };
        let spacing_ms = rules(self.nature).spacing_ms;
        let epoch = if token == 3 { String::new() } else { self.epoch.clone() };
        let request =
            ReportRequest { fingerprint, evidence, spacing_ms, budget, epoch, again: token == 2 };
        let (answer, observed) = self.store.report(&self.unit, &request).await.unwrap();
        assert_eq!(answer, self.model.report(self.now_us / 1_000, &request));
        self.shows(&observed);
    }

    async fn keep(&mut self, knows: bool, for_ms: u64) {
        let alive = Alive { token_fence: self.model.token_fence, for_ms };
        let alive = Some(alive).filter(|_| knows);
        let key = self.reader_key().await;
        let (answer, _) = self.store.keep(&self.unit, alive).await.unwrap();
        let expected = self.model.keep(self.now_us / 1_000, alive, key);
        // The key's life passes in real time, the state's in the test's: only what is published must agree.
        if matches!(expected, KeepAnswer::NoToken { .. }) || key == ReaderKey::Absent {
            assert_eq!(answer, expected);
        }
    }

    /// What happens to a Redis without the workers' doing.
    async fn disturb(&mut self, step: &Step) {
        let (state, reader) =
            (self.store.keys().state(&self.unit), self.store.keys().reader(&self.unit));
        match *step {
            Step::Pass { ms } => {
                self.now_us = self.now_us.saturating_add_signed(ms * 1_000);
                self.set_clock().await;
            }
            Step::DeleteReader => self.redis::<()>(&["DEL", &reader]).await,
            Step::OverwriteReader => self.redis::<()>(&["SET", &reader, "foreign"]).await,
            Step::ChangeEpoch if self.model.exists() => {
                self.redis::<()>(&["HSET", &state, "epoch", "another"]).await;
                "another".clone_into(&mut self.model.epoch);
            }
            Step::RewindFence if self.model.fence > 10 => {
                self.model.fence -= 7;
                let fence = self.model.fence.to_string();
                self.redis::<()>(&["HSET", &state, "fence", &fence]).await;
            }
            Step::Wipe => {
                self.redis::<()>(&["FLUSHALL"]).await;
                self.model = State::default();
                self.set_clock().await;
            }
            Step::ForgetScripts => self.redis::<()>(&["SCRIPT", "FLUSH"]).await,
            _ => {}
        }
    }
}

/// A redis-server, and a store in it.
struct Stage {
    _server: RedisServer,
    store: Arc<RedisStore>,
    connection: redis::aio::MultiplexedConnection,
    epoch: String,
}

impl Stage {
    async fn new() -> Self {
        let server = RedisServer::start().await;
        let settings = RedisSettings {
            address: RedisAddress::Tcp("127.0.0.1".to_owned(), server.port()),
            database: 0,
            username: None,
            password: None,
        };
        let store = RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Auto).unwrap();
        let store = Arc::new(store);
        let epoch = store.read(&[]).await.unwrap().epoch;
        let connection = server.connect().await;
        Self { _server: server, store, connection, epoch }
    }

    /// Applies `steps` to an empty Redis and to the core.
    async fn play(&self, steps: &[Step], nature: Nature) {
        let mut server = self.connection.clone();
        let () = redis::cmd("FLUSHALL").query_async(&mut server).await.unwrap();
        let mut both = Both {
            server,
            store: Arc::clone(&self.store),
            unit: Unit::access_token("wx1".parse().unwrap()),
            nature,
            now_us: START_US,
            epoch: self.epoch.clone(),
            model: State::default(),
            claims: Vec::new(),
            requests: 0,
        };
        both.set_clock().await;
        for step in steps {
            both.apply(step).await;
        }
    }
}

#[test]
fn every_history_has_the_same_answers_and_the_same_state_in_redis_and_in_the_core() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stage = runtime.block_on(Stage::new());
    let histories = (prop::collection::vec(step(), 1..60), any::<bool>());
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&histories, |(steps, idempotent)| {
            let nature = if idempotent { Nature::Idempotent } else { Nature::WECHAT };
            runtime.block_on(stage.play(&steps, nature));
            Ok(())
        })
        .unwrap();
}

/// What chance rarely meets: tokens that are reported again and again, at the edges of spacing and of the probe's answer.
#[tokio::test]
async fn a_war_of_refreshes_is_the_same_in_redis_and_in_the_core() {
    let stage = Stage::new().await;
    let claim = Step::Claim {
        worker: 1,
        repeat: false,
        old_epoch: false,
        forget: false,
        ahead: 0,
        alive_ms: None,
    };
    let report = |evidence| Step::Report { token: 0, evidence, budget: 100 };
    for between_ms in [3_999, 4_001, 16_000, 600_001, 1_199_999, 1_200_000, 1_200_001] {
        let mut steps = Vec::new();
        for token in [0, 1, 2, 3, 0, 1, 2, 3] {
            let commit = Step::Commit { claim: 0, token, age_ms: 0, life_ms: 3_600_000 };
            steps.extend([claim.clone(), commit, report(4), Step::Pass { ms: between_ms }]);
        }
        stage.play(&steps, Nature::WECHAT).await;
    }
    for after_ms in [399, 400, 401, 3_999, 4_000] {
        let commit = Step::Commit { claim: 0, token: 0, age_ms: 0, life_ms: 3_600_000 };
        let steps = [claim.clone(), commit, report(2), Step::Pass { ms: after_ms }, report(1)];
        stage.play(&steps, Nature::Idempotent).await;
    }
}

/// `ZHONGKONG_HISTORIES` is compiled in, so that the tests need not read the environment.
fn cases() -> u32 {
    option_env!("ZHONGKONG_HISTORIES").and_then(|n| n.parse().ok()).unwrap_or(400)
}
