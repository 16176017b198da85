//! What Redis tells, as the history tells it.

use zhongkong_core::ports::Notice;
use zhongkong_history::{Record, Told};

/// The record of a notice, if it is one of an event.
pub(crate) fn cluster(at_ms: u64, notice: &Notice) -> Option<Record> {
    let Notice::Event { unit, what, observed } = notice else { return None };
    let state = &observed.state;
    let told = Told {
        event_type: what.clone(),
        fence: state.fence,
        worker: state.worker.clone(),
        epoch: state.epoch.clone(),
        generation: state.generation,
        fingerprint: state.fingerprint.as_ref().map(ToString::to_string).unwrap_or_default(),
        reasons: state.doubt.to_string(),
        claim_is_open: state.intent,
    };
    Some(Record::cluster(at_ms, unit.id.to_string(), told.happened()?))
}
