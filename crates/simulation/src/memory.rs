//! A Redis in memory: the same transitions as its scripts apply, a clock that can be stepped, data that can be lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use zhongkong_core::abandon::{AbandonAnswer, AbandonRequest, Outcome};
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::{CommitAnswer, CommitRequest};
use zhongkong_core::credential::Unit;
use zhongkong_core::doubt::Doubts;
use zhongkong_core::keep::{KeepAnswer, ReaderKey};
use zhongkong_core::life::Alive;
use zhongkong_core::outlook::Rules;
use zhongkong_core::ports::{
    Beat, Claimed, Committed, Notice, Observed, Published, Reading, StoreError, TouchedKey,
};
use zhongkong_core::publication::{
    Entry as SdkEntry, FENCE_OUTLIVES_MS, Outcome as Shown, Publication, Stored, Tracked, Value,
};
use zhongkong_core::report::{ReportAnswer, ReportRequest};
use zhongkong_core::state::State;
use zhongkong_core::token::{Fingerprint, Token};

use crate::inbox::{Entry, Inbox};
use crate::run::Protocol;
use crate::time::BEGIN_MS;

/// A worker that has not beaten for this long is dead: three of its beats.
const BEAT_VALID_MS: u64 = 6_000;

/// The data, and the server that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    /// One uninterrupted life of the data.
    epoch: u32,
    protocol: Protocol,
    /// How far the clock is ahead of the true time, in milliseconds.
    offset_ms: i64,
    /// What is lost with the data.
    data: Data,
    /// The true time of this operation, in microseconds since the begin.
    now_us: u64,
    /// What listeners are told of this operation.
    told: Vec<Notice>,
    /// The keys of SDKs, of which they are told, too.
    tracked: Arc<Tracked>,
}

/// What a restart or a failover may lose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    units: BTreeMap<Unit, Cell>,
    beats: BTreeMap<String, u64>,
    inbox: Inbox,
    sdk: BTreeMap<String, SdkKey>,
}

/// A key that an SDK reads, and the fence beside it.
#[derive(Clone, Debug, Default)]
struct SdkKey {
    value: Option<Value>,
    expires_at_ms: u64,
    fence: u64,
    fence_until_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    state: State,
    reader: Option<Reader>,
}

/// The key that readers read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reader {
    value: String,
    expires_at_ms: u64,
}

impl Cell {
    /// What the reader's key holds.
    fn reader_key(&self, now_ms: u64) -> ReaderKey {
        let token = self.state.token.as_ref().map(Token::expose);
        match &self.reader {
            None => ReaderKey::Absent,
            Some(reader) if Some(reader.value.as_str()) == token => {
                let ttl_ms = Some(reader.expires_at_ms.saturating_sub(now_ms));
                ReaderKey::Current { ttl_ms }
            }
            Some(_) => ReaderKey::Other,
        }
    }
}

