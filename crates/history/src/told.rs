//! What the cluster says of a unit in one of its events, whoever heard it and in whatever form.

use crate::record::ClusterEvent;

/// An event's type, and the fields of it that a history knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `claimed`, `refreshed` …
    pub event_type: String,
    /// The last claim.
    pub fence: u64,
    /// Who made it.
    pub worker: String,
    /// The epoch in which it was made.
    pub epoch: String,
    /// The token's number.
    pub generation: u64,
    /// The token's fingerprint.
    pub fingerprint: String,
    /// All reasons for doubt.
    pub reasons: String,
    /// Whether the last claim's outcome is still open.
    pub claim_is_open: bool,
}

impl Told {
    /// What happened; none if the type is one that no history knows.
    pub fn happened(self) -> Option<ClusterEvent> {
        let Self { event_type, fence, worker, epoch, generation, fingerprint, .. } = self;
        let (reasons, claim_is_open) = (self.reasons, self.claim_is_open);
        let provisional = !reasons.is_empty();
        Some(match event_type.as_str() {
            "claimed" => ClusterEvent::Claimed { fence, worker, epoch },
            "refreshed" => ClusterEvent::Committed { fence, generation, fingerprint, provisional },
            "adopted" => ClusterEvent::Adopted { fence, worker, epoch, generation, fingerprint },
            "unchanged" => ClusterEvent::Unchanged { fence, provisional },
            "refused" => ClusterEvent::Refused { fence },
            "released" => ClusterEvent::Released { fence },
            "doubted" => ClusterEvent::Doubted { reasons, claim_is_open },
            "reported" | "forced" => ClusterEvent::Marked { by: event_type },
            "kept" => ClusterEvent::Kept,
            "lost" => ClusterEvent::Lost,
            _ => return None,
        })
    }
}
