//! Sentinels: which server is the primary now, by the most recent of their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use redis::{RedisResult, ServerErrorKind, Value};
use zhongkong_core::ports::StoreError;

use crate::episode::Episode;
use crate::link::{Link, describe};
use crate::place::Place;
use crate::settings::{RedisAddress, SentinelSettings};

/// What a worker's user needs on the Sentinels, as the ACL rules that grant it.
const RIGHTS: &str =
    "+sentinel|get-master-addr-by-name +sentinel|master +sentinel|ckquorum +ping +hello";

/// The Sentinels of one primary.
#[derive(Debug)]
pub(crate) struct Sentinels {
    /// The primary's name.
    name: String,
    each: Vec<(RedisAddress, Link)>,
    last: Mutex<Option<Answer>>,
    silent: Episode,
}

/// What a Sentinel says, with what makes it more recent than another answer: a failover has a number, and whoever leads one
/// names the new primary before the others know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    recency: (u64, bool),
    primary: RedisAddress,
}

/// Answers as they come.
#[derive(Debug, Default)]
struct Poll {
    asked: usize,
    answers: usize,
    /// The most recent.
    best: Option<Answer>,
}

/// The primary.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) address: RedisAddress,
    /// Whether it was another one when this was asked last.
    pub(crate) is_news: bool,
}

/// What one Sentinel tells, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelFacts {
    /// Where it is.
    pub address: RedisAddress,
    /// What it knows of the primary; else why it does not tell.
    pub watched: Result<Watched, String>,
}

/// A primary, as one Sentinel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Where it is.
    pub primary: RedisAddress,
    /// How many replicas it has, down ones included.
    pub replicas: u32,
    /// How many other Sentinels watch it.
    pub others: u32,
    /// Why no failover could be agreed upon now, if so.
    pub no_quorum: Option<String>,
}

impl Sentinels {
    /// Nothing is connected yet.
    pub(crate) fn new(settings: &SentinelSettings) -> Self {
        let access = Arc::new(settings.access.clone());
        let each = settings.addresses.iter().map(|address| {
            let place = Place::sentinel(Arc::clone(&access), address.clone());
            (address.clone(), Link::new(Arc::new(place)))
        });
        Self {
            name: settings.primary.clone(),
            each: each.collect(),
            last: Mutex::new(None),
            silent: Episode::default(),
        }
    }

    /// The primary, by the most recent answer of more than half of all Sentinels, or of those that answer in time;
    /// if none does, the one that was named last, since a Redis without Sentinels is better than none; else why nobody knows.
    ///
    /// Boxed, since a connection to a Sentinel is made as any other is.
    pub(crate) fn primary(&self) -> BoxFuture<'_, Result<Named, String>> {
        Box::pin(async move {
            let mut asked: FuturesUnordered<_> =
                self.each.iter().map(|(address, link)| self.ask(address, link)).collect();
            let mut poll = Poll { asked: self.each.len(), ..Poll::default() };
            let mut failures = Vec::new();
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(answer) => poll.add(answer),
                    Err(why) => failures.push(why),
                }
                if poll.is_decided(self.last().as_ref()) {
                    break;
                }
            }
            let Some(answer) = poll.best else {
                let why = format!("no sentinel names the primary: {}", failures.join("; "));
                let Some(last) = self.last() else { return Err(why) };
                if self.silent.is_news(true) {
                    tracing::warn!(why, "staying with the primary that was named last");
                }
                return Ok(Named { address: last.primary, is_news: false });
            };
            self.silent.is_news(false);
            let heard_all = poll.answers + failures.len() == poll.asked;
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have heard of a later failover meanwhile.
            let answer = match &*last {
                Some(known) if !heard_all && known.recency > answer.recency => known.clone(),
                _ => answer,
            };
            let address = answer.primary.clone();
            let before = last.replace(answer);
            let is_news = before.is_some_and(|before| before.primary != address);
            Ok(Named { address, is_news })
        })
    }

    fn last(&self) -> Option<Answer> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What one of them says.
    async fn ask(&self, address: &RedisAddress, link: &Link) -> Result<Answer, String> {
        let mut answers = self.send(address, link, &["GET-MASTER-ADDR-BY-NAME", "MASTER"]).await?;
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let primary = self.named(address, next())?;
        // Without it answers are taken for equally recent.
        let watched = next().ok().and_then(|watched| redis::from_redis_value(watched).ok());
        let watched: HashMap<String, String> = watched.unwrap_or_default();
        let number = |field: &str| watched.get(field).and_then(|text| text.parse::<u64>().ok());
        let promotes =
            address_of(watched.get("ip"), watched.get("port")).is_some_and(|old| old != primary);
        Ok(Answer { recency: (number("config-epoch").unwrap_or(0), promotes), primary })
    }

    async fn send(
        &self,
        address: &RedisAddress,
        link: &Link,
        questions: &[&str],
    ) -> Result<std::vec::IntoIter<RedisResult<Value>>, String> {
        let mut pipe = redis::pipe();
        for question in questions {
            pipe.cmd("SENTINEL").arg(*question).arg(&self.name);
        }
        match link.send("sentinel", &mut pipe).await {
            Ok(answers) => Ok(answers.into_iter()),
            // Why there is no connection says where to.
            Err(StoreError::Unavailable(why)) if why.contains(&address.to_string()) => Err(why),
            Err(StoreError::Unavailable(why) | StoreError::Refused(why)) => {
                Err(format!("{address}: {why}"))
            }
            Err(error @ StoreError::Fenced) => Err(error.to_string()),
        }
    }

    fn named(&self, of: &RedisAddress, answer: RedisResult<Value>) -> Result<RedisAddress, String> {
        let answer = answer.map_err(|error| {
            if error.kind() == ServerErrorKind::NoPerm.into() {
                format!("{of}: its user may not ask for the primary; grant it {RIGHTS}")
            } else {
                format!("{of}: {}", describe(&error))
            }
        })?;
        let pair: Option<(String, String)> = redis::from_redis_value(answer).ok();
        pair.and_then(|(host, port)| address_of(Some(&host), Some(&port))).ok_or_else(|| {
            format!(
                "{of} watches no primary {:?}; redis.url must have a name that it knows",
                self.name
            )
        })
    }

    /// What each of them tells, for people.
    pub(crate) async fn facts(&self) -> Vec<SentinelFacts> {
        let facts = self.each.iter().map(async |(address, link)| SentinelFacts {
            address: address.clone(),
            watched: self.watched(address, link).await,
        });
        join_all(facts).await
    }

    async fn watched(&self, address: &RedisAddress, link: &Link) -> Result<Watched, String> {
        let questions = ["GET-MASTER-ADDR-BY-NAME", "MASTER", "CKQUORUM"];
        let mut answers = self.send(address, link, &questions).await?;
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let primary = self.named(address, next())?;
        let watched = next().map_err(|error| format!("{address}: {}", describe(&error)))?;
        let watched: HashMap<String, String> = redis::from_redis_value(watched).unwrap_or_default();
        let number =
            |field: &str| watched.get(field).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let no_quorum = next().err().map(|error| describe(&error));
        let (replicas, others) = (number("num-slaves"), number("num-other-sentinels"));
        Ok(Watched { primary, replicas, others, no_quorum })
    }
}

