//! What is refreshed: credentials, the kinds of token that they yield, and the workers that do it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest credential id, in characters.
pub const ID_MAX: usize = 128;
/// The longest worker name, in characters.
pub const NAME_MAX: usize = 64;

/// Names an account; part of every Redis key of it, between braces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialId(String);

/// Names a worker, for people; several containers may share one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerName(String);

/// One of the tokens that a credential yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The token that calls to the upstream carry.
    AccessToken,
    /// What web pages in WeChat sign their calls of the JS-SDK with.
    JsapiTicket,
    /// What cards and coupons are signed with.
    WxCardTicket,
}

/// One token of one credential: what has a lock, a fence and a state of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// The account.
    pub id: CredentialId,
    /// Which of its tokens.
    pub kind: Kind,
}

/// A running worker: its name, and an identity that no other process has or will have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    /// For people: logs, events, the lock key.
    pub name: WorkerName,
    /// `name#boot`, for decisions: ten containers may share one configuration file, and so one name.
    pub identity: String,
}

/// A name that cannot be part of a Redis key or a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters of A-Z a-z 0-9 . _ -")]
pub struct NameError {
    what: &'static str,
    max: usize,
}

/// A kind that no provider here yields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind (known: access_token, jsapi_ticket, wx_card_ticket)")]
pub struct KindError;

impl CredentialId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WorkerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::AccessToken, Self::JsapiTicket, Self::WxCardTicket];
    /// The kinds that are got with an access token.
    pub const TICKETS: [Self; 2] = [Self::JsapiTicket, Self::WxCardTicket];

    /// The kind as it stands in Redis keys, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::JsapiTicket => "jsapi_ticket",
            Self::WxCardTicket => "wx_card_ticket",
        }
    }

    /// What the upstream calls the ticket; none for an access token. The configuration calls it that, too.
    pub const fn ticket(self) -> Option<&'static str> {
        match self {
            Self::AccessToken => None,
            Self::JsapiTicket => Some("jsapi"),
            Self::WxCardTicket => Some("wx_card"),
        }
    }
}

impl Unit {
    /// The access token of `id`.
    pub const fn access_token(id: CredentialId) -> Self {
        Self { id, kind: Kind::AccessToken }
    }

    /// The unit whose token this one is got with; none for an access token.
    pub fn parent(&self) -> Option<Self> {
        self.kind.ticket().map(|_| Self::access_token(self.id.clone()))
    }
}

impl Worker {
    /// A worker named `name`; `boot` tells this run of it from every other.
    pub fn new(name: WorkerName, boot: u32) -> Self {
        let identity = format!("{}#{boot:08x}", name.as_str());
        Self { name, identity }
    }

    /// The name within an identity, which is all that people need.
    pub fn name_of(identity: &str) -> &str {
        identity.split_once('#').map_or(identity, |(name, _)| name)
    }
}

fn checked(text: String, what: &'static str, max: usize) -> Result<String, NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = (1..=max).contains(&text.len()) && text.chars().all(allowed);
    if fits { Ok(text) } else { Err(NameError { what, max }) }
}

impl TryFrom<String> for CredentialId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        checked(text, "a credential id", ID_MAX).map(Self)
    }
}

impl TryFrom<String> for WorkerName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        checked(text, "a worker name", NAME_MAX).map(Self)
    }
}

impl FromStr for CredentialId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl FromStr for WorkerName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl FromStr for Kind {
    type Err = KindError;
    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(KindError)
    }
}

impl From<CredentialId> for String {
    fn from(id: CredentialId) -> Self {
        id.0
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_to_128_plain_characters() {
        let id = |text: &str| text.parse::<CredentialId>().is_ok();
        assert!(id("wx0123456789abcdef") && id("a.b_c-d") && id(&"x".repeat(128)));
        assert!(!id("") && !id("a b") && !id("a{b}") && !id("中控") && !id(&"x".repeat(129)));
    }

    #[test]
    fn every_kind_is_found_by_its_name_and_a_ticket_has_a_parent() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(KindError.to_string().contains(kind.as_str()));
            let unit = Unit { id: "wx1".parse().unwrap(), kind };
            let parent = unit.parent().map(|parent| parent.kind);
            assert_eq!(parent, kind.ticket().map(|_| Kind::AccessToken));
        }
        assert_eq!(Kind::ALL[1..], Kind::TICKETS);
        assert_eq!("jsapi".parse::<Kind>(), Err(KindError));
    }

    #[test]
    fn a_name_is_found_again_in_an_identity() {
        let worker = Worker::new("worker-1".parse().unwrap(), 0xabc);
        assert_eq!(worker.identity, "worker-1#00000abc");
        assert_eq!(Worker::name_of(&worker.identity), "worker-1");
    }
}
