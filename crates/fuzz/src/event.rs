//! What is said on the channel of events, and names of keys that Redis says were touched.

use zhongkong_redis::fuzzing::{event, touched};

/// Reads `input` as an event, and as the name of a key.
pub fn run(input: &[u8]) {
    if let Some((unit, what, observed)) = event(input) {
        assert!(observed.state.token.is_none(), "a token in {what} of {unit}");
    }
    if let Ok(name) = std::str::from_utf8(input)
        && let Some((unit, names)) = touched(name)
    {
        assert!(names.iter().any(|own| own == name), "{name} is none of {unit}'s: {names:?}");
    }
}
