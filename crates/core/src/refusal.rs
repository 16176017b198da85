//! Refusals by the upstream: whom they concern, what they are called, until when they hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::state::{CLOCK_SLACK_MS, State};

/// The most refusals kept per unit; past that, those that end first are dropped.
pub const REFUSALS_MAX: usize = 16;

/// The last instant of a refusal: the scripts' JSON writes no number of more than fourteen digits without loss.
const INSTANT_MAX: u64 = 99_999_999_999_999;

/// How long a refusal that nobody tried again is still shown, in milliseconds: its worker may be gone for good.
pub const REFUSAL_SHOWN_MS: u64 = 24 * 3_600_000;

/// Whom a refusal concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This worker's egress address: the others try at once.
    Worker,
    /// This provider, app_id, base_url and secret: a worker with another secret tries at once.
    Configuration,
    /// The account: everybody waits.
    Account,
    /// Everybody waits, briefly.
    Transient,
}

/// How a unit is doing, in the contract's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The last attempt brought a token.
    Ok,
    /// There was no attempt yet.
    #[default]
    Pending,
    /// An operator paused it: no refresh, whoever asks.
    Paused,
    /// The last attempt failed in a way that passes by itself.
    Retrying,
    /// A quota is spent.
    Throttled,
    /// The worker's address is not on the account's IP list.
    IpNotAllowed,
    /// The account's administrator has to confirm the worker's address.
    AwaitingAdmin,
    /// The administrator refused the worker's address.
    Blocked,
    /// The account's data or secret is wrong.
    Misconfigured,
    /// The account or its secret is frozen.
    AccountFrozen,
}

/// One refusal in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whom it concerns.
    pub scope: Scope,
    /// Within the scope: a worker's identity, or a configuration's keyed hash; empty where it concerns everybody.
    pub key: String,
    /// What it is called.
    pub status: Status,
    /// The upstream's code, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The upstream's words.
    pub message: String,
    /// When it was met.
    pub at_ms: u64,
    /// When it is tried again.
    pub retry_at_ms: u64,
    /// How often in a row it was met.
    pub count: u32,
    /// Identity of the worker that met it last.
    #[serde(default)]
    pub by: String,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Configuration, Self::Account, Self::Transient];

    /// The name in the state and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Configuration => "configuration",
            Self::Account => "account",
            Self::Transient => "transient",
        }
    }

    /// Whether a refusal of this scope holds for every worker.
    pub const fn concerns_all(self) -> bool {
        matches!(self, Self::Account | Self::Transient)
    }
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Pending,
        Self::Paused,
        Self::Retrying,
        Self::Throttled,
        Self::IpNotAllowed,
        Self::AwaitingAdmin,
        Self::Blocked,
        Self::Misconfigured,
        Self::AccountFrozen,
    ];

    /// The name in the state, in the API and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::Throttled => "throttled",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::AwaitingAdmin => "awaiting_admin",
            Self::Blocked => "blocked",
            Self::Misconfigured => "misconfigured",
            Self::AccountFrozen => "account_frozen",
        }
    }
}

impl Refusal {
    /// Whether its numbers pass through the scripts' JSON without loss.
    pub(crate) fn is_readable(&self) -> bool {
        let code = self.code.map_or(0, i64::unsigned_abs);
        [self.at_ms, self.retry_at_ms, code].into_iter().all(|number| number <= INSTANT_MAX)
    }

    /// Whether it concerns a worker with this identity and configuration.
    pub fn concerns(&self, identity: &str, configuration: &str) -> bool {
        match self.scope {
            Scope::Account | Scope::Transient => true,
            Scope::Worker => self.key == identity,
            Scope::Configuration => self.key == configuration,
        }
    }

    /// Whether it was met later than now: before the store's clock went back.
    pub(crate) const fn is_of_the_future(&self, now_ms: u64) -> bool {
        self.at_ms > now_ms.saturating_add(CLOCK_SLACK_MS)
    }

