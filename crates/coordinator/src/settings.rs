//! Credentials and limits, as the binary hands them over.

use std::sync::Arc;
use std::time::Duration;

use zhongkong_core::chance::Chance;
use zhongkong_core::credential::{CredentialId, Kind, Unit, Worker};
use zhongkong_core::nature::Nature;
use zhongkong_core::ports::{Tickets, Upstream};
use zhongkong_core::timing::Timing;
use zhongkong_layouts::Layout;

use crate::failpoints::Failpoints;

/// What a coordinator is and may do.
#[derive(Clone, Debug)]
pub struct CoordinatorSettings {
    /// This worker.
    pub worker: Worker,
    /// Calls to upstreams under way at once, at most. A quarter of them is for the probe alone: half of that for reports,
    /// half for tokens tried in their own time, one at least for each.
    pub max_concurrent: usize,
    /// How often each token is tried against its upstream; none = only when a reader reports it.
    pub probe_interval: Option<Duration>,
    /// Refreshes a day and unit that reports may cause.
    pub report_budget: u32,
    /// The spacing of units whose credential this worker lacks, for reports of their tokens.
    pub spacing: Duration,
    /// Doubts settled a second and upstream host after a change of epoch.
    pub reconcile_rate: u32,
    /// First wait after a refusal that a person must lift.
    pub human_poll: Duration,
    /// Metrics name the credential; off where there are too many of them.
    pub name_credentials: bool,
    /// What jitter and nonces are drawn from.
    pub chance: Arc<dyn Chance>,
    /// Where tests hold, stop or kill the worker.
    pub failpoints: Failpoints,
}

impl CoordinatorSettings {
    /// A point at which tests hold, stop or kill the worker.
    pub(crate) async fn reach(&self, point: &'static str) {
        self.failpoints.reach(point).await;
    }
}

/// An account to keep.
#[derive(Clone, Debug)]
pub struct CredentialSettings {
    /// Names it in the store.
    pub id: CredentialId,
    /// Its name at the upstream.
    pub app_id: String,
    /// The provider's name, for people.
    pub provider: &'static str,
    /// The upstream's host, for pacing.
    pub host: String,
    /// How the upstream treats old access tokens.
    pub nature: Nature,
    /// Its times, proved.
    pub timing: Timing,
    /// Where its access tokens come from.
    pub upstream: Arc<dyn Upstream>,
    /// The SDKs whose keys are kept current, too, and the kind of the token that each is for.
    pub publish: Vec<(Kind, Layout)>,
    /// The tickets that are kept with it, if any.
    pub tickets: Option<TicketSettings>,
}

/// Tickets to keep.
#[derive(Clone, Debug)]
pub struct TicketSettings {
    /// Which.
    pub kinds: Vec<Kind>,
    /// Where they come from.
    pub upstream: Arc<dyn Tickets>,
}

impl CredentialSettings {
    /// The units of this account, the access token's first.
    pub(crate) fn units(&self) -> impl Iterator<Item = Unit> {
        let tickets = self.tickets.iter().flat_map(|tickets| tickets.kinds.iter().copied());
        let kinds = std::iter::once(Kind::AccessToken).chain(tickets);
        kinds.map(|kind| Unit { id: self.id.clone(), kind })
    }

    /// The times of the unit `kind`.
    pub(crate) fn timing_of(&self, kind: Kind) -> Timing {
        match kind.ticket() {
            None => self.timing,
            Some(_) => self.timing.of_tickets(),
        }
    }

    /// Whether there is a call that tells a token of this kind that works from one that does not.
    pub(crate) fn has_probe_of(&self, kind: Kind) -> bool {
        kind.ticket().is_none() && self.upstream.has_probe()
    }
}
