//! An account as the upstream keeps it, and how it is changed.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use crate::book::Pool;
use crate::pool::{LegacyPool, StablePool, TicketPool};
use crate::quota::Quotas;
use crate::risk::Risk;
use crate::settings::{Condition, WhitelistMessage};

/// A change of an account by its owner or by the upstream; what is absent stays as it is.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountChange {
    /// A new secret; the one before is wrong at once.
    pub secret: Option<String>,
    /// The only addresses that may fetch from now on; an empty list means nobody.
    pub whitelist: Option<Vec<IpAddr>>,
    /// `true` lifts the whitelist.
    pub any_address: bool,
    /// Whether the secret is frozen.
    pub frozen: Option<bool>,
    /// Whether the account is served at all.
    pub condition: Option<Condition>,
    /// Whether unknown addresses need the administrator's consent.
    pub risk: Option<bool>,
    /// How 40164 is worded for this account.
    pub whitelist_message: Option<WhitelistMessage>,
}

impl fmt::Debug for AccountChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountChange")
            .field("whitelist", &self.whitelist)
            .field("any_address", &self.any_address)
            .field("frozen", &self.frozen)
            .field("condition", &self.condition)
            .field("risk", &self.risk)
            .finish_non_exhaustive()
    }
}

/// The simulator has no such account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAccount;

impl fmt::Display for UnknownAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such account")
    }
}

impl std::error::Error for UnknownAccount {}

/// All that the upstream knows of an account.
#[derive(Default)]
pub(crate) struct AccountState {
    /// `None` accepts any secret.
    pub(crate) secret: Option<String>,
    pub(crate) whitelist: Option<Vec<IpAddr>>,
    pub(crate) whitelist_message: WhitelistMessage,
    pub(crate) frozen: bool,
    pub(crate) condition: Condition,
    pub(crate) risk: Risk,
    pub(crate) quotas: Quotas,
    pub(crate) legacy: LegacyPool,
    pub(crate) stable: StablePool,
    pub(crate) jsapi: TicketPool,
    pub(crate) wx_card: TicketPool,
    pub(crate) newest: Option<u64>,
}

impl AccountState {
    /// The tickets of a type; none if there is no such type.
    pub(crate) fn tickets(&mut self, ticket_type: &str) -> Option<(Pool, &mut TicketPool)> {
        match ticket_type {
            "jsapi" => Some((Pool::Jsapi, &mut self.jsapi)),
            "wx_card" => Some((Pool::WxCard, &mut self.wx_card)),
            _ => None,
        }
    }

    /// What the account's pools go on handing out is forgotten.
    pub(crate) fn forget(&mut self, serial: u64) {
        self.stable.forget(serial);
        self.jsapi.forget(serial);
        self.wx_card.forget(serial);
    }

    pub(crate) fn apply(&mut self, change: AccountChange) {
        if change.secret.is_some() {
            self.secret = change.secret;
        }
        if change.any_address {
            self.whitelist = None;
        }
        if change.whitelist.is_some() {
            self.whitelist = change.whitelist;
        }
        self.frozen = change.frozen.unwrap_or(self.frozen);
        self.condition = change.condition.unwrap_or(self.condition);
        self.whitelist_message = change.whitelist_message.unwrap_or(self.whitelist_message);
        if let Some(on) = change.risk {
            self.risk.set(on);
        }
    }
}
