//! Is a refresh owed, and when may it run: the heart of the protocol's "Owed" and "When", and of rule R14.

use crate::nature::Nature;
use crate::state::{Mark, Memory, State, VERSION};

/// A worker's rules for a unit, in the store's milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How the upstream treats old tokens.
    pub nature: Nature,
    /// Longest wait for an answer.
    pub request_timeout_ms: u64,
    /// Length of a claim.
    pub lease_ms: u64,
    /// After this long no earlier request can be processed any more.
    pub drain_ms: u64,
    /// Least time between two fetches.
    pub spacing_ms: u64,
    /// How long the upstream honours a replaced token.
    pub overlap_ms: u64,
}

/// Who looks at the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The worker's identity.
    pub identity: String,
    /// Its keyed hash of provider, account and secret.
    pub configuration: String,
    /// The store's epoch as it is now; empty where the epoch rule is off.
    pub epoch: String,
    /// What the worker remembers of the unit.
    pub memory: Memory,
}

/// Why a refresh is owed; the names stand in metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The time for it has come.
    Due,
    /// There is no usable token.
    Missing,
    /// Readers reported the token.
    Reported,
    /// An operator asked.
    Forced,
    /// There is doubt that this is the newest token.
    Doubt,
    /// The state belongs to another epoch, or lacks a claim that the worker knows of: doubt that is still to be raised.
    Epoch,
    /// A worker died in the middle of a refresh.
    Takeover,
}

/// What a state means for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// A newer version wrote the state: read it, and leave it alone.
    Newer {
        /// That version.
        v: u32,
    },
    /// Somebody's claim is current.
    Held {
        /// When its lease ends.
        until_ms: u64,
    },
    /// An operator paused the unit: no refresh, whoever asks.
    Paused,
    /// Nothing to do before `look_at_ms`.
    NotOwed {
        /// When the next refresh is due.
        look_at_ms: u64,
    },
    /// A refresh is owed.
    Owed {
        /// Why.
        reason: Reason,
        /// From when it may run; at or before now: at once.
        at_ms: u64,
    },
}

/// WeChat's rules with the default times.
#[cfg(test)]
pub(crate) const WECHAT: Rules = Rules {
    nature: Nature::WECHAT,
    request_timeout_ms: 5_000,
    lease_ms: 8_000,
    drain_ms: 60_000,
    spacing_ms: 30_000,
    overlap_ms: 300_000,
};

impl Reason {
    /// The name in the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            other => other.as_str(),
        }
    }

    /// The reason of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    const ALL: [Self; 7] = [
        Self::Due,
        Self::Missing,
        Self::Reported,
        Self::Forced,
        Self::Doubt,
        Self::Epoch,
        Self::Takeover,
    ];

    /// The label in metrics. A change of epoch is a kind of doubt there.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Missing => "missing",
            Self::Reported => "reported",
            Self::Forced => "forced",
            Self::Doubt | Self::Epoch => "doubt",
            Self::Takeover => "takeover",
        }
    }
}

impl State {
    /// Until when the token is sure to be honoured, leaving a mark aside; `None` if it is not sure at all (rule R14).
    pub fn sure_until_ms(&self, now_ms: u64, epoch: &str, rules: &Rules) -> Option<u64> {
        if !self.usable(now_ms) || self.is_of_another(epoch) {
            return None;
        }
        let Nature::Rotating { honours } = rules.nature else {
            return Some(self.expires_at_ms);
        };
        let dead = self.holder_is_dead(now_ms);
        let known = self.unknowns_before.saturating_add(self.unknowns);
        let unknowns = known.saturating_add(u32::from(dead));
        if unknowns >= honours {
            return None;
        }
        let mut first_ms = if self.unsure_from_ms > 0 { self.unsure_from_ms } else { u64::MAX };
        if dead {
            first_ms = first_ms.min(self.claimed_at_ms);
        }
        let until_ms = self.expires_at_ms.min(first_ms.saturating_add(rules.overlap_ms));
        (until_ms > now_ms).then_some(until_ms)
    }

    /// Whether the state was last reconciled on another epoch than `epoch`; never where the epoch rule is off.
    pub fn is_of_another(&self, epoch: &str) -> bool {
        !epoch.is_empty() && self.epoch != epoch
    }

    /// Whether the state lacks something that the worker knows was there (rule R7).
    fn lacks(&self, viewer: &Viewer) -> bool {
        viewer.memory.remembered > self.fence || self.has_lost_the_claim_of(viewer)
    }

