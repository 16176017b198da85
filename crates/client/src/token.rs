//! A token in a reader's hands: it shows itself only when asked to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zhongkong_core::clock::Boot;
use zhongkong_core::token::{Fingerprint, Token as Text};

use crate::clock;

/// A token as it stood in Redis. Cloning it copies a pointer.
#[derive(Clone)]
pub struct Token {
    body: Arc<Body>,
    expires: Option<Boot>,
}

struct Body {
    /// None for the token that is nobody's, see [`Token::none`].
    text: Option<Text>,
    fingerprint: Fingerprint,
}

impl Token {
    pub(crate) fn new(text: Text, expires: Option<Boot>) -> Self {
        let fingerprint = text.fingerprint();
        Self { body: Arc::new(Body { text: Some(text), fingerprint }), expires }
    }

    /// Stands where there is no token. It is never handed out.
    pub(crate) fn none() -> Self {
        Self {
            body: Arc::new(Body { text: None, fingerprint: Fingerprint::of("") }),
            expires: None,
        }
    }

    /// The same token, whose end was read again.
    pub(crate) fn until(&self, expires: Option<Boot>) -> Self {
        Self { body: Arc::clone(&self.body), expires }
    }

    pub(crate) const fn expires(&self) -> Option<Boot> {
        self.expires
    }

    /// The token itself, for the call that needs it. Keep it out of logs.
    pub fn expose(&self) -> &str {
        self.body.text.as_ref().map_or("", Text::expose)
    }

    /// The token's name in logs, events and reports.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.body.fingerprint
    }

    /// What is left of its life; zero once that is over.
    /// None if Redis did not tell: its user may not call `PTTL`, or the key has no end.
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires.map(|expires| expires.since(clock::now()))
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
