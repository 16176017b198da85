//! What the upstream saw of a run.

use std::net::IpAddr;

use zhongkong_simulator::{CallRecord, Endpoint, JournalView, Outcome};

use crate::platform::SERVICES;

/// A call may be on its way while a token is replaced, and the token on its way to the SDK's key: no longer than this.
const ON_THE_WAY_MS: u64 = 1_000;

/// The counts of one herd.
#[derive(Debug)]
pub(crate) struct Count {
    /// Calls for a token by services, refused ones included.
    pub(crate) fetches: u64,
    /// The most of them at once.
    pub(crate) at_once: u64,
    /// Calls of services with a token.
    pub(crate) calls: u64,
    /// Of those, refused for their token.
    pub(crate) refused: u64,
    /// Of those, made with another token than the newest.
    pub(crate) outdated: u64,
    /// Calls that never got as far as the upstream, or that the SDK gave up.
    pub(crate) failed: u64,
    /// Tokens that workers fetched.
    pub(crate) refreshes: u64,
}

impl Count {
    /// What `journal` tells of calls received from `from_ms` on; `failed` is what the services said.
    pub(crate) fn of(journal: &JournalView, from_ms: u64, failed: u64) -> Self {
        assert_eq!(journal.forgotten, 0, "the journal is whole");
        let is_service = |call: &&CallRecord| call.caller == IpAddr::from(SERVICES);
        let received = || journal.calls.iter().filter(|call| call.received_at_ms >= from_ms);
        let fetches = || received().filter(is_service).filter(|call| call.endpoint.is_token());
        let calls =
            || received().filter(is_service).filter(|call| call.endpoint == Endpoint::Probe);
        let workers = received().filter(|call| !is_service(call) && call.endpoint.is_token());
        let count = |number: usize| u64::try_from(number).unwrap();
        Self {
            fetches: count(fetches().count()),
            at_once: fetches().map(|call| u64::from(call.overlapping)).max().unwrap_or(0),
            calls: count(calls().count()),
            refused: count(
                calls()
                    .filter(|call| matches!(call.outcome, Some(Outcome::Errcode { .. })))
                    .count(),
            ),
            outdated: count(calls().filter(|call| is_outdated(journal, call)).count()),
            failed,
            refreshes: count(
                workers.filter(|call| matches!(call.outcome, Some(Outcome::Issued { .. }))).count(),
            ),
        }
    }

    /// Nobody fetched but workers, nothing was refused, and every service had the newest token.
    pub(crate) const fn is_flawless(&self) -> bool {
        self.fetches == 0
            && self.refused == 0
            && self.failed == 0
            && self.outdated == 0
            && self.calls > 0
    }
}

fn is_outdated(journal: &JournalView, call: &CallRecord) -> bool {
    let newer = |serial: u64| {
        journal.tokens.iter().any(|token| {
            token.serial > serial && token.issued_at_ms + ON_THE_WAY_MS < call.received_at_ms
        })
    };
    call.presented.is_some_and(newer)
}
