//! Abandon: record the outcome of a claim that brought no token (rules R3, R4).

use crate::doubt::Doubt;
use crate::refusal::{Refusal, Scope, Status};
use crate::state::{Mark, State};

/// The outcome of a claim that brought no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbandonRequest {
    /// The claim's number.
    pub fence: u64,
    /// The claim's nonce.
    pub nonce: String,
    /// The unit's drain.
    pub drain_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a claim ended without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No request left the worker: it waits `retry_in_ms`, and the others try at once.
    NotSent {
        /// Why, in words for people.
        why: String,
        /// Wait before this worker's next try.
        retry_in_ms: u64,
    },
    /// The upstream answered that it issued no token.
    Refused {
        /// Whom it concerns.
        scope: Scope,
        /// What it is called.
        status: Status,
        /// The upstream's code.
        code: i64,
        /// The upstream's words.
        message: String,
        /// Wait before the next try.
        retry_in_ms: u64,
    },
    /// The upstream may or may not have issued a token.
    Unknown {
        /// Why, in words for people.
        why: String,
        /// Wait before the next try, where there is no drain to wait for.
        retry_in_ms: u64,
    },
}

/// What recording the outcome came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonAnswer {
    /// The intent is closed, and the outcome recorded.
    Recorded,
    /// The claim is not the last one any more, or closed already; an unknown outcome raised doubt all the same.
    Late,
}

impl State {
    /// Applies an abandon at the store's time `now_ms`.
    pub fn abandon(&mut self, now_ms: u64, request: &AbandonRequest) -> AbandonAnswer {
        let own = self.fence > 0 && self.fence == request.fence && self.nonce == request.nonce;
        let drains_at_ms = now_ms + request.drain_ms;
        if !own || !self.intent {
            if matches!(request.outcome, Outcome::Unknown { .. }) && !own {
                self.raise(Doubt::Unknown, drains_at_ms, request.drain_ms);
            }
            return AbandonAnswer::Late;
        }
        self.intent = false;
        self.reason = None;
        self.drained = false;
        let sent_nothing_that_counts = !matches!(request.outcome, Outcome::Unknown { .. });
        if self.invalidating == self.fence && sent_nothing_that_counts {
            self.invalidating = 0;
            if self.rejected == Some(Mark::Forced) {
                self.rejected = Some(Mark::Invalidated);
            }
        }
        match &request.outcome {
            Outcome::NotSent { why, retry_in_ms } => {
                let key = self.holder.clone();
                self.fail(now_ms, Scope::Worker, key, why, *retry_in_ms);
            }
            Outcome::Unknown { why, retry_in_ms } => {
                self.raise(Doubt::Unknown, drains_at_ms, request.drain_ms);
                self.count_unknown();
                self.failures = self.failures.saturating_add(1);
                self.fail(now_ms, Scope::Transient, String::new(), why, *retry_in_ms);
            }
            Outcome::Refused { scope, status, code, message, retry_in_ms } => {
                let key = match scope {
                    Scope::Worker => self.holder.clone(),
                    Scope::Configuration => self.configuration.clone(),
                    Scope::Account | Scope::Transient => String::new(),
                };
                if scope.concerns_all() {
                    self.failures = self.failures.saturating_add(1);
                }
                self.refuse(Refusal {
                    count: self.refused_before(*scope, &key).saturating_add(1),
                    scope: *scope,
                    key,
                    status: *status,
                    code: Some(*code),
                    message: message.clone(),
                    at_ms: now_ms,
                    retry_at_ms: now_ms + retry_in_ms,
                    by: self.holder.clone(),
                });
            }
        }
        AbandonAnswer::Recorded
    }

    /// Records a failure that passes by itself.
    fn fail(&mut self, now_ms: u64, scope: Scope, key: String, why: &str, retry_in_ms: u64) {
        self.refuse(Refusal {
            count: self.refused_before(scope, &key).saturating_add(1),
            scope,
            key,
            status: Status::Retrying,
            code: None,
            message: why.to_owned(),
            at_ms: now_ms,
            retry_at_ms: now_ms + retry_in_ms,
            by: self.holder.clone(),
        });
    }
}
