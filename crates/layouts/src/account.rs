//! Whose keys, and of which of its tokens.

use zhongkong_core::credential::Kind;

/// One token of one account, as an SDK sees it.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The account's name at the upstream.
    pub app_id: &'a str,
    /// Which of its tokens.
    pub kind: Kind,
}

/// Where an SDK's accounts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Official accounts and mini programs: `cgi-bin/token` and `cgi-bin/stable_token`.
    WeChat,
    /// WeCom (enterprise WeChat): `cgi-bin/gettoken`.
    WeCom,
    /// Third-party platforms: `cgi-bin/component/api_component_token`.
    OpenPlatform,
}

impl Platform {
    /// The platform's name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WeChat => "WeChat",
            Self::WeCom => "WeCom",
            Self::OpenPlatform => "the WeChat Open Platform",
        }
    }
}