impl Memory {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let data = Data::default();
        let (told, tracked) = (Vec::new(), Arc::default());
        Self { epoch: 1, protocol, offset_ms: 0, data, now_us: 0, told, tracked }
    }

    /// Begins an operation at the true time `now_us`: what has expired by then is gone.
    pub(crate) fn begin(&mut self, now_us: u64) -> &mut Self {
        self.now_us = now_us;
        let time_ms = self.now_ms();
        for (unit, cell) in &mut self.data.units {
            if cell.reader.take_if(|reader| reader.expires_at_ms <= time_ms).is_some() {
                self.told.push(Notice::Touched { unit: unit.clone(), key: TouchedKey::Reader });
            }
        }
        let mut expired = Vec::new();
        for (name, key) in &mut self.data.sdk {
            if key.fence_until_ms <= time_ms {
                key.fence = 0;
            }
            if key.expires_at_ms <= time_ms && key.value.take().is_some() {
                expired.push(name.clone());
            }
        }
        for name in &expired {
            self.touch_sdk(name);
        }
        self
    }

    /// What listeners are to be told of it.
    pub(crate) fn end(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.told)
    }

    fn time_us(&self) -> u64 {
        (BEGIN_MS * 1_000 + self.now_us).saturating_add_signed(self.offset_ms * 1_000)
    }

    /// Redis `TIME` in milliseconds.
    fn now_ms(&self) -> u64 {
        self.time_us() / 1_000
    }

    pub(crate) fn epoch(&self) -> String {
        format!("run-{}", self.epoch)
    }

    fn cell(&mut self, unit: &Unit) -> &mut Cell {
        self.data.units.entry(unit.clone()).or_default()
    }

    fn observed(&self, unit: &Unit) -> Observed {
        let state = self.data.units.get(unit).map(|cell| cell.state.clone().without_token());
        Observed { state: state.unwrap_or_default(), now_ms: self.now_ms() }
    }

    /// Tells listeners what happened to `unit`, and which keys were written.
    fn tell(&mut self, unit: &Unit, what: &str, reader: bool) {
        let observed = Box::new(self.observed(unit));
        self.told.push(Notice::Event { unit: unit.clone(), what: what.to_owned(), observed });
        self.touch(unit, TouchedKey::State);
        if reader {
            self.touch(unit, TouchedKey::Reader);
        }
    }

    /// The reader's key is to live so long, if it holds the state's token; 0: it is to go.
    fn let_the_key_follow(&mut self, unit: &Unit, ttl_ms: u64) {
        let now_ms = self.now_ms();
        let cell = self.cell(unit);
        if !matches!(cell.reader_key(now_ms), ReaderKey::Current { .. }) {
            return;
        }
        cell.reader.take_if(|_| ttl_ms == 0);
        if let Some(reader) = &mut cell.reader {
            reader.expires_at_ms = now_ms + ttl_ms;
        }
        self.touch(unit, TouchedKey::State);
        self.touch(unit, TouchedKey::Reader);
    }

    fn touch(&mut self, unit: &Unit, key: TouchedKey) {
        self.told.push(Notice::Touched { unit: unit.clone(), key });
    }
}

/// The protocol without all but its fences (rule R1), to see the checker find fault.
impl Memory {
    /// A lock that ran out says nothing of a request that may be under way, and neither does an outcome that is unknown.
    fn forget_what_a_lock_would_not_know(&mut self, unit: &Unit) {
        let (protocol, now_ms) = (self.protocol, self.now_ms());
        let state = &mut self.cell(unit).state;
        if protocol == Protocol::FencesOnly {
            state.intent &= state.claim_is_current(now_ms);
            state.doubt = Doubts::default();
            (state.unknowns, state.unknowns_before) = (0, 0);
        }
    }
}

/// The transitions, as the scripts apply them.
impl Memory {
    pub(crate) fn claim(&mut self, unit: &Unit, request: &ClaimRequest) -> Claimed {
        let (time_us, epoch) = (self.time_us(), self.epoch());
        let mut request = request.clone();
        // The script reads it itself.
        request.viewer.epoch.clone_from(&epoch);
        self.forget_what_a_lock_would_not_know(unit);
        let state = &mut self.cell(unit).state;
        let before = (state.fence, state.nonce.clone());
        let (doubts, found_ms) = (state.doubt.clone(), state.expires_at_ms);
        let answer = state.claim(time_us, &request);
        let made = (state.fence, &state.nonce) != (before.0, &before.1);
        if let Some(ttl_ms) = state.cut_ttl_ms(found_ms, time_us / 1_000) {
            self.let_the_key_follow(unit, ttl_ms);
        }
        self.forget_what_a_lock_would_not_know(unit);
        if made && matches!(answer, ClaimAnswer::Claimed { .. }) {
            if self.cell(unit).state.doubt != doubts {
                self.tell(unit, "doubted", false);
            }
            self.tell(unit, "claimed", false);
        }
        Claimed { answer, observed: self.observed(unit), epoch, acknowledged: 0, required: 0 }
    }

