//! What the fuzzer may call (feature `fuzzing`).

use zhongkong_core::clock::Boot;
use zhongkong_core::ports::Fetched;
use zhongkong_core::report::Probed;

use crate::answer;
use crate::quota::ClearQuotaError;
use crate::scrub::Scrub;

/// What one answer says, to each of the requests.
#[derive(Debug)]
pub struct Said {
    /// To a fetch.
    pub fetched: Fetched,
    /// To a fetch of a ticket.
    pub ticket: Fetched,
    /// To a probe.
    pub probed: Probed,
    /// To `clear_quota`.
    pub cleared: Result<(), ClearQuotaError>,
}

/// Reads an answer to requests that held `secret`.
pub fn read(status: u16, body: &[u8], secret: &str) -> Said {
    let scrub = Scrub::new(&secret.into());
    Said {
        fetched: answer::read(status, body, answer::ACCESS_TOKEN, Boot::default(), &scrub),
        ticket: answer::read(status, body, answer::TICKET, Boot::default(), &scrub),
        probed: answer::probed(status, body),
        cleared: answer::cleared(status, body, &scrub),
    }
}
