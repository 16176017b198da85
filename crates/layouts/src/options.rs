//! What differs between installations of one SDK.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

/// The longest text of an option, in characters.
const TEXT_MAX: usize = 256;
/// A key that lives for less is rewritten more often than is sensible.
pub const TTL_MIN: Duration = Duration::from_secs(10);

/// What an operator says of one SDK.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the SDK or its cache puts before its keys.
    pub prefix: Option<String>,
    /// The cache's namespace.
    pub namespace: Option<String>,
    /// The secret that the services are configured with: part of some SDKs' keys. A dummy will do, and is better.
    pub sdk_secret: Option<SecretString>,
    /// How the SDK's client writes text.
    pub codec: Option<Codec>,
    /// Whether the services call `stable_token`, as far as they call at all.
    pub stable: Option<bool>,
    /// The application of a WeCom account.
    pub agent_id: Option<String>,
    /// The account's name within the service.
    pub ma_id: Option<String>,
    /// The whole key; `{app_id}` and `{kind}` stand for what they say.
    pub key: Option<String>,
    /// How the token is written there.
    pub encoding: Option<Format>,
    /// The longest that the key is to live; it is rewritten well before.
    pub ttl: Option<Duration>,
}

/// How Redisson writes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As it is: `StringCodec`.
    String,
    /// `Kryo5Codec`, the default of Redisson from 3.19.0 on.
    Kryo5,
}

/// How a key of one's own holds a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The token and nothing else.
    Raw,
    /// A JSON string.
    Json,
    /// A string as PHP serializes it.
    Php,
}

/// The name of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// [`Options::prefix`].
    Prefix,
    /// [`Options::namespace`].
    Namespace,
    /// [`Options::sdk_secret`].
    SdkSecret,
    /// [`Options::codec`].
    Codec,
    /// [`Options::stable`].
    Stable,
    /// [`Options::agent_id`].
    AgentId,
    /// [`Options::ma_id`].
    MaId,
    /// [`Options::key`].
    Key,
    /// [`Options::encoding`].
    Encoding,
    /// [`Options::ttl`].
    Ttl,
}

/// Options that make no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A value is missing without which the key cannot be known.
    #[error("{}", needed(.layout, *.setting))]
    Needs {
        /// The layout.
        layout: &'static str,
        /// What is missing.
        setting: Setting,
    },
    /// The layout has no such option.
    #[error("the layout {layout} has no `{}`{}", .setting.as_str(), listed(.takes))]
    HasNo {
        /// The layout.
        layout: &'static str,
        /// The option.
        setting: Setting,
        /// Those that it has.
        takes: Vec<&'static str>,
    },
    /// The text cannot be part of a key.
    #[error("`{}` must be 1 to {TEXT_MAX} visible ASCII characters, with braces only as one hash tag such as {{tag}}", .setting.as_str())]
    Text {
        /// The option.
        setting: Setting,
    },
    /// The secret cannot be part of every SDK's key.
    #[error("`sdk_secret` must be 1 to 128 characters of A-Z a-z 0-9 . _ -")]
    Secret,
    /// The key would be rewritten all the time.
    #[error("`ttl` must be at least {}s", TTL_MIN.as_secs())]
    Ttl,
}

impl Setting {
    /// Every option.
    pub const ALL: [Self; 10] = [
        Self::Prefix,
        Self::Namespace,
        Self::SdkSecret,
        Self::Codec,
        Self::Stable,
        Self::AgentId,
        Self::MaId,
        Self::Key,
        Self::Encoding,
        Self::Ttl,
    ];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Namespace => "namespace",
            Self::SdkSecret => "sdk_secret",
            Self::Codec => "codec",
            Self::Stable => "stable",
            Self::AgentId => "agent_id",
            Self::MaId => "ma_id",
            Self::Key => "key",
            Self::Encoding => "encoding",
            Self::Ttl => "ttl",
        }
    }

    fn is_in(self, options: &Options) -> bool {
        match self {
            Self::Prefix => options.prefix.is_some(),
            Self::Namespace => options.namespace.is_some(),
            Self::SdkSecret => options.sdk_secret.is_some(),
            Self::Codec => options.codec.is_some(),
            Self::Stable => options.stable.is_some(),
            Self::AgentId => options.agent_id.is_some(),
            Self::MaId => options.ma_id.is_some(),
            Self::Key => options.key.is_some(),
            Self::Encoding => options.encoding.is_some(),
            Self::Ttl => options.ttl.is_some(),
        }
    }
}

