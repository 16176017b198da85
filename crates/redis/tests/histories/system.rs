//! The system: a real redis-server, asked through the store, and looked into from outside.

use std::collections::BTreeSet;
use std::rc::Rc;

use proptest_state_machine::StateMachineTest;
use zhongkong_core::adopt::AdoptRequest;
use zhongkong_core::claim::ClaimRequest;
use zhongkong_core::commit::CommitAnswer;
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Committed, Observed, Store, StoreError};
use zhongkong_core::report::ReportRequest;
use zhongkong_core::state::State;
use zhongkong_core::token::Token;
use zhongkong_redis::{HISTORY_MAX, HistoryPage};

use crate::call::{Answer, Call, Told};
use crate::events;
use crate::lines::{self, OPERATOR};
use crate::reference::{Epochs, History, Key, Reference, epoch_name};
use crate::spoil::{Foreign, Spoilt};
use crate::stage::Stage;
use crate::step::Step;

/// The unit of one history.
pub(crate) struct System {
    stage: Rc<Stage>,
    unit: Unit,
    /// The server's true epochs, in their order.
    epochs: Vec<String>,
}

impl StateMachineTest for System {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(history: &History) -> Self {
        let stage = Stage::of_this_thread();
        let unit = Unit::access_token("wx1".parse().unwrap());
        let system = Self { epochs: vec![stage.epoch()], stage, unit };
        system.stage.clock.hold_at_us(history.now_us);
        system.stage.redis::<()>(&["FLUSHALL"]);
        // What a failed history left.
        system.stage.heard();
        system
    }

    fn apply(mut system: Self, history: &History, step: Step) -> Self {
        match &history.told {
            Some(told) => system.call(told, history),
            None => system.disturb(&step, history),
        }
        system
    }

    fn check_invariants(system: &Self, history: &History) {
        let (fields, reader, lock) = system.keys(history.now_ms());
        assert_eq!(reader, history.reader, "the key that readers read");
        assert_eq!(lock, history.lock, "the lock");
        system.state_is_the_same(&fields, history);
        system.readers_find_the_same(history);
        system.the_same_is_kept(history);
    }
}

impl System {
    fn call(&self, told: &Told, history: &History) {
        let (answer, observed) = self.ask(&told.call, history);
        // What cannot be read may keep a key alive in which there is nothing to be read.
        let counts = !(history.spoilt && matches!(answer, Answer::Forget(_)));
        assert!(!counts || answer == told.answer, "{answer:?} in Redis, {:?} here", told.answer);
        if let Some(Observed { state, now_ms }) = observed {
            same(&self.named(state), &history.model.clone().without_token());
            assert_eq!(now_ms, history.now_ms());
        }
        let heard = self.stage.heard();
        assert_eq!(heard.len(), told.events.len(), "{:?} expected: {heard:?}", told.events);
        for (heard, what) in heard.iter().zip(&told.events) {
            events::check(heard, what, &self.unit, history, |state| self.named(state));
        }
    }

