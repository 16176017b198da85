//! The keys of SDKs: written by a script of their own, looked at for people, and removed with their unit.

use redis::{Cmd, Pipeline, RedisResult, Value as Answer};
use zhongkong_core::ports::StoreError;
use zhongkong_core::publication::{Entry, Outcome, Publication, Stored, Value, Was};

use crate::link::settled;
use crate::reply::strange;
use crate::scripts::{Call, PUBLISH};
use crate::store::RedisStore;

impl RedisStore {
    /// Publishes at every key of `publication`.
    pub(crate) async fn publish_all(
        &self,
        publication: &Publication,
    ) -> Result<Vec<Outcome>, StoreError> {
        let entries = &publication.entries;
        if self.nodes.cluster().is_none() {
            return self.publish_at(publication, entries).await;
        }
        // These keys have no hash tag in common: each is written by itself, the token's first.
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            let fenced = outcomes.last() == Some(&Outcome::Fenced);
            if fenced {
                outcomes.push(Outcome::Fenced);
            } else {
                outcomes.extend(self.publish_at(publication, std::slice::from_ref(entry)).await?);
            }
        }
        Ok(outcomes)
    }

    /// Publishes at `entries`, which are in one place.
    async fn publish_at(
        &self,
        publication: &Publication,
        entries: &[Entry],
    ) -> Result<Vec<Outcome>, StoreError> {
        let Some(first) = entries.first() else { return Ok(Vec::new()) };
        let Publication { token_fence, expires_at_ms, left_ms, .. } = publication;
        let mut keys = Vec::with_capacity(2 * entries.len());
        let numbers = [token_fence, expires_at_ms, left_ms];
        let mut arguments: Vec<Vec<u8>> =
            numbers.into_iter().map(|number| number.to_string().into_bytes()).collect();
        for Entry { key, value, ttl_max_ms } in entries {
            keys.extend([self.keys.published(key), key.clone()]);
            let ttl_max = ttl_max_ms.map(|ttl| ttl.to_string()).unwrap_or_default();
            let fields = match value {
                Value::Text(_) => 0,
                Value::Fields(fields) => fields.len(),
            };
            arguments.extend([fields.to_string().into_bytes(), ttl_max.into_bytes()]);
            match value {
                Value::Text(text) => arguments.push(text.clone()),
                Value::Fields(fields) => {
                    for (name, text) in fields {
                        arguments.extend([name.clone().into_bytes(), text.clone()]);
                    }
                }
            }
        }
        let append = |pipe: &mut Pipeline, call: Call<'_>| {
            PUBLISH.call_on(pipe, &keys, &arguments, call.known);
        };
        let results = self.nodes.run(&PUBLISH, &first.key, false, append).await?;
        let answer = settled(results.into_iter().next())?;
        let answers: Vec<Vec<Answer>> =
            redis::from_redis_value(answer).map_err(|_| strange("no list of outcomes"))?;
        if answers.len() != entries.len() {
            return Err(strange("another number of outcomes"));
        }
        entries.iter().zip(answers).map(|(entry, answer)| outcome(entry, answer)).collect()
    }

    /// Whether every key of `publication` is as it should be, at the store's time `now_ms`; for people.
    pub async fn is_current(
        &self,
        publication: &Publication,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        for entry in &publication.entries {
            let Entry { key, value, .. } = entry;
            let mut pipe = redis::pipe();
            pipe.add_command(read(key, value)).cmd("PTTL").arg(key);
            let mut results = self.nodes.send("look", key, &mut pipe).await?.into_iter();
            // A key of another type answers with an error: it holds no token either.
            let found =
                results.next().and_then(Result::ok).and_then(|found| found_in(value, found));
            let ttl_ms = settled(results.next())
                .ok()
                .and_then(|ttl| redis::from_redis_value::<i64>(ttl).ok());
            let stored = Stored {
                fence: publication.token_fence,
                value: found,
                ttl_ms: ttl_ms.and_then(|ttl| u64::try_from(ttl).ok()),
            };
            if publication.settle(entry, &stored, now_ms) != Outcome::Current {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes keys that SDKs read. Returns how many there were.
    pub async fn forget_published(&self, keys: &[String]) -> Result<u32, StoreError> {
        let mut removed = 0;
        for key in keys {
            let mut pipe = redis::pipe();
            pipe.cmd("DEL").arg(key).cmd("DEL").arg(self.keys.published(key));
            let mut results: Vec<RedisResult<Answer>> =
                self.nodes.send("forget", key, &mut pipe).await?;
            let gone = settled((!results.is_empty()).then(|| results.swap_remove(0)))?;
            removed += redis::from_redis_value::<u32>(gone).unwrap_or_default();
        }
        Ok(removed)
    }
}

fn read(key: &str, value: &Value) -> Cmd {
    let mut command = redis::cmd(match value {
        Value::Text(_) => "GET",
        Value::Fields(_) => "HMGET",
    });
    command.arg(key);
    if let Value::Fields(fields) = value {
        for (name, _) in fields {
            command.arg(name);
        }
    }
    command
}

/// What [`read`] answered, in the form of `wanted`.
fn found_in(wanted: &Value, answer: Answer) -> Option<Value> {
    match wanted {
        Value::Text(_) => {
            let text: Option<Vec<u8>> = redis::from_redis_value(answer).ok()?;
            text.map(Value::Text)
        }
        Value::Fields(fields) => {
            let texts: Vec<Option<Vec<u8>>> = redis::from_redis_value(answer).ok()?;
            let named = fields
                .iter()
                .zip(texts)
                .filter_map(|((name, _), text)| Some((name.clone(), text?)));
            Some(Value::Fields(named.collect()))
        }
    }
}

fn outcome(entry: &Entry, answer: Vec<Answer>) -> Result<Outcome, StoreError> {
    let texts: Result<Vec<Vec<u8>>, _> = answer.into_iter().map(redis::from_redis_value).collect();
    let mut texts = texts.map_err(|_| strange("an outcome that is no text"))?.into_iter();
    let mut next = || texts.next().unwrap_or_default();
    let outcome = match &next()[..] {
        b"current" => Outcome::Current,
        b"written" => Outcome::Written,
        b"fenced" => Outcome::Fenced,
        b"ended" => Outcome::Ended,
        b"repaired" => Outcome::Repaired(match &next()[..] {
            b"gone" => Was::Gone,
            b"mistimed" => Was::Mistimed,
            _ => Was::Other(match &entry.value {
                Value::Text(_) => Value::Text(next()),
                Value::Fields(fields) => {
                    Value::Fields(fields.iter().map(|(name, _)| (name.clone(), next())).collect())
                }
            }),
        }),
        _ => return Err(strange("an unknown outcome")),
    };
    Ok(outcome)
}
