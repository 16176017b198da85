//! What can be wrong: with the settings, with a copy, with a report.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::token::Token;

/// Why something did not work, in words. It never holds a token or a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why(Arc<str>);

/// There is no token to hand out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// Redis has not answered yet since this unit is watched, or not with a token.
    #[error("no token was read yet{}", because(why.as_ref()))]
    Unread {
        /// What went wrong, if anything did.
        why: Option<Why>,
    },
    /// Redis answered that there is no valid token; `zhongkong status` says why.
    #[error("there is no valid token; `zhongkong status` says why")]
    Absent,
    /// The token's life is over, and no newer one was read.
    #[error("the token's life is over{}", because(why.as_ref()))]
    Expired {
        /// What keeps a newer one from being read, if anything does.
        why: Option<Why>,
    },
    /// Redis has not confirmed the copy for too long: it may have been replaced since.
    #[error("the copy was last confirmed {} ms ago{}", age.as_millis(), because(why.as_ref()))]
    Stale {
        /// What was read last; none if that was the absence of a token.
        /// Who uses it all the same may be using a dead token.
        last: Option<Token>,
        /// How long ago that was confirmed.
        age: Duration,
        /// What keeps it from being confirmed, if that is known.
        why: Option<Why>,
    },
}

/// A report did not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Redis did not answer; whether the report was written is not known.
    #[error("redis cannot be asked: {0}")]
    Unavailable(Why),
    /// Redis refuses the report: its user lacks a right.
    #[error("redis refuses the report: {0}")]
    Refused(Why),
    /// Redis was asked again, and the token reported, but no other one was published in time.
    #[error("no newer token was published in time")]
    NoneNewer,
}

/// The client cannot be started so.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL is none of those that are understood. It is not repeated: it may hold a password.
    #[error("the URL must be redis://host:port/database, rediss://… or unix:///path: {0}")]
    Url(String),
    /// A user or a password is both in the URL and set apart.
    #[error("user and password are in the URL, and set once more")]
    LoginTwice,
    /// Certificates are set, but the URL is not `rediss://`.
    #[error("certificates are of use with rediss:// only")]
    NotTls,
    /// The prefix cannot be part of a key.
    #[error("the prefix must be 1 to 64 characters of A-Z a-z 0-9 : . _ -")]
    Prefix,
    /// The bound of a copy's age is out of range.
    #[error("the age of a copy must be bounded by 100 ms to 10 s")]
    MaxAge,
    /// A file of certificates or a key cannot be used.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing can be kept current outside of a tokio runtime.
    #[error("must be started within a tokio runtime")]
    NoRuntime,
}

impl Why {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn because(why: Option<&Why>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}
