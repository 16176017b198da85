//! Reports: word that a token was rejected, from callers and from the store's stream.
//!
//! However many say the same of the same token, they share one question to the store, and one probe.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use zhongkong_core::clock::{Clock, millis};
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{LeftReport, Observed, Store, StoreError};
use zhongkong_core::report::{Evidence, Probed, ReportAnswer, ReportRequest};
use zhongkong_core::token::Fingerprint;

use super::{Asked, Coordinator, Done, Sighting, presence};
use crate::handle::{Asking, CommandError, RefreshAnswer, Waiting};
use crate::settings::{CoordinatorSettings, CredentialSettings};
use crate::telemetry;

/// Different tokens whose reports are under way at once, at most.
const OPEN_MAX: usize = 256;
/// Entries of the stream that may wait for the loop.
pub(super) const LEFT: usize = 64;
/// Callers that may share one report.
const REPORTERS_MAX: usize = 4_096;
/// How often a worker looks whether another's probe has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// An entry that could not be recorded so often is dropped: its state is spoilt, or of a newer version.
const TRIES_MAX: u64 = 10;
/// Beyond the longest that connecting and the answer may take.
const PROBE_GRACE: Duration = Duration::from_secs(1);

/// Who reported.
#[derive(Debug)]
pub(super) enum Reporter {
    /// A caller, who waits.
    Caller(oneshot::Sender<Asking>),
    /// An entry of the stream, by its name: nobody waits, and it is finished once the report is recorded.
    Entry(String),
    /// A reader, to a worker that lacks the credential.
    Nobody,
}

/// The reports under way.
#[derive(Debug, Default)]
pub(super) struct Reports {
    open: HashMap<(Unit, Fingerprint), Vec<Reporter>>,
    /// The entries among them. What is not finished comes back with those that dead workers left.
    serving: BTreeSet<String>,
    adopting: bool,
}

/// One report, on its way to what it comes to.
struct Report {
    unit: Unit,
    fingerprint: Fingerprint,
    /// None if this worker lacks the credential: it records the report, and cannot probe.
    credential: Option<Arc<CredentialSettings>>,
    settings: Arc<CoordinatorSettings>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    probes: Arc<Semaphore>,
    epoch: String,
    /// It may have been recorded before.
    again: bool,
}

impl Reports {
    /// Whether entries of the stream may be taken on. Callers may use what is left beyond that.
    pub(super) fn have_room(&self) -> bool {
        self.open.len() < OPEN_MAX / 2 && self.serving.len() < REPORTERS_MAX
    }
}

impl Coordinator {
    /// Takes on a report that a reader left in the store.
    pub(super) fn serve(&mut self, left: LeftReport) {
        let LeftReport { entry, report, tries } = left;
        if !self.reports.serving.insert(entry.clone()) {
            return;
        }
        match report {
            Ok((unit, fingerprint)) if tries < TRIES_MAX => {
                self.take_on((unit, fingerprint), Reporter::Entry(entry), tries > 0);
            }
            Ok((unit, _)) => {
                tracing::warn!(
                    credential.id = %unit.id, kind = %unit.kind, entry, tries,
                    "a report in the stream cannot be recorded, and is dropped: see `zhongkong status` for the unit's state"
                );
                telemetry::reported("dropped");
                self.finish_entry(entry);
            }
            Err(why) => {
                tracing::warn!(entry, why, "a report in the stream cannot be read, and is dropped");
                telemetry::reported("dropped");
                self.finish_entry(entry);
            }
        }
    }

    /// Takes on a report, or joins it to the same one under way.
    pub(super) fn report(&mut self, unit: Unit, fingerprint: Fingerprint, reporter: Reporter) {
        self.take_on((unit, fingerprint), reporter, false);
    }

    fn take_on(&mut self, key: (Unit, Fingerprint), reporter: Reporter, again: bool) {
        let full = self.reports.open.len() >= OPEN_MAX;
        if let Some(reporters) = self.reports.open.get_mut(&key) {
            match reporter {
                Reporter::Caller(answer) if reporters.len() >= REPORTERS_MAX => {
                    drop(answer.send(Err(CommandError::Busy)));
                }
                reporter => reporters.push(reporter),
            }
            return;
        }
        let reporter = match reporter {
            Reporter::Caller(answer) if full => {
                drop(answer.send(Err(CommandError::Busy)));
                return;
            }
            Reporter::Nobody if full => return,
            // Entries are taken only while there is room.
            reporter => reporter,
        };
        self.reports.open.insert(key.clone(), vec![reporter]);
        let (unit, fingerprint) = key;
        let slot = self.units.get_mut(&unit);
        let credential = slot.as_ref().map(|slot| Arc::clone(&slot.credential));
        let epoch =
            slot.map_or_else(|| self.world.epochs.only().into(), |slot| slot.epoch.to_string());
        let report = Report {
            unit: unit.clone(),
            fingerprint: fingerprint.clone(),
            credential,
            settings: Arc::clone(&self.settings),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            probes: Arc::clone(&self.probes),
            epoch,
            again,
        };
        self.tasks.spawn(async move { Done::Reported(unit, fingerprint, report.run().await) });
    }

