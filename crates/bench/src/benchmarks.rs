//! What is measured, and how large.

mod calls;
mod cluster;
mod herd;
mod probes;
mod refresh;
mod start;
mod takeover;
mod token;
mod units;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::figures::Report;

/// What every benchmark is given.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The worker's program.
    pub(crate) worker: PathBuf,
    /// This program.
    pub(crate) exe: PathBuf,
    /// As small as it can be.
    pub(crate) smallest: bool,
    /// Repetitions.
    pub(crate) runs: u32,
    /// Units of the benchmark of that name.
    pub(crate) units: u32,
}

/// One benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// Upstream calls per refresh.
    Calls,
    /// What a refresh adds to the upstream's own time.
    Refresh,
    /// A refresher dies in mid-call.
    Takeover,
    /// Many reports of one dead token.
    Herd,
    /// The token over HTTP.
    Token,
    /// Many units in one worker and one Redis.
    Units,
    /// What settled units cost.
    Probes,
    /// The store alone, in one Redis and in a cluster.
    Cluster,
    /// A worker's start, its memory and its size.
    Start,
}

impl Benchmark {
    pub(crate) const ALL: [Self; 9] = [
        Self::Calls,
        Self::Refresh,
        Self::Takeover,
        Self::Herd,
        Self::Token,
        Self::Units,
        Self::Probes,
        Self::Cluster,
        Self::Start,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Refresh => "refresh",
            Self::Takeover => "takeover",
            Self::Herd => "herd",
            Self::Token => "token",
            Self::Units => "units",
            Self::Probes => "probes",
            Self::Cluster => "cluster",
            Self::Start => "start",
        }
    }

    /// What it measures.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Calls => "upstream calls per refresh, beside every worker for itself",
            Self::Refresh => {
                "what a refresh adds to the upstream's own time, beside a GET and a SET"
            }
            Self::Takeover => "a refresher killed in mid-call, beside the lease",
            Self::Herd => "reports of one dead token, beside /healthz and the token over HTTP",
            Self::Token => "the token over HTTP, beside a bare route",
            Self::Units => "many units in one worker and one Redis, beside both when bare",
            Self::Probes => "settled units whose tokens are tried in turn",
            Self::Cluster => "claims and commits in a cluster, beside one Redis",
            Self::Start => "from nothing to a token, and a worker's memory and size",
        }
    }

    pub(crate) async fn run(self, setup: &Setup) -> Report {
        match self {
            Self::Calls => calls::run(setup).await,
            Self::Refresh => refresh::run(setup).await,
            Self::Takeover => takeover::run(setup).await,
            Self::Herd => herd::run(setup).await,
            Self::Token => token::run(setup).await,
            Self::Units => units::run(setup).await,
            Self::Probes => probes::run(setup).await,
            Self::Cluster => cluster::run(setup).await,
            Self::Start => start::run(setup).await,
        }
    }
}

impl Setup {
    /// `usual`, unless everything is to be as small as it can be.
    pub(crate) const fn size(&self, usual: usize, smallest: usize) -> usize {
        if self.smallest { smallest } else { usual }
    }
}