    /// Whether the worker's last claim, made under another epoch, is missing.
    pub(crate) fn has_lost_the_claim_of(&self, viewer: &Viewer) -> bool {
        viewer.memory.own.as_ref().is_some_and(|own| {
            !viewer.epoch.is_empty() && own.epoch != viewer.epoch && !self.shows(own)
        })
    }

    /// When a refresh may run that is owed for another reason than a mark.
    fn may_run_at_ms(&self, now_ms: u64, epoch: &str, rules: &Rules) -> u64 {
        if !self.usable(now_ms) {
            return 0;
        }
        let sure_until_ms = self.sure_until_ms(now_ms, epoch, rules);
        let spaced_ms = match sure_until_ms {
            Some(_) if self.spaced_from_ms > 0 => {
                self.spaced_from_ms.saturating_add(rules.spacing_ms)
            }
            _ => 0,
        };
        let draining = !self.doubt.is_empty() && self.drains_at_ms > now_ms;
        if !draining || rules.nature.is_idempotent() && self.invalidating == 0 {
            return spaced_ms;
        }
        // One clean fetch after the drain instead of two, as long as readers can live with what they have.
        let fetched_by_ms = self.drains_at_ms.saturating_add(2 * rules.request_timeout_ms);
        let outlives_drain = sure_until_ms.is_some_and(|until_ms| until_ms > fetched_by_ms);
        if outlives_drain || self.unknowns == 0 {
            self.drains_at_ms.max(spaced_ms)
        } else {
            spaced_ms
        }
    }

