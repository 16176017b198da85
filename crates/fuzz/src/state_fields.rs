//! Fields of the state hash as anybody may write them, a name and a value in each line; after a zero byte, what is
//! asked of that state.

use arbitrary::{Arbitrary, Unstructured};
use zhongkong_core::state::{NUMBER_MAX, State};

use crate::TOKEN;
use crate::transition::{Transition, look};

/// So many transitions are tried.
const TRANSITIONS_MAX: usize = 32;

/// Reads `input`, and applies to it what it asks for.
pub fn run(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (text, rest) = input.split_at(end);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let fields = text.lines().filter_map(|line| line.split_once(' '));
    let mut state = State::from_fields(fields);
    let mut chance = Unstructured::new(rest.get(1..).unwrap_or_default());
    // The store counts microseconds since 1970.
    let mut now_us = chance.int_in_range(0..=NUMBER_MAX).unwrap_or_default();
    for _ in 0..TRANSITIONS_MAX {
        if chance.is_empty() {
            break;
        }
        let Ok(transition) = Transition::arbitrary(&mut chance) else { break };
        look(&state, now_us / 1_000);
        now_us = transition.apply(&mut state, now_us);
        state = read_again(&state);
    }
    // Slow, so not after each transition.
    assert_eq!(state, read_again(&read_again(&state)));
    shows_no_token(&state);
}

/// What the next transition finds in the store.
fn read_again(state: &State) -> State {
    let fields = state.to_fields();
    State::from_fields(fields.iter().map(|(name, text)| (*name, text.as_str())))
}

/// Other fields are what somebody wrote; the token's own is never shown.
fn shows_no_token(state: &State) {
    let alone = State { token: state.token.clone(), ..State::default() };
    assert!(!format!("{alone:?}").contains(TOKEN), "{alone:?}");
    assert!(!state.clone().without_token().to_fields().contains_key("token"));
}
