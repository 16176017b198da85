//! What the adapters must provide: the store and the upstream.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::abandon::{AbandonAnswer, AbandonRequest};
use crate::adopt::{AdoptAnswer, AdoptRequest};
use crate::claim::{ClaimAnswer, ClaimRequest};
use crate::clock::Boot;
use crate::commit::CommitRequest;
use crate::credential::{Kind, Unit, Worker};
use crate::keep::KeepAnswer;
use crate::life::Alive;
use crate::outlook::Rules;
use crate::publication::{Outcome, Publication, Tracked};
use crate::report::{Probed, ReportAnswer, ReportRequest};
use crate::state::State;
use crate::token::{Fingerprint, Token};

/// Where units' states, locks and tokens live. Every call may be repeated without harm (rule R11).
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Claims a unit, and waits until enough replicas acknowledge the claim (rule R10).
    ///
    /// # Cancel safety
    /// A dropped call may have claimed: whoever drops it lets the lease run out, or repeats it with the same nonce.
    async fn claim(&self, unit: &Unit, request: &ClaimRequest) -> Result<Claimed, StoreError>;

    /// Publishes a token; [`StoreError::Fenced`] if another claim was made meanwhile.
    async fn commit(&self, unit: &Unit, request: &CommitRequest) -> Result<Committed, StoreError>;

    /// Records the outcome of a claim that brought no token.
    async fn abandon(
        &self,
        unit: &Unit,
        request: &AbandonRequest,
    ) -> Result<(AbandonAnswer, Observed), StoreError>;

    /// Publishes the state's copy again where the reader's key is gone.
    async fn keep(
        &self,
        unit: &Unit,
        alive: Option<Alive>,
    ) -> Result<(KeepAnswer, Observed), StoreError>;

    /// Marks the token as to be replaced, whatever the status. The history says that it was asked for `by`.
    async fn force(&self, unit: &Unit, rules: &Rules, by: &str) -> Result<Observed, StoreError>;

    /// Records word that a token was rejected.
    async fn report(
        &self,
        unit: &Unit,
        request: &ReportRequest,
    ) -> Result<(ReportAnswer, Observed), StoreError>;

    /// Publishes a token that somebody else fetched, where no claim is open; else raises doubt.
    async fn adopt(
        &self,
        unit: &Unit,
        request: &AdoptRequest,
    ) -> Result<(AdoptAnswer, Observed), StoreError>;

    /// The states of `units`, in their order. One that cannot be read is an error of its own, and spoils no other.
    async fn read(&self, units: &[Unit]) -> Result<Vec<Result<Reading, StoreError>>, StoreError>;

    /// The token that readers find, and what is left of its life.
    async fn token(&self, unit: &Unit) -> Result<Option<Published>, StoreError>;

    /// The unit's state with its copy of the token.
    async fn copy(&self, unit: &Unit) -> Result<Observed, StoreError>;

    /// Publishes a token at the keys of one SDK, where no newer one was published; what it came to at each. Together where they
    /// are in one place, else one after the other, the token's key first.
    async fn publish(&self, publication: &Publication) -> Result<Vec<Outcome>, StoreError>;

    /// From now on [`Self::listen`] tells of these keys, too.
    fn track(&self, tracked: Arc<Tracked>);

    /// Reports that readers left in the store, oldest first, to be served by `worker`; waits a moment for the first.
    ///
    /// # Cancel safety
    /// A dropped call may have taken some: they stay `worker`'s, and come with [`Self::adopt_reports`] once it is dead.
    async fn take_reports(&self, worker: &Worker) -> Result<Vec<LeftReport>, StoreError>;

    /// Reports that were taken and not finished, to be served by `worker` from now on: by workers that are not among
    /// `living`, and a while ago by `worker` itself.
    async fn adopt_reports(
        &self,
        worker: &Worker,
        living: &[String],
    ) -> Result<Vec<LeftReport>, StoreError>;

    /// A report that readers left was served: it is gone.
    async fn finish_report(&self, entry: &str) -> Result<(), StoreError>;

    /// Says that `worker` lives, and tells which identities do, and in which epochs.
    async fn beat(&self, worker: &Worker) -> Result<Beat, StoreError>;

    /// Says that `worker` is about to end.
    async fn leave(&self, worker: &Worker) -> Result<(), StoreError>;

    /// Listens for what other workers and other people do, and reconnects by itself, until dropped.
    async fn listen(&self, hear: &(dyn Fn(Notice) + Send + Sync));
}

/// Fetches the tokens of one credential from its upstream.
#[async_trait]
pub trait Upstream: fmt::Debug + Send + Sync {
    /// The keyed hash of provider, account and secret under which refusals of this configuration are kept.
    fn configuration(&self) -> String;

    /// Reads the secret again; true if it is another one now.
    async fn reread_secret(&self) -> bool;

    /// Sends one request, once, no later than `send_by` (rules R6, R9), and waits at most `timeout` for its answer.
    /// With `invalidate`, an idempotent upstream replaces its token and kills the old one at once.
    async fn fetch(&self, send_by: Boot, timeout: Duration, invalidate: bool) -> Fetched;

