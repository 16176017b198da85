//! What the binary asks of a running coordinator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use zhongkong_core::clock::Boot;
use zhongkong_core::credential::{CredentialId, Unit};
use zhongkong_core::outlook::Outlook;
use zhongkong_core::refusal::Refusal;
use zhongkong_core::state::State;
use zhongkong_core::token::Fingerprint;

use crate::settings::CredentialSettings;
use crate::telemetry;

/// When to ask again about a unit that an operator paused: nobody knows.
pub const PAUSED_FOR: Duration = Duration::from_mins(1);
/// Orders that may wait for the loop.
pub(crate) const ORDERS: usize = 256;
/// The loop never takes longer than this for an order; if it does, something is wrong.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A report is answered for after the probe at the latest, even if that is somebody else's and breaks off.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Events that may wait for a reader of them.
pub(crate) const EVENTS: usize = 1_024;

/// Speaks to a coordinator; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) events: broadcast::Sender<Arc<UnitEvent>>,
}

/// Something that happened to a unit, as this worker heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitEvent {
    /// What, in the contract's words (`refreshed`, `claimed` …).
    pub what: String,
    /// To which unit; it may be one that this worker does not keep.
    pub unit: Unit,
    /// The state after it, without the token.
    pub state: State,
    /// The store's time of it, in milliseconds since 1970.
    pub now_ms: u64,
}

/// How the coordinator itself is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Redis answers.
    pub store_up: bool,
    /// Since when it does, or does not; none until the first answer or failure.
    pub store_changed_at: Option<Boot>,
    /// The coordinator is about to end.
    pub stopping: bool,
}

/// A unit as this worker sees it.
#[derive(Clone, Debug)]
pub struct UnitView {
    /// The unit.
    pub unit: Unit,
    /// Its provider's name.
    pub provider: &'static str,
    /// The account's name at the upstream.
    pub app_id: String,
    /// Its state as last seen, without the token; none if it was never read.
    pub state: Option<State>,
    /// The store's time now, in milliseconds since 1970, by estimate.
    pub now_ms: u64,
    /// What it means for this worker.
    pub outlook: Option<Outlook>,
}

/// The units that are not as they should be, and who lives.
#[derive(Clone, Debug, Default)]
pub struct Ailing {
    /// Those units, and those that were asked for besides, as far as they are kept and were read. Their states hold every
    /// refusal, also of workers that live no more.
    pub views: Vec<UnitView>,
    /// The identities of the workers that live.
    pub living: Vec<String>,
}

/// Which units are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of one credential.
    One(CredentialId),
    /// Those of so many credentials, in the order of their ids.
    Following {
        /// The last one before them; none begins with the first of all.
        after: Option<CredentialId>,
        /// The most of them.
        credentials: usize,
    },
}

/// What asking for a refresh came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshAnswer {
    /// There is another token.
    Refreshed,
    /// The upstream was asked, and insists on the same token.
    Unchanged,
    /// None is owed.
    NotOwed,
    /// The report named an older token.
    AlreadyNewer,
    /// The upstream accepts the token that was reported.
    StillValid,
    /// One is owed, and runs later.
    Deferred {
        /// After so long.
        retry_after: Duration,
    },
    /// An operator paused the unit: nobody refreshes it, whoever asks.
    Paused,
    /// The upstream refused it to everybody who lives.
    Failed {
        /// What the upstream said.
        refusal: Box<Refusal>,
        /// The store's time now, in milliseconds since 1970.
        now_ms: u64,
    },
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such credential, or no such kind of it.
    #[error("unknown: {0}")]
    Unknown(Unit),
    /// Redis could not be asked, or refused.
    #[error("{0}")]
    Store(String),
    /// The coordinator is stopping, or has too much to do.
    #[error("the worker is stopping or overloaded")]
    Busy,
}

#[derive(Debug)]
pub(crate) enum Order {
    Views { of: Selection, answer: oneshot::Sender<Vec<UnitView>> },
    Ailing { also: BTreeSet<Unit>, answer: oneshot::Sender<Ailing> },
    Refresh { unit: Unit, forced_by: Option<String>, answer: oneshot::Sender<Asking> },
    Report { unit: Unit, fingerprint: Fingerprint, answer: oneshot::Sender<Asking> },
    Reload { credentials: Vec<CredentialSettings> },
}

