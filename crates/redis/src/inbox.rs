//! The stream in which readers leave reports, as a consumer group: each entry is served by one worker, and then gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::streams::{StreamInfoConsumersReply, StreamPendingCountReply};
use redis::{FromRedisValue, Value};
use zhongkong_core::credential::{Kind, Unit};
use zhongkong_core::ports::{LeftReport, StoreError};
use zhongkong_core::token::Fingerprint;

use crate::link::settled;
use crate::node::BLOCK;
use crate::nodes::Nodes;
use crate::reply::strange;

/// The consumer group of all workers.
const GROUP: &str = "zhongkong";
/// Entries taken at once.
const TAKEN_AT_ONCE: usize = 64;
/// Of two workers that adopt the same entries, the later one finds them younger than this, and leaves them.
const ADOPTED_AFTER: Duration = Duration::from_secs(1);
/// An entry that this worker itself took so long ago got lost on its way, or could not be recorded. Longer than a probe.
const RETRIED_AFTER: Duration = Duration::from_secs(30);

/// Removes a consumer only if nothing is left that it took: with it, those entries would be lost.
const RETIRE: &str = "\
    if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then \
      return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) \
    end \
    return -1";

/// The stream.
#[derive(Debug)]
pub(crate) struct Inbox {
    nodes: Arc<Nodes>,
    key: String,
}

impl Inbox {
    pub(crate) const fn new(nodes: Arc<Nodes>, key: String) -> Self {
        Self { nodes, key }
    }

    /// Entries that nobody has taken yet; waits a moment for the first.
    pub(crate) async fn take(&self, consumer: &str) -> Result<Vec<LeftReport>, StoreError> {
        let mut read = redis::cmd("XREADGROUP");
        read.arg(&["GROUP", GROUP, consumer, "COUNT"]).arg(TAKEN_AT_ONCE);
        read.arg("BLOCK").arg(BLOCK.as_millis().to_string());
        read.arg(&["STREAMS", &self.key, ">"]);
        let answer = match self.nodes.wait("take_reports", &self.key, read.clone()).await {
            // The stream is new, or somebody deleted it, and its group with it.
            Err(StoreError::Refused(why)) if why.contains("NOGROUP") => {
                self.create().await?;
                self.nodes.wait("take_reports", &self.key, read).await?
            }
            // Somebody deleted it while it was waited for; the next call makes it anew.
            Err(StoreError::Refused(why)) if why.contains("UNBLOCKED") => return Ok(Vec::new()),
            answer => answer?,
        };
        let streams: Option<HashMap<String, Vec<Value>>> = understood(answer)?;
        let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
        Ok(entries.filter_map(|entry| left_report(entry, |_| 0)).collect())
    }

    /// The group begins at the first entry: what was left before any worker lived is served, too.
    async fn create(&self) -> Result<(), StoreError> {
        let mut create = redis::cmd("XGROUP");
        create.arg(&["CREATE", &self.key, GROUP, "0", "MKSTREAM"]);
        match self.nodes.ask("take_reports", &self.key, create).await {
            // Another worker was quicker.
            Err(StoreError::Refused(why)) if why.contains("BUSYGROUP") => Ok(()),
            created => created.map(drop),
        }
    }

    /// Entries that were taken and not finished: by workers that live no more, which are removed once nothing of theirs
    /// is left, and a while ago by this one.
    pub(crate) async fn adopt(
        &self,
        consumer: &str,
        living: &[String],
    ) -> Result<Vec<LeftReport>, StoreError> {
        let mut list = redis::cmd("XINFO");
        list.arg(&["CONSUMERS", &self.key, GROUP]);
        let consumers: StreamInfoConsumersReply =
            match self.nodes.ask("adopt_reports", &self.key, list).await {
                // No stream, or no group: nobody has taken anything.
                Err(StoreError::Refused(_)) => return Ok(Vec::new()),
                answer => understood(answer?)?,
            };
        let mut adopted = Vec::new();
        for other in consumers.consumers {
            let own = other.name == consumer;
            if !own && living.contains(&other.name) {
                continue;
            }
            let claimed = self.take_over(consumer, (&other.name, other.pending)).await;
            match claimed {
                Ok(claimed) => adopted.extend(claimed),
                // What was claimed so far is this worker's, and must be served.
                Err(error) if adopted.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(adopted)
    }

    async fn take_over(
        &self,
        consumer: &str,
        (other, pending): (&str, usize),
    ) -> Result<Vec<LeftReport>, StoreError> {
        let own = other == consumer;
        let claimed = if pending > 0 {
            let idle = if own { RETRIED_AFTER } else { ADOPTED_AFTER };
            self.claim(consumer, other, idle).await?
        } else {
            Vec::new()
        };
        if !own {
            let mut retire = redis::cmd("EVAL");
            retire.arg(RETIRE).arg(1).arg(&self.key).arg(&[GROUP, other]);
            // Tried again at the next turn; what was claimed is worth more.
            self.nodes.ask("adopt_reports", &self.key, retire).await.ok();
        }
        Ok(claimed)
    }

    async fn claim(
        &self,
        consumer: &str,
        other: &str,
        idle: Duration,
    ) -> Result<Vec<LeftReport>, StoreError> {
        let idle = idle.as_millis().to_string();
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&[&self.key, GROUP, "IDLE", &idle, "-", "+"]).arg(TAKEN_AT_ONCE).arg(other);
        let pending: StreamPendingCountReply =
            understood(self.nodes.ask("adopt_reports", &self.key, pending).await?)?;
        if pending.ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(&[&self.key, GROUP, consumer, &idle]);
        for entry in &pending.ids {
            claim.arg(&entry.id);
        }
        let claimed: Vec<Value> =
            understood(self.nodes.ask("adopt_reports", &self.key, claim).await?)?;
        let tries = |entry: &str| {
            let taken = pending.ids.iter().find(|taken| taken.id == entry);
            taken.map_or(0, |taken| u64::try_from(taken.times_delivered).unwrap_or(u64::MAX))
        };
        Ok(claimed.into_iter().filter_map(|entry| left_report(entry, tries)).collect())
    }

    /// An entry was served: acknowledged and deleted.
    pub(crate) async fn finish(&self, entry: &str) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("XACK").arg(&[&self.key, GROUP, entry]);
        pipe.cmd("XDEL").arg(&[&self.key, entry]);
        for result in self.nodes.send("finish_report", &self.key, &mut pipe).await? {
            settled(Some(result))?;
        }
        Ok(())
    }
}

