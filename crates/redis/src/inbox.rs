//! The stream in which readers leave reports, as a consumer group: each entry is served by one worker, and then gone.

use std::collections::HashMap;
use std::time::Duration;

use redis::streams::{
    StreamClaimReply, StreamId, StreamInfoConsumersReply, StreamPendingCountReply, StreamReadReply,
};
use redis::{Client, Cmd, FromRedisValue, Value};
use zhongkong_core::credential::{Kind, Unit};
use zhongkong_core::ports::{LeftReport, StoreError};
use zhongkong_core::token::Fingerprint;

use crate::link::{Link, settled};
use crate::reply::strange;

/// The consumer group of all workers.
const GROUP: &str = "zhongkong";
/// Entries taken at once.
const TAKEN_AT_ONCE: usize = 64;
/// How long a worker waits for an entry in one call.
const BLOCK: Duration = Duration::from_secs(5);
/// Longer than that, so that a quiet stream is no broken connection.
const PATIENCE: Duration = Duration::from_secs(7);
/// Of two workers that adopt the same entries, the later one finds them younger than this, and leaves them.
const ADOPTED_AFTER: Duration = Duration::from_secs(1);

/// Removes a consumer only if nothing is left that it took: with it, those entries would be lost.
const RETIRE: &str = "\
    if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then \
      return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) \
    end \
    return -1";

/// The stream, on a connection of its own: a call that waits for entries would hold every other up.
#[derive(Debug)]
pub(crate) struct Inbox {
    key: String,
    waiting: Link,
}

impl Inbox {
    pub(crate) fn new(client: Client, key: String) -> Self {
        Self { key, waiting: Link::patient(client, PATIENCE) }
    }

    /// Entries that nobody has taken yet; waits a moment for the first.
    pub(crate) async fn take(&self, consumer: &str) -> Result<Vec<LeftReport>, StoreError> {
        let mut read = redis::cmd("XREADGROUP");
        read.arg(&["GROUP", GROUP, consumer, "COUNT"]).arg(TAKEN_AT_ONCE);
        read.arg("BLOCK").arg(BLOCK.as_millis().to_string());
        read.arg(&["STREAMS", &self.key, ">"]);
        let answer = match ask(&self.waiting, "take_reports", read.clone()).await {
            // The stream is new, or somebody deleted it, and its group with it.
            Err(StoreError::Refused(why)) if why.contains("NOGROUP") => {
                self.create().await?;
                ask(&self.waiting, "take_reports", read).await?
            }
            answer => answer?,
        };
        let reply: Option<StreamReadReply> = understood(answer)?;
        let keys = reply.map(|reply| reply.keys).unwrap_or_default();
        Ok(keys.into_iter().flat_map(|key| key.ids).map(left_report).collect())
    }

    /// The group begins at the first entry: what was left before any worker lived is served, too.
    async fn create(&self) -> Result<(), StoreError> {
        let mut create = redis::cmd("XGROUP");
        create.arg(&["CREATE", &self.key, GROUP, "0", "MKSTREAM"]);
        match ask(&self.waiting, "take_reports", create).await {
            // Another worker was quicker.
            Err(StoreError::Refused(why)) if why.contains("BUSYGROUP") => Ok(()),
            created => created.map(drop),
        }
    }

    /// Entries that were taken by workers that live no more; these are removed once nothing of theirs is left.
    pub(crate) async fn adopt(
        &self,
        link: &Link,
        consumer: &str,
        living: &[String],
    ) -> Result<Vec<LeftReport>, StoreError> {
        let mut list = redis::cmd("XINFO");
        list.arg(&["CONSUMERS", &self.key, GROUP]);
        let consumers: StreamInfoConsumersReply = match ask(link, "adopt_reports", list).await {
            // No stream, or no group: nobody has taken anything.
            Err(StoreError::Refused(_)) => return Ok(Vec::new()),
            answer => understood(answer?)?,
        };
        let mut adopted = Vec::new();
        for dead in consumers.consumers {
            if dead.name == consumer || living.contains(&dead.name) {
                continue;
            }
            if dead.pending > 0 {
                adopted.extend(self.claim(link, consumer, &dead.name).await?);
            }
            let mut retire = redis::cmd("EVAL");
            retire.arg(RETIRE).arg(1).arg(&self.key).arg(&[GROUP, &dead.name]);
            ask(link, "adopt_reports", retire).await?;
        }
        Ok(adopted)
    }

