//! A worker's line to Redis: the store's port over a network that delays and loses.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zhongkong_core::abandon::{AbandonAnswer, AbandonRequest};
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::ClaimRequest;
use zhongkong_core::commit::CommitRequest;
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::life::Alive;
use zhongkong_core::outlook::Rules;
use zhongkong_core::ports::{
    Beat, Claimed, Committed, LeftReport, Notice, Observed, Published, Reading, Store, StoreError,
};
use zhongkong_core::publication::{self, Publication, Tracked};
use zhongkong_core::report::{ReportAnswer, ReportRequest};

use crate::inbox::Entry;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::weather::Fate;
use crate::world::{TheWorld, pass};

/// How long a client waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long it takes to learn that nobody listens.
const REFUSED_AFTER: Duration = Duration::from_millis(20);
/// How long a worker waits for reports in one call.
const REPORTS_WITHIN: Duration = Duration::from_secs(5);
/// A connection is tried this often, so that one that is only half open is noticed.
const PING_EVERY_MS: u64 = 7_000;

/// One worker's way to Redis.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) world: TheWorld,
    pub(crate) machine: Arc<Machine>,
}

impl Line {
    /// Sends a command, and waits for its answer. What was sent is carried out even if nobody waits any more.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let Self { world, machine } = self;
        machine.gate.pass().await;
        let fate = {
            let state = world.state();
            if state.redis_up { Some(state.weather.of_command(&world.network)) } else { None }
        };
        let answer = match fate {
            None => {
                pass(REFUSED_AFTER).await;
                None
            }
            Some(Fate::Fine { out, back }) => {
                pass(out).await;
                let answer = world.in_redis_for(machine.number, what);
                pass(if answer.is_some() { back } else { ANSWER_WITHIN }).await;
                answer
            }
            Some(Fate::Lost) => {
                pass(ANSWER_WITHIN).await;
                None
            }
            Some(Fate::Unanswered { out }) => {
                pass(out).await;
                world.in_redis_for(machine.number, what);
                pass(ANSWER_WITHIN.saturating_sub(out)).await;
                None
            }
            Some(Fate::Late { after }) => {
                let (late, number) = (Arc::clone(world), machine.number);
                world.spawn(async move {
                    pass(after).await;
                    late.in_redis_for(number, what);
                });
                pass(ANSWER_WITHIN).await;
                None
            }
        };
        machine.gate.pass().await;
        answer.ok_or_else(|| StoreError::Unavailable("no answer".to_owned()))
    }

    /// The same for a command on a unit.
    async fn ask_of<T: Send + 'static>(
        &self,
        unit: &Unit,
        what: impl FnOnce(&mut Memory, &Unit) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let unit = unit.clone();
        self.ask(move |memory| what(memory, &unit)).await
    }
}

#[async_trait]
impl Store for Line {
    async fn claim(&self, unit: &Unit, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let request = request.clone();
        self.ask_of(unit, move |memory, unit| memory.claim(unit, &request)).await
    }

    async fn commit(&self, unit: &Unit, request: &CommitRequest) -> Result<Committed, StoreError> {
        let request = request.clone();
        self.ask_of(unit, move |memory, unit| memory.commit(unit, &request)).await?
    }

    async fn abandon(
        &self,
        unit: &Unit,
        request: &AbandonRequest,
    ) -> Result<(AbandonAnswer, Observed), StoreError> {
        let request = request.clone();
        self.ask_of(unit, move |memory, unit| memory.abandon(unit, &request)).await
    }

    async fn keep(
        &self,
        unit: &Unit,
        alive: Option<Alive>,
    ) -> Result<(KeepAnswer, Observed), StoreError> {
        self.ask_of(unit, move |memory, unit| memory.keep(unit, alive)).await
    }

    async fn force(&self, unit: &Unit, rules: &Rules, _by: &str) -> Result<Observed, StoreError> {
        let rules = *rules;
        self.ask_of(unit, move |memory, unit| memory.force(unit, &rules)).await
    }

