//! What an upstream is started with: lifetimes, limits and accounts.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the upstream behaves. The defaults are the published rules of WeChat.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a token lives.
    pub life: Duration,
    /// How long the previous token stays usable after a refresh.
    pub overlap: Duration,
    /// How long the previous stable token stays usable after a forced refresh.
    pub forced_overlap: Duration,
    /// Whether only the newest two legacy tokens live, whatever the overlap says.
    pub newest_two_only: bool,
    /// Legacy calls a day.
    pub daily_limit: u32,
    /// Stable calls a minute.
    pub stable_minute_limit: u32,
    /// Stable calls a day.
    pub stable_daily_limit: u32,
    /// Forced stable refreshes a day.
    pub forced_daily_limit: u32,
    /// Calls for tickets a day, of both types together. The real number is not published; "very limited".
    pub ticket_daily_limit: u32,
    /// Forced refreshes closer together than this do not refresh.
    pub forced_spacing: Duration,
    /// How often a month the limits may be cleared.
    pub clear_monthly_limit: u32,
    /// How long an address is blocked after one refusal by the administrator.
    pub refused_once: Duration,
    /// How long an address is blocked after two refusals within the same duration.
    pub refused_twice: Duration,
    /// Characters of a token.
    pub token_length: usize,
    /// The content type of answers.
    pub content_type: ContentType,
    /// How 40164 is worded.
    pub whitelist_message: WhitelistMessage,
    /// Whether any app_id with any secret is accepted, besides the accounts below.
    pub open: bool,
    /// The accounts known from the start.
    pub accounts: Vec<Account>,
    /// How many calls the journal keeps; older ones are forgotten.
    pub journal_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            life: Duration::from_hours(2),
            overlap: Duration::from_mins(5),
            forced_overlap: Duration::ZERO,
            newest_two_only: false,
            daily_limit: 2_000,
            stable_minute_limit: 10_000,
            stable_daily_limit: 500_000,
            forced_daily_limit: 20,
            ticket_daily_limit: 1_000,
            forced_spacing: Duration::from_secs(30),
            clear_monthly_limit: 10,
            refused_once: Duration::from_hours(1),
            refused_twice: Duration::from_hours(24),
            token_length: 136,
            content_type: ContentType::Alternate,
            whitelist_message: WhitelistMessage::Current,
            open: false,
            accounts: Vec::new(),
            journal_limit: 200_000,
        }
    }
}

impl Settings {
    /// Says why these settings contradict themselves, if they do.
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.overlap >= self.life {
            Some("the overlap must be shorter than the life")
        } else if !(32..=8_192).contains(&self.token_length) {
            Some("a token has 32 to 8192 characters")
        } else if self.journal_limit == 0 {
            Some("the journal must hold at least one call")
        } else {
            None
        }
    }
}

/// An account of the upstream.
#[derive(Clone, Deserialize)]
pub struct Account {
    /// Its public name.
    pub app_id: String,
    /// Its secret.
    pub secret: String,
    /// The addresses that may fetch tokens; `None` lets every address.
    #[serde(default)]
    pub whitelist: Option<Vec<IpAddr>>,
}

impl Account {
    /// An account that every address may use.
    pub fn new(app_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { app_id: app_id.into(), secret: secret.into(), whitelist: None }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("app_id", &self.app_id)
            .field("whitelist", &self.whitelist)
            .finish_non_exhaustive()
    }
}

/// Whether the upstream serves an account at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It does.
    #[default]
    Active,
    /// Frozen, deregistered or migrated: 50002.
    Limited,
    /// The token interface is forbidden, as a punishment: 50004.
    Forbidden,
    /// Frozen: 50007.
    Frozen,
}

/// The content type of answers; the real upstream is not dependable in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    /// `application/json`.
    Json,
    /// `text/plain`.
    Plain,
    /// One, then the other, by call.
    #[default]
    Alternate,
}

impl ContentType {
    pub(crate) fn header(self, call: u64) -> &'static str {
        match self {
            Self::Json => "application/json; encoding=utf-8",
            Self::Plain => "text/plain",
            Self::Alternate if call.is_multiple_of(2) => "text/plain",
            Self::Alternate => "application/json; encoding=utf-8",
        }
    }
}

/// The three wordings of 40164 seen in the wild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhitelistMessage {
    /// `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: …`
    #[default]
    Current,
    /// The same with a comma before `rid`.
    Comma,
    /// `invalid ip 1.2.3.4, not in whitelist hint: […]`
    Older,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictory_settings_are_named() {
        assert_eq!(Settings::default().contradiction(), None);
        let settings = Settings { overlap: Duration::from_hours(2), ..Settings::default() };
        assert!(settings.contradiction().is_some());
        let settings = Settings { token_length: 8, ..Settings::default() };
        assert!(settings.contradiction().is_some());
    }

    #[test]
    fn debug_output_has_no_secret() {
        let settings =
            Settings { accounts: vec![Account::new("wx1", "hush")], ..Settings::default() };
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
