//! Every SDK there is, each with the versions it was verified against.

mod co_wechat_api;
mod custom;
mod easywechat;
mod goclub;
mod labrador;
mod nest_wechat;
mod node_easywechat;
mod powerwechat;
mod senparc;
mod silenceper;
mod wechatpy;
mod wxjava;

use std::fmt;

use crate::account::{Account, Platform};
use crate::layout::Key;
use crate::options::{Options, Setting};

pub use custom::CUSTOM;

/// How it is known what an SDK reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The real client read these bytes from a real Redis, and did not fetch.
    Run,
    /// The keys were read in its source, and are unconfirmed.
    Read,
    /// The bytes were derived from its serializer, and are unconfirmed.
    Derived,
    /// Nothing to verify: the operator says what is there.
    Own,
}

/// One SDK, for one kind of account.
pub struct Family {
    /// The name in the configuration.
    pub name: &'static str,
    /// The SDK, for people.
    pub sdk: &'static str,
    /// The versions that it was verified against.
    pub versions: &'static str,
    /// How that was.
    pub verified: Verified,
    /// Where its accounts are.
    pub platform: Platform,
    /// The options without which its keys cannot be known.
    pub needs: &'static [Setting],
    /// The options that it takes besides.
    pub takes: &'static [Setting],
    /// Whether the services' secret stands in a key as it is, and not as a hash.
    pub shows_secret: bool,
    /// The prefix if nothing is said.
    pub prefix: &'static str,
    /// What the service is configured with; `{app_id}`, `{secret}`, `{prefix}` and the like stand for what they say.
    pub line: &'static str,
    /// Its keys for one token of one account: the token's first.
    pub(crate) keys: fn(&Account<'_>, &Options) -> Vec<Key>,
}

/// What most families have in common.
const PLAIN: Family = Family {
    name: "",
    sdk: "",
    versions: "",
    verified: Verified::Run,
    platform: Platform::WeChat,
    needs: &[],
    takes: &[],
    shows_secret: false,
    prefix: "",
    line: "",
    keys: |_, _| Vec::new(),
};

/// Every SDK.
pub static FAMILIES: [&Family; 29] = [
    &silenceper::OFFICIAL_ACCOUNT,
    &silenceper::MINI,
    &silenceper::STABLE,
    &silenceper::MINI_STABLE,
    &silenceper::WORK,
    &powerwechat::POWERWECHAT,
    &powerwechat::WORK,
    &wxjava::MP,
    &wxjava::MA,
    &wxjava::MA_REDISSON,
    &wxjava::MA_LEGACY,
    &wxjava::CP,
    &wxjava::OPEN,
    &wxjava::CHANNEL,
    &easywechat::OFFICIAL_ACCOUNT,
    &easywechat::MINI,
    &easywechat::WORK,
    &easywechat::FIVE,
    &easywechat::FIVE_WORK,
    &node_easywechat::OFFICIAL_ACCOUNT,
    &node_easywechat::MINI,
    &nest_wechat::NEST_WECHAT,
    &wechatpy::WECHATPY,
    &wechatpy::WORK,
    &co_wechat_api::CO_WECHAT_API,
    &labrador::LABRADOR,
    &senparc::OFFICIAL_ACCOUNT,
    &senparc::MINI,
    &goclub::GOCLUB,
];

impl Family {
    /// The family of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.into_iter().find(|family| family.name == name)
    }
}

impl Verified {
    /// How it was verified, in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "seen with the real client",
            Self::Read => "read in its source, unconfirmed",
            Self::Derived => "derived from its serializer, unconfirmed",
            Self::Own => "as you say",
        }
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Family({})", self.name)
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Family {}

#[cfg(test)]
mod tests;
