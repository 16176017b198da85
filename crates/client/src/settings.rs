//! What a client is told: where Redis is, how to log in, how old a copy may be.

use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use secrecy::SecretString;

use crate::client::Client;
use crate::error::SettingsError;

/// The longest prefix of keys, in characters.
const PREFIX_MAX: usize = 64;
/// What is promised to the caller, and what a copy's age is bounded by unless told otherwise.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Below this the times that are parts of it would be too short for a network.
const MAX_AGE_LEAST: Duration = Duration::from_millis(100);

/// The settings of a [`Client`]; [`Builder::start`] checks them and starts it.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `start`"]
pub struct Builder {
    /// May hold a password, so it is kept as one.
    url: SecretString,
    username: Option<String>,
    password: Option<SecretString>,
    prefix: String,
    max_age: Duration,
    certificates: Certificates,
}

/// Files in PEM form. They are read anew for each connection, so they may be replaced at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    pub(crate) ca: Option<PathBuf>,
    /// The client's own certificate, and its key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

/// Where Redis is, and how to log in there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) info: ConnectionInfo,
    pub(crate) tls: Option<Certificates>,
}

/// The times that follow from the bound of a copy's age.
///
/// With a bound of 10 s a silent connection is noticed after 3 + 2 s at the latest, which leaves half of the bound to replace it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) max_age: Duration,
    /// Between two reads of everything, where Redis tells of changes.
    pub(crate) confirm_every: Duration,
    /// Between two reads of everything, where it does not.
    pub(crate) poll_every: Duration,
    /// The longest wait for a connection, and for an answer.
    pub(crate) answer_within: Duration,
    /// The first wait before another connection is tried, and the longest.
    pub(crate) retry: (Duration, Duration),
}

impl Pace {
    pub(crate) fn of(max_age: Duration) -> Self {
        Self {
            max_age,
            confirm_every: max_age * 3 / 10,
            poll_every: max_age / 10,
            answer_within: max_age / 5,
            retry: (max_age / 100, max_age / 5),
        }
    }
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            prefix: "zhongkong".to_owned(),
            max_age: MAX_AGE,
            certificates: Certificates::default(),
        }
    }

    /// The user of Redis' ACL; without one it is the default user.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The user's password.
    pub fn password(mut self, password: impl Into<SecretString>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// What every key begins with, if not `zhongkong`: the workers' `redis.prefix`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The age from which a copy is not handed out any more: 10 s, or less (down to 100 ms).
    ///
    /// All other times are parts of it: everything is read again after three tenths, an answer is waited for for two.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// For `rediss://`: certificates of the authorities to trust (PEM), instead of the system's.
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.certificates.ca = Some(file.into());
        self
    }

    /// For `rediss://`: the certificate and the key to show (PEM), where Redis asks for one.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.certificates.own = Some((certificate.into(), key.into()));
        self
    }

    /// Starts a client. It connects in the background, and again whenever the connection is lost:
    /// that Redis is away is no error here, but what [`Reader::current`](crate::Reader::current) tells.
    pub fn start(self) -> Result<Client, SettingsError> {
        let target = self.target()?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":._-".contains(c);
        if !(1..=PREFIX_MAX).contains(&self.prefix.len()) || !self.prefix.chars().all(allowed) {
            return Err(SettingsError::Prefix);
        }
        if !(MAX_AGE_LEAST..=MAX_AGE).contains(&self.max_age) {
            return Err(SettingsError::MaxAge);
        }
        Client::start(target, self.prefix, Pace::of(self.max_age))
    }

    fn target(&self) -> Result<Target, SettingsError> {
        use secrecy::ExposeSecret;
        let url = self.url.expose_secret();
        let refused = |why: &str| SettingsError::Url(why.to_owned());
        // redis' own parser refuses rediss:// unless it does the encryption, which is done here.
        let encrypted = url.strip_prefix("rediss://");
        let plain = encrypted.map_or_else(|| url.to_owned(), |rest| format!("redis://{rest}"));
        if !["redis://", "unix://"].iter().any(|scheme| plain.starts_with(scheme)) {
            return Err(refused("another scheme"));
        }
        if url.contains('#') {
            return Err(refused("a fragment; certificates are always verified"));
        }
        let info = plain.into_connection_info().map_err(|_| refused("not understood"))?;
        let login = info.redis_settings();
        let twice = (login.username().is_some() && self.username.is_some())
            || (login.password().is_some() && self.password.is_some());
        if twice {
            return Err(SettingsError::LoginTwice);
        }
        let mut login = login.clone();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose_secret());
        }
        // One right less that a reader needs.
        login = login.set_protocol(redis::ProtocolVersion::RESP3).set_skip_set_lib_name();
        let tls = encrypted.map(|_| self.certificates.clone());
        if tls.is_none() && (self.certificates.ca.is_some() || self.certificates.own.is_some()) {
            return Err(SettingsError::NotTls);
        }
        Ok(Target { info: info.set_redis_settings(login), tls })
    }
}

impl Target {
    pub(crate) fn address(&self) -> &ConnectionAddr {
        self.info.addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(builder: &Builder, part: &str) {
        let error = builder.target().unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_url_says_where_redis_is_and_how_to_log_in() {
        let target = Builder::new("rediss://shop:s3cret%40@store:6380/3").target().unwrap();
        let login = target.info.redis_settings();
        assert_eq!(target.address().to_string(), "store:6380");
        assert_eq!((login.username(), login.password()), (Some("shop"), Some("s3cret@")));
        assert!(login.db() == 3 && target.tls.is_some());
        let target = Builder::new("unix:///run/redis.sock?db=2").target().unwrap();
        assert_eq!(target.address().to_string(), "/run/redis.sock");
    }

    #[test]
    fn what_is_contradictory_or_unknown_is_refused_without_a_word_of_the_url() {
        refused(&Builder::new("http://:s3cret@h"), "another scheme");
        refused(&Builder::new("redis://:s3cret@h:port"), "not understood");
        refused(&Builder::new("rediss://:s3cret@h/#insecure"), "always verified");
        refused(&Builder::new("redis://:s3cret@h").password("s3cret"), "set once more");
        refused(&Builder::new("redis://h").ca("/ca.pem"), "rediss://");
    }

    #[test]
    fn debug_output_has_no_password() {
        let builder = Builder::new("redis://:s3cret@h").password("s3cret");
        let target = Builder::new("redis://h").password("s3cret").target().unwrap();
        let shown = format!("{builder:?} {target:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_silent_connection_is_noticed_within_half_of_the_bound() {
        let pace = Pace::of(MAX_AGE);
        for every in [pace.confirm_every, pace.poll_every] {
            assert!(every + pace.answer_within <= pace.max_age / 2);
        }
    }
}
