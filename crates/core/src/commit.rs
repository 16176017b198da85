//! Commit: publish the token of the claim that was made last, and clear the doubts that it may clear (rules R1, R3, R5, R11).

use crate::doubt::Doubt;
use crate::refusal::Status;
use crate::state::{Mark, State};
use crate::token::Token;

/// A token, and the claim under which it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The claim's number.
    pub fence: u64,
    /// The claim's nonce.
    pub nonce: String,
    /// The token.
    pub token: Token,
    /// Time since the request was sent: the life counts from there.
    pub age_ms: u64,
    /// The token's whole life.
    pub life_ms: u64,
    /// How long before the end of the life the next refresh is due.
    pub ahead_ms: u64,
    /// The upstream named no usable life.
    pub assumed: bool,
    /// The unit's spacing.
    pub spacing_ms: u64,
    /// Any answer of this upstream is the newest token, so it clears every doubt.
    pub idempotent: bool,
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// The token is published.
    Committed {
        /// The number of this token.
        generation: u64,
        /// It is another token than the one before.
        changed: bool,
    },
    /// Another claim was made meanwhile, so that a newer token may be out: this one raised doubt, and is not published.
    Fenced,
}

impl State {
    /// Applies a commit at the store's time `now_ms`.
    pub fn commit(&mut self, now_ms: u64, request: &CommitRequest) -> CommitAnswer {
        let own = self.fence > 0 && self.fence == request.fence && self.nonce == request.nonce;
        if own && !self.intent && self.token_fence == request.fence {
            return CommitAnswer::Committed { generation: self.generation, changed: false };
        }
        if !own || !self.intent {
            // Processed already, so only a claim that is made from now on is sure to be later.
            self.raise(Doubt::Late, now_ms, self.drain_ms);
            return CommitAnswer::Fenced;
        }
        let fingerprint = request.token.fingerprint();
        let changed = self.fingerprint.as_ref() != Some(&fingerprint);
        if changed {
            self.generation += 1;
            self.issued_at_ms = now_ms.saturating_sub(request.age_ms);
            self.forget_reports();
        }
        if self.rejected == Some(Mark::Invalidated) {
            // Made after this claim, which did not take it on: it is still to be served.
        } else if changed || request.idempotent {
            self.rejected = None;
            self.rejected_from_ms = 0;
        } else if self.rejected.is_some() {
            // The upstream insists on a token that is marked: it is asked again, but not at once.
            let spaced_ms = self.claimed_at_ms.saturating_add(request.spacing_ms);
            self.rejected_from_ms = self.rejected_from_ms.max(spaced_ms);
        }
        self.intent = false;
        self.reason = None;
        self.token = Some(request.token.clone());
        self.fingerprint = Some(fingerprint);
        self.token_fence = request.fence;
        self.expires_at_ms = now_ms.saturating_add(request.life_ms).saturating_sub(request.age_ms);
        self.refresh_at_ms = self.expires_at_ms.saturating_sub(request.ahead_ms);
        self.assumed = request.assumed;
        self.layout.clear();
        self.lost = false;
        self.spaced_from_ms = self.claimed_at_ms;
        // A request to kill the token may still be under way, from another claim.
        let killing = self.invalidating > 0 && self.invalidating != request.fence;
        if !killing || self.drained {
            self.invalidating = 0;
        }
        if self.drained || request.idempotent && !killing {
            self.doubt.clear();
            self.drains_at_ms = 0;
            self.drain_ms = 0;
            self.unknowns_before = 0;
            self.unsure_from_ms = 0;
        } else {
            self.unknowns_before = self.unknowns_before.saturating_add(self.unknowns).max(1);
            self.unsure_from_ms = self.claimed_at_ms;
        }
        self.unknowns = 0;
        self.drained = false;
        self.accept();
        CommitAnswer::Committed { generation: self.generation, changed }
    }

    /// There is another token: what was said of the one before is over.
    pub(crate) fn forget_reports(&mut self) {
        self.reported = None;
        self.reported_at_ms = 0;
        self.alive_at_ms = 0;
        self.probing_until_ms = 0;
    }

    /// The upstream answered this worker with this configuration: what was refused to them, or to all, is over.
    fn accept(&mut self) {
        self.end_as(Status::Ok);
        self.error_code = None;
        self.error_message.clear();
        self.retry_at_ms = 0;
        self.failures = 0;
        let (holder, configuration) = (&self.holder, &self.configuration);
        self.refusals.retain(|refusal| !refusal.concerns(holder, configuration));
    }
}
