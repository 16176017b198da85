//! The protocol with nothing but its fence (rule R1), for the test of the checker: `ZHONGKONG_PROTOCOL=fenced`.
//!
//! A claim forgets what the one before left open (no R2), what comes late is dropped (no R3), an unknown outcome counts as
//! one that was not sent (no R4), and any commit clears all doubt (no R5). A checker that finds nothing wrong with this
//! would find nothing wrong with anything.

use std::sync::Arc;

use async_trait::async_trait;
use zhongkong_core::abandon::{AbandonAnswer, AbandonRequest, Outcome};
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
use zhongkong_core::state::State;

use crate::config::Environment;

const VARIABLE: &str = "ZHONGKONG_PROTOCOL";

/// `store` as it is, or with its fence alone.
pub(crate) fn protocol(environment: &Environment, store: Arc<dyn Store>) -> Arc<dyn Store> {
    if environment.get(VARIABLE) == Some("fenced") {
        tracing::warn!("this worker keeps nothing of the protocol but its fence");
        Arc::new(Fenced(store))
    } else {
        store
    }
}

#[derive(Debug)]
struct Fenced(Arc<dyn Store>);

impl Fenced {
    async fn state(&self, unit: &Unit) -> Result<(State, u64), StoreError> {
        let mut readings = self.0.read(std::slice::from_ref(unit)).await?;
        let none = || Err(StoreError::Unavailable("no state".to_owned()));
        let Reading { state, now_ms, .. } = readings.pop().unwrap_or_else(none)?;
        Ok((state, now_ms))
    }
}

#[async_trait]
impl Store for Fenced {
    async fn claim(&self, unit: &Unit, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let (state, now_ms) = self.state(unit).await?;
        if state.holder_is_dead(now_ms) && state.nonce != request.nonce {
            let why = "its lease ran out".to_owned();
            let forgotten = AbandonRequest {
                fence: state.fence,
                nonce: state.nonce,
                drain_ms: request.rules.drain_ms,
                outcome: Outcome::NotSent { why, retry_in_ms: 0 },
            };
            self.0.abandon(unit, &forgotten).await?;
        }
        self.0.claim(unit, request).await
    }

    async fn commit(&self, unit: &Unit, request: &CommitRequest) -> Result<Committed, StoreError> {
        let (state, _) = self.state(unit).await?;
        if state.fence != request.fence || state.nonce != request.nonce {
            return Err(StoreError::Fenced);
        }
        let clearing = CommitRequest { idempotent: true, ..request.clone() };
        self.0.commit(unit, &clearing).await
    }

    async fn abandon(
        &self,
        unit: &Unit,
        request: &AbandonRequest,
    ) -> Result<(AbandonAnswer, Observed), StoreError> {
        let mut request = request.clone();
        if let Outcome::Unknown { why, retry_in_ms } = request.outcome {
            request.outcome = Outcome::NotSent { why, retry_in_ms };
        }
        self.0.abandon(unit, &request).await
    }

    async fn keep(
        &self,
        unit: &Unit,
        alive: Option<Alive>,
    ) -> Result<(KeepAnswer, Observed), StoreError> {
        self.0.keep(unit, alive).await
    }

    async fn force(&self, unit: &Unit, rules: &Rules, by: &str) -> Result<Observed, StoreError> {
        self.0.force(unit, rules, by).await
    }

    async fn report(
        &self,
        unit: &Unit,
        request: &ReportRequest,
    ) -> Result<(ReportAnswer, Observed), StoreError> {
        self.0.report(unit, request).await
    }

    async fn adopt(
        &self,
        unit: &Unit,
        request: &AdoptRequest,
    ) -> Result<(AdoptAnswer, Observed), StoreError> {
        self.0.adopt(unit, request).await
    }

    async fn read(&self, units: &[Unit]) -> Result<Vec<Result<Reading, StoreError>>, StoreError> {
        self.0.read(units).await
    }

    async fn token(&self, unit: &Unit) -> Result<Option<Published>, StoreError> {
        self.0.token(unit).await
    }

    async fn copy(&self, unit: &Unit) -> Result<Observed, StoreError> {
        self.0.copy(unit).await
    }

    async fn publish(
        &self,
        publication: &Publication,
    ) -> Result<Vec<publication::Outcome>, StoreError> {
        self.0.publish(publication).await
    }

    fn track(&self, tracked: Arc<Tracked>) {
        self.0.track(tracked);
    }

    async fn take_reports(&self, worker: &Worker) -> Result<Vec<LeftReport>, StoreError> {
        self.0.take_reports(worker).await
    }

    async fn adopt_reports(
        &self,
        worker: &Worker,
        living: &[String],
    ) -> Result<Vec<LeftReport>, StoreError> {
        self.0.adopt_reports(worker, living).await
    }

    async fn finish_report(&self, entry: &str) -> Result<(), StoreError> {
        self.0.finish_report(entry).await
    }

    async fn beat(&self, worker: &Worker) -> Result<Beat, StoreError> {
        self.0.beat(worker).await
    }

    async fn leave(&self, worker: &Worker) -> Result<(), StoreError> {
        self.0.leave(worker).await
    }

    async fn listen(&self, hear: &(dyn Fn(Notice) + Send + Sync)) {
        self.0.listen(hear).await;
    }
}
