//! Claim: take the lock for one refresh, and record the intent to call the upstream (rules R2, R5, R7, R8, R11).

use crate::clock::millis;
use crate::credential::{Kind, Worker};
use crate::doubt::{Doubt, Doubts};
use crate::life::Alive;
use crate::nature::Nature;
use crate::outlook::{Outlook, Reason, Rules, Viewer};
use crate::state::{Mark, State, VERSION};
use crate::timing::Timing;

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who claims; its name goes into the lock key.
    pub worker: Worker,
    /// Tells a repetition of this request from another request.
    pub nonce: String,
    /// The worker as the outlook sees it.
    pub viewer: Viewer,
    /// The unit's rules.
    pub rules: Rules,
    /// How long the token still lives by the worker's own clock.
    pub alive: Option<Alive>,
}

/// What a claim came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// The lock is the worker's: it may send one request under this fence.
    Claimed {
        /// The claim's number.
        fence: u64,
        /// Why the refresh was owed.
        reason: Reason,
        /// The doubts that the claim added.
        raised: Doubts,
        /// An idempotent upstream is to be asked to kill its token, once.
        invalidate: bool,
    },
    /// Somebody else's claim is current.
    Held {
        /// When its lease ends.
        until_ms: u64,
    },
    /// No refresh may run before `look_at_ms`.
    NotOwed {
        /// When to look again.
        look_at_ms: u64,
    },
    /// An operator paused the unit.
    Paused,
    /// A newer version wrote the state; it is left alone.
    Newer {
        /// That version.
        v: u32,
    },
}

impl State {
    /// Applies a claim at the store's time `time_us` (microseconds). If that cuts the token's life, the reader's key follows:
    /// see [`Self::cut_ttl_ms`].
    pub fn claim(&mut self, time_us: u64, request: &ClaimRequest) -> ClaimAnswer {
        let now_ms = time_us / 1_000;
        let ClaimRequest { worker, nonce, viewer, rules, alive } = request;
        if self.v > VERSION {
            return ClaimAnswer::Newer { v: self.v };
        }
        if self.exists() && self.nonce == *nonce {
            let (fence, raised) = (self.fence, Doubts::default());
            let reason = self.reason.unwrap_or(Reason::Due);
            let invalidate = self.invalidating == fence;
            return ClaimAnswer::Claimed { fence, reason, raised, invalidate };
        }
        self.follow_boot_clock(now_ms, *alive);
        let reason = match self.outlook(now_ms, viewer, rules) {
            Outlook::Newer { v } => return ClaimAnswer::Newer { v },
            Outlook::Held { until_ms } => return ClaimAnswer::Held { until_ms },
            Outlook::Paused => return ClaimAnswer::Paused,
            Outlook::NotOwed { look_at_ms } => return ClaimAnswer::NotOwed { look_at_ms },
            Outlook::Owed { at_ms, .. } if at_ms > now_ms => {
                return ClaimAnswer::NotOwed { look_at_ms: at_ms };
            }
            Outlook::Owed { reason, .. } => reason,
        };

        let before = self.doubt.clone();
        self.raise_what_the_claim_finds(now_ms, request);
        self.v = VERSION;
        self.drained = self.doubt.is_empty() || self.drains_at_ms <= now_ms;
        self.fence = self.next_fence(time_us, viewer.memory.remembered);
        self.nonce.clone_from(nonce);
        self.holder.clone_from(&worker.identity);
        self.worker = worker.name.to_string();
        self.configuration.clone_from(&viewer.configuration);
        self.claimed_at_ms = now_ms;
        self.lease_ms = rules.lease_ms;
        self.intent = true;
        self.reason = Some(reason);
        self.take_on_an_invalidation(now_ms, rules);
        let raised = self.doubt.iter().filter(|doubt| !before.contains(*doubt)).collect();
        let invalidate = self.invalidating == self.fence;
        ClaimAnswer::Claimed { fence: self.fence, reason, raised, invalidate }
    }

    fn raise_what_the_claim_finds(&mut self, now_ms: u64, request: &ClaimRequest) {
        let ClaimRequest { viewer, rules, .. } = request;
        let drains_at_ms = now_ms + rules.drain_ms;
        let raise = |state: &mut Self, doubt| state.raise(doubt, drains_at_ms, rules.drain_ms);
        if self.clock_went_back(now_ms) {
            self.forget_future_instants(now_ms);
            raise(self, Doubt::Clock);
        }
        // A unit that was paused before its first claim has a state, and no history.
        let history = [
            (self.fence == 0, Doubt::ColdStart),
            (self.fence > 0 && self.is_of_another(&viewer.epoch), Doubt::Epoch),
            (viewer.memory.remembered > self.fence, Doubt::Rewound),
            (self.has_lost_the_claim_of(viewer), Doubt::LostClaim),
        ];
        for (_, doubt) in history.into_iter().filter(|(lost, _)| *lost) {
            raise(self, doubt);
            self.count_lost_history(rules);
        }
        if !viewer.epoch.is_empty() {
            self.epoch.clone_from(&viewer.epoch);
        }
        if self.intent {
            raise(self, Doubt::Takeover);
            self.count_unknown();
        }
    }

