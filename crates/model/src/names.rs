//! Names for what a world counts: tokens, nonces, epochs and workers are small numbers there, and text in a state.

use std::sync::LazyLock;

use zhongkong_core::credential::Worker;
use zhongkong_core::token::{Fingerprint, Token};

/// More of each than any world holds at once.
pub const NAMES_MAX: u8 = 24;

#[expect(clippy::expect_used, reason = "a capital T and a number are a token")]
static TOKENS: LazyLock<Vec<(Token, Fingerprint)>> = LazyLock::new(|| {
    let token = |id| Token::new(format!("T{id}")).expect("visible characters");
    (0..NAMES_MAX).map(token).map(|token| (token.clone(), token.fingerprint())).collect()
});

#[expect(clippy::expect_used, reason = "one letter is a name")]
static WORKERS: LazyLock<Vec<Worker>> = LazyLock::new(|| {
    let worker = |name: &str| Worker::new(name.parse().expect("a name"), 1);
    ["a", "b", "c"].into_iter().map(worker).collect()
});

/// The token of this number.
pub fn token(id: u8) -> &'static Token {
    &TOKENS[usize::from(id)].0
}

/// The fingerprint of this token.
pub fn fingerprint(id: u8) -> &'static Fingerprint {
    &TOKENS[usize::from(id)].1
}

/// The number of the token with this fingerprint; 0 for none.
pub fn token_id(fingerprint: Option<&Fingerprint>) -> u8 {
    let place = TOKENS.iter().position(|(_, known)| Some(known) == fingerprint);
    place.and_then(|id| u8::try_from(id).ok()).unwrap_or(0)
}

/// The worker of this number.
pub fn worker(id: usize) -> &'static Worker {
    &WORKERS[id]
}

/// The number of the worker with this identity; 0 if it has none.
pub fn worker_id(identity: &str) -> u8 {
    let place = WORKERS.iter().position(|worker| worker.identity == identity);
    place.and_then(|id| u8::try_from(id).ok()).unwrap_or(0)
}

/// The text of a nonce or an epoch; none for 0.
pub fn text(id: u8) -> String {
    if id == 0 { String::new() } else { id.to_string() }
}

/// The number behind such a text.
pub fn number(text: &str) -> u8 {
    text.parse().unwrap_or(0)
}

/// The least number from 1 that is not among `used`.
pub fn fresh(used: impl Iterator<Item = u8>) -> u8 {
    let bits = used.fold(1_u32, |bits, id| bits | 1 << id);
    u8::try_from(bits.trailing_ones()).unwrap_or(NAMES_MAX)
}
