//! One refresh, from the claim to its recorded outcome.
//!
//! The order of steps is the protocol: the worker's clock is read before the claim is sent (R6), the claim records its
//! intent before anything is sent upstream (R2, R10), one request is sent once (R9), and what came of it is recorded
//! until the store has heard it (R4, R11).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zhongkong_core::abandon::{AbandonRequest, Outcome};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::clock::{Boot, Clock, millis};
use zhongkong_core::codes::{Ruling, Wait, ruling_of};
use zhongkong_core::commit::CommitRequest;
use zhongkong_core::credential::Unit;
use zhongkong_core::doubt::Doubt;
use zhongkong_core::life::Life;
use zhongkong_core::outlook::{Reason, Rules, Viewer};
use zhongkong_core::policy::{
    RETRY_BASE, RETRY_CAP, Random, URGENT_CAP, backoff, due_before_expiry,
    is_too_late_for_protection, retry_waits,
};
use zhongkong_core::ports::{Claimed, Fetched, Observed, Store, StoreError};
use zhongkong_core::refusal::Scope;
use zhongkong_core::state::{OwnClaim, State};
use zhongkong_core::timing::Timing;
use zhongkong_core::token::Token;

use crate::publish::{Shown, publish};
use crate::settings::{CoordinatorSettings, CredentialSettings};

/// First wait before a store that did not answer is asked again.
const STORE_RETRY_BASE: Duration = Duration::from_millis(50);
/// Longest wait before a store that did not answer is asked again.
const STORE_RETRY_CAP: Duration = Duration::from_secs(1);

/// What a refresh works with.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) unit: Unit,
    pub(crate) credential: Arc<CredentialSettings>,
    pub(crate) rules: Rules,
    pub(crate) timing: Timing,
    pub(crate) viewer: Viewer,
    /// What the worker knows of the token's life.
    pub(crate) life: Option<Life>,
    pub(crate) settings: Arc<CoordinatorSettings>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The worker is about to end: nothing is sent any more.
    pub(crate) stopping: Arc<AtomicBool>,
}

/// A refresh that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) unit: Unit,
    /// When the store was asked last.
    pub(crate) asked_at: Boot,
    /// The state that it answered with.
    pub(crate) observed: Option<Observed>,
    /// The epoch of the claim.
    pub(crate) epoch: Option<String>,
    /// The claim that was made, or whose reply was lost.
    pub(crate) own: Option<OwnClaim>,
    /// The keyed hash of the configuration as it is now; of a ticket the fingerprint of the access token that it was asked
    /// for with.
    pub(crate) configuration: String,
    /// Doubts that this refresh raised.
    pub(crate) raised: Vec<Doubt>,
    /// What came of its token at the keys of SDKs.
    pub(crate) published: Option<Shown>,
    pub(crate) result: Ending,
}

/// How a refresh ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Readers find no access token that a ticket could be got with: nothing was claimed.
    NoAccessToken,
    /// No claim was granted.
    NotClaimed(ClaimAnswer),
    /// The token is published.
    Committed {
        reason: Reason,
        changed: bool,
        assumed: bool,
        clamped: bool,
        sent_at: Boot,
        life: Duration,
    },
    /// The token came after another claim.
    Fenced { reason: Reason },
    /// The upstream refused.
    Refused { reason: Reason, code: i64, message: String, ruling: Ruling, retry_in: Duration },
    /// The upstream may or may not have issued a token.
    Unknown { reason: Reason, why: String, code: Option<i64>, retry_in: Duration },
    /// Nothing was sent.
    NotSent { reason: Reason, why: String, retry_in: Duration },
    /// The store could not be asked, or refused. `sent`: what came of the request could not be recorded.
    Store { error: StoreError, sent: bool },
}

/// A claim that was granted.
struct Granted {
    fence: u64,
    nonce: String,
    reason: Reason,
    /// An operator wants the token dead at once.
    invalidate: bool,
    state: State,
    now_ms: u64,
    made_at: Boot,
}

