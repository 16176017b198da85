//! A token that somebody else fetched: found at the key of an SDK, over ours.
//!
//! Where a fetch kills the token before it, and the platform accepts what was found, that is the cluster's from then on (`adopt`
//! in the core), and one more fetch follows. Elsewhere ours is tried.

use std::sync::Arc;

use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::clock::Clock;
use zhongkong_core::credential::Unit;
use zhongkong_core::nature::Nature;
use zhongkong_core::ports::{Observed, Store};
use zhongkong_core::publication::{Outcome, Was};
use zhongkong_core::report::Probed;
use zhongkong_core::token::{Fingerprint, Token};

use super::{Asked, Coordinator, Done, Sighting};
use crate::publish::Shown;
use crate::settings::{CoordinatorSettings, CredentialSettings};

/// A token of somebody else's, to be looked into.
struct Stranger {
    unit: Unit,
    /// What becomes of it if the platform accepts it; when it was found is still to be asked.
    request: AdoptRequest,
    credential: Arc<CredentialSettings>,
    settings: Arc<CoordinatorSettings>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct LookedInto {
    unit: Unit,
    request: AdoptRequest,
    /// None if the platform does not know the token, or the store could not be asked.
    adopted: Option<Asked<(AdoptAnswer, Observed)>>,
}

impl Stranger {
    async fn run(mut self) -> Done {
        let adopted = self.adopt().await;
        Done::LookedInto(LookedInto { unit: self.unit, request: self.request, adopted })
    }

    async fn adopt(&mut self) -> Option<Asked<(AdoptAnswer, Observed)>> {
        let Self { unit, request, credential, settings, store, clock } = self;
        // The store's time between the sighting and the question to the platform.
        request.found_at_ms =
            store.read(std::slice::from_ref(unit)).await.ok()?.pop()?.ok()?.now_ms;
        let timeout = credential.timing.times().request_timeout;
        if credential.upstream.probe(&request.token, timeout).await != Probed::Alive {
            return None;
        }
        settings.reach("before_adopt").await;
        Some(Asked::the(Arc::clone(clock), store.adopt(unit, request)).await)
    }
}

impl Coordinator {
    /// Looks into a token that stood over ours at the key of an SDK, once for each. Returns whether there was one.
    pub(super) fn look_into_strangers(&mut self, unit: &Unit, shown: &Shown) -> bool {
        let Some(slot) = self.units.get_mut(unit) else { return false };
        // Without a probe nobody knows whether it is a token at all.
        if !slot.credential.has_probe_of(unit.kind) {
            return false;
        }
        let Some((layout, token)) = stranger(unit, shown, slot.stranger.as_ref()) else {
            return false;
        };
        slot.stranger = Some(token.fingerprint());
        if !matches!(slot.credential.nature, Nature::Rotating { .. }) {
            // One of another endpoint lives apart, and can be killed there: ours is tried instead, for each anew.
            slot.removal_reported = None;
            return false;
        }
        let memory = slot.keeper.viewer(&slot.around(&self.world)).memory;
        let request = AdoptRequest {
            nonce: self.settings.chance.nonce(),
            token,
            over: shown.fingerprint.clone(),
            layout: layout.to_owned(),
            found_at_ms: 0,
            epoch: slot.epoch.to_string(),
            remembered: memory.remembered,
            rules: slot.rules,
        };
        let stranger = Stranger {
            unit: unit.clone(),
            request,
            credential: Arc::clone(&slot.credential),
            settings: Arc::clone(&self.settings),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
        };
        self.tasks.spawn(stranger.run());
        true
    }

    /// What came of looking into one.
    pub(super) fn looked_into(&mut self, looked: LookedInto) {
        let LookedInto { unit, request, adopted } = looked;
        match adopted {
            Some(Asked { at, answer: Ok((answer, observed)) }) => {
                self.telemetry.found_stranger(&unit, &request.layout, answer);
                self.observe(&unit, observed, Sighting::read(at));
                if matches!(answer, AdoptAnswer::Adopted { .. }) {
                    self.show_at_once(&unit);
                }
            }
            Some(Asked { answer: Err(error), .. }) => tracing::debug!(
                credential.id = %unit.id, kind = %unit.kind, %error,
                "somebody else's token was found, and redis did not hear of it; the probe finds what comes of it"
            ),
            // Whatever stood there, ours was gone, which some SDKs do when the platform refused it.
            None => self.was_removed(&unit, &request.over),
        }
        self.decide(&unit);
    }
}

/// The first token of somebody else's that stood at a key where ours had been published, but for the one that is known: one
/// fetch settles them all.
fn stranger(
    unit: &Unit,
    shown: &Shown,
    known: Option<&Fingerprint>,
) -> Option<(&'static str, Token)> {
    let mut results = shown.credential.layouts(unit.kind).zip(&shown.results);
    results.find_map(|(layout, result)| {
        let Outcome::Repaired(Was::Other(found)) = result.as_ref().ok()?.first()? else {
            return None;
        };
        let token = layout.token(found)?;
        let fingerprint = token.fingerprint();
        let is_new = fingerprint != shown.fingerprint && known != Some(&fingerprint);
        is_new.then_some((layout.family.name, token))
    })
}
