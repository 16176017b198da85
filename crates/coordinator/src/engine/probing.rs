//! Probing: tokens tried against their upstream in their own time, by each unit's first worker.
//!
//! A token that somebody else's refresh killed looks like any other until a call carries it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use zhongkong_core::clock::{Clock, millis};
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Observed, Store};
use zhongkong_core::report::{Evidence, Probed, ReportAnswer, ReportRequest};

use super::{Asked, Coordinator, Done, Sighting, reports};
use crate::settings::{CoordinatorSettings, CredentialSettings};

/// One token to be tried.
pub(super) struct Probing {
    pub(super) unit: Unit,
    pub(super) credential: Arc<CredentialSettings>,
    pub(super) settings: Arc<CoordinatorSettings>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) probes: Arc<Semaphore>,
}

impl Probing {
    /// Tries the token, and records its death. Only a death is news.
    pub(super) async fn run(self) -> Done {
        let Self { unit, credential, settings, store, clock, probes } = self;
        let probed = reports::probe(&*store, &unit, &credential, &probes, None).await;
        let Some((Probed::Dead, fingerprint)) = probed else { return Done::Probed(unit, None) };
        let request = ReportRequest {
            fingerprint,
            evidence: Evidence::Found,
            spacing_ms: millis(credential.timing.times().spacing),
            budget: settings.report_budget,
        };
        let asked = Asked::the(clock, store.report(&unit, &request)).await;
        Done::Probed(unit, Some(asked))
    }
}

impl Coordinator {
    pub(super) fn probed(&mut self, unit: &Unit, found: Option<Asked<(ReportAnswer, Observed)>>) {
        self.chores.running -= 1;
        match found {
            Some(Asked { at, answer: Ok((answer, observed)) }) => {
                self.telemetry.marked(unit, answer);
                self.answered(unit, observed, Sighting::read(at));
            }
            Some(Asked { answer: Err(error), .. }) => self.unanswered(unit, &error),
            None => {
                if let Some(slot) = self.units.get_mut(unit) {
                    slot.keeper.done();
                }
                self.decide(unit);
            }
        }
    }
}
