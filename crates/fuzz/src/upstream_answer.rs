//! An answer of the upstream: the status in the first line, then the body.

use zhongkong_core::ports::Fetched;
use zhongkong_upstream::ClearQuotaError;
use zhongkong_upstream::fuzzing::read;

use crate::{SECRET, TOKEN};

/// The longest text that is passed on: 256 characters, of four bytes each.
const TEXT_MAX: usize = 4 * 256;

/// Reads `input` as an answer to each of the requests.
pub fn run(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (status, body) = input.split_at(end);
    let status = std::str::from_utf8(status).ok().and_then(|text| text.trim().parse().ok());
    let said = read(status.unwrap_or(200), body.get(1..).unwrap_or_default(), SECRET);
    let shown = format!("{said:?}");
    assert!(!shown.contains(SECRET), "a secret in {shown}");
    for fetched in [&said.fetched, &said.ticket] {
        match fetched {
            Fetched::Token { life, .. } => {
                assert!(!format!("{fetched:?}").contains(TOKEN), "a token in {shown}");
                assert!(life.is_none_or(|life| life.as_secs() > 0), "{shown}");
            }
            Fetched::Refused { message: text, .. }
            | Fetched::Unknown { why: text, .. }
            | Fetched::NotSent { why: text } => is_fit(text),
        }
    }
    match &said.cleared {
        Err(
            ClearQuotaError::Refused { message: text, .. }
            | ClearQuotaError::NotSent(text)
            | ClearQuotaError::Unknown(text),
        ) => is_fit(text),
        Ok(()) => {}
    }
}

fn is_fit(text: &str) {
    assert!(text.len() <= TEXT_MAX, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
