//! Who lives: this worker, its peers, and Redis.

use std::sync::Arc;
use std::time::Duration;

use zhongkong_core::policy::{Random, backoff};
use zhongkong_core::ports::{Beat, StoreError};

use super::{Coordinator, Done};

/// Reports that were taken and not finished are looked after every so many beats, and whenever a worker came or went.
const ADOPT_EVERY: u64 = 5;
/// Reasons why Redis does not do what is asked, that are told before it does again.
const TROUBLES_MAX: usize = 8;
const STORE_RETRY_BASE: Duration = Duration::from_millis(200);
const STORE_RETRY_CAP: Duration = Duration::from_secs(5);

impl Coordinator {
    pub(super) fn beat(&mut self) {
        if self.beating {
            return;
        }
        self.beating = true;
        let Self { units, world, telemetry, .. } = &*self;
        telemetry.seen_together(units.iter().filter_map(|slot| {
            let (state, _) = slot.keeper.view(world.now)?;
            Some((slot.unit.kind, state))
        }));
        let (store, worker) = (Arc::clone(&self.store), self.settings.worker.clone());
        self.tasks.spawn(async move { Done::Beaten(store.beat(&worker).await) });
    }

    pub(super) fn beaten(&mut self, beaten: Result<Beat, StoreError>) {
        self.beating = false;
        match beaten {
            Ok(Beat { living, epochs, missing }) => {
                let news = self.world.epochs.hear_all(&epochs);
                self.reread(news);
                let away = !self.troubles.is_empty();
                self.store_is(true);
                self.tell_missing(missing);
                metrics::gauge!("zhongkong_workers").set(living.len() as f64);
                let changed = living != self.world.living;
                if changed {
                    self.world.living = living;
                    self.units.reorder(&self.world);
                    self.decide_all();
                    self.plan_looks();
                }
                if changed || away || self.beats.is_multiple_of(ADOPT_EVERY) {
                    self.adopt();
                }
                self.beats += 1;
            }
            Err(error) => self.tell_unreachable(&error),
        }
    }

    /// Redis did not do what was asked: says each reason once, until it does.
    pub(super) fn tell_unreachable(&mut self, error: &StoreError) {
        self.store_is(false);
        if self.troubles.len() >= TROUBLES_MAX || self.troubles.contains(error) {
            return;
        }
        if matches!(error, StoreError::Refused(_)) {
            tracing::error!(
                %error,
                "redis does not let the worker work: no refresh until it does; readers keep their tokens, and the \
                 worker tries again"
            );
        } else {
            tracing::warn!(
                %error,
                "redis does not answer: no refresh without it; readers keep their tokens, and the worker tries again"
            );
        }
        self.troubles.push(error.clone());
    }

    /// Says what of Redis does not answer, once for as long as it is the same.
    fn tell_missing(&mut self, missing: Vec<String>) {
        if missing == self.told_missing {
            return;
        }
        if missing.is_empty() {
            tracing::info!("all of redis answers again");
        } else {
            tracing::warn!(
                missing = missing.join("; "),
                "a part of redis does not answer: no refresh of the units there; all others are refreshed as ever"
            );
        }
        self.told_missing = missing;
    }

    /// Whether Redis answers, and does what is asked.
    pub(super) fn store_is(&mut self, up: bool) {
        metrics::gauge!("zhongkong_store_up").set(f64::from(u8::from(up)));
        if up && !std::mem::take(&mut self.troubles).is_empty() {
            tracing::info!("redis answers again");
        }
        let now = self.world.now;
        self.health.send_if_modified(|health| {
            let changed = health.store_up != up || health.store_changed_at.is_none();
            if changed {
                health.store_up = up;
                health.store_changed_at = Some(now);
            }
            changed
        });
    }
}

/// The wait before a store that failed so often in a row is asked again; counts one failure more.
pub(super) fn store_backoff(failures: &mut u32, random: Random) -> Duration {
    let before = *failures;
    *failures = before.saturating_add(1);
    backoff(STORE_RETRY_BASE, STORE_RETRY_CAP, before, random)
}
