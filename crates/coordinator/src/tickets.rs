//! Tickets: what is got with an access token waits for it, and asks again when there is another.

use zhongkong_core::clock::Boot;
use zhongkong_core::credential::{Kind, Unit};

use crate::units::{Units, World};

impl Units {
    /// Finds out whether what `unit` is got with is there; an access token is got with nothing.
    pub(crate) fn look_for_parent(&mut self, unit: &Unit, now: Boot) {
        let Some(parent) = unit.parent() else { return };
        let found = self.access_token(&parent, now);
        if let Some(slot) = self.get_mut(unit) {
            slot.ready = found.is_some();
            slot.configuration = found.unwrap_or_default();
        }
    }

    /// The access token of `parent` was seen: the tickets that waited for it, or that another was refused with, look again.
    pub(crate) fn tell_tickets(&mut self, parent: &Unit, world: &World) {
        if parent.kind != Kind::AccessToken {
            return;
        }
        for kind in Kind::TICKETS {
            let unit = Unit { id: parent.id.clone(), kind };
            let Some(slot) = self.get(&unit) else { continue };
            let (ready, with) = (slot.ready, slot.configuration.clone());
            self.look_for_parent(&unit, world.now);
            let is_news =
                |slot: &crate::units::Slot| slot.ready && !(ready && slot.configuration == with);
            if self.get(&unit).is_some_and(is_news) {
                self.wake(&unit, Some(world.now));
            }
        }
    }

    /// The fingerprint of the access token that readers have, as far as this worker knows.
    fn access_token(&self, parent: &Unit, now: Boot) -> Option<String> {
        let (state, now_ms) = self.get(parent)?.keeper.view(now)?;
        let fingerprint = state.fingerprint.as_ref().filter(|_| state.usable(now_ms));
        fingerprint.map(ToString::to_string)
    }
}