    pub(crate) fn commit(
        &mut self,
        unit: &Unit,
        request: &CommitRequest,
    ) -> Result<Committed, StoreError> {
        let now_ms = self.now_ms();
        let state = &mut self.cell(unit).state;
        let open = state.intent;
        match state.commit(now_ms, request) {
            CommitAnswer::Fenced => {
                self.forget_what_a_lock_would_not_know(unit);
                self.tell(unit, "doubted", false);
                Err(StoreError::Fenced)
            }
            CommitAnswer::Committed { generation, changed } => {
                if open {
                    let expires_at_ms = state.expires_at_ms;
                    if expires_at_ms > now_ms {
                        let value = request.token.expose().to_owned();
                        self.cell(unit).reader = Some(Reader { value, expires_at_ms });
                    }
                    self.tell(unit, if changed { "refreshed" } else { "unchanged" }, true);
                }
                Ok(Committed { generation, changed, observed: self.observed(unit) })
            }
        }
    }

    pub(crate) fn abandon(
        &mut self,
        unit: &Unit,
        request: &AbandonRequest,
    ) -> (AbandonAnswer, Observed) {
        let now_ms = self.now_ms();
        let answer = self.cell(unit).state.abandon(now_ms, request);
        self.forget_what_a_lock_would_not_know(unit);
        let unknown = matches!(request.outcome, Outcome::Unknown { .. });
        match (answer, &request.outcome) {
            (AbandonAnswer::Late, _) if !unknown => {}
            (_, Outcome::Unknown { .. }) => self.tell(unit, "doubted", false),
            (_, Outcome::Refused { .. }) => self.tell(unit, "refused", false),
            (_, Outcome::NotSent { .. }) => self.tell(unit, "released", false),
        }
        (answer, self.observed(unit))
    }

    pub(crate) fn keep(&mut self, unit: &Unit, alive: Option<Alive>) -> (KeepAnswer, Observed) {
        let now_ms = self.now_ms();
        let cell = self.cell(unit);
        let token = cell.state.token.as_ref().map(|token| token.expose().to_owned());
        let key = cell.reader_key(now_ms);
        let answer = cell.state.keep(now_ms, alive, key);
        if let (KeepAnswer::NoToken { .. }, ReaderKey::Current { .. }) = (answer, key) {
            self.let_the_key_follow(unit, 0);
        }
        let cell = self.cell(unit);
        match (answer, token) {
            (KeepAnswer::Republished { ttl_ms }, Some(value)) => {
                cell.reader = Some(Reader { value, expires_at_ms: now_ms + ttl_ms });
                self.tell(unit, "kept", true);
            }
            (KeepAnswer::NoToken { announce: true }, _) => self.tell(unit, "lost", false),
            _ => {}
        }
        (answer, self.observed(unit))
    }

    pub(crate) fn force(&mut self, unit: &Unit, rules: &Rules) -> Observed {
        let now_ms = self.now_ms();
        self.cell(unit).state.force(now_ms, rules);
        self.tell(unit, "forced", false);
        self.observed(unit)
    }

    pub(crate) fn report(
        &mut self,
        unit: &Unit,
        request: &ReportRequest,
    ) -> (ReportAnswer, Observed) {
        let now_ms = self.now_ms();
        let state = &mut self.cell(unit).state;
        let (marked, doubts) = (state.rejected, state.doubt.clone());
        let answer = state.report(now_ms, request);
        let news = state.rejected != marked;
        if state.doubt != doubts {
            self.tell(unit, "doubted", false);
        }
        match answer {
            ReportAnswer::Marked { .. } if news => self.tell(unit, "reported", false),
            ReportAnswer::Noted => self.tell(unit, "noted", false),
            _ => self.touch(unit, TouchedKey::State),
        }
        (answer, self.observed(unit))
    }

