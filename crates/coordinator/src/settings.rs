//! Credentials and limits, as the binary hands them over.

use std::sync::Arc;
use std::time::Duration;

use zhongkong_core::chance::Chance;
use zhongkong_core::credential::{CredentialId, Kind, Worker};
use zhongkong_core::nature::Nature;
use zhongkong_core::ports::Upstream;
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
    /// The provider's name, for people.
    pub provider: &'static str,
    /// The upstream's host, for pacing.
    pub host: String,
    /// How the upstream treats old tokens.
    pub nature: Nature,
    /// Its times, proved.
    pub timing: Timing,
    /// Where its tokens come from.
    pub upstream: Arc<dyn Upstream>,
    /// The SDKs whose keys are kept current, too, and the kind of the token that each is for.
    pub publish: Vec<(Kind, Layout)>,
}
