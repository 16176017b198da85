//! Adopt: a token that somebody else fetched, found at the key of an SDK, becomes the cluster's.
//!
//! It was issued, so one of the two is dying, and which cannot be known for as long as the upstream would honour either. A
//! service mostly writes what it just fetched, so what was found is mostly the newer one, and the next fetch would kill the
//! other: readers are to leave that before. It has a fence of its own, under which it is published (rule R1). While a claim is
//! open, or where the state itself is in question, nothing is published: there is doubt, and the next fetch settles it.

use crate::doubt::Doubt;
use crate::outlook::Rules;
use crate::state::{Mark, State};
use crate::token::{Fingerprint, Token};

/// A token of somebody else's, which the upstream accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptRequest {
    /// What tells a repetition from another claim.
    pub nonce: String,
    /// The token.
    pub token: Token,
    /// The unit's own token, over which it was written.
    pub over: Fingerprint,
    /// The SDK at whose key it stood, by the name of its layout.
    pub layout: String,
    /// When it was found, by the store's clock: before the upstream was asked about it.
    pub found_at_ms: u64,
    /// The store's epoch as the worker knows it; empty where the epoch rule is off.
    pub epoch: String,
    /// The highest fence that the worker has seen of the unit.
    pub remembered: u64,
    /// The unit's rules.
    pub rules: Rules,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptAnswer {
    /// It is published, and one more fetch owed from `from_ms`.
    Adopted {
        /// Its number.
        fence: u64,
        /// From when another is fetched.
        from_ms: u64,
    },
    /// It is not published; there is doubt, and one more fetch owed.
    Doubted,
    /// The unit has a newer one: nothing was done.
    Superseded,
    /// It is the unit's own, or was before: nothing was done.
    Known,
}

impl State {
    /// Applies an adoption at the store's time `time_us`, in microseconds.
    pub fn adopt(&mut self, time_us: u64, request: &AdoptRequest) -> AdoptAnswer {
        let now_ms = time_us / 1_000;
        let AdoptRequest { token, over, found_at_ms, .. } = request;
        if self.exists() && self.nonce == request.nonce {
            return AdoptAnswer::Adopted { fence: self.fence, from_ms: self.rejected_from_ms };
        }
        let fingerprint = token.fingerprint();
        // What the unit had before may be written late, by whoever read it then.
        if [&self.fingerprint, &self.previous].into_iter().flatten().any(|own| *own == fingerprint)
        {
            return AdoptAnswer::Known;
        }
        let same = self.fingerprint.as_ref() == Some(over);
        // Whoever claims later asks later, and without doubt nothing else was asked since.
        let asked_later = self.spaced_from_ms > *found_at_ms && self.doubt.is_empty();
        if !same && asked_later {
            return AdoptAnswer::Superseded;
        }
        let may_adopt = same && self.may_adopt(now_ms, request);
        if may_adopt {
            self.weigh(request);
        }
        self.layout.clone_from(&request.layout);
        // Processed already, so only a claim that is made from now on is sure to be later.
        self.raise(Doubt::Foreign, now_ms, self.drain_ms);
        if !may_adopt {
            self.doubt_our_own(now_ms, request);
            return AdoptAnswer::Doubted;
        }
        self.fence = self.next_fence(time_us, request.remembered);
        self.nonce.clone_from(&request.nonce);
        self.token = Some(token.clone());
        self.previous = self.fingerprint.replace(fingerprint);
        self.token_fence = self.fence;
        self.generation += 1;
        self.assumed = true;
        self.forget_reports();
        // Somebody fetched it a moment ago.
        self.spaced_from_ms = now_ms;
        AdoptAnswer::Adopted { fence: self.fence, from_ms: self.owe_another(now_ms, request) }
    }

    /// Whether the state may be changed without a claim: none is open, and nothing of it is in question.
    fn may_adopt(&self, now_ms: u64, request: &AdoptRequest) -> bool {
        let AdoptRequest { found_at_ms, epoch, remembered, rules, .. } = request;
        // What the upstream said longer ago than a claim would hold says nothing of now.
        let fresh = (*found_at_ms..=found_at_ms.saturating_add(rules.lease_ms)).contains(&now_ms);
        fresh
            && !self.intent
            && !self.is_paused()
            && self.usable(now_ms)
            && !self.is_of_another(epoch)
            && *remembered <= self.fence
            && !self.clock_went_back(now_ms)
    }

