//! Tokens, which never leave through `Debug`, and the fingerprints that may.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest token that passes through. WeChat asks for room for 512 characters at least.
pub const TOKEN_MAX: usize = 4096;

/// A token as the upstream issued it: 1 to [`TOKEN_MAX`] visible ASCII characters.
#[derive(Clone)]
pub struct Token(SecretString);

/// The first 16 hex digits of a token's SHA-256: names a token without giving it away.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(String);

/// What the upstream sent is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token must be 1 to {TOKEN_MAX} visible ASCII characters")]
pub struct TokenError;

impl Token {
    /// Takes `text` as a token, if it can be one.
    pub fn new(text: String) -> Result<Self, TokenError> {
        let fits = (1..=TOKEN_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(TokenError)
        }
    }

    /// The token itself: for the reader's key, for the store's copy, for the person who asked for it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The token's name in logs, events and metrics.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.expose())
    }
}

impl Fingerprint {
    /// The fingerprint of the token `text`.
    pub fn of(text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        Self(hex::encode(&digest[..8]))
    }

    /// A fingerprint that was computed elsewhere.
    pub fn from_hex(text: &str) -> Option<Self> {
        let hex_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 16 && text.bytes().all(hex_digit)).then(|| Self(text.to_owned()))
    }

    /// The 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.fingerprint())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_token() {
        let token = Token::new("secret-token-value".to_owned()).unwrap();
        let shown = format!("{token:?}");
        assert!(!shown.contains("secret") && shown.contains(token.fingerprint().as_str()));
    }

    #[test]
    fn a_token_is_1_to_4096_visible_characters() {
        let fits = |text: String| Token::new(text).is_ok();
        assert!(fits("x".to_owned()) && fits("y".repeat(512)) && fits("z".repeat(4096)));
        assert!(!fits(String::new()) && !fits("z".repeat(4097)));
        assert!(!fits("a b".to_owned()) && !fits("a\nb".to_owned()) && !fits("中".to_owned()));
    }

    #[test]
    fn a_fingerprint_is_the_start_of_the_sha256() {
        assert_eq!(Fingerprint::of("abc").as_str(), "ba7816bf8f01cfea");
        assert_eq!(Fingerprint::from_hex("ba7816bf8f01cfea"), Some(Fingerprint::of("abc")));
        assert_eq!(Fingerprint::from_hex("BA7816BF8F01CFEA"), None);
        assert_eq!(Fingerprint::from_hex("ba78"), None);
    }
}