impl Refresh {
    /// Runs the refresh to its end. Dropped in the middle, it leaves an open intent, which others take over.
    pub(crate) async fn run(mut self) -> Ended {
        let access_token = match self.get_ready().await {
            Ok(access_token) => access_token,
            Err(result) => return self.ended(self.clock.now(), None, result),
        };
        let t0 = self.clock.now();
        let send_by = self.timing.send_by(t0);
        let nonce = self.settings.chance.nonce();
        self.settings.reach("before_claim").await;
        let claimed = match self.claim(&nonce, send_by).await {
            Ok(claimed) => claimed,
            Err(error) => {
                // What was refused was not made; what was not answered may have been.
                let lost = matches!(error, StoreError::Unavailable(_));
                let epoch = self.viewer.epoch.clone();
                let mut ended = self.ended(t0, None, Ending::Store { error, sent: false });
                ended.own = lost.then_some(OwnClaim { fence: 0, nonce, epoch });
                return ended;
            }
        };
        let epoch = claimed.epoch.clone();
        let ClaimAnswer::Claimed { fence, reason, raised, invalidate } = claimed.answer else {
            let result = Ending::NotClaimed(claimed.answer);
            let mut ended = self.ended(t0, Some(claimed.observed), result);
            ended.epoch = Some(epoch);
            return ended;
        };
        self.settings.reach("after_claim").await;
        let own = OwnClaim { fence, nonce: nonce.clone(), epoch: epoch.clone() };
        let protected = claimed.acknowledged >= claimed.required;
        let Claimed { observed: Observed { state, now_ms }, acknowledged, required, .. } = claimed;
        let granted = Granted { fence, nonce, reason, invalidate, state, now_ms, made_at: t0 };
        let mut ended = if self.stopping.load(Ordering::Acquire) {
            self.not_sent(&granted, "the worker is stopping".to_owned()).await
        } else if protected || self.may_go_unprotected(&granted) {
            self.fetch(&granted, access_token, send_by).await
        } else {
            let why = format!("only {acknowledged} of {required} replicas acknowledged the claim");
            self.not_sent(&granted, why).await
        };
        ended.epoch = Some(epoch);
        ended.own = Some(own);
        ended.raised.extend(raised.iter());
        ended
    }

    /// Looks at what the request will hold: the secret, or for a ticket the access token that readers have.
    async fn get_ready(&mut self) -> Result<Option<Token>, Ending> {
        let Some(parent) = self.unit.parent() else {
            // A changed secret is another configuration, to which earlier refusals do not apply.
            self.credential.upstream.reread_secret().await;
            self.viewer.configuration = self.credential.upstream.configuration();
            return Ok(None);
        };
        match self.store.token(&parent).await {
            // With nothing left of its life it was written by hand, and is about to be put right.
            Ok(Some(published)) if !published.left.is_zero() => {
                self.viewer.configuration = published.token.fingerprint().to_string();
                Ok(Some(published.token))
            }
            Ok(_) => Err(Ending::NoAccessToken),
            Err(error) => Err(Ending::Store { error, sent: false }),
        }
    }

    /// Claims, and repeats a claim whose reply was lost: with the same nonce, and the deadline of its first sending.
    async fn claim(&self, nonce: &str, send_by: Boot) -> Result<Claimed, StoreError> {
        let mut request = ClaimRequest {
            worker: self.settings.worker.clone(),
            nonce: nonce.to_owned(),
            viewer: self.viewer.clone(),
            rules: self.rules,
            alive: None,
        };
        let mut tries = 0;
        loop {
            // As of this sending: a worker that was paused would tell of a life that is over.
            request.alive = self.life.map(|life| life.alive(self.clock.now()));
            match self.store.claim(&self.unit, &request).await {
                Err(StoreError::Unavailable(why)) => {
                    let wait = self.store_backoff(tries);
                    tries += 1;
                    if self.clock.now() + wait >= send_by {
                        return Err(StoreError::Unavailable(why));
                    }
                    tokio::time::sleep(wait).await;
                }
                answered => return answered,
            }
        }
    }

    /// Rule R10 gives way where waiting for replicas would cost readers their token.
    fn may_go_unprotected(&self, granted: &Granted) -> bool {
        let may = is_too_late_for_protection(&granted.state, granted.now_ms);
        if may {
            metrics::counter!("zhongkong_unprotected_total").increment(1);
            tracing::warn!(
                credential.id = %self.unit.id,
                kind = %self.unit.kind,
                "too few replicas acknowledged the claim; refreshing all the same, unprotected: \
                 a failover now could hide this refresh. Check the replicas"
            );
        }
        may
    }