    /// One claim takes an invalidation on: whatever becomes of that, no second request kills the token that replaced it.
    /// While an earlier one may still be under way it waits: that one would kill this one's token.
    fn take_on_an_invalidation(&mut self, now_ms: u64, rules: &Rules) {
        if self.rejected != Some(Mark::Invalidated) {
            return;
        }
        if rules.nature.is_idempotent() && self.invalidating > 0 && !self.drained {
            self.rejected_from_ms = self.rejected_from_ms.max(self.drains_at_ms);
            return;
        }
        self.rejected = Some(Mark::Forced);
        self.invalidated_at_ms = now_ms;
        if rules.nature.is_idempotent() {
            self.invalidating = self.fence;
        }
    }

    /// The fence that is given next (rule R8): a primary that lost the last ones hands out no number twice.
    pub(crate) fn next_fence(&self, time_us: u64, remembered: u64) -> u64 {
        (self.fence + 1).max(time_us).max(remembered + 1)
    }

    /// Counts the last claim's outcome as unknown (rule R14): the token may have begun to die when it was made.
    pub(crate) fn count_unknown(&mut self) {
        self.unknowns = self.unknowns.saturating_add(1);
        self.begin_unsure(self.claimed_at_ms);
        self.spaced_from_ms = self.claimed_at_ms;
    }

    /// The token may have begun to die at `at_ms` (rule R14).
    pub(crate) const fn begin_unsure(&mut self, at_ms: u64) {
        if self.unsure_from_ms == 0 || at_ms < self.unsure_from_ms {
            self.unsure_from_ms = at_ms;
        }
    }

    /// How many calls a lost history hides is unknown, so it counts as all that make a token unsure (rule R14).
    fn count_lost_history(&mut self, rules: &Rules) {
        if let Nature::Rotating { honours } = rules.nature {
            self.unknowns = self.unknowns.max(honours);
        }
    }

    /// Instants that lie ahead of a clock that went back would hold everything up until it catches up.
    fn forget_future_instants(&mut self, now_ms: u64) {
        self.drains_at_ms = self.drains_at_ms.min(now_ms);
        self.spaced_from_ms = self.spaced_from_ms.min(now_ms);
        self.unsure_from_ms = self.unsure_from_ms.min(now_ms);
        self.claimed_at_ms = self.claimed_at_ms.min(now_ms);
        self.reported_at_ms = self.reported_at_ms.min(now_ms);
        self.alive_at_ms = self.alive_at_ms.min(now_ms);
        self.marked_at_ms = self.marked_at_ms.min(now_ms);
        self.rejected_from_ms = self.rejected_from_ms.min(now_ms);
        self.invalidated_at_ms = self.invalidated_at_ms.min(now_ms);
        self.refusals.retain(|refusal| !refusal.is_of_the_future(now_ms));
        // How much of the life is left is unknown; a token is never shown to live longer than it was issued for.
        let life_ms = self.expires_at_ms.saturating_sub(self.issued_at_ms);
        self.issued_at_ms = self.issued_at_ms.min(now_ms);
        self.expires_at_ms = self.expires_at_ms.min(now_ms + life_ms);
        self.refresh_at_ms = self.refresh_at_ms.min(now_ms);
    }
}

impl Rules {
    /// The rules of the unit `kind` of an account with this nature and timing.
    pub fn of(kind: Kind, nature: Nature, timing: &Timing) -> Self {
        match kind.ticket() {
            None => Self::new(nature, timing),
            Some(_) => Self::new(Nature::Lasting, &timing.of_tickets()),
        }
    }

    /// The rules of a unit with this timing, in the store's milliseconds.
    pub fn new(nature: Nature, timing: &Timing) -> Self {
        let times = timing.times();
        Self {
            nature,
            request_timeout_ms: millis(times.request_timeout),
            lease_ms: millis(times.lease),
            drain_ms: millis(times.drain),
            spacing_ms: millis(times.spacing),
            overlap_ms: millis(times.overlap),
        }
    }
}
