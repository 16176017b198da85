//! Refused secrets that may have been replaced.

use std::sync::Arc;

use zhongkong_core::credential::Unit;
use zhongkong_core::refusal::{Refusal, Scope};

use super::{Coordinator, Done};

impl Coordinator {
    /// A secret that was refused may have been replaced meanwhile.
    pub(super) fn reread_refused_secrets(&mut self) {
        let refused: Vec<_> = self
            .units
            .iter()
            .filter(|slot| {
                // No request for a ticket holds the secret.
                slot.unit.kind.ticket().is_none()
                    && slot.keeper.view(self.world.now).is_some_and(|(state, _)| {
                        let mine = |r: &Refusal| {
                            r.scope == Scope::Configuration && r.key == slot.configuration
                        };
                        state.refusals.iter().any(mine)
                    })
            })
            .map(|slot| (slot.unit.clone(), Arc::clone(&slot.credential)))
            .collect();
        for (unit, credential) in refused {
            self.tasks.spawn(async move {
                credential.upstream.reread_secret().await;
                Done::Reread(unit, credential.upstream.configuration())
            });
        }
    }

    pub(super) fn reconfigured(&mut self, unit: &Unit, configuration: String) {
        let Some(slot) = self.units.get_mut(unit) else { return };
        if slot.configuration != configuration {
            tracing::info!(credential.id = %unit.id, "the secret was replaced; trying it at once");
            slot.configuration = configuration;
            self.decide(unit);
        }
    }
}
