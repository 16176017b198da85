//! The tokens: how they are made, and the record of every one of them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How many tokens are remembered; a forgotten one is answered as if never issued.
const REMEMBERED: usize = 200_000;

/// One of the wholly separate supplies of an account: two of access tokens, and two of tickets, which are got with those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// `/cgi-bin/token`: every call issues.
    #[default]
    Legacy,
    /// `/cgi-bin/stable_token`: the same token until its last minutes.
    Stable,
    /// `/cgi-bin/ticket/getticket` of type `jsapi`: the same ticket for so long as a token lives, accepted for longer.
    Jsapi,
    /// Likewise of type `wx_card`.
    WxCard,
}

impl Pool {
    /// Whether it holds tickets, which no call takes for a token.
    pub fn is_of_tickets(self) -> bool {
        matches!(self, Self::Jsapi | Self::WxCard)
    }
}

/// Why a token dies when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// Its own life ended.
    Expired,
    /// A newer token replaced it and the overlap ended.
    Replaced,
    /// Two newer tokens exist, and only the newest two live.
    NotNewestTwo,
    /// A forced refresh made it invalid.
    Forced,
    /// It was revoked by hand.
    Revoked,
}

/// A token the upstream issued. Serialized and printed without its value.
#[derive(Clone, Serialize)]
pub struct Token {
    /// Its number, counted over all accounts.
    pub serial: u64,
    /// The account it belongs to.
    pub app_id: String,
    /// The pool it came from.
    pub pool: Pool,
    /// The token itself.
    #[serde(skip)]
    pub value: String,
    /// The first 16 hex digits of its SHA-256.
    pub fingerprint: String,
    /// When it was issued.
    pub issued_at_ms: u64,
    /// When its own life ends.
    pub expires_at_ms: u64,
    /// When it dies or died, as known so far.
    pub dies_at_ms: u64,
    /// Why it dies then.
    pub death: Death,
}

impl Token {
    /// Whether the upstream accepts it.
    pub fn is_alive(&self, now_ms: u64) -> bool {
        now_ms < self.dies_at_ms
    }

    fn die(&mut self, at_ms: u64, death: Death) {
        if at_ms < self.dies_at_ms {
            self.dies_at_ms = at_ms;
            self.death = death;
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("serial", &self.serial)
            .field("app_id", &self.app_id)
            .field("fingerprint", &self.fingerprint)
            .field("dies_at_ms", &self.dies_at_ms)
            .field("death", &self.death)
            .finish_non_exhaustive()
    }
}

/// Every token issued, by number and by value.
#[derive(Debug)]
pub(crate) struct Book {
    nonce: [u8; 16],
    length: usize,
    last_serial: u64,
    tokens: BTreeMap<u64, Token>,
    by_value: HashMap<String, u64>,
}

impl Book {
    pub(crate) fn new(nonce: [u8; 16], length: usize) -> Self {
        Self { nonce, length, last_serial: 0, tokens: BTreeMap::new(), by_value: HashMap::new() }
    }

    pub(crate) fn get(&self, serial: u64) -> Option<&Token> {
        self.tokens.get(&serial)
    }

    pub(crate) fn find(&self, value: &str) -> Option<&Token> {
        self.by_value.get(value).and_then(|serial| self.tokens.get(serial))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    pub(crate) fn revoke(&mut self, serial: u64, now_ms: u64) {
        self.die(serial, now_ms, Death::Revoked);
    }

    pub(crate) fn die(&mut self, serial: u64, at_ms: u64, death: Death) {
        if let Some(token) = self.tokens.get_mut(&serial) {
            token.die(at_ms, death);
        }
    }

    pub(crate) fn mint(&mut self, app_id: &str, pool: Pool, now_ms: u64, life: u64) -> u64 {
        self.last_serial += 1;
        let serial = self.last_serial;
        let value = random_text(&self.nonce, &format!("token {serial}"), self.length);
        let expires_at_ms = now_ms.saturating_add(life);
        let token = Token {
            serial,
            app_id: app_id.to_owned(),
            pool,
            fingerprint: fingerprint(&value),
            value: value.clone(),
            issued_at_ms: now_ms,
            expires_at_ms,
            dies_at_ms: expires_at_ms,
            death: Death::Expired,
        };
        self.by_value.insert(value, serial);
        self.tokens.insert(serial, token);
        if self.tokens.len() > REMEMBERED
            && let Some((_, forgotten)) = self.tokens.pop_first()
        {
            self.by_value.remove(&forgotten.value);
        }
        serial
    }
}

/// The first 16 hex digits of the SHA-256: enough to compare, useless to call with.
pub(crate) fn fingerprint(value: &str) -> String {
    hex::encode(Sha256::digest(value)).chars().take(16).collect()
}

/// Text nobody can guess without the nonce, of the letters that real tokens have.
pub(crate) fn random_text(nonce: &[u8; 16], label: &str, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let blocks = (0_u64..).flat_map(|block| {
        let mut hash = Sha256::new();
        hash.update(nonce);
        hash.update(label);
        hash.update(block.to_be_bytes());
        <[u8; 32]>::from(hash.finalize())
    });
    blocks.take(length).map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_length_asked_for_and_are_never_printed() {
        for length in [136, 512, 4_096] {
            let mut book = Book::new([1; 16], length);
            let serial = book.mint("wx", Pool::Legacy, 0, 1);
            let token = book.get(serial).unwrap();
            assert_eq!(token.value.len(), length);
            assert!(!format!("{token:?}").contains(&token.value));
            assert!(!serde_json::to_string(token).unwrap().contains(&token.value));
        }
    }
}