    pub(crate) fn adopt(&mut self, unit: &Unit, request: &AdoptRequest) -> (AdoptAnswer, Observed) {
        let time_us = self.time_us();
        let state = &mut self.cell(unit).state;
        let (fence, doubts) = (state.fence, state.doubt.clone());
        let answer = state.adopt(time_us, request);
        let (adopted, doubted) = (state.fence != fence, state.doubt != doubts);
        let expires_at_ms = state.expires_at_ms;
        if adopted {
            let value = request.token.expose().to_owned();
            self.cell(unit).reader = Some(Reader { value, expires_at_ms });
        }
        if doubted {
            self.tell(unit, "doubted", false);
        }
        if adopted {
            self.tell(unit, "adopted", true);
        }
        (answer, self.observed(unit))
    }
}

/// The keys of SDKs.
impl Memory {
    pub(crate) fn track(&mut self, tracked: Arc<Tracked>) {
        self.tracked = tracked;
    }

    pub(crate) fn copy(&self, unit: &Unit) -> Observed {
        Observed { state: self.state(unit), now_ms: self.now_ms() }
    }

    pub(crate) fn publish(&mut self, publication: &Publication) -> Vec<Shown> {
        let now_ms = self.now_ms();
        let entries = &publication.entries;
        let found: Vec<Stored> = entries.iter().map(|entry| self.found_by_sdk(entry)).collect();
        if found.iter().any(|stored| stored.fence > publication.token_fence) {
            return vec![Shown::Fenced; entries.len()];
        }
        let left_ms = publication.left_ms(now_ms);
        let settled = entries.iter().zip(&found).map(|(entry, stored)| {
            let outcome = publication.settle(entry, stored, now_ms);
            match outcome {
                Shown::Written | Shown::Repaired(_) => {
                    let key = self.data.sdk.entry(entry.key.clone()).or_default();
                    key.value = Some(entry.value.clone());
                    key.expires_at_ms = now_ms + entry.ttl_ms(left_ms);
                    key.fence = publication.token_fence;
                    let until_ms = now_ms + left_ms + FENCE_OUTLIVES_MS;
                    key.fence_until_ms = key.fence_until_ms.max(until_ms);
                    self.touch_sdk(&entry.key);
                }
                Shown::Ended if entry.is_held_by(stored.value.as_ref()) => {
                    self.data.sdk.entry(entry.key.clone()).or_default().value = None;
                    self.touch_sdk(&entry.key);
                }
                _ => {}
            }
            outcome
        });
        settled.collect()
    }

    fn found_by_sdk(&self, entry: &SdkEntry) -> Stored {
        let Some(key) = self.data.sdk.get(&entry.key) else { return Stored::default() };
        let ttl_ms = Some(key.expires_at_ms.saturating_sub(self.now_ms()));
        Stored { fence: key.fence, value: key.value.clone(), ttl_ms }
    }

    /// What an SDK finds at its key.
    pub(crate) fn sdk_finds(&self, key: &str) -> Option<&Value> {
        self.data.sdk.get(key)?.value.as_ref()
    }

    fn touch_sdk(&mut self, name: &str) {
        if let Some(unit) = self.tracked.keys.get(name).cloned() {
            self.told.push(Notice::Touched { unit, key: TouchedKey::Sdk });
        }
    }
}

/// Reading, and workers that live.
impl Memory {
    pub(crate) fn read(&self, units: &[Unit]) -> Vec<Result<Reading, StoreError>> {
        let (epoch, now_ms) = (Arc::from(self.epoch()), self.now_ms());
        let readings = units.iter().map(|unit| {
            let Cell { state, reader } = self.data.units.get(unit).cloned().unwrap_or_default();
            let found = reader.as_ref().map(|reader| reader.value.as_str());
            let own = state.token.as_ref().map(Token::expose);
            let published = own.is_some() && found == own;
            let state = state.without_token();
            Ok(Reading { state, published, now_ms, epoch: Arc::clone(&epoch) })
        });
        readings.collect()
    }

