//! Small hand-made histories of one unit.

use crate::check::check;
use crate::history::History;
use crate::limits::Limits;
use crate::record::{ClusterEvent, Found, Life, Processed, Read, Record, UpstreamEvent};
use crate::violation::{Kind, Violation};

/// A history in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Tale(Vec<Record>);

fn life(fingerprint: &str, dies_at_ms: u64) -> Life {
    Life { fingerprint: fingerprint.to_owned(), dies_at_ms, why: "expired".to_owned() }
}

impl Tale {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn violations(&self, limits: &Limits) -> Vec<Violation> {
        check(&History::new(self.0.clone()), limits)
    }

    /// Panics unless exactly these violations are found, leaving the end aside.
    #[track_caller]
    pub(super) fn check(&self, expected: &[Kind]) {
        let limits = Limits { must_end_settled: false, ..Limits::default() };
        let found = self.violations(&limits);
        let kinds: Vec<_> = found.iter().map(|violation| violation.kind).collect();
        assert_eq!(kinds, expected, "{found:#?}");
    }
}

/// What the upstream does.
impl Tale {
    pub(super) fn upstream(mut self, at_ms: u64, event: UpstreamEvent) -> Self {
        self.0.push(Record::upstream(at_ms, "u", event));
        self
    }

    pub(super) fn received(self, at_ms: u64, call: u64) -> Self {
        self.upstream(at_ms, UpstreamEvent::Received { call, fence: None })
    }

    pub(super) fn processed(
        self,
        at_ms: u64,
        call: u64,
        fingerprint: &str,
        dies_at_ms: u64,
    ) -> Self {
        let outcome = Processed::Issued(life(fingerprint, dies_at_ms));
        let tale = self.upstream(at_ms, UpstreamEvent::Processed { call, outcome });
        tale.upstream(at_ms, UpstreamEvent::Answered { call })
    }

    /// Received, processed and answered at once.
    pub(super) fn issued(self, at_ms: u64, call: u64, fingerprint: &str, dies_at_ms: u64) -> Self {
        self.received(at_ms, call).processed(at_ms, call, fingerprint, dies_at_ms)
    }

    pub(super) fn processed_as_refused(self, at_ms: u64, call: u64) -> Self {
        let outcome = Processed::Refused { code: 45_011 };
        let tale = self.upstream(at_ms, UpstreamEvent::Processed { call, outcome });
        tale.upstream(at_ms, UpstreamEvent::Answered { call })
    }

    /// Received, refused and answered at once.
    pub(super) fn refused_call(self, at_ms: u64, call: u64) -> Self {
        self.received(at_ms, call).processed_as_refused(at_ms, call)
    }

    pub(super) fn foreign(self, at_ms: u64, fingerprint: &str) -> Self {
        self.upstream(at_ms, UpstreamEvent::Foreign { life: life(fingerprint, 99_000) })
    }
}

/// What readers find.
impl Tale {
    pub(super) fn read(mut self, asked_at_ms: u64, answered_at_ms: u64, found: Found) -> Self {
        self.0.push(Record::read("u", Read { asked_at_ms, answered_at_ms, found }));
        self
    }
}

/// What the cluster says.
impl Tale {
    pub(super) fn cluster(mut self, at_ms: u64, event: ClusterEvent) -> Self {
        self.0.push(Record::cluster(at_ms, "u", event));
        self
    }

    pub(super) fn everywhere(mut self, at_ms: u64, event: ClusterEvent) -> Self {
        self.0.push(Record::everywhere(at_ms, event));
        self
    }

    /// Time goes by until then.
    pub(super) fn at(self, at_ms: u64) -> Self {
        self.everywhere(at_ms, ClusterEvent::Fault { what: "nothing".to_owned() })
    }

    pub(super) fn claimed(self, at_ms: u64, fence: u64) -> Self {
        let (worker, epoch) = ("w".to_owned(), String::new());
        self.cluster(at_ms, ClusterEvent::Claimed { fence, worker, epoch })
    }

    pub(super) fn committed(self, at_ms: u64, fence: u64, fingerprint: &str) -> Self {
        let (generation, fingerprint, provisional) = (fence, fingerprint.to_owned(), false);
        let event = ClusterEvent::Committed { fence, generation, fingerprint, provisional };
        self.cluster(at_ms, event)
    }

    pub(super) fn refused(self, at_ms: u64, fence: u64) -> Self {
        self.cluster(at_ms, ClusterEvent::Refused { fence })
    }

    pub(super) fn released(self, at_ms: u64, fence: u64) -> Self {
        self.cluster(at_ms, ClusterEvent::Released { fence })
    }

    pub(super) fn doubted(self, at_ms: u64, reasons: &str) -> Self {
        let reasons = reasons.to_owned();
        self.cluster(at_ms, ClusterEvent::Doubted { reasons, claim_is_open: false })
    }

    /// The store is seen to hold this token (empty: none), without doubt.
    pub(super) fn settled(self, at_ms: u64, fingerprint: &str) -> Self {
        let published = Some(fingerprint.to_owned()).filter(|of| !of.is_empty());
        let seen = ClusterEvent::Seen { published, reasons: String::new(), claim_is_open: false };
        self.cluster(at_ms, seen)
    }
}