fn understood<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value).map_err(|_| strange("entries of another form"))
}

/// One entry, handed out so many times before; none if it is gone already. Each is read by itself: one that is spoilt
/// must not hide the others.
pub(crate) fn left_report(entry: Value, tries: impl Fn(&str) -> u64) -> Option<LeftReport> {
    let (entry, fields): (String, Value) = redis::from_redis_value(entry).ok()?;
    let fields: Option<Vec<Vec<u8>>> = redis::from_redis_value(fields).ok();
    let report = fields.ok_or("it has no fields").and_then(read);
    Some(LeftReport { tries: tries(&entry), entry, report })
}

/// What an entry says: `id`, `kind` if it is another than the access token, and `fingerprint` or `token`.
fn read(fields: Vec<Vec<u8>>) -> Result<(Unit, Fingerprint), &'static str> {
    let mut pairs = HashMap::new();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        pairs.insert(name, value);
    }
    let mut text = |name: &str| String::from_utf8(pairs.remove(name.as_bytes())?).ok();
    let id = text("id").ok_or("id is missing")?;
    let id = id.parse().map_err(|_| "id must be 1 to 128 characters of A-Z a-z 0-9 . _ -")?;
    let kind = text("kind").map_or(Ok(Kind::AccessToken), |kind| kind.parse());
    let kind = kind.map_err(|_| "kind is not one of this version")?;
    let fingerprint = match (text("fingerprint"), text("token")) {
        (Some(hex), _) => Fingerprint::from_hex(&hex.to_ascii_lowercase())
            .ok_or("fingerprint must be the first 16 hex digits of the token's SHA-256")?,
        (None, Some(token)) => Fingerprint::of(&token),
        (None, None) => return Err("fingerprint or token is missing"),
    };
    Ok((Unit { id, kind }, fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> Result<(Unit, Fingerprint), &'static str> {
        let both = fields.iter().flat_map(|(name, text)| [name, text]);
        read(both.map(|text| text.as_bytes().to_vec()).collect())
    }

    #[test]
    fn an_entry_names_the_token_or_its_fingerprint() {
        let unit = Unit::access_token("wx1".parse().unwrap());
        let expected = Ok((unit, Fingerprint::of("abc")));
        assert_eq!(entry(&[("id", "wx1"), ("token", "abc")]), expected);
        let print = Fingerprint::of("abc");
        let fields = [("id", "wx1"), ("kind", "access_token"), ("fingerprint", print.as_str())];
        assert_eq!(entry(&fields), expected);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let wrong = |fields: &[(&str, &str)]| entry(fields).unwrap_err();
        assert_eq!(wrong(&[("token", "abc")]), "id is missing");
        assert_eq!(wrong(&[("id", "wx1")]), "fingerprint or token is missing");
        assert!(wrong(&[("id", "a b"), ("token", "abc")]).starts_with("id must be"));
        assert!(wrong(&[("id", "wx1"), ("kind", "x"), ("token", "abc")]).starts_with("kind is"));
        let short = [("id", "wx1"), ("fingerprint", "ABC"), ("token", "abc")];
        assert!(wrong(&short).starts_with("fingerprint must be"));
        let odd = vec![b"\xff".to_vec(), b"x".to_vec(), b"id".to_vec()];
        assert_eq!(read(odd), Err("id is missing"));
    }

    #[test]
    fn an_entry_that_is_gone_is_none_and_one_that_is_spoilt_can_still_be_finished() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        assert_eq!(left_report(Value::Nil, |_| 0), None);
        let spoilt = Value::Array(vec![text("1-0"), Value::Array(vec![text("hello"), text("x")])]);
        let expected =
            LeftReport { entry: "1-0".to_owned(), tries: 3, report: Err("id is missing") };
        assert_eq!(left_report(spoilt, |_| 3), Some(expected));
    }
}
