//! How a unit stands in the store, followed from record to record.

use crate::record::{ClusterEvent, Record, What};

/// How a unit stands, as far as the cluster said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The published token.
    pub(crate) published: Option<String>,
    /// Reasons for doubt; empty: none.
    pub(crate) reasons: String,
    /// Since when there is doubt.
    pub(crate) doubted_from_ms: u64,
    /// The last claim's outcome is open.
    pub(crate) claim_is_open: bool,
    /// A claim was made, or the epoch changed, and no claim since brought a token: that is still owed.
    claim_is_owed: bool,
    /// The token is to be replaced.
    marked: bool,
}

impl Standing {
    pub(crate) const fn is_doubted(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// Whether something says that a refresh is owed or under way.
    pub(crate) const fn is_owed(&self) -> bool {
        self.is_doubted() || self.claim_is_open || self.claim_is_owed || self.marked
    }

    pub(crate) fn follow(&mut self, record: &Record) {
        let What::Cluster(event) = &record.what else { return };
        match event {
            ClusterEvent::Claimed { .. } => (self.claim_is_open, self.claim_is_owed) = (true, true),
            ClusterEvent::Committed { fingerprint, provisional, .. } => {
                if self.published.as_ref() != Some(fingerprint) {
                    self.marked = false;
                }
                self.published = Some(fingerprint.clone());
                self.brought(*provisional);
            }
            ClusterEvent::Adopted { fingerprint, .. } => {
                self.published = Some(fingerprint.clone());
                self.marked = true;
            }
            ClusterEvent::Unchanged { provisional, .. } => self.brought(*provisional),
            ClusterEvent::Refused { .. } | ClusterEvent::Released { .. } => {
                self.claim_is_open = false;
            }
            ClusterEvent::Doubted { reasons, claim_is_open } => {
                self.doubt(reasons, record.at_ms);
                self.claim_is_open = *claim_is_open;
            }
            ClusterEvent::Marked { .. } => self.marked = true,
            ClusterEvent::Seen { published, reasons, claim_is_open } => {
                self.published.clone_from(published);
                self.doubt(reasons, record.at_ms);
                self.claim_is_open = *claim_is_open;
            }
            ClusterEvent::Lost => self.published = None,
            // Every unit is owed a refresh then, whatever the store says.
            ClusterEvent::EpochChanged => self.claim_is_owed = true,
            ClusterEvent::Kept
            | ClusterEvent::Deaf
            | ClusterEvent::Heard
            | ClusterEvent::WorkerStarted { .. }
            | ClusterEvent::WorkerEnded { .. }
            | ClusterEvent::Fault { .. } => {}
        }
    }

    fn brought(&mut self, provisional: bool) {
        (self.claim_is_open, self.claim_is_owed) = (false, false);
        if !provisional {
            self.reasons.clear();
        }
    }

    fn doubt(&mut self, reasons: &str, at_ms: u64) {
        if self.reasons.is_empty() {
            self.doubted_from_ms = at_ms;
        }
        reasons.clone_into(&mut self.reasons);
    }
}