    /// What a report came to: everybody who shares it is told.
    pub(super) fn reported(
        &mut self,
        key: (Unit, Fingerprint),
        asked: Asked<(ReportAnswer, Observed)>,
    ) {
        let reporters = self.reports.open.remove(&key).unwrap_or_default();
        let (unit, fingerprint) = key;
        let (answer, observed) = match asked.answer {
            Ok(answered) => answered,
            Err(error) => {
                self.unrecorded(&unit, reporters, &error);
                return;
            }
        };
        let known = self.units.get_mut(&unit).is_some() || observed.state.exists();
        let retry_after = match answer {
            ReportAnswer::Marked { from_ms, .. } => {
                Duration::from_millis(from_ms.saturating_sub(observed.now_ms))
            }
            _ => self.settings.spacing,
        };
        self.telemetry.marked(&unit, answer);
        self.observe(&unit, observed, Sighting::read(asked.at));
        for reporter in reporters {
            match reporter {
                Reporter::Caller(caller) => {
                    let asking = if known {
                        self.answer_to(&unit, &fingerprint, answer, retry_after)
                    } else {
                        Err(CommandError::Unknown(unit.clone()))
                    };
                    // Whoever no longer waits needs no answer.
                    drop(caller.send(asking));
                }
                Reporter::Entry(entry) => {
                    telemetry::reported(match answer {
                        _ if !known => "dropped",
                        ReportAnswer::AlreadyNewer => "already_newer",
                        ReportAnswer::StillValid => "still_valid",
                        _ => "deferred",
                    });
                    if !known {
                        tracing::warn!(
                            credential.id = %unit.id, kind = %unit.kind, entry,
                            "a report in the stream names a credential that nobody knows, and is dropped"
                        );
                    }
                    self.finish_entry(entry);
                }
                Reporter::Nobody => {}
            }
        }
        self.decide(&unit);
    }

    /// What a caller is told, or has to wait for.
    fn answer_to(
        &mut self,
        unit: &Unit,
        fingerprint: &Fingerprint,
        answer: ReportAnswer,
        retry_after: Duration,
    ) -> Asking {
        let now = |answer| Ok(Waiting::Now(answer));
        match answer {
            ReportAnswer::AlreadyNewer => return now(RefreshAnswer::AlreadyNewer),
            ReportAnswer::StillValid => return now(RefreshAnswer::StillValid),
            _ => {}
        }
        let Some(slot) = self.units.get_mut(unit) else {
            // Another worker serves it.
            return now(RefreshAnswer::Deferred { retry_after });
        };
        // It may have been replaced since the store answered.
        let seen =
            slot.keeper.view(self.world.now).and_then(|(state, _)| state.fingerprint.as_ref());
        if seen.is_some_and(|seen| seen != fingerprint) {
            return now(RefreshAnswer::AlreadyNewer);
        }
        self.wait_for(unit)
    }

    fn unrecorded(&mut self, unit: &Unit, reporters: Vec<Reporter>, error: &StoreError) {
        tracing::debug!(credential.id = %unit.id, kind = %unit.kind, %error, "a report was not recorded");
        for reporter in reporters {
            match reporter {
                Reporter::Caller(caller) => {
                    drop(caller.send(Err(CommandError::Store(error.to_string()))));
                }
                // It is still this worker's, and comes again after a while.
                Reporter::Entry(entry) => drop(self.reports.serving.remove(&entry)),
                Reporter::Nobody => {}
            }
        }
    }

    /// Looks after entries that were taken and not finished.
    pub(super) fn adopt(&mut self) {
        if self.reports.adopting || !self.reports.have_room() {
            return;
        }
        self.reports.adopting = true;
        let (store, worker) = (Arc::clone(&self.store), self.settings.worker.clone());
        let living = self.world.living.clone();
        self.tasks.spawn(async move { Done::Adopted(store.adopt_reports(&worker, &living).await) });
    }

    pub(super) fn adopted(&mut self, adopted: Result<Vec<LeftReport>, StoreError>) {
        self.reports.adopting = false;
        match adopted {
            Ok(adopted) => adopted.into_iter().for_each(|left| self.serve(left)),
            Err(error) => {
                tracing::debug!(%error, "the reports of dead workers were not looked after");
            }
        }
    }

