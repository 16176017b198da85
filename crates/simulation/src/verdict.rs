//! What a run comes to: its history, and whether that was allowed.

use std::fmt;
use std::time::Duration;

use zhongkong_core::clock::millis;
use zhongkong_core::state::State;
use zhongkong_history::{
    ClusterEvent, Found, History, Kind, Limits, Processed, Read, Record, UpstreamEvent, What, check,
};

use crate::cast::{Account, UNITS};
use crate::fault::Fault;
use crate::plan::{Plan, Temper};
use crate::run::Settled;
use crate::world::World;

/// How much of the story is told around what was not allowed.
const AROUND_MS: u64 = 60_000;
/// An answer that comes in a storm, and the command that records it, take no longer.
const HEARD_WITHIN_MS: u64 = 15_000;
/// What somebody did to the readers' key by hand is mended so soon.
const MENDED_WITHIN_MS: u64 = 5_000;

/// What a run comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its seed, from which all of it follows.
    pub seed: u64,
    /// How bad it got.
    pub temper: Temper,
    /// How many things went wrong with the world.
    pub faults: usize,
    /// Requests that were sent to the upstreams.
    pub calls: u64,
    /// How long it lasted, in virtual time.
    pub lasted: Duration,
    /// All that happened.
    pub history: History,
    /// What was not allowed, and when.
    pub violations: Vec<(u64, String)>,
}

/// A time without faults: from when everything was settled to the next fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet {
    pub(crate) from: Settled,
    pub(crate) to: Duration,
}

impl Verdict {
    /// The whole history, a line for everything that happened.
    pub fn journal(&self) -> String {
        self.history.story(0, u64::MAX)
    }
}

/// What was not allowed, and what happened around it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} ({:?}): {} violations",
            self.seed,
            self.temper,
            self.violations.len()
        )?;
        for (at_ms, violation) in &self.violations {
            writeln!(f, "- {violation}")?;
            writeln!(f, "{}", self.history.story_around(*at_ms, AROUND_MS))?;
        }
        Ok(())
    }
}

pub(crate) fn judge(
    seed: u64,
    plan: &Plan,
    world: &World,
    first: Duration,
    quiets: &[Quiet],
) -> Verdict {
    let mut state = world.state();
    let mut records = std::mem::take(&mut state.journal);
    for account in &state.accounts {
        complete(&mut records, account);
        records.extend(deaths(&records, account));
    }
    let at_ms = world.time.ms();
    for index in 0..UNITS {
        records.push(state.seen(index, at_ms));
    }
    let calls = state.calls;
    drop(state);
    let history = History::new(records);
    let mut violations: Vec<(u64, String)> = check(&history, &limits(plan, first))
        .into_iter()
        .map(|violation| (violation.at_ms, violation.to_string()))
        .collect();
    for quiet in quiets {
        violations.extend(unsettled(quiet));
        violations.extend(busy(quiet, plan, &history));
    }
    violations.sort();
    let faults = plan.episodes.iter().map(|episode| episode.faults.len()).sum();
    let (temper, lasted) = (plan.temper, plan.ends_at);
    Verdict { seed, temper, faults, calls, lasted, history, violations }
}

/// How each token ended is known now.
fn complete(records: &mut [Record], account: &Account) {
    let unit = account.unit.id.as_str();
    for record in records.iter_mut().filter(|record| record.unit.as_deref() == Some(unit)) {
        let What::Upstream(
            UpstreamEvent::Processed { outcome: Processed::Issued(life), .. }
            | UpstreamEvent::Foreign { life },
        ) = &mut record.what
        else {
            continue;
        };
        let token = account.platform.tokens().find(|token| token.fingerprint == life.fingerprint);
        if let Some(token) = token {
            life.dies_at_ms = token.dies_at_ms.saturating_sub(crate::time::BEGIN_MS);
            life.why = format!("{:?}", token.death).to_lowercase();
        }
    }
}

/// Readers ask at the very moment at which the token that they find dies: no death between two looks is missed.
fn deaths(records: &[Record], account: &Account) -> Vec<Record> {
    let unit = account.unit.id.as_str();
    let reads: Vec<&Read> = records
        .iter()
        .filter(|record| record.unit.as_deref() == Some(unit))
        .filter_map(|record| match &record.what {
            What::Reader(read) => Some(read),
            _ => None,
        })
        .collect();
    let mut deaths = Vec::new();
    for (read, next) in reads.iter().zip(reads.iter().skip(1)) {
        let Found::Token(fingerprint) = &read.found else { continue };
        let token = account.platform.tokens().find(|token| token.fingerprint == *fingerprint);
        let Some(token) = token else { continue };
        let dies_at_ms = token.dies_at_ms.saturating_sub(crate::time::BEGIN_MS);
        if (read.asked_at_ms + 1..next.asked_at_ms).contains(&dies_at_ms) {
            let found = read.found.clone();
            let read = Read { asked_at_ms: dies_at_ms, answered_at_ms: dies_at_ms, found };
            deaths.push(Record::read(unit, read));
        }
    }
    deaths
}