    /// Makes `call` through the store: its answer, and the state that it shows.
    fn ask(&self, call: &Call, history: &History) -> (Answer, Option<Observed>) {
        let stage = &self.stage;
        let store = match history.epochs {
            Epochs::Read => &stage.store,
            Epochs::Told | Epochs::Off => &stage.blind,
        };
        let (unit, rules) = (&self.unit, history.rules());
        let asked = stage.runtime.block_on(async {
            Ok(match call {
                Call::Claim(request) => {
                    let claimed = store.claim(unit, &self.with_true_epochs(request)).await?;
                    let epoch = self.name_of(claimed.epoch);
                    (Answer::Claim(claimed.answer, epoch), Some(claimed.observed))
                }
                Call::Commit(request) => match store.commit(unit, request).await {
                    Err(StoreError::Fenced) => (Answer::Commit(CommitAnswer::Fenced), None),
                    done => {
                        let Committed { generation, changed, observed } = done?;
                        let answer = CommitAnswer::Committed { generation, changed };
                        (Answer::Commit(answer), Some(observed))
                    }
                },
                Call::Abandon(request) => {
                    let (answer, observed) = store.abandon(unit, request).await?;
                    (Answer::Abandon(answer), Some(observed))
                }
                Call::Keep(alive) => {
                    let (answer, observed) = store.keep(unit, *alive).await?;
                    (Answer::Keep(answer), Some(observed))
                }
                Call::Force => {
                    let observed = store.force(unit, &rules, OPERATOR).await?;
                    (Answer::Force(observed.state.rejected_from_ms), Some(observed))
                }
                Call::Invalidate => {
                    let (answer, observed) = store.invalidate(unit, &rules, OPERATOR).await?;
                    (Answer::Invalidate(answer), Some(observed))
                }
                Call::Pause => (Answer::Pause, Some(store.pause(unit, OPERATOR).await?)),
                Call::Resume => (Answer::Pause, Some(store.resume(unit, OPERATOR).await?)),
                Call::Report(request) => {
                    let epoch = self.true_epoch(&request.epoch);
                    let request = ReportRequest { epoch, ..request.clone() };
                    let (answer, observed) = store.report(unit, &request).await?;
                    (Answer::Report(answer), Some(observed))
                }
                Call::Adopt(request) => {
                    let epoch = self.true_epoch(&request.epoch);
                    let request = AdoptRequest { epoch, ..request.clone() };
                    let (answer, observed) = store.adopt(unit, &request).await?;
                    (Answer::Adopt(answer), Some(observed))
                }
                Call::Forget => (Answer::Forget(store.forget(unit).await?), None),
            })
        });
        match asked {
            Ok(asked) => asked,
            Err(StoreError::Refused(why)) if why.contains("newer than this worker") => {
                (Answer::Newer, None)
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn state_is_the_same(&self, fields: &[(String, String)], history: &History) {
        let model = &history.model;
        let read = State::from_fields(fields.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        same(&self.named(read), model);
        let lossy = |value: &str| value.contains("e+");
        assert!(history.spoilt || !fields.iter().any(|(_, v)| lossy(v)), "digits lost: {fields:?}");
        let units = std::slice::from_ref(&self.unit);
        let Stage { runtime, store, .. } = &*self.stage;
        let reading = runtime.block_on(store.read(units)).unwrap().remove(0).unwrap();
        same(&self.named(reading.state), &model.clone().without_token());
        let own = model.token.as_ref().map(Token::expose);
        let found = history.reader.as_ref().and_then(|key| key.text.as_deref());
        assert_eq!(reading.published, own.is_some() && found == own);
        assert_eq!(reading.now_ms, history.now_ms());
    }

    fn readers_find_the_same(&self, history: &History) {
        let stage = &self.stage;
        if history.reader.as_ref().is_some_and(|key| key.text.is_none()) {
            return;
        }
        let found = stage.runtime.block_on(stage.store.token(&self.unit)).unwrap();
        let text = history.reader.as_ref().and_then(|key| key.text.clone());
        assert_eq!(found.as_ref().map(|found| found.token.expose()), text.as_deref());
        let generation = history.model.token.as_ref().map_or(0, |own| {
            if Some(own.expose()) == text.as_deref() { history.model.generation } else { 0 }
        });
        if let Some(found) = found.filter(|_| !history.spoilt) {
            assert_eq!(found.generation, generation);
        }
    }

    fn the_same_is_kept(&self, history: &History) {
        let Stage { runtime, store, .. } = &*self.stage;
        let page = HistoryPage { kind: None, before: None, limit: HISTORY_MAX };
        let found = runtime.block_on(store.history(&self.unit.id, page)).unwrap();
        assert_eq!((found.more, found.now_ms), (false, history.now_ms()));
        let found: Vec<_> = found.entries.into_iter().rev().map(lines::compared).collect();
        assert_eq!(found, history.kept, "the history");
    }

    /// The fields of the state, the key that readers read, and the lock, as they stand in Redis.
    fn keys(&self, now_ms: u64) -> (Vec<(String, String)>, Option<Key>, Option<Key>) {
        let keys = self.stage.store.keys();
        let mut pipe = redis::pipe();
        pipe.cmd("HGETALL").arg(keys.state(&self.unit));
        for key in [keys.reader(&self.unit), keys.lock(&self.unit)] {
            pipe.cmd("PTTL").arg(&key).cmd("GET").arg(&key);
        }
        let mut results = self.stage.ask(&mut pipe).into_iter();
        let fields = results.next().unwrap().unwrap();
        let mut key = || {
            let (ttl_ms, text) = (results.next().unwrap().unwrap(), results.next().unwrap());
            let ttl_ms: i64 = redis::from_redis_value(ttl_ms).unwrap();
            let dies_at_ms = u64::try_from(ttl_ms).ok().map(|ttl_ms| now_ms + ttl_ms);
            // A key of another type has no text.
            let text = text.ok().and_then(|text| redis::from_redis_value(text).unwrap());
            (ttl_ms != -2).then_some(Key { text, dies_at_ms })
        };
        (redis::from_redis_value(fields).unwrap(), key(), key())
    }

    /// What happens to a Redis without the workers' doing.
    fn disturb(&mut self, step: &Step, history: &History) {
        let stage = &self.stage;
        let keys = stage.store.keys();
        let (hash, reader) = (keys.state(&self.unit), keys.reader(&self.unit));
        let field = |name: &str, value: &str| {
            let _: u32 = stage.redis(&["HSET", &hash, name, value]);
        };
        match step {
            Step::Pass { .. } | Step::ToMidnight { .. } => stage.clock.hold_at_us(history.now_us),
            Step::DeleteReader => stage.redis(&["DEL", &reader]),
            Step::OverwriteReader(how) => self.overwrite(&reader, *how, history),
            Step::DeleteLock => stage.redis(&["DEL", &keys.lock(&self.unit)]),
            Step::DeleteState => stage.redis(&["DEL", &hash]),
            Step::ChangeEpoch => field("epoch", "another"),
            Step::Promote => {
                stage.redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
                stage.redis::<()>(&["REPLICAOF", "NO", "ONE"]);
                let epoch = stage.epoch();
                assert_ne!(Some(&epoch), self.epochs.last());
                self.epochs.push(epoch);
            }
            Step::RewindFence => field("fence", &history.model.fence.to_string()),
            Step::LoseWrites { .. } => {
                stage.redis::<()>(&["DEL", &hash]);
                for (name, value) in history.model.to_fields() {
                    let value = if name == "epoch" { self.true_epoch(&value) } else { value };
                    field(name, &value);
                }
            }
            Step::Spoil(Spoilt { field: name, value: Some(value) }) => field(name, value),
            Step::Spoil(Spoilt { field: name, value: None }) => {
                let _: u32 = stage.redis(&["HDEL", &hash, name]);
            }
            Step::Upgrade | Step::Downgrade => field("v", &history.model.v.to_string()),
            Step::Wipe => stage.redis(&["FLUSHALL"]),
            Step::ForgetScripts => stage.redis(&["SCRIPT", "FLUSH"]),
            _ => unreachable!("{step:?} is a call"),
        }
    }

    fn overwrite(&self, reader: &str, how: Foreign, history: &History) {
        let stage = &self.stage;
        match (how, history.reader.as_ref().and_then(|key| key.dies_at_ms)) {
            (Foreign::Text, _) => stage.redis(&["SET", reader, "foreign"]),
            (Foreign::Instead, _) => stage.redis(&["SET", reader, "foreign", "KEEPTTL"]),
            (Foreign::List, _) => {
                stage.redis::<()>(&["DEL", reader]);
                let _: u32 = stage.redis(&["RPUSH", reader, "foreign"]);
            }
            (Foreign::Forever | Foreign::For { .. }, None) => {
                let _: u32 = stage.redis(&["PERSIST", reader]);
            }
            (Foreign::Forever | Foreign::For { .. }, Some(at_ms)) => {
                let _: u32 = stage.redis(&["PEXPIREAT", reader, &at_ms.to_string()]);
            }
        }
    }

    /// `state` with the test's name for its epoch.
    fn named(&self, state: State) -> State {
        State { epoch: self.name_of(state.epoch.clone()), ..state }
    }

    fn name_of(&self, epoch: String) -> String {
        self.epochs.iter().position(|own| *own == epoch).map_or(epoch, epoch_name)
    }

    /// The server's own name for an epoch; as it is where scripts may not read it.
    fn true_epoch(&self, name: &str) -> String {
        let number = name.strip_prefix("epoch-").and_then(|number| number.parse::<usize>().ok());
        number.map_or_else(|| name.to_owned(), |number| self.epochs[number].clone())
    }

    fn with_true_epochs(&self, request: &ClaimRequest) -> ClaimRequest {
        let mut request = request.clone();
        request.viewer.epoch = self.true_epoch(&request.viewer.epoch);
        if let Some(own) = &mut request.viewer.memory.own {
            own.epoch = self.true_epoch(&own.epoch);
        }
        request
    }
}

/// Fails if the states differ, and names the fields in which they do.
pub(crate) fn same(in_redis: &State, in_the_core: &State) {
    if in_redis == in_the_core {
        return;
    }
    let (redis, core) = (in_redis.to_fields(), in_the_core.to_fields());
    let names: BTreeSet<_> = redis.keys().chain(core.keys()).collect();
    let differ = names.into_iter().filter(|name| redis.get(*name) != core.get(*name));
    let differences = differ.map(|name| (name, redis.get(name), core.get(name)));
    panic!("(field, in Redis, in the core): {:?}", differences.collect::<Vec<_>>());
}