    async fn fetch(&self, granted: &Granted, access_token: Option<Token>, send_by: Boot) -> Ended {
        self.settings.reach("before_send").await;
        let timeout = self.timing.times().request_timeout;
        let CredentialSettings { upstream, tickets, .. } = &*self.credential;
        let fetched = match (&access_token, tickets) {
            (None, _) => upstream.fetch(send_by, timeout, granted.invalidate).await,
            (Some(token), Some(tickets)) => {
                tickets.upstream.fetch_ticket(self.unit.kind, token, send_by, timeout).await
            }
            (Some(_), None) => Fetched::NotSent { why: "no tickets are configured".to_owned() },
        };
        match fetched {
            Fetched::Token { token, life, sent_at } => {
                self.commit(granted, token, life, sent_at).await
            }
            Fetched::NotSent { why } => self.not_sent(granted, why).await,
            Fetched::Refused { code, message } => self.refused(granted, code, message).await,
            Fetched::Unknown { why, code } => self.unknown(granted, why, code).await,
        }
    }

    /// Publishes the token, and repeats that until the store has answered or the token is past its life (rule R11).
    async fn commit(
        &self,
        granted: &Granted,
        token: Token,
        life: Option<Duration>,
        sent_at: Boot,
    ) -> Ended {
        let Self { timing, rules: Rules { nature, .. }, .. } = *self;
        let assumed = life.is_none();
        // It was issued, so the token before it is dying: it is published even if the upstream named no usable life.
        let life = life.map_or(timing.times().overlap, |named| nature.sure_life(named));
        // An idempotent upstream is never asked before the last overlap of the life, whatever `ahead` says.
        let clamped = !nature.is_idempotent() && timing.ahead_of(life).1;
        let ahead = due_before_expiry(nature, &timing, life, self.random());
        let reason = granted.reason;
        let mut tries = 0;
        loop {
            self.settings.reach("before_commit").await;
            let asked_at = self.clock.now();
            let age = asked_at.since(sent_at);
            if age >= life {
                let why = "the token's life ended before it could be published".to_owned();
                return self.unknown(granted, why, None).await;
            }
            let request = CommitRequest {
                fence: granted.fence,
                nonce: granted.nonce.clone(),
                token: token.clone(),
                age_ms: millis(age),
                life_ms: millis(life),
                ahead_ms: millis(ahead),
                assumed,
                idempotent: nature.is_idempotent(),
                spacing_ms: self.rules.spacing_ms,
            };
            match self.store.commit(&self.unit, &request).await {
                Ok(committed) => {
                    self.settings.reach("after_commit").await;
                    let changed = committed.changed;
                    let result =
                        Ending::Committed { reason, changed, assumed, clamped, sent_at, life };
                    let mut observed = committed.observed;
                    observed.state.token = Some(token);
                    let Self { store, clock, credential, unit, .. } = self;
                    self.settings.reach("before_publish").await;
                    let now = (&observed, asked_at);
                    let published = publish(store, clock, credential, unit, now).await;
                    observed.state = observed.state.without_token();
                    let mut ended = self.ended(asked_at, Some(observed), result);
                    ended.published = published;
                    return ended;
                }
                Err(StoreError::Fenced) => {
                    return self.ended(asked_at, None, Ending::Fenced { reason });
                }
                Err(error) => {
                    self.pause("a fetched token could not be published", &error, tries).await;
                    tries += 1;
                }
            }
        }
    }

    async fn refused(&self, granted: &Granted, code: i64, message: String) -> Ended {
        let ruling = ruling_of(self.unit.kind, code);
        let key = match ruling.scope {
            Scope::Worker => &self.settings.worker.identity,
            Scope::Configuration => &self.viewer.configuration,
            Scope::Account | Scope::Transient => "",
        };
        if ruling.scope == Scope::Configuration && self.unit.kind.ticket().is_none() {
            // Whoever puts a new secret into the file should not have to wait for the refusal of the old one to end.
            self.credential.upstream.reread_secret().await;
        }
        let count = granted.state.refused_before(ruling.scope, key);
        let human_poll = self.settings.human_poll;
        let random = self.random();
        let mut retry_in = ruling.wait.after(count, human_poll, granted.now_ms, random);
        if ruling.wait == Wait::Backoff {
            let (base, cap) = retry_waits(self.rules.nature, granted.state.unknowns);
            retry_in = backoff(base, cap, count, random);
        }
        let outcome = Outcome::Refused {
            scope: ruling.scope,
            status: ruling.status,
            code,
            message: message.clone(),
            retry_in_ms: millis(retry_in),
        };
        let reason = granted.reason;
        let result = Ending::Refused { reason, code, message, ruling, retry_in };
        self.abandon(granted, outcome, result).await
    }

