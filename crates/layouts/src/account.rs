//! Whose keys, and of which of its tokens.

use zhongkong_core::credential::Kind;

/// One token of one account, as an SDK sees it.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The account's name at the upstream.
    pub app_id: &'a str,
    /// Which of its tokens.
    pub item: Item,
}

/// What SDKs keep of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// What calls to the upstream carry.
    AccessToken,
    /// For web pages.
    JsapiTicket,
    /// For cards on web pages.
    WxCardTicket,
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

impl Item {
    /// The kind, as it stands in keys and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::JsapiTicket => "jsapi_ticket",
            Self::WxCardTicket => "wx_card_ticket",
        }
    }

    /// The type of a ticket, in WeChat's words.
    pub(crate) const fn ticket_type(self) -> Option<&'static str> {
        match self {
            Self::AccessToken => None,
            Self::JsapiTicket => Some("jsapi"),
            Self::WxCardTicket => Some("wx_card"),
        }
    }
}

impl From<Kind> for Item {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::AccessToken => Self::AccessToken,
        }
    }
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