    /// Ours stays, and dies like after a request of an unknown outcome that was made after ours was issued.
    fn doubt_our_own(&mut self, now_ms: u64, request: &AdoptRequest) {
        self.unknowns = self.unknowns.saturating_add(1);
        self.begin_unsure(self.issued_at_ms);
        // A mark has a time of its own, which may be far.
        if self.rejected.is_some_and(|mark| !mark.is_an_operators()) {
            let latest_ms = self.replaced_by_ms(now_ms, request);
            self.rejected_from_ms = self.rejected_from_ms.min(latest_ms);
        }
    }

    /// When the next token has to be asked for, so that readers have it before the one that is published may end.
    fn replaced_by_ms(&self, now_ms: u64, request: &AdoptRequest) -> u64 {
        let AdoptRequest { epoch, rules, .. } = request;
        let sure_until_ms = self.sure_until_ms(now_ms, epoch, rules).unwrap_or(now_ms);
        now_ms.max(sure_until_ms.saturating_sub(2 * rules.request_timeout_ms))
    }

    /// Until when the token that was found is sure to be honoured (rule R14). The instants of the life stay: a newer token
    /// lives longer than the one that it replaces, and an older one is doubted.
    fn weigh(&mut self, request: &AdoptRequest) {
        let AdoptRequest { found_at_ms, rules, .. } = request;
        // No request of the cluster's own is processed after this, and none of others' that it knows of was.
        let last_ms = self.spaced_from_ms.saturating_add(rules.lease_ms).max(self.drains_at_ms);
        if last_ms.saturating_add(rules.overlap_ms) <= *found_at_ms {
            // Accepted although whatever is older ended its overlap: it is newer than all that is known.
            self.unknowns = 0;
            self.unknowns_before = 0;
            self.unsure_from_ms = 0;
            return;
        }
        // The upstream accepted it, so at most one token is newer; and what has not drained may bring more.
        if self.drains_at_ms <= *found_at_ms {
            self.unknowns = 0;
            self.unknowns_before = 1;
        } else {
            self.unknowns_before = self.unknowns_before.saturating_add(1);
        }
        // The one before it was issued then or later, and it is honoured for the overlap after that.
        self.begin_unsure(self.issued_at_ms);
    }

