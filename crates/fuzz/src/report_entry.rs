//! An entry of the stream of reports: as Redis sends it if it begins with `*`, else a name or a value in each line.

use zhongkong_redis::fuzzing::{entry_of_pairs, entry_of_wire};

use crate::TOKEN;

/// The longest complaint.
const COMPLAINT_MAX: usize = 100;

/// Reads `input` as an entry.
pub fn run(input: &[u8]) {
    let read = if input.starts_with(b"*") {
        entry_of_wire(input)
    } else {
        entry_of_pairs(input.split(|byte| *byte == b'\n'))
    };
    let Some(read) = read else { return };
    match &read.report {
        // An id may be any text of its alphabet.
        Ok((_, fingerprint)) => assert!(!fingerprint.as_str().contains(TOKEN)),
        Err(why) => assert!(why.len() <= COMPLAINT_MAX && !why.contains(TOKEN), "{why}"),
    }
}