    /// The entry was served. If the store does not hear of it, it comes again after a while.
    fn finish_entry(&mut self, entry: String) {
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            if let Err(error) = store.finish_report(&entry).await {
                tracing::debug!(%error, "a served report was not removed");
            }
            Done::Finished(entry)
        });
    }

    pub(super) fn finished(&mut self, entry: &str) {
        self.reports.serving.remove(entry);
    }
}

impl Report {
    async fn run(self) -> Asked<(ReportAnswer, Observed)> {
        self.settings.reach("before_report").await;
        let first = self.word();
        let mut evidence = first;
        loop {
            let asked = self.record(evidence).await;
            let Ok((answer, observed)) = &asked.answer else { return asked };
            match *answer {
                ReportAnswer::Probe => evidence = Evidence::Checked(self.probe().await),
                ReportAnswer::Probing { until_ms } => {
                    let left = Duration::from_millis(until_ms.saturating_sub(observed.now_ms));
                    tokio::time::sleep(left.min(LOOK_EVERY)).await;
                    evidence = first;
                }
                ReportAnswer::AlreadyNewer => {
                    self.put_right().await;
                    return asked;
                }
                ReportAnswer::StillValid
                | ReportAnswer::UnderWay
                | ReportAnswer::Noted
                | ReportAnswer::Marked { .. } => {
                    self.settings.reach("after_report").await;
                    return asked;
                }
            }
        }
    }

    async fn record(&self, evidence: Evidence) -> Asked<(ReportAnswer, Observed)> {
        let timing = self.credential.as_ref().map(|of| of.timing_of(self.unit.kind));
        let request = ReportRequest {
            fingerprint: self.fingerprint.clone(),
            evidence,
            spacing_ms: millis(timing.map_or(self.settings.spacing, |of| of.times().spacing)),
            budget: self.settings.report_budget,
            epoch: self.epoch.clone(),
            again: self.again,
        };
        let reporting = self.store.report(&self.unit, &request);
        Asked::the(Arc::clone(&self.clock), reporting).await
    }

    /// What speaks against the token before anybody has looked.
    fn word(&self) -> Evidence {
        let Some(credential) = &self.credential else { return Evidence::Hearsay };
        let timeout = credential.timing.times().request_timeout;
        let has_probe = credential.has_probe_of(self.unit.kind);
        let probe_ms = if has_probe { millis(2 * timeout + PROBE_GRACE) } else { 0 };
        Evidence::Word { probe_ms }
    }

    /// Tries the token that was reported.
    async fn probe(&self) -> Probed {
        let Some(credential) = &self.credential else { return Probed::CannotTell };
        // Fails only if the semaphore is closed, which nobody does.
        let Ok(_permit) = self.probes.acquire().await else { return Probed::CannotTell };
        for last in [false, true] {
            match self.store.token(&self.unit).await {
                Ok(Some(found)) if found.token.fingerprint() == self.fingerprint => {
                    let timeout = credential.timing.times().request_timeout;
                    return credential.upstream.probe(&found.token, timeout).await;
                }
                // Somebody deleted or overwrote the key: the copy is what is current.
                Ok(_) if !last => drop(self.store.keep(&self.unit, None).await),
                Ok(_) | Err(_) => break,
            }
        }
        Probed::CannotTell
    }

    /// Another token is current. If readers nevertheless find the one that was reported, somebody wrote it by hand.
    async fn put_right(&self) {
        if let Ok(Some(found)) = self.store.token(&self.unit).await
            && found.token.fingerprint() == self.fingerprint
        {
            drop(self.store.keep(&self.unit, None).await);
        }
    }
}

/// Takes entries from the store's stream, as many as the loop takes on.
pub(super) async fn take(
    store: Arc<dyn Store>,
    settings: Arc<CoordinatorSettings>,
    entries: mpsc::Sender<LeftReport>,
) {
    let mut failures = 0;
    loop {
        match store.take_reports(&settings.worker).await {
            Ok(taken) => {
                failures = 0;
                for left in taken {
                    if entries.send(left).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                if failures == 0 && matches!(error, StoreError::Refused(_)) {
                    tracing::warn!(
                        %error,
                        "redis refuses the stream of reports: what readers leave there is not served by this worker. \
                         Grant its user the stream, see `zhongkong check`"
                    );
                }
                tokio::time::sleep(presence::store_backoff(
                    &mut failures,
                    settings.chance.random(),
                ))
                .await;
            }
        }
    }
}