    async fn report(
        &self,
        unit: &Unit,
        request: &ReportRequest,
    ) -> Result<(ReportAnswer, Observed), StoreError> {
        let request = request.clone();
        self.ask_of(unit, move |memory, unit| memory.report(unit, &request)).await
    }

    async fn adopt(
        &self,
        unit: &Unit,
        request: &AdoptRequest,
    ) -> Result<(AdoptAnswer, Observed), StoreError> {
        let request = request.clone();
        self.ask_of(unit, move |memory, unit| memory.adopt(unit, &request)).await
    }

    async fn read(&self, units: &[Unit]) -> Result<Vec<Result<Reading, StoreError>>, StoreError> {
        let units = units.to_vec();
        self.ask(move |memory| memory.read(&units)).await
    }

    async fn token(&self, unit: &Unit) -> Result<Option<Published>, StoreError> {
        self.ask_of(unit, |memory, unit| memory.token(unit)).await
    }

    async fn copy(&self, unit: &Unit) -> Result<Observed, StoreError> {
        self.ask_of(unit, |memory, unit| memory.copy(unit)).await
    }

    async fn publish(
        &self,
        publication: &Publication,
    ) -> Result<Vec<publication::Outcome>, StoreError> {
        let publication = publication.clone();
        self.ask(move |memory| memory.publish(&publication)).await
    }

    fn track(&self, tracked: Arc<Tracked>) {
        // All workers here have the same configuration.
        self.world.in_redis(|memory| memory.track(tracked));
    }

    async fn take_reports(&self, worker: &Worker) -> Result<Vec<LeftReport>, StoreError> {
        let identity = worker.identity.clone();
        let entries = self.ask(move |memory| memory.take_reports(&identity)).await?;
        if entries.is_empty() {
            // What is left meanwhile comes with the next call.
            drop(tokio::time::timeout(REPORTS_WITHIN, self.world.left.notified()).await);
        }
        Ok(entries.into_iter().map(left_report).collect())
    }

    async fn adopt_reports(
        &self,
        worker: &Worker,
        living: &[String],
    ) -> Result<Vec<LeftReport>, StoreError> {
        let (identity, living) = (worker.identity.clone(), living.to_vec());
        let entries = self.ask(move |memory| memory.adopt_reports(&identity, &living)).await?;
        Ok(entries.into_iter().map(left_report).collect())
    }

    async fn finish_report(&self, entry: &str) -> Result<(), StoreError> {
        let entry = entry.parse().unwrap_or(0);
        self.ask(move |memory| memory.finish_report(entry)).await
    }

    async fn beat(&self, worker: &Worker) -> Result<Beat, StoreError> {
        let identity = worker.identity.clone();
        self.ask(move |memory| memory.beat(&identity)).await
    }

    async fn leave(&self, worker: &Worker) -> Result<(), StoreError> {
        let identity = worker.identity.clone();
        self.ask(move |memory| memory.leave(&identity)).await
    }

    async fn listen(&self, hear: &(dyn Fn(Notice) + Send + Sync)) {
        let Self { world, machine } = self;
        loop {
            machine.gate.pass().await;
            let Some(mut notices) = world.listen(machine.number) else {
                pass(world.network.ms(50..=2_000)).await;
                continue;
            };
            machine.gate.pass().await;
            hear(Notice::Listening);
            while let Some((at, notice)) = notices.recv().await {
                tokio::time::sleep_until(at).await;
                machine.gate.pass().await;
                hear(notice);
            }
            pass(world.network.ms(0..=PING_EVERY_MS)).await;
            machine.gate.pass().await;
            hear(Notice::Deaf);
        }
    }
}

fn left_report((entry, unit, fingerprint, tries): Entry) -> LeftReport {
    LeftReport { entry: entry.to_string(), tries, report: Ok((unit, fingerprint)) }
}
