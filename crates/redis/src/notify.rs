//! What was told to whom: a hash for each receiver of notifications, of which each change names what it was made from.
//!
//! What the fields hold and when they change is decided elsewhere; here is only that of two workers which decide the same at
//! once, one alone gets its way.

use std::collections::BTreeMap;

use zhongkong_core::clock::millis;
use zhongkong_core::ports::StoreError;

use crate::reply::strange;
use crate::store::RedisStore;

/// Changes all fields or none: none if one is not as it was when that was decided.
///
/// `KEYS[1]` the hash; `ARGV[1]` how long it is kept without another change, in ms; then for each field its name, what it was
/// and what it becomes; empty = absent. It is run also when memory is full: what it writes is little, and mostly in place.
const SWAP: &str = "#!lua flags=allow-oom
for i = 2, #ARGV, 3 do
  if (redis.call('HMGET', KEYS[1], ARGV[i])[1] or '') ~= ARGV[i + 1] then return 0 end
end
for i = 2, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1";

/// One field of a change; none = absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Its name.
    pub field: String,
    /// What it was.
    pub was: Option<String>,
    /// What it becomes.
    pub becomes: Option<String>,
}

impl RedisStore {
    /// What is recorded for `receiver`, and the store's time, in milliseconds since 1970.
    pub async fn told(
        &self,
        receiver: &str,
    ) -> Result<(BTreeMap<String, String>, u64), StoreError> {
        let key = self.keys.notify(receiver);
        let mut read = redis::cmd("HGETALL");
        read.arg(&key);
        let fields = self.nodes.ask("notify", &key, read).await?;
        let fields = redis::from_redis_value(fields)
            .map_err(|_| strange("a record of notifications that is no hash"))?;
        Ok((fields, self.now_ms("notify").await?))
    }

    /// Makes the changes to what is recorded for `receiver`, if every field still is what it was; false if not. What is not
    /// changed any more is kept for `keep`.
    pub async fn swap_told(
        &self,
        receiver: &str,
        changes: &[Swap],
        keep: std::time::Duration,
    ) -> Result<bool, StoreError> {
        let key = self.keys.notify(receiver);
        let mut swap = redis::cmd("EVAL");
        swap.arg(SWAP).arg(1).arg(&key).arg(millis(keep));
        for Swap { field, was, becomes } in changes {
            swap.arg(field).arg(was.as_deref().unwrap_or_default());
            swap.arg(becomes.as_deref().unwrap_or_default());
        }
        let done: u64 = redis::from_redis_value(self.nodes.ask("notify", &key, swap).await?)
            .map_err(|_| strange("no answer to a change of notifications"))?;
        Ok(done == 1)
    }

    /// Removes `fields` of what is recorded for `receiver`.
    pub async fn forget_told(&self, receiver: &str, fields: &[String]) -> Result<(), StoreError> {
        if fields.is_empty() {
            return Ok(());
        }
        let key = self.keys.notify(receiver);
        let mut remove = redis::cmd("HDEL");
        remove.arg(&key).arg(fields);
        self.nodes.ask("notify", &key, remove).await.map(drop)
    }
}
