//! The keys of one SDK for one token of one account.

use std::time::Duration;

use zhongkong_core::clock::millis;
use zhongkong_core::publication::{Entry, Value};
use zhongkong_core::token::Token;

use crate::account::Account;
use crate::encoding::Encoding;
use crate::family::Family;
use crate::options::{Options, Refused};

/// Shorter ones would fit too much that is none of ours.
const TRACKED_MIN: usize = 3;

/// The keys of one SDK for one token of one account: the token's first, then its companions.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The SDK.
    pub family: &'static Family,
    /// The account.
    pub app_id: String,
    /// Its keys; none where the SDK keeps nothing of that kind.
    pub keys: Vec<Key>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// How much of the name all keys of the family have in common.
    fixed: usize,
    /// What stands there.
    pub encoding: Encoding,
    /// The longest that it lives; it is rewritten well before.
    pub ttl_max: Option<Duration>,
}

impl Key {
    /// A key whose name begins with what all keys of its family begin with.
    pub(crate) fn new(fixed: &str, rest: &str, encoding: Encoding) -> Self {
        Self { name: format!("{fixed}{rest}"), fixed: fixed.len(), encoding, ttl_max: None }
    }

    /// What is tracked to hear of this key: the beginning that it shares with others, or the whole name.
    pub fn tracked(&self) -> &str {
        let fixed = self.name.get(..self.fixed).filter(|fixed| fixed.len() >= TRACKED_MIN);
        fixed.unwrap_or(&self.name)
    }

    /// Whether all that shares a slot with this key can be named: braces are one hash tag, or there are none.
    pub fn has_sound_braces(&self) -> bool {
        let Some((before, rest)) = self.name.split_once(['{', '}']) else { return true };
        let opens = self.name.as_bytes().get(before.len()) == Some(&b'{');
        let tag = rest.split_once('}').filter(|(tag, _)| opens && !tag.is_empty());
        tag.is_some_and(|(tag, after)| !tag.contains('{') && !after.contains(['{', '}']))
    }

    /// The type of the key in Redis.
    pub const fn form(&self) -> &'static str {
        match self.encoding {
            Encoding::Fields(..) => "hash",
            _ => "string",
        }
    }
}

impl Layout {
    /// The keys that `family` has for `account`.
    pub fn new(
        family: &'static Family,
        account: &Account<'_>,
        options: &Options,
    ) -> Result<Self, Refused> {
        options.check(family.name, family.needs, family.takes)?;
        let mut keys = (family.keys)(account, options);
        for key in &mut keys {
            key.ttl_max = options.ttl;
        }
        Ok(Self { family, app_id: account.app_id.to_owned(), keys })
    }

    /// What is to stand at each key, in their order, while `token` is current, whose life ends at `expires_at_ms`.
    pub fn entries(&self, token: &Token, expires_at_ms: u64) -> Vec<Entry> {
        let entry = |key: &Key| Entry {
            key: key.name.clone(),
            value: key.encoding.encode(token, expires_at_ms, &self.app_id),
            ttl_max_ms: key.ttl_max.map(millis),
        };
        self.keys.iter().map(entry).collect()
    }

    /// The token that was found at the key of the token, whoever wrote it.
    pub fn token(&self, found: &Value) -> Option<Token> {
        self.keys.first()?.encoding.decode(found)
    }

    /// A line of configuration for the service, as far as the SDK's is known.
    pub fn line(&self, options: &Options) -> String {
        let text = |option: &Option<String>, default: &str| {
            option.clone().unwrap_or_else(|| default.to_owned())
        };
        let secret = if options.sdk_secret.is_some() { "<sdk_secret>" } else { "dummy" };
        self.family
            .line
            .replace("{app_id}", &self.app_id)
            .replace("{secret}", secret)
            .replace("{prefix}", &text(&options.prefix, self.family.prefix))
            .replace("{namespace}", &text(&options.namespace, ""))
            .replace("{agent_id}", &text(&options.agent_id, ""))
            .replace("{stable}", if options.stable == Some(true) { "true" } else { "false" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tracked_is_what_a_family_shares_unless_that_is_next_to_nothing() {
        let tracked = |fixed, rest| Key::new(fixed, rest, Encoding::Raw).tracked().to_owned();
        assert_eq!(tracked("wx:access_token:", "wx1"), "wx:access_token:");
        assert_eq!(tracked("", "wx1_access_token"), "wx1_access_token");
        assert_eq!(tracked("x:", "wx1"), "x:wx1");
    }

    #[test]
    fn braces_are_one_hash_tag_or_none() {
        let sound = |name| Key::new("", name, Encoding::Raw).has_sound_braces();
        assert!(sound("plain") && sound("{tag}:a") && sound("a:{wx1}"));
        for name in ["a}b", "{}a", "a{b", "{a}{b}", "{{a}}", "{a}}", "}{a}"] {
            assert!(!sound(name), "{name}");
        }
    }
}