    /// Whether it holds for such a worker at `now_ms`. One of the future would bar it until the clock catches up: that one
    /// holds for nobody.
    fn bars(&self, now_ms: u64, identity: &str, configuration: &str) -> bool {
        !self.is_of_the_future(now_ms) && self.concerns(identity, configuration)
    }
}

impl State {
    /// Until when a worker with this identity and configuration has been told to wait; 0 if it has not.
    pub fn barred_until_ms(&self, now_ms: u64, identity: &str, configuration: &str) -> u64 {
        let mine = self.refusals.iter().filter(|r| r.bars(now_ms, identity, configuration));
        mine.map(|refusal| refusal.retry_at_ms).max().unwrap_or(0)
    }

    /// The refusal that ends last of those because of which all of `living` have been told to wait at `now_ms`, by the
    /// worker that may try first; none if one of them may try now.
    ///
    /// What was refused to a `configuration` holds for all: that another worker has another one cannot be seen.
    fn bar(&self, now_ms: u64, configuration: &str, living: &[String]) -> Option<&Refusal> {
        let bar = |identity: &str| {
            let mine = self.refusals.iter().filter(|r| r.bars(now_ms, identity, configuration));
            mine.filter(|r| r.retry_at_ms > now_ms).max_by_key(|r| r.retry_at_ms)
        };
        if living.is_empty() {
            return bar("");
        }
        let bars: Option<Vec<&Refusal>> = living.iter().map(|identity| bar(identity)).collect();
        bars?.into_iter().min_by_key(|refusal| refusal.retry_at_ms)
    }

    /// What the upstream said because of which none of `living` may try at `now_ms`: the answer to whoever waits.
    ///
    /// A claim that is current may yet bring a token, and what the upstream did not say passes by itself. So does the
    /// rejection of the access token that a ticket was asked for with: another is on its way.
    pub fn refused_to_all(
        &self,
        now_ms: u64,
        configuration: &str,
        living: &[String],
    ) -> Option<&Refusal> {
        let passes = |refusal: &Refusal| {
            refusal.scope == Scope::Configuration && refusal.status == Status::Retrying
        };
        let bar = self.bar(now_ms, configuration, living).filter(|refusal| !passes(refusal));
        bar.filter(|refusal| refusal.code.is_some() && !self.claim_is_current(now_ms))
    }

    /// How often in a row the refusal `scope`, `key` was met.
    pub fn refused_before(&self, scope: Scope, key: &str) -> u32 {
        let same = self.refusals.iter().find(|r| r.scope == scope && r.key == key);
        same.map_or(0, |refusal| refusal.count)
    }

    /// Leaves out, for people, what was refused to workers that live no more: nobody waits for it.
    ///
    /// What was refused to a configuration stays until its time is over: others may have the same one.
    #[must_use]
    pub fn without_refusals_of_the_dead(mut self, now_ms: u64, living: &[String]) -> Self {
        self.refusals.retain(|refusal| match refusal.scope {
            Scope::Worker => living.contains(&refusal.key),
            Scope::Configuration => refusal.retry_at_ms > now_ms || living.contains(&refusal.by),
            Scope::Account | Scope::Transient => true,
        });
        self
    }

    /// Records `refusal` in the place of an earlier one of the same scope and key.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.end_as(refusal.status);
        self.error_code = refusal.code;
        self.error_message.clone_from(&refusal.message);
        self.retry_at_ms = refusal.retry_at_ms;
        let now_ms = refusal.at_ms;
        self.refusals.retain(|old| {
            let replaced = old.scope == refusal.scope && old.key == refusal.key;
            !replaced && old.retry_at_ms.saturating_add(REFUSAL_SHOWN_MS) > now_ms
        });
        self.refusals.push(refusal);
        while self.refusals.len() > REFUSALS_MAX {
            let first = self.refusals.iter().enumerate().min_by_key(|(_, r)| r.retry_at_ms);
            let Some((index, _)) = first else { break };
            self.refusals.remove(index);
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownStatus)
    }
}

