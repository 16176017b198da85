//! What Redis tells, as the history tells it.

use zhongkong_core::ports::Notice;
use zhongkong_history::{ClusterEvent, Record};

/// The record of a notice, if it is one of an event.
pub(crate) fn cluster(at_ms: u64, notice: &Notice) -> Option<Record> {
    let Notice::Event { unit, what, observed } = notice else { return None };
    let state = &observed.state;
    let provisional = !state.doubt.is_empty();
    let fence = state.fence;
    let event = match what.as_str() {
        "claimed" => ClusterEvent::Claimed {
            fence,
            worker: state.worker.clone(),
            epoch: state.epoch.clone(),
        },
        "refreshed" => ClusterEvent::Committed {
            fence,
            generation: state.generation,
            fingerprint: state.fingerprint.as_ref().map(ToString::to_string).unwrap_or_default(),
            provisional,
        },
        "unchanged" => ClusterEvent::Unchanged { fence, provisional },
        "refused" => ClusterEvent::Refused { fence },
        "released" => ClusterEvent::Released { fence },
        "doubted" => {
            ClusterEvent::Doubted { reasons: state.doubt.to_string(), claim_is_open: state.intent }
        }
        "reported" | "forced" => ClusterEvent::Marked { by: what.clone() },
        "kept" => ClusterEvent::Kept,
        "lost" => ClusterEvent::Lost,
        _ => return None,
    };
    Some(Record::cluster(at_ms, unit.id.to_string(), event))
}