    /// One more fetch is owed, as for any token of somebody else's. Returns from when.
    fn owe_another(&mut self, now_ms: u64, request: &AdoptRequest) -> u64 {
        let spacing_ms = request.rules.spacing_ms;
        let again = self.marks_again(now_ms, spacing_ms);
        self.strain_by(again);
        if self.rejected.is_some_and(Mark::is_an_operators) {
            return self.rejected_from_ms;
        }
        self.rejected = Some(Mark::Adopted);
        let spaced_ms = self.served_from_ms(now_ms, self.strained_spacing_ms(spacing_ms));
        self.rejected_from_ms = spaced_ms.min(self.replaced_by_ms(now_ms, request));
        self.rejected_from_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{ClaimAnswer, ClaimRequest};
    use crate::commit::{CommitAnswer, CommitRequest};
    use crate::credential::Worker;
    use crate::outlook::{Outlook, Reason, Viewer, WECHAT};
    use crate::state::Memory;

    const NOW: u64 = 1_795_380_778_000;
    const HOUR: u64 = 3_600_000;

    fn token(text: &str) -> Token {
        Token::new(text.to_owned()).unwrap()
    }

    /// The cluster's own token came an hour ago, and has another.
    fn settled() -> State {
        fetched(NOW - HOUR)
    }

    fn fetched(at_ms: u64) -> State {
        State {
            v: 1,
            epoch: "e1".to_owned(),
            fence: 7,
            nonce: "n7".to_owned(),
            worker: "w1".to_owned(),
            claimed_at_ms: at_ms,
            spaced_from_ms: at_ms,
            lease_ms: 8_000,
            token: Some(token("T")),
            fingerprint: Some(Fingerprint::of("T")),
            token_fence: 7,
            generation: 1,
            issued_at_ms: at_ms,
            expires_at_ms: at_ms + 2 * HOUR,
            refresh_at_ms: at_ms + 2 * HOUR - 600_000,
            ..State::default()
        }
    }

    /// It was found, and tried, a second ago.
    fn found(text: &str) -> AdoptRequest {
        AdoptRequest {
            nonce: format!("of {text}"),
            token: token(text),
            over: Fingerprint::of("T"),
            layout: "wechatpy".to_owned(),
            found_at_ms: NOW - 1_000,
            epoch: "e1".to_owned(),
            remembered: 7,
            rules: WECHAT,
        }
    }

    fn adopt(state: &mut State, request: &AdoptRequest) -> AdoptAnswer {
        state.adopt(NOW * 1_000, request)
    }

    #[track_caller]
    fn adopted(state: &mut State, request: &AdoptRequest) -> u64 {
        match adopt(state, request) {
            AdoptAnswer::Adopted { from_ms, .. } => from_ms,
            other => panic!("{other:?}"),
        }
    }

    fn claim(at_ms: u64) -> ClaimRequest {
        ClaimRequest {
            worker: Worker { name: "w3".parse().unwrap(), identity: "w3#1".to_owned() },
            nonce: format!("claim at {at_ms}"),
            viewer: Viewer {
                identity: "w3#1".to_owned(),
                configuration: "c".to_owned(),
                epoch: "e1".to_owned(),
                memory: Memory::default(),
            },
            rules: WECHAT,
            alive: None,
        }
    }

    fn commit(fence: u64, nonce: &str) -> CommitRequest {
        CommitRequest {
            fence,
            nonce: nonce.to_owned(),
            token: token("T2"),
            age_ms: 100,
            life_ms: 2 * HOUR,
            ahead_ms: 600_000,
            assumed: false,
            spacing_ms: 30_000,
            idempotent: false,
        }
    }

    #[test]
    fn a_token_that_was_found_is_published_under_a_fence_of_its_own_and_another_is_fetched() {
        let mut state = settled();
        let answer = adopt(&mut state, &found("F"));
        let fence = NOW * 1_000;
        assert_eq!(answer, AdoptAnswer::Adopted { fence, from_ms: NOW + 30_000 });
        assert_eq!((state.fence, state.token_fence, state.generation), (fence, fence, 2));
        assert_eq!(state.token, Some(token("F")));
        assert_eq!(state.layout, "wechatpy");
        assert_eq!(state.expires_at_ms, NOW + HOUR, "as long as the one that it replaces");
        let viewer = claim(NOW).viewer;
        let owed = Outlook::Owed { reason: Reason::Doubt, at_ms: NOW + 30_000 };
        assert_eq!(state.outlook(NOW, &viewer, &WECHAT), owed);

        let at_ms = NOW + 30_000;
        let answer = state.claim(at_ms * 1_000, &claim(at_ms));
        let ClaimAnswer::Claimed { fence, .. } = answer else { panic!("{answer:?}") };
        state.commit(at_ms, &commit(fence, &claim(at_ms).nonce));
        assert!(state.doubt.is_empty() && state.rejected.is_none() && state.layout.is_empty());
    }

    #[test]
    fn one_that_works_although_an_older_one_would_be_dead_is_newer_than_all_that_is_known() {
        let unsure = State { unknowns: 1, unsure_from_ms: NOW - HOUR, ..settled() };
        for mut state in [settled(), unsure] {
            adopted(&mut state, &found("F"));
            assert_eq!(state.sure_until_ms(NOW, "e1", &WECHAT), Some(NOW + HOUR));
        }
    }

    #[test]
    fn one_that_may_be_the_older_is_sure_until_the_overlap_after_our_own_ends() {
        // It was asked for 200 s ago: whatever is older ends its overlap in 100 s.
        let mut state = fetched(NOW - 200_000);
        assert_eq!(adopted(&mut state, &found("F")), NOW + 30_000);
        assert_eq!(state.sure_until_ms(NOW, "e1", &WECHAT), Some(NOW + 100_000));
        // In 20 s: the next is fetched before.
        let mut state = fetched(NOW - 280_000);
        assert_eq!(adopted(&mut state, &found("F")), NOW + 10_000);
        // A request that may still be under way may end it at any moment.
        let mut state = fetched(NOW - 200_000);
        state.unknowns = 1;
        state.unsure_from_ms = NOW - 10_000;
        state.raise(Doubt::Unknown, NOW + 50_000, 60_000);
        assert_eq!(adopted(&mut state, &found("F")), NOW);
        assert_eq!(state.sure_until_ms(NOW, "e1", &WECHAT), None);
    }

    #[test]
    fn while_a_claim_is_open_or_the_state_is_in_question_there_is_doubt_and_nothing_is_published() {
        let of = |change: fn(&mut State, &mut AdoptRequest)| {
            let (mut state, mut request) = (settled(), found("F"));
            change(&mut state, &mut request);
            let answer = adopt(&mut state, &request);
            assert_eq!((state.fence, state.token), (7, Some(token("T"))));
            (answer, state.doubt.contains(Doubt::Foreign))
        };
        let doubted = (AdoptAnswer::Doubted, true);
        let open = of(|state, _| (state.intent, state.claimed_at_ms) = (true, NOW - 1_000));
        assert_eq!(open, doubted);
        assert_eq!(of(|state, _| state.intent = true), doubted, "a dead worker's");
        assert_eq!(of(|state, _| state.expires_at_ms = NOW), doubted);
        assert_eq!(of(|_, request| request.epoch = "e2".to_owned()), doubted);
        assert_eq!(of(|_, request| request.remembered = 8), doubted);
        assert_eq!(of(|state, _| state.marked_at_ms = NOW + 2_000), doubted, "the clock went back");
        assert_eq!(of(|_, request| request.found_at_ms = NOW - 8_001), doubted, "long ago");
        assert_eq!(of(|_, request| request.found_at_ms = NOW + 1), doubted);
        assert_eq!(of(|state, _| state.pause()), doubted, "for when it is resumed");
    }

    #[test]
    fn a_mark_that_was_to_wait_is_served_before_our_own_may_end() {
        let waiting = |issued_at_ms| State {
            rejected: Some(Mark::Reported),
            rejected_from_ms: NOW + HOUR,
            ..fetched(issued_at_ms)
        };
        let late = AdoptRequest { found_at_ms: NOW - 8_001, ..found("F") };
        for (issued_at_ms, from_ms) in [(NOW - HOUR, NOW), (NOW - 200_000, NOW + 90_000)] {
            let mut state = waiting(issued_at_ms);
            assert_eq!(adopt(&mut state, &late), AdoptAnswer::Doubted);
            assert_eq!(state.rejected_from_ms, from_ms);
        }
    }

    #[test]
    fn a_claim_that_is_open_cannot_clear_the_doubt() {
        let mut state = State { refresh_at_ms: NOW, ..settled() };
        let answer = state.claim(NOW * 1_000, &claim(NOW));
        let ClaimAnswer::Claimed { fence, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(adopt(&mut state, &found("F")), AdoptAnswer::Doubted);
        state.commit(NOW, &commit(fence, &claim(NOW).nonce));
        assert!(state.doubt.contains(Doubt::Foreign));
    }

    #[test]
    fn a_token_of_the_clusters_that_was_asked_for_later_is_newer() {
        let replaced = |spaced_from_ms| State {
            token: Some(token("T2")),
            fingerprint: Some(Fingerprint::of("T2")),
            spaced_from_ms,
            ..settled()
        };
        let mut state = replaced(NOW - 999);
        assert_eq!(adopt(&mut state, &found("F")), AdoptAnswer::Superseded);
        assert_eq!(state, replaced(NOW - 999));
        let mut state = replaced(NOW - 1_000);
        assert_eq!(adopt(&mut state, &found("F")), AdoptAnswer::Doubted);
        assert_eq!(state.fingerprint, Some(Fingerprint::of("T2")));
        let mut state = replaced(0);
        assert_eq!(adopt(&mut state, &found("T2")), AdoptAnswer::Known);
        assert_eq!(state, replaced(0));
    }

    #[test]
    fn what_the_cluster_had_before_is_not_taken_for_somebody_elses() {
        let mut state = State { previous: Some(Fingerprint::of("T0")), ..fetched(NOW - 10_000) };
        assert_eq!(adopt(&mut state, &found("T0")), AdoptAnswer::Known);
        assert!(state.doubt.is_empty());
        adopted(&mut state, &found("F"));
        assert_eq!(state.previous, Some(Fingerprint::of("T")));
    }

    #[test]
    fn a_repeated_adoption_changes_nothing_and_an_older_claim_comes_late() {
        let mut state = settled();
        let first = adopt(&mut state, &found("F"));
        let once = state.clone();
        assert_eq!(state.adopt((NOW + 5_000) * 1_000, &found("F")), first);
        assert_eq!(state, once);
        assert_eq!(state.commit(NOW, &commit(7, "n7")), CommitAnswer::Fenced);
        assert_eq!(state.token, Some(token("F")));
    }

    #[test]
    fn whoever_fetches_again_and_again_is_answered_further_and_further_apart() {
        let mut state = fetched(NOW - 100_000);
        assert_eq!(adopted(&mut state, &found("F1")), NOW + 30_000);
        let over = Fingerprint::of("F1");
        let (remembered, found_at_ms) = (state.fence, NOW + 19_000);
        let again = AdoptRequest { over, found_at_ms, remembered, ..found("F2") };
        let answer = state.adopt((NOW + 20_000) * 1_000, &again);
        let AdoptAnswer::Adopted { from_ms, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(from_ms, NOW + 80_000);
    }

    #[test]
    fn what_an_operator_asked_for_is_served_when_it_would_have_been() {
        let mut state =
            State { rejected: Some(Mark::Forced), rejected_from_ms: NOW + 5, ..settled() };
        assert_eq!(adopted(&mut state, &found("F")), NOW + 5);
        assert_eq!(state.rejected, Some(Mark::Forced));
    }
}
