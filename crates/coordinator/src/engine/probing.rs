//! Probing: tokens tried against their upstream in their own time, by each unit's first worker.
//!
//! A token that somebody else's refresh killed looks like any other until a call carries it.

use std::sync::Arc;

use zhongkong_core::clock::{Clock, millis};
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Observed, Store};
use zhongkong_core::report::{Evidence, Probed, ReportAnswer, ReportRequest};

use super::{Asked, Coordinator, Done, Sighting};
use crate::settings::{CoordinatorSettings, CredentialSettings};

/// One token to be tried.
pub(super) struct Probing {
    pub(super) unit: Unit,
    pub(super) credential: Arc<CredentialSettings>,
    pub(super) settings: Arc<CoordinatorSettings>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) epoch: String,
}

impl Probing {
    /// Tries the token, and records its death. Only a death is news.
    pub(super) async fn run(self) -> Done {
        let Self { unit, credential, settings, store, clock, epoch } = self;
        let Ok(Some(published)) = store.token(&unit).await else {
            return Done::Probed(unit, None);
        };
        let (token, fingerprint) = (&published.token, published.token.fingerprint());
        let timeout = credential.timing.times().request_timeout;
        if credential.upstream.probe(token, timeout).await != Probed::Dead {
            return Done::Probed(unit, None);
        }
        let request = ReportRequest {
            fingerprint,
            evidence: Evidence::Found,
            spacing_ms: millis(credential.timing.times().spacing),
            budget: settings.report_budget,
            epoch,
            again: false,
        };
        let asked = Asked::the(clock, store.report(&unit, &request)).await;
        Done::Probed(unit, Some(asked))
    }
}

impl Coordinator {
    pub(super) fn probed(&mut self, unit: &Unit, found: Option<Asked<(ReportAnswer, Observed)>>) {
        self.probing.running -= 1;
        if let Some(slot) = self.units.get_mut(unit) {
            slot.keeper.probed();
        }
        match found {
            Some(Asked { at, answer: Ok((answer, observed)) }) => {
                self.telemetry.marked(unit, answer);
                self.observe(unit, observed, Sighting::read(at));
            }
            Some(Asked { answer: Err(error), .. }) => tracing::debug!(
                credential.id = %unit.id, kind = %unit.kind, %error,
                "a token was found dead, and redis did not hear of it; it is tried again"
            ),
            None => {}
        }
        self.decide(unit);
    }
}
