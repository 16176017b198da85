//! Many states read together: from every primary at once, and one by one where slots are on their way.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use redis::{Cmd, RedisResult, Value};
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Observed, Reading, StoreError};
use zhongkong_core::state::State;
use zhongkong_core::token::TOKEN_MAX;

use crate::facts;
use crate::link::settled;
use crate::node::Node;
use crate::reply::strange;
use crate::store::{RedisStore, millis_of};

/// Units read one by one at once: those whose slot is on its way.
const ALONE_AT_ONCE: usize = 16;

impl RedisStore {
    /// The states of `units`, in their order.
    pub(crate) async fn read_all(
        &self,
        units: &[Unit],
    ) -> Result<Vec<Result<Reading, StoreError>>, StoreError> {
        if units.is_empty() {
            // Whoever has no units asks whether the store is there.
            return self.now_ms("read").await.map(|_| Vec::new());
        }
        if let Some(cluster) = self.nodes.cluster() {
            cluster.look_again().await?;
        }
        let mut readings: Vec<Option<Result<Reading, StoreError>>> = vec![None; units.len()];
        let mut left: Vec<usize> = (0..units.len()).collect();
        // Once more together for those that turned out to be elsewhere.
        for _ in 0..2 {
            let mut groups: BTreeMap<String, (Arc<Node>, Vec<usize>)> = BTreeMap::new();
            for place in std::mem::take(&mut left) {
                match self.nodes.known_owner(&self.keys.state(&units[place])) {
                    Some(node) => {
                        let group = groups.entry(node.name.clone());
                        group.or_insert_with(|| (node, Vec::new())).1.push(place);
                    }
                    None => left.push(place),
                }
            }
            let read = groups.into_values().map(async |(node, places)| {
                let read = self.read_at(&node, units, &places).await;
                (places, read)
            });
            for (places, read) in join_all(read).await {
                match (read, self.nodes.cluster()) {
                    (Ok(read), _) => {
                        for (place, reading) in places.into_iter().zip(read) {
                            match reading {
                                Some(reading) => readings[place] = Some(reading),
                                None => left.push(place),
                            }
                        }
                    }
                    (Err(error), None) => return Err(error),
                    (Err(error), Some(cluster)) => {
                        cluster.suspect();
                        for place in places {
                            readings[place] = Some(Err(error.clone()));
                        }
                    }
                }
            }
        }
        let alone =
            left.into_iter().map(async |place| (place, self.read_alone(&units[place]).await));
        let mut alone = futures_util::stream::iter(alone).buffer_unordered(ALONE_AT_ONCE);
        while let Some((place, reading)) = alone.next().await {
            readings[place] = Some(reading);
        }
        let none = || Err(StoreError::Unavailable("no answer".to_owned()));
        Ok(readings.into_iter().map(|reading| reading.unwrap_or_else(none)).collect())
    }

    /// The states of those `units` whose places are `places`, read together from `node`; none for one that it lacks.
    async fn read_at(
        &self,
        node: &Node,
        units: &[Unit],
        places: &[usize],
    ) -> Result<Vec<Option<Result<Reading, StoreError>>>, StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").arg("server").arg("replication").cmd("TIME");
        for unit in places.iter().filter_map(|place| units.get(*place)) {
            pipe.cmd("HGETALL").arg(self.keys.state(unit));
            pipe.add_command(self.own_text(unit));
        }
        let mut results = node.commands.send("read", &mut pipe).await?.into_iter();
        let (epoch, now_ms) = epoch_and_time(&mut results);
        let epoch: Arc<str> = node.commands.believe(epoch).into();
        let mut readings = Vec::with_capacity(places.len());
        for unit in places.iter().filter_map(|place| units.get(*place)) {
            let both: Vec<_> = results.by_ref().take(2).collect();
            let key = self.keys.state(unit);
            let reading = (!self.nodes.is_elsewhere(&key, node, &both)).then(|| {
                let mut both = both.into_iter().map(|result| settled(Some(result)));
                let mut next = || both.next().unwrap_or_else(|| settled(None));
                reading_of((next(), next().ok()), now_ms, Arc::clone(&epoch))
            });
            readings.push(reading);
        }
        Ok(readings)
    }

    /// The state of a unit whose slot may be on its way.
    async fn read_alone(&self, unit: &Unit) -> Result<Reading, StoreError> {
        let key = self.keys.state(unit);
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").arg("server").arg("replication").cmd("TIME").cmd("HGETALL").arg(&key);
        let mut results = self.nodes.send("read", &key, &mut pipe).await?.into_iter();
        let (epoch, now_ms) = epoch_and_time(&mut results);
        // The one key may be there already, and the other not.
        let found = match self.nodes.ask("read", &key, self.own_text(unit)).await {
            Err(StoreError::Refused(_)) => None,
            found => Some(found?),
        };
        let epoch = epoch.unwrap_or_default().into();
        reading_of((settled(results.next()), found), now_ms, epoch)
    }

    /// One state, with its copy of the token.
    pub(crate) async fn read_copy(&self, unit: &Unit) -> Result<Observed, StoreError> {
        let key = self.keys.state(unit);
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").cmd("HGETALL").arg(&key);
        let mut results = self.nodes.send("copy", &key, &mut pipe).await?.into_iter();
        let now_ms = settled(results.next())
            .and_then(|time| millis_of(time).ok_or_else(|| strange("a time that is none")))?;
        Ok(Observed { state: state_of(settled(results.next())?)?, now_ms })
    }

    /// Asks for what readers find. What somebody wrote there is of any length; no token is as long as this.
    fn own_text(&self, unit: &Unit) -> Cmd {
        let mut get = redis::cmd("GETRANGE");
        get.arg(self.keys.reader(unit)).arg(0).arg(TOKEN_MAX);
        get
    }
}

/// What `INFO` and `TIME` answered.
fn epoch_and_time(results: &mut impl Iterator<Item = RedisResult<Value>>) -> (Option<String>, u64) {
    let info = results.next().and_then(Result::ok);
    let info: Option<String> = info.and_then(|value| redis::from_redis_value(value).ok());
    let now_ms = settled(results.next()).ok().and_then(millis_of).unwrap_or_default();
    (info.as_deref().and_then(facts::epoch), now_ms)
}

/// One unit: its state, and whether readers find just its token. A key of another type answers with an error: readers find
/// no token there either.
fn reading_of(
    (state, key): (Result<Value, StoreError>, Option<Value>),
    now_ms: u64,
    epoch: Arc<str>,
) -> Result<Reading, StoreError> {
    let state = state_of(state?)?;
    let found: Option<Vec<u8>> = key.and_then(|value| redis::from_redis_value(value).ok());
    let own = state.token.as_ref().map(|token| token.expose().as_bytes());
    let published = own.is_some() && found.as_deref() == own;
    Ok(Reading { state: state.without_token(), published, now_ms, epoch })
}

/// What `HGETALL` of a state answered.
fn state_of(answer: Value) -> Result<State, StoreError> {
    let fields: Vec<(String, String)> =
        redis::from_redis_value(answer).map_err(|_| strange("a state that is no hash of text"))?;
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(State::from_fields(fields))
}