/// No status of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown status")]
pub struct UnknownStatus;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(scope: Scope, key: &str, retry_at_ms: u64) -> Refusal {
        Refusal {
            scope,
            key: key.to_owned(),
            status: Status::Retrying,
            code: None,
            message: String::new(),
            at_ms: 0,
            retry_at_ms,
            count: 1,
            by: String::new(),
        }
    }

    #[test]
    fn a_refusal_concerns_its_scope_and_nobody_else() {
        let mut state = State::default();
        state.refuse(refusal(Scope::Worker, "w1#1", 100));
        state.refuse(refusal(Scope::Configuration, "cfg-old", 200));
        assert_eq!(state.barred_until_ms(50, "w1#1", "cfg-new"), 100);
        assert_eq!(state.barred_until_ms(50, "w2#1", "cfg-old"), 200);
        assert_eq!(state.barred_until_ms(50, "w2#1", "cfg-new"), 0);
        state.refuse(refusal(Scope::Account, "", 300));
        assert_eq!(state.barred_until_ms(50, "w2#1", "cfg-new"), 300);
    }

    #[test]
    fn all_are_barred_only_if_nobody_may_try() {
        let living = ["w1#1".to_owned(), "w2#1".to_owned()];
        let mut state = State::default();
        state.refuse(refusal(Scope::Worker, "w1#1", 100));
        let until = |state: &State, configuration: &str, living: &[String]| {
            state.bar(50, configuration, living).map_or(0, |refusal| refusal.retry_at_ms)
        };
        assert_eq!(until(&state, "cfg", &living), 0);
        assert_eq!(until(&state, "cfg", &living[..1]), 100);
        state.refuse(refusal(Scope::Worker, "w2#1", 70));
        assert_eq!(until(&state, "cfg", &living), 70);
        state.refuse(refusal(Scope::Configuration, "cfg", 200));
        assert_eq!(until(&state, "cfg", &living), 200);
        assert_eq!(until(&state, "another", &living), 70);
        assert_eq!(until(&state, "cfg", &[]), 200);
        assert!(state.bar(200, "cfg", &living).is_none());
    }

    #[test]
    fn whoever_waits_for_a_ticket_goes_on_waiting_when_its_access_token_was_rejected() {
        let mut state = State::default();
        let of = |status, code| {
            let refusal = refusal(Scope::Configuration, "cfg", 200);
            Refusal { status, code: Some(code), ..refusal }
        };
        state.refuse(of(Status::Retrying, 40001));
        assert_eq!(state.refused_to_all(50, "cfg", &[]), None);
        state.refuse(of(Status::Misconfigured, 40125));
        let refused = state.refused_to_all(50, "cfg", &[]);
        assert_eq!(refused.and_then(|refusal| refusal.code), Some(40125));
    }

    #[test]
    fn people_are_not_told_of_workers_that_are_gone() {
        let mut state = State::default();
        state.refuse(refusal(Scope::Worker, "w1#1", 100));
        state.refuse(refusal(Scope::Worker, "w2#1", 100));
        state.refuse(refusal(Scope::Configuration, "cfg", 100));
        state.refuse(refusal(Scope::Account, "", 100));
        let shown = |now_ms| {
            let state = state.clone().without_refusals_of_the_dead(now_ms, &["w2#1".to_owned()]);
            state.refusals.into_iter().map(|refusal| refusal.key).collect::<Vec<_>>()
        };
        assert_eq!(shown(99), ["w2#1", "cfg", ""]);
        assert_eq!(shown(100), ["w2#1", ""]);
    }

    #[test]
    fn refusals_are_bounded_and_those_that_end_first_go_first() {
        let mut state = State::default();
        for i in 0..20 {
            state.refuse(refusal(Scope::Worker, &format!("w{i}"), 1_000 + i));
        }
        assert_eq!(state.refusals.len(), REFUSALS_MAX);
        assert_eq!(state.barred_until_ms(50, "w3", ""), 0);
        assert_eq!(state.barred_until_ms(50, "w4", ""), 1_004);
    }
}