    pub(crate) fn token(&self, unit: &Unit) -> Option<Published> {
        let cell = self.data.units.get(unit)?;
        let Reader { value, expires_at_ms } = cell.reader.clone()?;
        let token = Token::new(value).ok()?;
        let own = cell.state.fingerprint == Some(token.fingerprint());
        let left = std::time::Duration::from_millis(expires_at_ms.saturating_sub(self.now_ms()));
        let generation = if own { cell.state.generation } else { 0 };
        Some(Published { token, left, expires_at_ms, generation })
    }

    /// What a reader finds.
    pub(crate) fn found(&self, unit: &Unit) -> Option<&str> {
        Some(&self.data.units.get(unit)?.reader.as_ref()?.value)
    }

    /// The state, as the checker sees it.
    pub(crate) fn state(&self, unit: &Unit) -> State {
        self.data.units.get(unit).map(|cell| cell.state.clone()).unwrap_or_default()
    }

    pub(crate) fn beat(&mut self, identity: &str) -> Beat {
        let now_ms = self.now_ms();
        let valid = now_ms.saturating_sub(BEAT_VALID_MS)..=now_ms + BEAT_VALID_MS;
        self.data.beats.insert(identity.to_owned(), now_ms);
        self.data.beats.retain(|_, at_ms| valid.contains(at_ms));
        let living = self.data.beats.keys().cloned().collect();
        Beat { living, epochs: [self.epoch()].into(), missing: Vec::new() }
    }

    pub(crate) fn leave(&mut self, identity: &str) {
        self.data.beats.remove(identity);
    }
}

/// The stream of reports.
impl Memory {
    pub(crate) fn leave_report(&mut self, unit: Unit, fingerprint: Fingerprint) {
        self.data.inbox.leave(unit, fingerprint);
    }

    pub(crate) fn take_reports(&mut self, identity: &str) -> Vec<Entry> {
        let now_ms = self.now_ms();
        self.data.inbox.take(identity, now_ms)
    }

    pub(crate) fn adopt_reports(&mut self, identity: &str, living: &[String]) -> Vec<Entry> {
        let now_ms = self.now_ms();
        self.data.inbox.adopt(identity, living, now_ms)
    }

    pub(crate) fn finish_report(&mut self, entry: u64) {
        self.data.inbox.finish(entry);
    }
}

/// What happens to a Redis without the workers' doing.
impl Memory {
    /// The data as it is now, to be lost later.
    pub(crate) fn snapshot(&self) -> Data {
        self.data.clone()
    }

    /// Another life of the data begins, with what there is of it.
    pub(crate) fn restart(&mut self, data: Option<Data>) {
        self.epoch += 1;
        if let Some(data) = data {
            self.data = data;
        }
    }

    /// The clock is stepped.
    pub(crate) fn step(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
    }

    /// Somebody deletes the readers' key, or writes something else there.
    pub(crate) fn spoil_reader(&mut self, unit: &Unit, value: Option<&str>) {
        let cell = self.cell(unit);
        match (value, &mut cell.reader) {
            (None, reader) => *reader = None,
            (Some(value), Some(reader)) => value.clone_into(&mut reader.value),
            (Some(_), None) => return,
        }
        self.touch(unit, TouchedKey::Reader);
    }

    /// Somebody deletes a key that an SDK reads, or writes something else there.
    pub(crate) fn spoil_sdk(&mut self, name: &str, value: Option<Value>) {
        if let Some(key) = self.data.sdk.get_mut(name) {
            key.value = value;
            self.touch_sdk(name);
        }
    }

    /// Somebody empties it while it runs.
    pub(crate) fn flush(&mut self) {
        self.data = Data::default();
        self.told.push(Notice::Flushed);
    }
}
