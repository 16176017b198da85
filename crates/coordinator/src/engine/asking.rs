//! What the binary asks for: views, refreshes, other credentials.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use zhongkong_core::credential::Unit;
use zhongkong_core::doubt::Doubt;
use zhongkong_core::keeper::Surroundings;
use zhongkong_core::outlook::Outlook;
use zhongkong_core::ports::Observed;
use zhongkong_core::refusal::Status;
use zhongkong_core::state::{Mark, State};

use super::reports::Reporter;
use super::{Asked, Coordinator, Done, Sighting};
use crate::handle::{
    Ailing, Asking, CommandError, Order, RefreshAnswer, Selection, UnitView, Waiting,
};
use crate::units::{Slot, Waiter};

impl Coordinator {
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            // Whoever no longer waits needs no answer.
            Order::Views { of, answer } => drop(answer.send(self.views(&of))),
            Order::Ailing { also, answer } => drop(answer.send(self.ailing(&also))),
            Order::Reload { credentials } => {
                tracing::info!(
                    credentials = credentials.len(),
                    "configuration reloaded: keeping these credentials from now on"
                );
                for gone in self.units.reload(&credentials, &self.world) {
                    self.telemetry.gone(&gone);
                }
                self.telemetry.begin(self.units.iter().map(|slot| &slot.unit));
                self.publishing.forget_timers();
                self.track();
                self.resync.wanted = true;
            }
            Order::Refresh { unit, forced_by, answer } => self.asked(unit, forced_by, answer),
            Order::Report { unit, fingerprint, answer } => {
                self.report(unit, fingerprint, Reporter::Caller(answer));
            }
        }
    }

    fn views(&self, of: &Selection) -> Vec<UnitView> {
        match of {
            Selection::One(id) => self.units.of(id).map(|slot| self.view(slot)).collect(),
            Selection::Following { after, credentials } => {
                let slots = self.units.following(after.as_ref(), *credentials);
                slots.into_iter().map(|slot| self.view(slot)).collect()
            }
        }
    }

    fn ailing(&self, also: &BTreeSet<Unit>) -> Ailing {
        let views = self.units.iter().filter_map(|slot| {
            let (state, now_ms) = slot.keeper.view(self.world.now)?;
            let wanted = ails(state, now_ms) || also.contains(&slot.unit);
            wanted.then(|| UnitView { state: Some(state.clone()), ..self.view(slot) })
        });
        Ailing { views: views.collect(), living: self.world.living.clone() }
    }

    fn view(&self, slot: &Slot) -> UnitView {
        let view = slot.keeper.view(self.world.now);
        UnitView {
            unit: slot.unit.clone(),
            provider: slot.credential.provider,
            app_id: slot.credential.app_id.clone(),
            state: view.map(|(state, now_ms)| {
                state.clone().without_refusals_of_the_dead(now_ms, &self.world.living)
            }),
            now_ms: view.map_or(0, |(_, now_ms)| now_ms),
            outlook: slot.keeper.outlook(&slot.around(&self.world)),
        }
    }

    fn asked(&mut self, unit: Unit, forced_by: Option<String>, answer: oneshot::Sender<Asking>) {
        let Some(slot) = self.units.get_mut(&unit) else {
            drop(answer.send(Err(CommandError::Unknown(unit))));
            return;
        };
        if let Some(by) = forced_by {
            let (store, clock, rules) =
                (Arc::clone(&self.store), Arc::clone(&self.clock), slot.rules);
            let settings = Arc::clone(&self.settings);
            self.tasks.spawn(async move {
                settings.reach("before_force").await;
                let asked = Asked::the(clock, store.force(&unit, &rules, &by)).await;
                settings.reach("after_force").await;
                Done::Forced(unit, asked, answer)
            });
            return;
        }
        let waiting = self.wait_for(&unit);
        drop(answer.send(waiting));
        self.decide(&unit);
    }

    pub(super) fn forced(
        &mut self,
        unit: &Unit,
        asked: Asked<Observed>,
        answer: oneshot::Sender<Asking>,
    ) {
        match asked.answer {
            Ok(observed) => {
                self.observe(unit, observed, Sighting::read(asked.at));
                drop(answer.send(self.wait_for(unit)));
                self.decide(unit);
            }
            Err(error) => drop(answer.send(Err(CommandError::Store(error.to_string())))),
        }
    }

    /// What somebody who wants `unit` refreshed has to wait for.
    pub(super) fn wait_for(&mut self, unit: &Unit) -> Asking {
        let Self { units, world, .. } = self;
        let slot = units.get_mut(unit).ok_or_else(|| CommandError::Unknown(unit.clone()))?;
        // What was refused to this worker alone holds nobody else off.
        let around = Surroundings { identity: "", ..slot.around(world) };
        let (outlook, view) = (slot.keeper.outlook(&around), slot.keeper.view(world.now));
        let (Some(outlook), Some((state, now_ms))) = (outlook, view) else {
            return Err(CommandError::Store("the state has not been read yet".to_owned()));
        };
        let after = |at_ms: u64| Duration::from_millis(at_ms.saturating_sub(now_ms));
        let waits = match outlook {
            Outlook::NotOwed { .. } => return Ok(Waiting::Now(RefreshAnswer::NotOwed)),
            Outlook::Newer { v } => {
                let text = format!("the state is of version {v}, newer than this worker");
                return Err(CommandError::Store(text));
            }
            Outlook::Paused => {
                return Ok(Waiting::Now(RefreshAnswer::Paused));
            }
            // It ends sooner as a rule.
            Outlook::Held { until_ms } => (Duration::ZERO, after(until_ms)),
            Outlook::Owed { at_ms, .. } => (after(at_ms), after(at_ms)),
        };
        let (not_before, retry_after) = waits;
        let refusal = state.refused_to_all(now_ms, &slot.configuration, &world.living);
        if let Some(refusal) = refusal {
            let refusal = Box::new(refusal.clone());
            return Ok(Waiting::Now(RefreshAnswer::Failed { refusal, now_ms }));
        }
        let State { token_fence, generation, fence, intent, .. } = *state;
        // The outcome of a claim that is current is an answer, too.
        let fence = fence.saturating_sub(u64::from(intent));
        let (sender, answer) = oneshot::channel();
        let forced = state.rejected.is_some_and(Mark::is_an_operators);
        slot.wait(Waiter { token_fence, generation, fence, forced, answer: sender });
        let unless = RefreshAnswer::Deferred { retry_after };
        Ok(Waiting::Later { answer, not_before, unless })
    }
}

/// Whether a person may have to know of a unit in `state`; one that is merely due, or in a doubt of the cluster's own, is
/// as it should be.
fn ails(state: &State, now_ms: u64) -> bool {
    let well = matches!(state.status, Status::Ok | Status::Pending);
    let dead = state.fingerprint.is_some() && !state.usable(now_ms);
    !well
        || dead
        || state.lost
        || !state.refusals.is_empty()
        || state.doubt.contains(Doubt::Foreign)
}