    /// Whether there is a call that changes nothing, and tells a token that works from one that does not.
    fn has_probe(&self) -> bool;

    /// Tries `token`, and waits at most `timeout` for the answer.
    async fn probe(&self, token: &Token, timeout: Duration) -> Probed;
}

/// Fetches what is got with an access token: the tickets of one credential.
#[async_trait]
pub trait Tickets: fmt::Debug + Send + Sync {
    /// Sends one request for the ticket `kind`, once, no later than `send_by` (rules R6, R9), and waits at most `timeout` for
    /// its answer.
    async fn fetch_ticket(
        &self,
        kind: Kind,
        access_token: &Token,
        send_by: Boot,
        timeout: Duration,
    ) -> Fetched;
}

/// A token that readers find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The token.
    pub token: Token,
    /// What is left of its life; zero if it is to be repaired: somebody wrote it by hand.
    pub left: Duration,
    /// When its life ends, in milliseconds since 1970 by the store's clock.
    pub expires_at_ms: u64,
    /// Its number; 0 if it is none of the cluster's.
    pub generation: u64,
}

/// A report that a reader left in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftReport {
    /// Names it in the store.
    pub entry: String,
    /// How often it was handed out before: whoever took it died, or could not record it.
    pub tries: u64,
    /// The unit and the rejected token; what is wrong with it, in words for people, if that cannot be read.
    pub report: Result<(Unit, Fingerprint), &'static str>,
}

/// A unit's state without its token, and the store's time at which it was that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The state.
    pub state: State,
    /// Milliseconds since 1970 by the store's clock.
    pub now_ms: u64,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// What it came to.
    pub answer: ClaimAnswer,
    /// The state after it.
    pub observed: Observed,
    /// The epoch in which the claim was made; empty where the epoch rule is off.
    pub epoch: String,
    /// Replicas that acknowledged the claim.
    pub acknowledged: u32,
    /// Replicas that had to.
    pub required: u32,
}

/// The answer to a commit that was not fenced off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of the token.
    pub generation: u64,
    /// It is another token than the one before.
    pub changed: bool,
    /// The state after it.
    pub observed: Observed,
}

/// The answer to a worker's word that it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The identities of the workers that live, in order.
    pub living: Vec<String>,
    /// The epoch of each primary, of one that does not answer as it was last known; none where the epoch rule is off. A
    /// connection tells nothing of a change behind it: a proxy keeps its own over a failover.
    pub epochs: BTreeSet<String>,
    /// What of the store does not answer, in words for people: the units there cannot be refreshed, all others can.
    pub missing: Vec<String>,
}

/// A unit's state, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The state without its token.
    pub state: State,
    /// Readers find just that token.
    pub published: bool,
    /// The time of the primary that has the unit, in milliseconds since 1970.
    pub now_ms: u64,
    /// That primary's epoch; empty where the epoch rule is off.
    pub epoch: Arc<str>,
}

/// What a worker hears from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Listening began (again): whatever happened before was missed.
    Listening,
    /// Listening ended.
    Deaf,
    /// A transition was applied to a unit, by whomever.
    Event {
        /// The unit.
        unit: Unit,
        /// What happened, in the contract's words (`refreshed`, `claimed` …).
        what: String,
        /// The state after it.
        observed: Box<Observed>,
    },
    /// A unit's key was written, deleted or expired, by a transition or by somebody else.
    Touched {
        /// The unit.
        unit: Unit,
        /// Which of its keys.
        key: TouchedKey,
    },
    /// Every key was deleted.
    Flushed,
}

/// Which of a unit's keys was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchedKey {
    /// The one that readers read.
    Reader,
    /// The state.
    State,
    /// One that an SDK reads.
    Sdk,
}

/// What a fetch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A token.
    Token {
        /// The token.
        token: Token,
        /// Its life, counted from `sent_at`; none if the upstream named no usable one.
        life: Option<Duration>,
        /// When the deadline was checked for the last time, directly before the request was written.
        sent_at: Boot,
    },
    /// Nothing left this worker.
    NotSent {
        /// Why, in words for people, without a secret.
        why: String,
    },
    /// The upstream answered that it issued no token.
    Refused {
        /// Its code.
        code: i64,
        /// Its words, without a secret.
        message: String,
    },
    /// The upstream may or may not have issued a token.
    Unknown {
        /// Why, in words for people, without a secret.
        why: String,
        /// The upstream's code, if it answered with one that leaves it open.
        code: Option<i64>,
    },
}

/// Why the store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another claim was made since: the caller's is not current any more.
    #[error("another claim was made meanwhile")]
    Fenced,
    /// The store could not be asked, or did not answer: it may or may not have done it.
    #[error("redis is unreachable: {0}")]
    Unavailable(String),
    /// The store answered, and refused: it did not do it.
    #[error("redis refused: {0}")]
    Refused(String),
}