impl Poll {
    fn add(&mut self, answer: Answer) {
        self.answers += 1;
        if self.best.as_ref().is_none_or(|best| answer.recency > best.recency) {
            self.best = Some(answer);
        }
    }

    /// Whether more than half have answered, and nothing older than what was `known`: that is believed only if nobody
    /// knows better, as where Sentinels were set up anew.
    fn is_decided(&self, known: Option<&Answer>) -> bool {
        let is_recent = |best: &Answer| known.is_none_or(|known| best.recency >= known.recency);
        self.answers * 2 > self.asked && self.best.as_ref().is_some_and(is_recent)
    }
}

fn address_of(host: Option<&String>, port: Option<&String>) -> Option<RedisAddress> {
    Some(RedisAddress::Tcp(host?.clone(), port?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(failovers: u64, promotes: bool, port: u16) -> Answer {
        let primary = RedisAddress::Tcp("h".to_owned(), port);
        Answer { recency: (failovers, promotes), primary }
    }

    /// Which primary is named when so many of three have answered, if that is decided.
    fn named(answers: &[(u64, bool, u16)], known: Option<(u64, bool, u16)>) -> Option<u16> {
        let known = known.map(|(failovers, promotes, port)| answer(failovers, promotes, port));
        let mut poll = Poll { asked: 3, ..Poll::default() };
        for (failovers, promotes, port) in answers {
            poll.add(answer(*failovers, *promotes, *port));
        }
        let is_decided = poll.is_decided(known.as_ref());
        let best = poll.best.filter(|_| is_decided)?;
        let RedisAddress::Tcp(_, port) = best.primary else { panic!("no port") };
        Some(port)
    }

    #[test]
    fn the_latest_failover_among_more_than_half_decides() {
        assert_eq!(named(&[(1, false, 1)], None), None);
        assert_eq!(named(&[(1, false, 1), (2, false, 2)], None), Some(2));
        assert_eq!(named(&[(2, false, 2), (1, false, 1)], None), Some(2));
        // Whoever leads a failover knows the new primary first.
        assert_eq!(named(&[(1, false, 1), (1, true, 2)], None), Some(2));
    }

    #[test]
    fn what_is_older_than_known_is_not_believed_while_others_may_know_better() {
        let known = Some((2, false, 2));
        assert_eq!(named(&[(1, false, 1), (1, false, 1)], known), None);
        assert_eq!(named(&[(1, false, 1), (1, false, 1), (2, false, 2)], known), Some(2));
        assert_eq!(named(&[(1, false, 1), (3, false, 3)], known), Some(3));
    }
}