    async fn claim(
        &self,
        link: &Link,
        consumer: &str,
        dead: &str,
    ) -> Result<Vec<LeftReport>, StoreError> {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&[&self.key, GROUP, "-", "+"]).arg(TAKEN_AT_ONCE).arg(dead);
        let pending: StreamPendingCountReply =
            understood(ask(link, "adopt_reports", pending).await?)?;
        if pending.ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(&[&self.key, GROUP, consumer]).arg(ADOPTED_AFTER.as_millis().to_string());
        for entry in &pending.ids {
            claim.arg(&entry.id);
        }
        let claimed: StreamClaimReply = understood(ask(link, "adopt_reports", claim).await?)?;
        Ok(claimed.ids.into_iter().map(left_report).collect())
    }

    /// An entry was served: acknowledged and deleted.
    pub(crate) async fn finish(&self, link: &Link, entry: &str) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("XACK").arg(&[&self.key, GROUP, entry]);
        pipe.cmd("XDEL").arg(&[&self.key, entry]);
        for result in link.send("finish_report", &mut pipe).await? {
            settled(Some(result))?;
        }
        Ok(())
    }
}

async fn ask(link: &Link, name: &'static str, command: Cmd) -> Result<Value, StoreError> {
    let mut pipe = redis::pipe();
    pipe.add_command(command);
    settled(link.send(name, &mut pipe).await?.into_iter().next())
}

fn understood<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value).map_err(|_| strange("entries of another form"))
}

fn left_report(entry: StreamId) -> LeftReport {
    let StreamId { id, map, .. } = entry;
    LeftReport { entry: id, report: read(map) }
}

/// What an entry says: `id`, `kind` if it is another than the access token, and `fingerprint` or `token`.
fn read(mut fields: HashMap<String, Value>) -> Option<(Unit, Fingerprint)> {
    let mut text = |name: &str| -> Option<String> {
        fields.remove(name).and_then(|value| redis::from_redis_value(value).ok())
    };
    let id = text("id")?.parse().ok()?;
    let kind = text("kind").map_or(Ok(Kind::AccessToken), |kind| kind.parse()).ok()?;
    let fingerprint = match text("fingerprint") {
        Some(fingerprint) => Fingerprint::from_hex(&fingerprint),
        None => text("token").map(|token| Fingerprint::of(&token)),
    };
    Some((Unit { id, kind }, fingerprint?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> Option<(Unit, Fingerprint)> {
        let value = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        read(fields.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect())
    }

    #[test]
    fn an_entry_names_the_token_or_its_fingerprint() {
        let unit = Unit::access_token("wx1".parse().unwrap());
        let expected = Some((unit, Fingerprint::of("abc")));
        assert_eq!(entry(&[("id", "wx1"), ("token", "abc")]), expected);
        let print = Fingerprint::of("abc");
        let fields = [("id", "wx1"), ("kind", "access_token"), ("fingerprint", print.as_str())];
        assert_eq!(entry(&fields), expected);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        assert_eq!(entry(&[("token", "abc")]), None);
        assert_eq!(entry(&[("id", "wx1")]), None);
        assert_eq!(entry(&[("id", "a b"), ("token", "abc")]), None);
        assert_eq!(entry(&[("id", "wx1"), ("kind", "x"), ("token", "abc")]), None);
        assert_eq!(entry(&[("id", "wx1"), ("fingerprint", "ABC"), ("token", "abc")]), None);
    }
}
