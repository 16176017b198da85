//! Every key name, and back from a key to its unit.

use zhongkong_core::credential::{CredentialId, Unit};
use zhongkong_core::ports::TouchedKey;

use crate::slots::tag_of;

/// Names of keys and channels under one prefix.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Names under `prefix`, which must have no braces: they would move the hash tag.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The key that readers read. The braces are a hash tag: all keys of a credential share a slot of a Redis Cluster.
    pub fn reader(&self, unit: &Unit) -> String {
        format!("{}:{{{}}}:{}", self.prefix, unit.id, unit.kind)
    }

    /// The state hash.
    pub fn state(&self, unit: &Unit) -> String {
        format!("{}:state", self.reader(unit))
    }

    /// The visible mirror of a current claim.
    pub fn lock(&self, unit: &Unit) -> String {
        format!("{}:lock", self.reader(unit))
    }

    /// A stream: what happened to the tokens of a credential, for people.
    pub fn history(&self, id: &CredentialId) -> String {
        format!("{}{id}}}:history", self.units())
    }

    /// The channel of events.
    pub fn events(&self) -> String {
        format!("{}:events", self.prefix)
    }

    /// The stream in which readers leave reports.
    pub fn reports(&self) -> String {
        format!("{}:reports", self.prefix)
    }

    /// A sorted set: identities of living workers by the store's time of their last beat.
    pub fn workers(&self) -> String {
        format!("{}:workers", self.prefix)
    }

    /// The highest number of replicas that was ever seen; an operator resets it by deleting it.
    pub fn replicas(&self) -> String {
        format!("{}:replicas", self.prefix)
    }

    /// The fence beside the key `sdk` that an SDK reads, in the same slot.
    pub fn published(&self, sdk: &str) -> String {
        match tag_of(sdk) {
            Some(tag) => format!("{}:published:{{{tag}}}:{sdk}", self.prefix),
            None => format!("{}:published:{{{sdk}}}", self.prefix),
        }
    }

    /// A hash: what was told, and is about to be, of each problem to `receiver` of notifications.
    pub fn notify(&self, receiver: &str) -> String {
        format!("{}:notify:{receiver}", self.prefix)
    }

    /// A pattern that fits all of these names, and no others.
    pub(crate) fn all(&self) -> String {
        format!("{}:*", self.prefix)
    }

    /// What all keys of all units begin with.
    pub(crate) fn units(&self) -> String {
        format!("{}:{{", self.prefix)
    }

    /// The unit to which `key` belongs; none if it is a lock, or no key of a unit.
    pub(crate) fn unit_of(&self, key: &str) -> Option<(Unit, TouchedKey)> {
        let (id, rest) = key.strip_prefix(&self.units())?.split_once("}:")?;
        let (kind, touched) = match rest.split_once(':') {
            None => (rest, TouchedKey::Reader),
            Some((kind, "state")) => (kind, TouchedKey::State),
            Some(_) => return None,
        };
        Some((Unit { id: id.parse().ok()?, kind: kind.parse().ok()? }, touched))
    }
}

#[cfg(test)]
mod tests {
    use zhongkong_core::credential::Kind;

    use super::*;
    use crate::slots::slot_of;

    #[test]
    fn keys_are_those_that_readers_were_promised() {
        let keys = Keys::new("zhongkong");
        let unit = Unit::access_token("wx1".parse().unwrap());
        assert_eq!(keys.reader(&unit), "zhongkong:{wx1}:access_token");
        assert_eq!(keys.state(&unit), "zhongkong:{wx1}:access_token:state");
        assert_eq!(keys.lock(&unit), "zhongkong:{wx1}:access_token:lock");
        assert_eq!(keys.history(&unit.id), "zhongkong:{wx1}:history");
        let reader = |kind| keys.reader(&Unit { kind, ..unit.clone() });
        assert_eq!(reader(Kind::JsapiTicket), "zhongkong:{wx1}:jsapi_ticket");
        assert_eq!(reader(Kind::WxCardTicket), "zhongkong:{wx1}:wx_card_ticket");
        assert_eq!(keys.events(), "zhongkong:events");
        assert_eq!(keys.notify("ops"), "zhongkong:notify:ops");
    }

    #[test]
    fn the_fence_of_an_sdks_key_is_in_its_slot() {
        let keys = Keys::new("zhongkong");
        assert_eq!(keys.published("wechatpy:a"), "zhongkong:published:{wechatpy:a}");
        for sdk in ["wechatpy:wx1_access_token", "my:{wx1}:token", "{tag}"] {
            assert_eq!(slot_of(&keys.published(sdk)), slot_of(sdk), "{sdk}");
        }
        assert_ne!(keys.published("{a}:1"), keys.published("{a}:2"));
    }

    #[test]
    fn a_unit_is_found_again_in_its_keys() {
        let keys = Keys::new("a:b");
        let unit = Unit::access_token("wx1".parse().unwrap());
        let found = |key: String| keys.unit_of(&key);
        assert_eq!(found(keys.reader(&unit)), Some((unit.clone(), TouchedKey::Reader)));
        assert_eq!(found(keys.state(&unit)), Some((unit.clone(), TouchedKey::State)));
        assert_eq!(found(keys.lock(&unit)), None);
        assert_eq!(found(keys.history(&unit.id)), None);
        assert_eq!(found("a:b:workers".to_owned()), None);
        assert_eq!(found(keys.notify("ops")), None);
        assert_eq!(found("a:b:{wx1}:jsapi".to_owned()), None);
    }
}