    async fn unknown(&self, granted: &Granted, why: String, code: Option<i64>) -> Ended {
        let (base, cap) = retry_waits(self.rules.nature, granted.state.unknowns + 1);
        let retry_in = backoff(base, cap, granted.state.failures, self.random());
        let outcome = Outcome::Unknown { why: why.clone(), retry_in_ms: millis(retry_in) };
        let result = Ending::Unknown { reason: granted.reason, why, code, retry_in };
        self.abandon(granted, outcome, result).await
    }

    async fn not_sent(&self, granted: &Granted, why: String) -> Ended {
        let before = granted.state.refused_before(Scope::Worker, &self.settings.worker.identity);
        // Nothing was sent: no quota is at stake.
        let cap = if granted.state.unknowns >= 2 { URGENT_CAP } else { RETRY_CAP };
        let retry_in = backoff(RETRY_BASE, cap, before, self.random());
        let outcome = Outcome::NotSent { why: why.clone(), retry_in_ms: millis(retry_in) };
        let result = Ending::NotSent { reason: granted.reason, why, retry_in };
        self.abandon(granted, outcome, result).await
    }

    /// Records an outcome, and repeats that while it can still matter: until then the open intent says the worst.
    async fn abandon(&self, granted: &Granted, outcome: Outcome, result: Ending) -> Ended {
        let request = AbandonRequest {
            fence: granted.fence,
            nonce: granted.nonce.clone(),
            drain_ms: self.rules.drain_ms,
            outcome,
        };
        let until = granted.made_at + self.timing.times().overlap;
        let mut tries = 0;
        loop {
            self.settings.reach("before_abandon").await;
            let asked_at = self.clock.now();
            match self.store.abandon(&self.unit, &request).await {
                Ok((_, observed)) => {
                    self.settings.reach("after_abandon").await;
                    return self.ended(asked_at, Some(observed), result);
                }
                Err(error) if self.clock.now() >= until => {
                    let sent = !matches!(result, Ending::NotSent { .. });
                    return self.ended(asked_at, None, Ending::Store { error, sent });
                }
                Err(error) => {
                    self.pause("what came of a refresh could not be recorded", &error, tries).await;
                    tries += 1;
                }
            }
        }
    }

    /// Says the first time that the store did not take `what`, and waits before it is asked again.
    async fn pause(&self, what: &str, error: &StoreError, tries: u32) {
        if tries == 0 {
            tracing::warn!(
                credential.id = %self.unit.id,
                kind = %self.unit.kind,
                %error,
                "{what} yet; trying until it is"
            );
        }
        tokio::time::sleep(self.store_backoff(tries)).await;
    }

    fn store_backoff(&self, tries: u32) -> Duration {
        backoff(STORE_RETRY_BASE, STORE_RETRY_CAP, tries, self.random())
    }

    /// The one place where chance enters a refresh, but for the nonce.
    fn random(&self) -> Random {
        self.settings.chance.random()
    }

    fn ended(&self, asked_at: Boot, observed: Option<Observed>, result: Ending) -> Ended {
        let raised = match result {
            Ending::Fenced { .. } => vec![Doubt::Late],
            Ending::Unknown { .. } => vec![Doubt::Unknown],
            _ => Vec::new(),
        };
        Ended {
            unit: self.unit.clone(),
            asked_at,
            observed,
            epoch: None,
            own: None,
            configuration: match self.unit.kind.ticket() {
                None => self.credential.upstream.configuration(),
                Some(_) => self.viewer.configuration.clone(),
            },
            raised,
            published: None,
            result,
        }
    }
}
