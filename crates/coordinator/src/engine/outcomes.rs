//! What tasks brought.

use std::time::Duration;

use zhongkong_core::codes::token_is_dead;
use zhongkong_core::credential::Unit;
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::keeper::{Keeper, Source};
use zhongkong_core::ports::{Observed, StoreError};
use zhongkong_core::token::Fingerprint;

use super::reports::Reporter;
use super::{Asked, Coordinator, Done, Sighting, presence};
use crate::refresh::{Ended, Ending};

/// A store that grants no claim although this worker thinks one is owed is not asked again at once.
const DISAGREED: Duration = Duration::from_millis(100);
/// An access token that readers do not find although the state has one is about to be published again.
const ABSENT: Duration = Duration::from_secs(1);

impl Coordinator {
    pub(super) fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Refreshed(ended)) => self.refreshed(*ended),
            Ok(Done::Kept(unit, Asked { at, answer })) => {
                self.chores.running -= 1;
                match answer {
                    Ok((answer, observed)) => {
                        tell_kept(&unit, answer);
                        self.answered(&unit, observed, Sighting::read(at));
                    }
                    Err(error) => self.unanswered(&unit, &error),
                }
            }
            Ok(Done::Read(unit, asked)) => {
                self.chores.running -= 1;
                self.read_one(&unit, asked);
            }
            Ok(Done::ReadMany(units, asked)) => self.read_many(units, asked),
            Ok(Done::Beaten(beaten)) => self.beaten(beaten),
            Ok(Done::Forced(unit, asked, answer)) => self.forced(&unit, asked, answer),
            Ok(Done::Reread(unit, configuration)) => self.reconfigured(&unit, configuration),
            Ok(Done::Probed(unit, found)) => self.probed(&unit, found),
            Ok(Done::Reported(unit, fingerprint, asked)) => {
                self.reported((unit, fingerprint), asked);
            }
            Ok(Done::Adopted(adopted)) => self.adopted(adopted),
            Ok(Done::Finished(entry)) => self.finished(&entry),
            Ok(Done::Looked(unit, looked)) => self.looked(&unit, looked),
            Ok(Done::LookedInto(looked)) => self.looked_into(looked),
            Err(error) => {
                // A task that panicked would leave its unit busy for ever: better a new process than a dead keeper.
                if error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }

    fn refreshed(&mut self, ended: Ended) {
        self.refreshes.running -= 1;
        self.telemetry.ended(&ended, self.settings.worker.name.as_str());
        let Ended {
            unit, asked_at, observed, epoch, own, configuration, published, result, ..
        } = ended;
        if let Some(epoch) = &epoch {
            self.enter(&unit, epoch);
        }
        let stale = stale_access_token(&unit, &result, &configuration);
        if let Some(shown) = &published {
            // Known before the state is observed, which is no news then.
            self.shown(&unit, shown);
        }
        if let Some(slot) = self.units.get_mut(&unit) {
            // A ticket's is that of the access token which readers have now.
            if unit.kind.ticket().is_none() {
                slot.configuration = configuration;
            }
            if let Some(own) = own {
                slot.keeper.claimed(own);
            }
            if let Ending::Committed { clamped: true, .. } = result {
                slot.warn_clamped();
            }
        }
        let source = match result {
            Ending::Committed { sent_at, life, .. } => Source::Committed { sent_at, life },
            _ => Source::Read,
        };
        let sighting = Sighting { source, at: asked_at, epoch: epoch.as_deref() };
        let disagreed = matches!(result, Ending::NotClaimed(_));
        if let Some((parent, fingerprint)) = stale {
            self.report(parent, fingerprint, Reporter::Nobody);
        }
        match (result, observed) {
            (Ending::Store { error, .. }, _) => self.unanswered(&unit, &error),
            (Ending::NoAccessToken, _) => {
                if let Some(slot) = self.units.get_mut(&unit) {
                    slot.keeper.done();
                    slot.keeper.rest_until(self.world.now + ABSENT);
                }
                self.decide(&unit);
            }
            (_, Some(observed)) if disagreed => {
                let again = self.world.now + DISAGREED;
                self.answer(&unit, observed, sighting, |keeper| keeper.rest_until(again));
            }
            (_, Some(observed)) => self.answered(&unit, observed, sighting),
            (_, None) => {
                if let Some(slot) = self.units.get_mut(&unit) {
                    slot.keeper.done();
                }
                self.decide(&unit);
            }
        }
    }

    /// A task of `unit` ended with a state.
    pub(super) fn answered(&mut self, unit: &Unit, observed: Observed, sighting: Sighting<'_>) {
        self.answer(unit, observed, sighting, |_| {});
    }

    /// A task of `unit` ended with a state, which is all news but for what `then` adds.
    fn answer(
        &mut self,
        unit: &Unit,
        observed: Observed,
        sighting: Sighting<'_>,
        then: impl FnOnce(&mut Keeper),
    ) {
        if let Some(slot) = self.units.get_mut(unit) {
            slot.store_failures = 0;
            slot.keeper.done();
        }
        self.observe(unit, observed, sighting);
        if let Some(slot) = self.units.get_mut(unit) {
            then(&mut slot.keeper);
        }
        self.decide(unit);
    }

    /// A task of `unit` ended without an answer of the store.
    pub(super) fn unanswered(&mut self, unit: &Unit, error: &StoreError) {
        tracing::debug!(credential.id = %unit.id, kind = %unit.kind, %error, "redis did not answer");
        if let Some(slot) = self.units.get_mut(unit) {
            let wait =
                presence::store_backoff(&mut slot.store_failures, self.settings.chance.random());
            slot.keeper.failed(self.world.now + wait);
        }
        self.decide(unit);
    }
}

/// The access token that the upstream rejected when a ticket was asked for with it, and whose it is.
fn stale_access_token(
    unit: &Unit,
    result: &Ending,
    configuration: &str,
) -> Option<(Unit, Fingerprint)> {
    match result {
        Ending::Refused { code, .. } if token_is_dead(*code) => {
            Some((unit.parent()?, Fingerprint::from_hex(configuration)?))
        }
        _ => None,
    }
}

fn tell_kept(unit: &Unit, answer: KeepAnswer) {
    match answer {
        KeepAnswer::Republished { ttl_ms } => tracing::warn!(
            credential.id = %unit.id, kind = %unit.kind, ttl_ms,
            "the key that readers read was deleted or overwritten; published again, without an upstream call"
        ),
        KeepAnswer::NoToken { announce: true } => tracing::error!(
            credential.id = %unit.id, kind = %unit.kind,
            "the last token died and there is no next one: readers have none. See the unit's status for the reason"
        ),
        KeepAnswer::NoToken { announce: false } | KeepAnswer::Kept => {}
    }
}