/// What an order came to.
pub(crate) type Asking = Result<Waiting, CommandError>;

/// An answer, or where it will come.
#[derive(Debug)]
pub(crate) enum Waiting {
    Now(RefreshAnswer),
    Later {
        answer: oneshot::Receiver<RefreshAnswer>,
        /// Not sooner than after this.
        not_before: Duration,
        /// The answer if none comes in time.
        unless: RefreshAnswer,
    },
}

impl Handle {
    /// How the coordinator is doing now.
    pub fn health(&self) -> Health {
        *self.health.borrow()
    }

    /// The units that `of` says, in their order.
    pub async fn views(&self, of: Selection) -> Result<Vec<UnitView>, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Views { of, answer }).await?;
        let mut views = within(ANSWER_TIMEOUT, answered).await?;
        views.sort_by(|a, b| a.unit.cmp(&b.unit));
        Ok(views)
    }

    /// The units that are not as they should be, and those of `also`.
    pub async fn ailing(&self, also: BTreeSet<Unit>) -> Result<Ailing, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Ailing { also, answer }).await?;
        within(ANSWER_TIMEOUT, answered).await
    }

    /// Has `unit` refreshed if that is owed, or whatever its status if somebody forces it, whom the history then names;
    /// and waits at most `wait` for the outcome.
    pub async fn refresh(
        &self,
        unit: Unit,
        forced_by: Option<String>,
        wait: Duration,
    ) -> Result<RefreshAnswer, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Refresh { unit, forced_by, answer }).await?;
        outcome(within(ANSWER_TIMEOUT, answered).await??, wait).await
    }

    /// Records a reader's word that the token of `fingerprint` was rejected, and waits at most `wait` for what that
    /// comes to, the time for the probe not counted.
    pub async fn report(
        &self,
        unit: Unit,
        fingerprint: Fingerprint,
        wait: Duration,
    ) -> Result<RefreshAnswer, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Report { unit, fingerprint, answer }).await?;
        let answer = match within(REPORT_TIMEOUT, answered).await? {
            Ok(waiting) => outcome(waiting, wait).await,
            Err(error) => Err(error),
        };
        telemetry::reported(match &answer {
            Ok(RefreshAnswer::Refreshed) => "refreshed",
            Ok(RefreshAnswer::AlreadyNewer | RefreshAnswer::NotOwed) => "already_newer",
            Ok(RefreshAnswer::StillValid | RefreshAnswer::Unchanged) => "still_valid",
            Ok(RefreshAnswer::Deferred { .. } | RefreshAnswer::Paused) => "deferred",
            Ok(RefreshAnswer::Failed { .. }) => "refused",
            Err(CommandError::Unknown(_)) => "dropped",
            Err(CommandError::Store(_) | CommandError::Busy) => "unavailable",
        });
        answer
    }

    /// What happens to all units from now on. A receiver that lags behind loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Arc<UnitEvent>> {
        self.events.subscribe()
    }

    /// Keeps `credentials` from now on.
    pub async fn reload(&self, credentials: Vec<CredentialSettings>) -> Result<(), CommandError> {
        self.order(Order::Reload { credentials }).await
    }

    async fn order(&self, order: Order) -> Result<(), CommandError> {
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.orders.send(order)).await;
        sent.ok().and_then(Result::ok).ok_or(CommandError::Busy)
    }
}

/// The loop's answer, if it comes in time.
async fn within<T>(limit: Duration, answered: oneshot::Receiver<T>) -> Result<T, CommandError> {
    let answer = tokio::time::timeout(limit, answered).await;
    answer.ok().and_then(Result::ok).ok_or(CommandError::Busy)
}

async fn outcome(waiting: Waiting, wait: Duration) -> Result<RefreshAnswer, CommandError> {
    match waiting {
        Waiting::Now(answer) => Ok(answer),
        // It could not come in time.
        Waiting::Later { not_before, unless, .. } if not_before > wait => Ok(unless),
        Waiting::Later { answer, unless, .. } => {
            let answer = tokio::time::timeout(wait, answer).await;
            Ok(answer.ok().and_then(Result::ok).unwrap_or(unless))
        }
    }
}
