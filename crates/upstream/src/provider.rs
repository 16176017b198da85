//! The providers: their names, their defaults, and how each treats old tokens.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use zhongkong_core::nature::Nature;

/// A kind of upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// WeChat's `GET cgi-bin/token`: every call issues a new token.
    WeChat,
    /// WeChat's `POST cgi-bin/stable_token` in normal mode: the same token until shortly before its expiry.
    WeChatStable,
}

/// No provider has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider {name:?}: known are \"wechat\" and \"wechat-stable\"")]
pub struct UnknownProvider {
    /// The name that was given.
    pub name: String,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::WeChat, Self::WeChatStable];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WeChat => "wechat",
            Self::WeChatStable => "wechat-stable",
        }
    }

    /// What a fetch does to the token before it.
    pub const fn nature(self) -> Nature {
        match self {
            Self::WeChat => Nature::WECHAT,
            Self::WeChatStable => Nature::Idempotent,
        }
    }

    /// How long a token is honoured after the next one was issued: five minutes, says the platform for both.
    pub const fn default_overlap(self) -> Duration {
        match self {
            Self::WeChat | Self::WeChatStable => Duration::from_mins(5),
        }
    }

    /// The longest time after sending in which the upstream may still process a request. Undocumented; generous.
    pub const fn default_hold(self) -> Duration {
        match self {
            Self::WeChat | Self::WeChatStable => Duration::from_secs(40),
        }
    }

    /// Where it is reached unless the configuration says otherwise.
    pub const fn default_base_url(self) -> &'static str {
        match self {
            Self::WeChat | Self::WeChatStable => "https://api.weixin.qq.com",
        }
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| UnknownProvider { name: name.to_owned() })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_found_by_the_name_that_it_shows() {
        for provider in Provider::ALL {
            assert_eq!(provider.to_string().parse(), Ok(provider));
        }
        let error = "wecom".parse::<Provider>().unwrap_err();
        assert!(error.to_string().contains("\"wecom\""), "{error}");
    }

    #[test]
    fn only_the_stable_endpoint_may_be_asked_twice_without_harm() {
        assert!(!Provider::WeChat.nature().is_idempotent());
        assert!(Provider::WeChatStable.nature().is_idempotent());
    }

    #[test]
    fn every_default_address_is_a_url() {
        for provider in Provider::ALL {
            assert!(url::Url::parse(provider.default_base_url()).is_ok());
        }
    }
}