    /// What this state means for `viewer` at `now_ms`.
    pub fn outlook(&self, now_ms: u64, viewer: &Viewer, rules: &Rules) -> Outlook {
        if self.v > VERSION {
            return Outlook::Newer { v: self.v };
        }
        if self.claim_is_current(now_ms) {
            return Outlook::Held { until_ms: self.until_ms() };
        }
        if self.is_paused() {
            return Outlook::Paused;
        }
        let dead = self.holder_is_dead(now_ms);
        // What somebody else's refresh killed is marked, and that mark has a time of its own.
        let foreign = self.rejected.is_some() && self.doubt.is_foreign_alone();
        let reason = if !self.usable(now_ms) {
            Some(Reason::Missing)
        } else if dead {
            Some(Reason::Takeover)
        } else if !self.doubt.is_empty() && !foreign || self.clock_went_back(now_ms) {
            Some(Reason::Doubt)
        } else if now_ms >= self.refresh_at_ms {
            Some(Reason::Due)
        } else if self.is_of_another(&viewer.epoch) || self.lacks(viewer) {
            Some(Reason::Epoch)
        } else {
            None
        };
        let owed = reason.map(|reason| {
            // A dead worker's intent is fetched at once, and once more after its drain.
            let at_once = dead || self.clock_went_back(now_ms);
            let at_ms = if at_once { 0 } else { self.may_run_at_ms(now_ms, &viewer.epoch, rules) };
            (reason, at_ms)
        });
        let marked = self.rejected.map(|mark| {
            let reason = match mark {
                Mark::Reported if foreign => Reason::Doubt,
                Mark::Adopted => Reason::Doubt,
                Mark::Reported => Reason::Reported,
                Mark::Forced | Mark::Invalidated => Reason::Forced,
            };
            (reason, self.rejected_from_ms)
        });
        let first = match (owed, marked) {
            (Some(owed), Some(marked)) if owed.1 <= marked.1 => Some(owed),
            (owed, marked) => marked.or(owed),
        };
        match first {
            None => Outlook::NotOwed { look_at_ms: self.refresh_at_ms },
            Some((reason, at_ms)) => {
                let barred_ms =
                    self.barred_until_ms(now_ms, &viewer.identity, &viewer.configuration);
                Outlook::Owed { reason, at_ms: at_ms.max(barred_ms) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubt::Doubt;
    use crate::refusal::{Refusal, Scope, Status};
    use crate::state::OwnClaim;
    use crate::token::Fingerprint;

    const NOW: u64 = 1_000_000_000;
    const RULES: Rules = WECHAT;

    fn viewer() -> Viewer {
        Viewer {
            identity: "w#1".to_owned(),
            configuration: "cfg".to_owned(),
            epoch: "e1".to_owned(),
            memory: Memory::default(),
        }
    }

    /// A settled unit: the token came an hour ago and has another hour.
    fn settled() -> State {
        State {
            v: 1,
            epoch: "e1".to_owned(),
            fence: 7,
            nonce: "n7".to_owned(),
            claimed_at_ms: NOW - 3_600_000,
            spaced_from_ms: NOW - 3_600_000,
            lease_ms: 8_000,
            fingerprint: Some(Fingerprint::of("T")),
            token_fence: 7,
            generation: 1,
            issued_at_ms: NOW - 3_600_000,
            expires_at_ms: NOW + 3_600_000,
            refresh_at_ms: NOW + 3_000_000,
            status: Status::Ok,
            ..State::default()
        }
    }

    fn doubted(drains_at_ms: u64) -> State {
        let mut state = settled();
        state.raise(Doubt::Unknown, drains_at_ms, RULES.drain_ms);
        state
    }

    #[track_caller]
    fn check(state: &State, expected: &Outlook) {
        assert_eq!(&state.outlook(NOW, &viewer(), &RULES), expected);
    }

    const fn owed(reason: Reason, at_ms: u64) -> Outlook {
        Outlook::Owed { reason, at_ms }
    }

    #[test]
    fn a_settled_unit_is_owed_nothing_before_its_time() {
        check(&settled(), &Outlook::NotOwed { look_at_ms: NOW + 3_000_000 });
    }

    #[test]
    fn a_due_token_is_owed_a_refresh_once_spacing_is_over() {
        let due = State { refresh_at_ms: NOW, ..settled() };
        check(&due, &owed(Reason::Due, NOW - 3_570_000));
        let just_fetched = State { spaced_from_ms: NOW - 10_000, ..due };
        check(&just_fetched, &owed(Reason::Due, NOW + 20_000));
    }

    #[test]
    fn a_unit_without_a_token_or_a_state_is_owed_one_at_once() {
        check(&State::default(), &owed(Reason::Missing, 0));
        let expired = State { expires_at_ms: NOW, spaced_from_ms: NOW - 1, ..settled() };
        check(&expired, &owed(Reason::Missing, 0));
        let expired_in_doubt = State { expires_at_ms: NOW, ..doubted(NOW + 50_000) };
        check(&expired_in_doubt, &owed(Reason::Missing, 0));
    }

    #[test]
    fn a_current_claim_holds_the_others_off_and_a_dead_one_is_taken_over_at_once() {
        let held = State { intent: true, claimed_at_ms: NOW - 1_000, ..settled() };
        check(&held, &Outlook::Held { until_ms: NOW + 7_000 });
        let dead = State { intent: true, claimed_at_ms: NOW - 8_000, ..settled() };
        check(&dead, &owed(Reason::Takeover, 0));
    }

    #[test]
    fn doubt_waits_for_its_drain_while_the_token_is_sure_for_longer() {
        let unknown = State { unknowns: 1, unsure_from_ms: NOW - 10_000, ..doubted(NOW + 50_000) };
        check(&unknown, &owed(Reason::Doubt, NOW + 50_000));
        let due_as_well = State { refresh_at_ms: NOW, ..unknown.clone() };
        check(&due_as_well, &owed(Reason::Doubt, NOW + 50_000));
        let nearly_dead = State { expires_at_ms: NOW + 60_000, ..unknown };
        check(&nearly_dead, &owed(Reason::Doubt, NOW - 3_570_000));
    }

    #[test]
    fn two_unknown_outcomes_since_the_commit_wait_for_nothing() {
        let two = State {
            unknowns: 2,
            unsure_from_ms: NOW - 10_000,
            spaced_from_ms: NOW - 1_000,
            ..doubted(NOW + 50_000)
        };
        assert_eq!(two.sure_until_ms(NOW, "e1", &RULES), None);
        check(&two, &owed(Reason::Doubt, 0));
    }

    #[test]
    fn after_a_provisional_commit_the_drain_is_waited_for_all_the_same() {
        let provisional = State { unknowns_before: 2, ..doubted(NOW + 50_000) };
        assert_eq!(provisional.sure_until_ms(NOW, "e1", &RULES), None);
        check(&provisional, &owed(Reason::Doubt, NOW + 50_000));
    }

    #[test]
    fn an_idempotent_upstream_settles_doubt_without_waiting_for_a_drain() {
        let rules = Rules { nature: Nature::Idempotent, ..RULES };
        let outlook = doubted(NOW + 50_000).outlook(NOW, &viewer(), &rules);
        assert_eq!(outlook, owed(Reason::Doubt, NOW - 3_570_000));
    }

    #[test]
    fn a_token_is_sure_until_the_overlap_after_the_first_unknown_call_ends() {
        let unknown = State { unknowns: 1, unsure_from_ms: NOW - 10_000, ..settled() };
        assert_eq!(unknown.sure_until_ms(NOW, "e1", &RULES), Some(NOW + 290_000));
        let dead = State { intent: true, claimed_at_ms: NOW - 9_000, ..settled() };
        assert_eq!(dead.sure_until_ms(NOW, "e1", &RULES), Some(NOW + 291_000));
        assert_eq!(settled().sure_until_ms(NOW, "e2", &RULES), None);
        assert_eq!(settled().sure_until_ms(NOW, "", &RULES), Some(NOW + 3_600_000));
    }

    #[test]
    fn a_mark_is_served_when_its_time_comes() {
        let marked =
            State { rejected: Some(Mark::Reported), rejected_from_ms: NOW + 5_000, ..settled() };
        check(&marked, &owed(Reason::Reported, NOW + 5_000));
        let due_first = State { refresh_at_ms: NOW, ..marked };
        check(&due_first, &owed(Reason::Due, NOW - 3_570_000));
    }

    #[test]
    fn a_refusal_from_before_the_clock_went_back_bars_nobody() {
        let mut state = settled();
        let refusal = |at_ms| Refusal {
            scope: Scope::Transient,
            key: String::new(),
            status: Status::Retrying,
            code: None,
            message: String::new(),
            at_ms,
            retry_at_ms: at_ms + 1_000,
            count: 1,
            by: "w#2".to_owned(),
        };
        state.refuse(refusal(NOW + 3_600_000));
        check(&state, &owed(Reason::Doubt, 0));
        let mut state = State { refresh_at_ms: NOW, ..settled() };
        state.refuse(refusal(NOW));
        check(&state, &owed(Reason::Due, NOW + 1_000));
    }

    #[test]
    fn a_mark_does_not_wait_for_a_drain() {
        let marked = State { rejected: Some(Mark::Forced), ..doubted(NOW + 50_000) };
        check(&marked, &owed(Reason::Forced, 0));
    }

    #[test]
    fn another_epoch_an_older_fence_and_a_missing_claim_are_owed_a_refresh() {
        let epoch = |v: &Viewer, s: &State| s.outlook(NOW, v, &RULES);
        let other = Viewer { epoch: "e2".to_owned(), ..viewer() };
        assert_eq!(epoch(&other, &settled()), owed(Reason::Epoch, 0));
        let remembers = |memory| Viewer { memory, ..viewer() };
        let newer = remembers(Memory { remembered: 8, own: None });
        assert_eq!(epoch(&newer, &settled()), owed(Reason::Epoch, NOW - 3_570_000));
        let own = |fence, nonce: &str, epoch: &str| {
            Some(OwnClaim { fence, nonce: nonce.to_owned(), epoch: epoch.to_owned() })
        };
        let lost = remembers(Memory { remembered: 7, own: own(6, "n6", "e0") });
        assert_eq!(epoch(&lost, &settled()), owed(Reason::Epoch, NOW - 3_570_000));
        let shown = remembers(Memory { remembered: 7, own: own(7, "n7", "e0") });
        assert!(matches!(epoch(&shown, &settled()), Outlook::NotOwed { .. }));
        let same_epoch = remembers(Memory { remembered: 7, own: own(6, "n6", "e1") });
        assert!(matches!(epoch(&same_epoch, &settled()), Outlook::NotOwed { .. }));
    }

    #[test]
    fn where_the_epoch_rule_is_off_no_epoch_is_another() {
        let off = Viewer { epoch: String::new(), ..viewer() };
        let outlook = settled().outlook(NOW, &off, &RULES);
        assert!(matches!(outlook, Outlook::NotOwed { .. }));
    }

    #[test]
    fn a_refusal_bars_those_whom_it_concerns() {
        let mut refused = State { refresh_at_ms: NOW, ..settled() };
        refused.refusals.push(Refusal {
            scope: Scope::Worker,
            key: "w#1".to_owned(),
            status: Status::IpNotAllowed,
            code: Some(40164),
            message: String::new(),
            at_ms: NOW,
            retry_at_ms: NOW + 60_000,
            count: 1,
            by: "w#1".to_owned(),
        });
        check(&refused, &owed(Reason::Due, NOW + 60_000));
        let other = Viewer { identity: "w#2".to_owned(), ..viewer() };
        assert_eq!(refused.outlook(NOW, &other, &RULES), owed(Reason::Due, NOW - 3_570_000));
    }

    #[test]
    fn a_clock_that_went_back_is_a_reason_to_fetch_at_once() {
        let ahead = State { issued_at_ms: NOW + 2_000, ..settled() };
        check(&ahead, &owed(Reason::Doubt, 0));
    }

    #[test]
    fn a_newer_states_version_is_left_alone() {
        check(&State { v: 2, ..settled() }, &Outlook::Newer { v: 2 });
    }
}