fn limits(plan: &Plan, first: Duration) -> Limits {
    let recovery_ms = millis(plan.recovery);
    let mut limits = Limits {
        from_ms: millis(first),
        skew_ms: 0,
        stale_ms: HEARD_WITHIN_MS,
        doubt_ms: recovery_ms,
        ..Limits::default()
    };
    for episode in &plan.episodes {
        let from_ms = millis(episode.from);
        if plan.temper == Temper::Wild {
            let to_ms = millis(episode.to) + recovery_ms;
            limits = limits.excuse(from_ms, to_ms, &[], "an episode that readers may notice");
        }
        for (after, fault) in &episode.faults {
            if let Fault::Spoilt { .. } = fault {
                let at_ms = from_ms + millis(*after);
                let kinds = [Kind::DeadRead, Kind::AbsentRead];
                let to_ms = mended_by_ms(&episode.faults, from_ms, at_ms);
                limits = limits.excuse(at_ms, to_ms, &kinds, "spoilt by hand");
            }
        }
    }
    limits
}

/// When what was spoilt at `at_ms` must be mended, in an episode that began at `from_ms`: nobody can while Redis is away.
fn mended_by_ms(faults: &[(Duration, Fault)], from_ms: u64, at_ms: u64) -> u64 {
    let away = faults.iter().filter(|(_, fault)| matches!(fault, Fault::RedisDown { .. }));
    let away = away.map(|(after, fault)| {
        let begins_ms = from_ms + millis(*after);
        (begins_ms, begins_ms + millis(fault.lasts()))
    });
    let before_it_was = away.filter(|(begins_ms, _)| *begins_ms < at_ms + MENDED_WITHIN_MS);
    let back_ms = before_it_was.map(|(_, ends_ms)| ends_ms).max().unwrap_or(0);
    at_ms.max(back_ms) + MENDED_WITHIN_MS
}

fn unsettled(quiet: &Quiet) -> Option<(u64, String)> {
    let late = !quiet.from.in_time;
    late.then(|| (millis(quiet.from.at), "not settled in time after an episode".to_owned()))
}

/// While nothing goes wrong, a refresh is one call.
fn busy(quiet: &Quiet, plan: &Plan, history: &History) -> Vec<(u64, String)> {
    let Quiet { from: Settled { at, .. }, to } = *quiet;
    let times = plan.profile.timing.times();
    let (from_ms, to_ms) = (millis(at), millis(to));
    // The first falls due at any time, the next ones a life less `ahead` apart; whichever worker's `ahead` it is.
    let ahead = times.ahead.max(plan.profile.changed.times().ahead);
    let apart_ms = millis(plan.profile.life.saturating_sub(ahead)).max(1);
    let due = usize::try_from(to_ms.saturating_sub(from_ms) / apart_ms).unwrap_or(0) + 1;
    history
        .units()
        .into_iter()
        .filter_map(|unit| {
            let within = || history.of(unit).filter(|of| (from_ms..to_ms).contains(&of.at_ms));
            let count = |is: fn(&What) -> bool| within().filter(|of| is(&of.what)).count();
            let calls =
                count(|what| matches!(what, What::Upstream(UpstreamEvent::Received { .. })));
            // After a change of epoch each worker that misses a claim of its own raises doubt once (rule R7), whenever its turn
            // comes: one fetch, and one more after the drain.
            let owed = 2 * count(|what| match what {
                What::Cluster(ClusterEvent::Doubted { reasons, .. }) => {
                    reasons.contains("lost_claim")
                }
                _ => false,
            });
            // An idempotent upstream that was asked a moment too early is asked once more.
            let allowed = owed + if unit == "stable" { 2 * due } else { due };
            (calls > allowed).then(|| {
                let what =
                    format!("{unit}: {calls} calls while {due} were due and nothing went wrong");
                (from_ms, what)
            })
        })
        .collect()
}

impl crate::world::Shared {
    /// Whether the newest token is published, and nobody doubts that or refreshes it.
    pub(crate) fn is_settled(&self, index: usize) -> bool {
        let account = &self.accounts[index];
        let state = self.redis.state(&account.unit);
        let newest = account.platform.newest(account.app_id()).map(|token| token.value.as_str());
        let published = newest.is_some() && newest == self.redis.found(&account.unit);
        let published = published && self.sdk_has_what_the_state_has(account, &state);
        published && state.doubt.is_empty() && !state.intent && state.rejected.is_none()
    }

    /// Whether an SDK finds at all of its keys what it should.
    fn sdk_has_what_the_state_has(&self, account: &Account, state: &State) -> bool {
        let Some(token) = &state.token else { return false };
        let entries = account.layout.entries(token, state.expires_at_ms);
        entries.iter().all(|entry| entry.is_held_by(self.redis.sdk_finds(&entry.key)))
    }

    /// What Redis holds at the end.
    fn seen(&self, index: usize, at_ms: u64) -> Record {
        let account = &self.accounts[index];
        let state = self.redis.state(&account.unit);
        let published = self.redis.found(&account.unit);
        let known = published.and_then(|value| account.platform.token(value));
        let event = ClusterEvent::Seen {
            published: known.map(|token| token.fingerprint.clone()),
            reasons: state.doubt.to_string(),
            claim_is_open: state.intent,
        };
        Record::cluster(at_ms, account.unit.id.to_string(), event)
    }
}