impl Options {
    /// Whether `layout`, which needs and takes these options, can do with them.
    pub(crate) fn check(
        &self,
        layout: &'static str,
        needs: &[Setting],
        takes: &[Setting],
    ) -> Result<(), Refused> {
        if let Some(setting) = needs.iter().copied().find(|setting| !setting.is_in(self)) {
            return Err(Refused::Needs { layout, setting });
        }
        let known = || needs.iter().chain(takes).copied();
        let foreign = |setting: &Setting| setting.is_in(self) && !known().any(|s| s == *setting);
        if let Some(setting) = Setting::ALL.into_iter().find(foreign) {
            let takes = known().map(Setting::as_str).collect();
            return Err(Refused::HasNo { layout, setting, takes });
        }
        let texts = [
            (Setting::Prefix, &self.prefix),
            (Setting::Namespace, &self.namespace),
            (Setting::AgentId, &self.agent_id),
            (Setting::MaId, &self.ma_id),
            (Setting::Key, &self.key),
        ];
        for (setting, text) in texts {
            // An empty prefix says that there is none, where there would be one by default.
            let may_be_empty = matches!(setting, Setting::Prefix | Setting::Namespace);
            let fits = |text: &String| {
                (may_be_empty || !text.is_empty())
                    && text.len() <= TEXT_MAX
                    && text.bytes().all(|byte| byte.is_ascii_graphic())
            };
            if text.as_ref().is_some_and(|text| !fits(text)) {
                return Err(Refused::Text { setting });
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let secret = self.sdk_secret.as_ref().map(ExposeSecret::expose_secret);
        if secret.is_some_and(|text| !(1..=128).contains(&text.len()) || !text.chars().all(plain)) {
            return Err(Refused::Secret);
        }
        if self.ttl.is_some_and(|ttl| ttl < TTL_MIN) {
            return Err(Refused::Ttl);
        }
        Ok(())
    }

    /// The services' secret, once [`Self::check`] has seen that it is there.
    pub(crate) fn secret(&self) -> &str {
        self.sdk_secret.as_ref().map_or("", |secret| secret.expose_secret())
    }

    /// The prefix and its colon; `default` if nothing is said, nothing if it is empty.
    pub(crate) fn prefix_or(&self, default: &str) -> String {
        match self.prefix.as_deref().unwrap_or(default) {
            "" => String::new(),
            prefix => format!("{prefix}:"),
        }
    }

    /// What a PHP cache puts before a key: its prefix as it is, its namespace with a colon.
    pub(crate) fn cache_prefix(&self) -> String {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        match self.namespace.as_deref().unwrap_or_default() {
            "" => prefix.to_owned(),
            namespace => format!("{prefix}{namespace}:"),
        }
    }
}

fn needed(layout: &str, setting: Setting) -> String {
    match setting {
        Setting::SdkSecret => format!(
            "the layout {layout} needs `sdk_secret`: the SDK's key contains the secret that the service is configured with. \
             Give the services a dummy such as \"dummy\" as their secret, and name the same here: \
             {{ layout = \"{layout}\", sdk_secret = \"dummy\" }}; see docs/sdks.md"
        ),
        setting => format!("the layout {layout} needs `{}`", setting.as_str()),
    }
}

fn listed(takes: &[&str]) -> String {
    if takes.is_empty() { String::new() } else { format!(" (it has: {})", takes.join(", ")) }
}
