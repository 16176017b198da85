//! The rules of the protocol, one after the other, on the transitions alone.

use crate::abandon::{AbandonAnswer, AbandonRequest, Outcome};
use crate::claim::{ClaimAnswer, ClaimRequest};
use crate::commit::{CommitAnswer, CommitRequest};
use crate::credential::Worker;
use crate::doubt::Doubt;
use crate::life::{Alive, Known};
use crate::nature::Nature;
use crate::outlook::{Reason, Rules, Viewer, WECHAT};
use crate::refusal::{Scope, Status};
use crate::report::{Evidence, Probed, ReportRequest};
use crate::state::{Memory, OwnClaim, State};
use crate::token::Token;

const START_MS: u64 = 1_795_380_778_000;
const RULES: Rules = WECHAT;

/// A unit, and a clock that only goes where it is told.
#[derive(Clone)]
struct Story {
    state: State,
    now_ms: u64,
    epoch: &'static str,
    rules: Rules,
}

#[derive(Clone)]
struct Claim {
    fence: u64,
    nonce: String,
}

impl Story {
    fn new() -> Self {
        Self { state: State::default(), now_ms: START_MS, epoch: "e1", rules: RULES }
    }

    /// A unit whose first token and confirming fetch are behind it, an hour ago.
    fn settled() -> Self {
        let mut story = Self::new();
        let first = story.claims("a", "n1");
        story.commits(&first, "T1");
        story.pass(RULES.drain_ms);
        let second = story.claims("a", "n2");
        story.commits(&second, "T2");
        story.pass(3_600_000);
        assert!(story.state.doubt.is_empty());
        story
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn request(&self, worker: &str, nonce: &str, memory: Memory) -> ClaimRequest {
        let worker = Worker::new(worker.parse().unwrap(), 1);
        let viewer = Viewer {
            identity: worker.identity.clone(),
            configuration: "cfg".to_owned(),
            epoch: self.epoch.to_owned(),
            memory,
        };
        ClaimRequest { worker, nonce: nonce.to_owned(), viewer, rules: self.rules, alive: None }
    }

    fn asks(&mut self, worker: &str, nonce: &str) -> ClaimAnswer {
        let request = self.request(worker, nonce, Memory::default());
        self.state.claim(self.now_ms * 1_000, &request)
    }

    #[track_caller]
    fn claims(&mut self, worker: &str, nonce: &str) -> Claim {
        match self.asks(worker, nonce) {
            ClaimAnswer::Claimed { fence, .. } => Claim { fence, nonce: nonce.to_owned() },
            other => panic!("{other:?}"),
        }
    }

    fn commits(&mut self, claim: &Claim, token: &str) -> CommitAnswer {
        let request = CommitRequest {
            fence: claim.fence,
            nonce: claim.nonce.clone(),
            token: Token::new(token.to_owned()).unwrap(),
            age_ms: 200,
            life_ms: 7_200_000,
            ahead_ms: 600_000,
            assumed: false,
            idempotent: self.rules.nature.is_idempotent(),
            spacing_ms: self.rules.spacing_ms,
        };
        self.state.commit(self.now_ms, &request)
    }

    fn abandons(&mut self, claim: &Claim, outcome: Outcome) -> AbandonAnswer {
        let Claim { fence, nonce } = claim.clone();
        let request = AbandonRequest { fence, nonce, drain_ms: self.rules.drain_ms, outcome };
        self.state.abandon(self.now_ms, &request)
    }

    fn published(&self) -> &str {
        self.state.token.as_ref().unwrap().expose()
    }

    /// Makes a refresh owed now.
    fn due(mut self) -> Self {
        self.state.refresh_at_ms = self.now_ms;
        self
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown { why: "no answer".to_owned(), retry_in_ms: 0 }
}

fn not_sent() -> Outcome {
    Outcome::NotSent { why: "connection refused".to_owned(), retry_in_ms: 500 }
}

fn refused(scope: Scope) -> Outcome {
    let message = "no".to_owned();
    Outcome::Refused {
        scope,
        status: Status::IpNotAllowed,
        code: 40164,
        message,
        retry_in_ms: 60_000,
    }
}

#[test]
fn only_the_claim_that_was_made_last_writes_the_token() {
    let mut story = Story::settled().due();
    let paused = story.claims("a", "n3");
    story.pass(RULES.lease_ms);
    let next = story.claims("b", "n4");
    assert_eq!(story.commits(&paused, "T3"), CommitAnswer::Fenced);
    assert_eq!(story.published(), "T2");
    assert!(matches!(story.commits(&next, "T4"), CommitAnswer::Committed { changed: true, .. }));
    assert_eq!(story.published(), "T4");
}

#[test]
fn a_token_is_not_thrown_away_because_the_lease_ran_out() {
    let mut story = Story::settled().due();
    let slow = story.claims("a", "n3");
    story.pass(10 * RULES.lease_ms);
    assert!(matches!(story.commits(&slow, "T3"), CommitAnswer::Committed { .. }));
    assert!(story.state.doubt.is_empty());
}

#[test]
fn a_claim_that_finds_an_unresolved_intent_puts_it_in_doubt() {
    let mut story = Story::settled().due();
    story.claims("a", "n3");
    story.pass(RULES.lease_ms);
    story.claims("b", "n4");
    assert!(story.state.doubt.contains(Doubt::Takeover));
    assert_eq!(story.state.drains_at_ms, story.now_ms + RULES.drain_ms);
    assert_eq!(story.state.unknowns, 1);
}

#[test]
fn a_late_token_raises_doubt_that_only_a_later_claim_clears() {
    let mut story = Story::settled().due();
    let paused = story.claims("a", "n3");
    story.pass(RULES.lease_ms);
    let next = story.claims("b", "n4");
    story.commits(&next, "T4");
    story.pass(RULES.drain_ms);
    let third = story.claims("b", "n5");
    story.commits(&paused, "T3");
    story.commits(&third, "T5");
    assert!(story.state.doubt.contains(Doubt::Late), "raised after the claim, so it stays");
    story.pass(RULES.spacing_ms);
    let last = story.claims("b", "n6");
    story.commits(&last, "T6");
    assert!(story.state.doubt.is_empty());
}

#[test]
fn what_arrives_late_without_having_been_sent_changes_nothing() {
    let mut story = Story::settled().due();
    let paused = story.claims("a", "n3");
    story.pass(RULES.lease_ms);
    story.claims("b", "n4");
    let before = story.state.clone();
    for outcome in [not_sent(), refused(Scope::Account)] {
        assert_eq!(story.abandons(&paused, outcome), AbandonAnswer::Late);
        assert_eq!(story.state, before);
    }
    story.pass(1_000);
    assert_eq!(story.abandons(&paused, unknown()), AbandonAnswer::Late);
    assert_eq!(story.state.drains_at_ms, story.now_ms + RULES.drain_ms);
}

#[test]
fn an_unknown_outcome_is_doubt_and_a_definite_refusal_is_none() {
    let mut story = Story::settled().due();
    let claim = story.claims("a", "n3");
    let mut refused_story = story.clone();
    story.abandons(&claim, unknown());
    assert!(story.state.doubt.contains(Doubt::Unknown) && !story.state.intent);
    refused_story.abandons(&claim, refused(Scope::Worker));
    assert!(refused_story.state.doubt.is_empty() && !refused_story.state.intent);
    let other = refused_story.claims("b", "n4");
    assert!(other.fence > claim.fence, "the others try at once");
}

#[test]
fn a_commit_clears_only_doubt_that_had_drained_when_its_claim_was_made() {
    let mut story = Story::settled().due();
    let lost = story.claims("a", "n3");
    story.abandons(&lost, unknown());
    story.pass(1_000);
    story.state.rejected = Some(crate::state::Mark::Reported);
    let provisional = story.claims("a", "n4");
    story.pass(RULES.drain_ms);
    story.commits(&provisional, "T4");
    assert!(story.state.doubt.contains(Doubt::Unknown), "not drained at the claim");
    assert_eq!((story.state.unknowns, story.state.unknowns_before), (0, 1));
    let clean = story.claims("a", "n5");
    story.commits(&clean, "T5");
    assert!(story.state.doubt.is_empty());
    assert_eq!(story.state.unknowns_before, 0);
}

#[test]
fn a_unit_without_state_and_one_of_another_epoch_are_in_doubt() {
    let mut cold = Story::new();
    cold.claims("a", "n1");
    assert!(cold.state.doubt.contains(Doubt::ColdStart));
    let mut moved = Story { epoch: "e2", ..Story::settled() };
    moved.claims("a", "n3");
    assert!(moved.state.doubt.contains(Doubt::Epoch));
    assert_eq!(moved.state.epoch, "e2");
}

#[test]
fn a_token_is_not_sure_while_a_lost_history_may_hide_calls() {
    // A calls, and a failover loses its claim. B claims on the new primary, and hears no answer: two calls may have been
    // processed since the published token was issued, so it may be dead.
    let mut story = Story { epoch: "e2", ..Story::settled() };
    let sure = |story: &Story| story.state.sure_until_ms(story.now_ms, "e2", &RULES);
    let lost = story.claims("b", "n3");
    story.abandons(&lost, unknown());
    assert_eq!(sure(&story), None);
    let at_once = story.claims("b", "n4");
    story.commits(&at_once, "T4");
    assert_eq!(sure(&story), None, "what the failover hid may still be processed");
    story.pass(RULES.drain_ms);
    let clean = story.claims("b", "n5");
    story.commits(&clean, "T5");
    assert!(sure(&story).is_some());
}

#[test]
fn a_commit_never_sets_the_epoch() {
    let mut story = Story::settled().due();
    let claim = story.claims("a", "n3");
    story.epoch = "e2";
    story.commits(&claim, "T3");
    assert_eq!(story.state.epoch, "e1");
    assert!(matches!(story.asks("b", "n4"), ClaimAnswer::Claimed { reason: Reason::Epoch, .. }));
}

#[test]
fn a_claim_that_the_state_has_lost_is_doubted_by_the_worker_that_made_it() {
    let mut story = Story { epoch: "e2", ..Story::settled() };
    story.state.epoch = "e2".to_owned();
    let own = OwnClaim { fence: 99, nonce: "lost".to_owned(), epoch: "e1".to_owned() };
    let request = story.request("a", "n3", Memory { remembered: 0, own: Some(own) });
    story.state.claim(story.now_ms * 1_000, &request);
    assert!(story.state.doubt.contains(Doubt::LostClaim));
}

#[test]
fn a_fence_grows_even_if_the_store_forgot_it_and_its_clock_went_back() {
    let mut story = Story::settled();
    // The worker saw a claim of half an hour ago; the store lost it, and its clock went back to before it.
    let remembered = (story.now_ms - 1_800_000) * 1_000;
    story.now_ms -= 2_400_000;
    let request = story.request("a", "n3", Memory { remembered, own: None });
    let answer = story.state.claim(story.now_ms * 1_000, &request);
    assert!(matches!(answer, ClaimAnswer::Claimed { fence, .. } if fence == remembered + 1));
    assert!(story.state.doubt.contains(Doubt::Rewound));
}

#[test]
fn a_repeated_claim_changes_nothing_and_a_repeated_commit_neither() {
    let mut story = Story::settled().due();
    let claim = story.claims("a", "n3");
    let before = story.state.clone();
    story.pass(3_000);
    assert_eq!(story.claims("a", "n3").fence, claim.fence);
    assert_eq!(story.state, before, "the lease is not extended");
    story.commits(&claim, "T3");
    let committed = story.state.clone();
    story.pass(3_000);
    assert!(matches!(story.commits(&claim, "T3"), CommitAnswer::Committed { .. }));
    assert_eq!(story.state, committed);
}

#[test]
fn a_sure_token_is_not_replaced_within_the_spacing() {
    let mut story = Story::settled().due();
    let claim = story.claims("a", "n3");
    story.commits(&claim, "T3");
    let mut story = story.due();
    story.pass(10_000);
    let look_at_ms = claim.fence / 1_000 + RULES.spacing_ms;
    assert_eq!(story.asks("a", "n4"), ClaimAnswer::NotOwed { look_at_ms });
}

#[test]
fn three_hundred_reports_during_a_refresh_cause_no_second_one() {
    let mut story = Story::settled();
    let fingerprint = story.state.fingerprint.clone().unwrap();
    let report = ReportRequest {
        fingerprint,
        evidence: Evidence::Checked(Probed::CannotTell),
        spacing_ms: 30_000,
        budget: 100,
        epoch: String::new(),
        again: false,
    };
    story.state.report(story.now_ms, &report);
    let claim = story.claims("a", "n3");
    for _ in 0..300 {
        story.state.report(story.now_ms, &report);
    }
    story.commits(&claim, "T3");
    for _ in 0..300 {
        story.state.report(story.now_ms, &report);
    }
    assert!(story.state.rejected.is_none());
    assert!(matches!(story.asks("a", "n4"), ClaimAnswer::NotOwed { .. }));
}

#[test]
fn a_claim_does_not_clear_a_mark_and_a_commit_of_another_token_does() {
    let mut story = Story::settled();
    story.state.force(story.now_ms, &RULES);
    let claim = story.claims("a", "n3");
    assert!(story.state.rejected.is_some());
    story.abandons(&claim, refused(Scope::Worker));
    assert!(story.state.rejected.is_some());
    let claim = story.claims("b", "n4");
    story.commits(&claim, "T3");
    assert!(story.state.rejected.is_none());
}

#[test]
fn an_upstream_that_insists_on_a_marked_token_is_asked_again_but_not_at_once() {
    let mut story = Story::settled();
    story.state.force(story.now_ms, &RULES);
    let claim = story.claims("a", "n3");
    let claimed_at_ms = story.now_ms;
    story.pass(100);
    story.commits(&claim, "T2");
    let look_at_ms = claimed_at_ms + RULES.spacing_ms;
    assert_eq!(story.asks("a", "n4"), ClaimAnswer::NotOwed { look_at_ms });
}

#[test]
fn an_idempotent_upstream_that_insists_on_the_same_token_clears_mark_and_doubt() {
    let mut story = Story::settled();
    story.rules.nature = Nature::Idempotent;
    story.state.force(story.now_ms, &RULES);
    story.state.raise(Doubt::Unknown, story.now_ms + 1_000, RULES.drain_ms);
    let generation = story.state.generation;
    let claim = story.claims("a", "n3");
    let answer = story.commits(&claim, "T2");
    assert_eq!(answer, CommitAnswer::Committed { generation, changed: false });
    assert!(story.state.rejected.is_none() && story.state.doubt.is_empty());
}

#[test]
fn a_forward_step_of_the_stores_clock_is_no_reason_to_fetch_for_a_worker_that_saw_the_commit() {
    let mut story = Story::settled();
    let left_ms = story.state.expires_at_ms - story.now_ms;
    story.pass(24 * 3_600_000);
    let mut request = story.request("a", "n3", Memory::default());
    let token_fence = story.state.token_fence;
    request.alive = Some(Alive { token_fence, for_ms: left_ms, known: Known::Exactly });
    let answer = story.state.claim(story.now_ms * 1_000, &request);
    assert!(matches!(answer, ClaimAnswer::NotOwed { .. }), "{answer:?}");
    assert_eq!(story.state.expires_at_ms, story.now_ms + left_ms);
}

#[test]
fn a_clock_that_went_back_leaves_a_token_its_life_if_the_worker_read_it_before() {
    let mut story = Story::settled();
    let left_ms = story.state.refresh_at_ms - story.now_ms;
    let ahead_ms = story.state.expires_at_ms - story.state.refresh_at_ms;
    story.pass(left_ms);
    // Back by less than the token's age: nothing lies in the future.
    story.now_ms -= left_ms / 2;
    let mut request = story.request("a", "n3", Memory::default());
    let ttl_ms = story.state.expires_at_ms - story.now_ms;
    let answer = story.state.clone().claim(story.now_ms * 1_000, &request);
    assert!(matches!(answer, ClaimAnswer::NotOwed { .. }), "nobody knows better: {answer:?}");
    let token_fence = story.state.token_fence;
    request.alive = Some(Alive { token_fence, for_ms: ahead_ms, known: Known::AtMost });
    let answer = story.state.claim(story.now_ms * 1_000, &request);
    assert!(matches!(answer, ClaimAnswer::Claimed { reason: Reason::Due, .. }), "{answer:?}");
    let found_ms = story.now_ms + ttl_ms;
    assert_eq!(story.state.cut_ttl_ms(found_ms, story.now_ms), Some(ahead_ms));
}

#[test]
fn a_newer_versions_state_is_left_alone() {
    let mut story = Story::settled().due();
    story.state.v = 2;
    let before = story.state.clone();
    assert_eq!(story.asks("a", "n3"), ClaimAnswer::Newer { v: 2 });
    assert_eq!(story.state, before);
}

#[test]
fn a_success_ends_what_was_refused_to_all_and_to_this_worker_but_not_to_others() {
    let mut story = Story::settled().due();
    let claim = story.claims("a", "n3");
    story.abandons(&claim, refused(Scope::Worker));
    let claim = story.claims("b", "n4");
    story.commits(&claim, "T3");
    assert_eq!((story.state.status, story.state.error_code), (Status::Ok, None));
    assert_eq!(story.state.refusals.len(), 1, "status still names the worker that is refused");
    story.pass(3_600_000);
    let mut story = story.due();
    let claim = story.claims("a", "n5");
    story.commits(&claim, "T4");
    assert!(story.state.refusals.is_empty());
}
