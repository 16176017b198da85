//! A token that somebody else fetched: found at the key of an SDK, over ours.
//!
//! Which of the two is newer cannot be known. Ours stays published: it lives for the overlap at least after the other was
//! issued, while the other may be the older one, written late, and end at any moment. Where a fetch kills the token before,
//! one more follows within that time.

use std::sync::Arc;

use zhongkong_core::clock::Clock;
use zhongkong_core::credential::Unit;
use zhongkong_core::nature::Nature;
use zhongkong_core::ports::{Observed, Store};
use zhongkong_core::publication::{Outcome, Was};
use zhongkong_core::report::{Probed, ReportAnswer};
use zhongkong_core::token::{Fingerprint, Token};

use super::probing::finding;
use super::{Asked, Coordinator, Done, Sighting};
use crate::publish::Shown;
use crate::settings::{CoordinatorSettings, CredentialSettings};

/// A token of somebody else's, to be looked into.
struct Stranger {
    unit: Unit,
    /// The SDK at whose key it stood.
    layout: &'static str,
    token: Token,
    /// The unit's own token, over which it was written.
    own: Fingerprint,
    credential: Arc<CredentialSettings>,
    settings: Arc<CoordinatorSettings>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    epoch: String,
}

impl Stranger {
    /// Tries the token. If the platform accepts it, it was issued, and ours may be dying.
    async fn run(self) -> Done {
        let Self { unit, layout, token, own, credential, settings, store, clock, epoch } = self;
        let timeout = credential.timing.times().request_timeout;
        if credential.upstream.probe(&token, timeout).await != Probed::Alive {
            return Done::Foreign(unit, layout, None);
        }
        let request = finding(&credential, &settings, own, epoch);
        let asked = Asked::the(clock, store.report(&unit, &request)).await;
        Done::Foreign(unit, layout, Some(asked))
    }
}

impl Coordinator {
    /// Looks into a token that stood over ours at the key of an SDK, once for each.
    pub(super) fn look_into_strangers(&mut self, unit: &Unit, shown: &Shown) {
        let Some(slot) = self.units.get_mut(unit) else { return };
        let rotates = matches!(slot.credential.nature, Nature::Rotating { .. });
        if !rotates || !slot.credential.has_probe_of(unit.kind) {
            // Everybody gets the same ticket, or the same of stable tokens, and those of another endpoint live apart.
            return;
        }
        for (layout, result) in shown.credential.layouts(unit.kind).zip(&shown.results) {
            let first = result.as_ref().ok().and_then(|outcomes| outcomes.first());
            let Some(Outcome::Repaired(Was::Other(found))) = first else { continue };
            let Some(token) = layout.token(found) else { continue };
            let fingerprint = token.fingerprint();
            if fingerprint == shown.fingerprint || slot.stranger.as_ref() == Some(&fingerprint) {
                continue;
            }
            slot.stranger = Some(fingerprint);
            let stranger = Stranger {
                unit: unit.clone(),
                layout: layout.family.name,
                token,
                own: shown.fingerprint.clone(),
                credential: Arc::clone(&slot.credential),
                settings: Arc::clone(&self.settings),
                store: Arc::clone(&self.store),
                clock: Arc::clone(&self.clock),
                epoch: slot.epoch.to_string(),
            };
            self.tasks.spawn(stranger.run());
            // One fetch settles them all.
            return;
        }
    }

    /// What came of it: none if the platform does not know that token.
    pub(super) fn looked_into(
        &mut self,
        unit: &Unit,
        layout: &'static str,
        found: Option<Asked<(ReportAnswer, Observed)>>,
    ) {
        match found {
            Some(Asked { at, answer: Ok((answer, observed)) }) => {
                self.telemetry.found_stranger(unit, layout, answer);
                self.observe(unit, observed, Sighting::read(at));
            }
            Some(Asked { answer: Err(error), .. }) => tracing::debug!(
                credential.id = %unit.id, kind = %unit.kind, %error,
                "somebody else's token was found, and redis did not hear of it; the probe finds what comes of it"
            ),
            None => {}
        }
        self.decide(unit);
    }
}
