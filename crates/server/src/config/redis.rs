//! The section `[redis]`: where the store is, and how to log in there.

use secrecy::SecretString;
use url::Url;

use super::section::Section;
use super::secret::secret;

/// The longest prefix of keys, in characters.
const PREFIX_MAX: usize = 64;

/// The store.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `redis://host:port/database` or `unix:///path?db=database`; user and password are taken out of it.
    pub url: Url,
    /// What every key begins with.
    pub prefix: String,
    /// The user, if not the default one.
    pub username: Option<String>,
    /// The password, if there is one.
    pub password: Option<SecretString>,
    /// How many replicas must acknowledge a claim.
    pub replicas: Replicas,
}

/// How many replicas must acknowledge a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// As many as were ever seen.
    Auto,
    /// So many; 0 = none.
    Number(u32),
}

pub(super) fn read(section: &Section<'_>) -> RedisConfig {
    let location = section.read("url", |raw| location(raw.text()?)).unwrap_or_else(default_location);
}
