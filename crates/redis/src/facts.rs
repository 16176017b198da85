//! What kind of Redis this is, for people.

use redis::{Pipeline, RedisResult, ServerErrorKind, Value};
use zhongkong_core::credential::Unit;

use crate::hindrance::Hindrance;
use crate::keys::Keys;
use crate::node::Node;

/// What `check` and `status` tell of Redis. What could not be learnt is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The server's version, and its name where it is not Redis itself.
    pub version: Option<String>,
    /// `master` or `slave`, as the server says it.
    pub role: Option<String>,
    /// Replicas connected now.
    pub replicas: Option<u32>,
    /// Replicas that have to acknowledge a claim.
    pub required: u32,
    /// Whether it would take writes without any replica: `min-replicas-to-write` is 0.
    pub isolated_writes: Option<bool>,
    /// `maxmemory-policy`: anything but `noeviction` may delete a state.
    pub eviction: Option<String>,
    /// Whether an append-only file is kept.
    pub append_only: Option<bool>,
    /// Whether snapshots are taken.
    pub snapshots: Option<bool>,
    /// The server's clock, in milliseconds since 1970.
    pub now_ms: Option<u64>,
    /// What the worker needs and its user may not do, as the ACL rules that grant it:
    /// `+xack`, `~zhongkong:*`, `&zhongkong:events`.
    pub denied: Option<Vec<String>>,
    /// What keeps it from taking writes now, and workers from noticing lost ones.
    pub hindrances: Vec<Hindrance>,
    /// The cluster that it is a part of.
    pub cluster: Option<ClusterFacts>,
}

/// What `check` and `status` tell of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Each primary, and what it says.
    pub shards: Vec<ShardFacts>,
    /// Slots that no primary has, as ranges.
    pub uncovered: Option<String>,
}

/// A primary of a cluster. What could not be learnt is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardFacts {
    /// `host:port`.
    pub address: String,
    /// Why it does not answer.
    pub error: Option<String>,
    /// `ok` or `fail`, as it says of the whole cluster.
    pub state: Option<String>,
    /// Replicas connected now.
    pub replicas: Option<u32>,
    /// A slot's move was begun and not ended, as the server writes it: `[93->-id]`.
    pub moving: Vec<String>,
}

impl ShardFacts {
    pub(crate) async fn of(node: &Node) -> Self {
        let mut shard = Self { address: node.name.clone(), ..Self::default() };
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").arg("replication");
        pipe.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("NODES");
        let results = match node.commands.send("facts", &mut pipe).await {
            Ok(results) => results,
            Err(error) => {
                shard.error = Some(error.to_string());
                return shard;
            }
        };
        let texts = results.into_iter().map(|r| redis::from_redis_value::<String>(r.ok()?).ok());
        let mut texts = texts.map(Option::unwrap_or_default);
        let mut next = || texts.next().unwrap_or_default();
        shard.replicas = connected_replicas(&next());
        shard.state = field(&next(), "cluster_state").map(ToOwned::to_owned);
        let nodes = next();
        let myself = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
        let moving = myself.split(' ').filter(|word| word.starts_with('['));
        shard.moving = moving.map(ToOwned::to_owned).collect();
        shard
    }
}

/// What the worker does in Redis: each command, whole, and the ACL rule that allows it.
///
/// A command is never shortened: asked about one that is too short, Redis may read beyond its end, and crash.
const NEEDS: [(&str, &str); 37] = [
    ("+evalsha", "EVALSHA 0000000000000000000000000000000000000000 0"),
    ("+info", "INFO server replication"),
    ("+time", "TIME"),
    ("+ping", "PING"),
    ("+multi", "MULTI"),
    ("+exec", "EXEC"),
    ("+wait", "WAIT 1 500"),
    ("+client|tracking", "CLIENT TRACKING ON BCAST PREFIX prefix"),
    (KEYS, "EVAL script 8 $state $lock $reader $history $workers $replicas $reports $notify"),
    ("+hgetall", "HGETALL $state"),
    ("+hmget", "HMGET $state field"),
    ("+hset", "HSET $state field value"),
    ("+hdel", "HDEL $state field"),
    ("+get", "GET $reader"),
    ("+set", "SET $reader token PX 1"),
    ("+del", "DEL $lock"),
    ("+pttl", "PTTL $reader"),
    ("+pexpire", "PEXPIRE $notify 1"),
    ("+type", "TYPE $reader"),
    ("+getrange", "GETRANGE $reader 0 1"),
    ("+zadd", "ZADD $workers 1 identity"),
    ("+zrem", "ZREM $workers identity"),
    ("+zremrangebyscore", "ZREMRANGEBYSCORE $workers -inf 1"),
    ("+zrange", "ZRANGE $workers 0 -1"),
    ("+zrangebyscore", "ZRANGEBYSCORE $workers 1 +inf"),
    ("+xgroup|create", "XGROUP CREATE $reports group 0 MKSTREAM"),
    ("+xreadgroup", "XREADGROUP GROUP group worker STREAMS $reports >"),
    ("+xinfo|consumers", "XINFO CONSUMERS $reports group"),
    ("+xpending", "XPENDING $reports group IDLE 1 - + 1 worker"),
    ("+xclaim", "XCLAIM $reports group worker 1 0-1"),
    ("+xgroup|delconsumer", "XGROUP DELCONSUMER $reports group worker"),
    ("+xack", "XACK $reports group 0-1"),
    ("+xdel", "XDEL $reports 0-1"),
    ("+xadd", "XADD $history MAXLEN = 1 1-* field value"),
    ("+xrevrange", "XREVRANGE $history + - COUNT 1"),
    ("+publish", "PUBLISH $events event"),
    ("+subscribe", "SUBSCRIBE $events"),
];
/// What it does in a cluster beyond that.
const CLUSTER_NEEDS: [(&str, &str); 2] =
    [("+cluster|slots", "CLUSTER SLOTS"), ("+asking", "ASKING")];
/// Stands for the rule that allows the keys, which bears their prefix.
const KEYS: &str = "~";

/// Asks which of the commands in the JSON list `ARGV[1]` the user may not run; none of them is run.
/// Returns their places in the list, counted from 1.
const ASK: &str = "
local denied = {}
for place, command in ipairs(cjson.decode(ARGV[1])) do
  local known, allowed = pcall(redis.acl_check_cmd, unpack(command))
  if not (known and allowed) then denied[#denied + 1] = place end
end
return redis.acl_check_cmd and denied or redis.error_reply('ERR it cannot be asked')";

/// Appends the question what the worker's user may not do about `unit`; it changes nothing.
/// Of each of the patterns in `sdk` one key is asked about.
pub(crate) fn ask_rights(
    pipe: &mut Pipeline,
    keys: &Keys,
    unit: &Unit,
    sdk: &[SdkKeys],
    in_cluster: bool,
) {
    let word = |word: &str| match word {
        "$state" => keys.state(unit),
        "$lock" => keys.lock(unit),
        "$reader" => keys.reader(unit),
        "$history" => keys.history(&unit.id),
        "$workers" => keys.workers(),
        "$replicas" => keys.replicas(),
        "$reports" => keys.reports(),
        "$notify" => keys.notify("any"),
        "$events" => keys.events(),
        word => word.to_owned(),
    };
    let mut commands: Vec<Vec<String>> =
        needs(in_cluster).map(|(_, command)| command.split(' ').map(word).collect()).collect();
    let touch = |key: &String| ["EVAL", "script", "1", key].map(ToOwned::to_owned).to_vec();
    commands.extend(sdk.iter().map(|SdkKeys { one, .. }| touch(one)));
    pipe.cmd("EVAL").arg(ASK).arg(0).arg(serde_json::json!(commands).to_string());
}

/// Keys that SDKs read, by the pattern that an ACL rule needs to allow them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdkKeys {
    /// The pattern: `wechatpy:*`.
    pub pattern: String,
    /// One of them.
    pub one: String,
}

fn needs(in_cluster: bool) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    NEEDS.iter().chain(CLUSTER_NEEDS.iter().filter(move |_| in_cluster))
}

/// One field of the text that `INFO` returns.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The epoch: the primary's run and its promotions. The one survives a failover and back, the other a restart.
pub(crate) fn epoch(info: &str) -> Option<String> {
    let run_id = field(info, "run_id")?;
    let second = field(info, "master_replid2")?;
    Some(format!("{run_id}:{second}"))
}

/// How many replicas are connected.
pub(crate) fn connected_replicas(info: &str) -> Option<u32> {
    field(info, "connected_slaves")?.parse().ok()
}

impl Facts {
    pub(crate) fn read_info(&mut self, info: &str) {
        let version = field(info, "valkey_version").map(|v| format!("Valkey {v}"));
        self.version = version.or_else(|| field(info, "redis_version").map(ToOwned::to_owned));
        self.role = field(info, "role").map(ToOwned::to_owned);
        self.replicas = connected_replicas(info);
        // Counted only where some are needed.
        self.isolated_writes =
            self.role.is_some().then_some(field(info, "min_slaves_good_slaves").is_none());
        self.eviction = field(info, "maxmemory_policy").map(ToOwned::to_owned);
        self.append_only = field(info, "aof_enabled").map(|flag| flag == "1");
    }

    pub(crate) fn read_rights(
        &mut self,
        answer: Option<RedisResult<Value>>,
        keys: &Keys,
        sdk: &[SdkKeys],
        in_cluster: bool,
    ) {
        self.denied = match answer {
            Some(Ok(places)) => {
                let places: Option<Vec<usize>> = redis::from_redis_value(places).ok();
                places.map(|places| {
                    let own = needs(in_cluster).count();
                    let (own_places, beyond): (Vec<usize>, Vec<usize>) =
                        places.into_iter().partition(|place| *place <= own);
                    let denied = beyond.iter().filter_map(|place| sdk.get(place - own - 1));
                    let patterns = denied.map(|SdkKeys { pattern, .. }| format!("~{pattern}"));
                    lacking(&own_places, keys).into_iter().chain(patterns).collect()
                })
            }
            Some(Err(error)) if error.kind() == ServerErrorKind::NoPerm.into() => {
                Some(vec!["+eval".to_owned()])
            }
            Some(Err(_)) | None => None,
        };
    }

    pub(crate) fn read_save(&mut self, answer: Value) {
        let pairs: Option<std::collections::BTreeMap<String, String>> =
            redis::from_redis_value(answer).ok();
        self.snapshots = pairs.and_then(|p| p.get("save").map(|save| !save.is_empty()));
    }
}

/// The rules that grant what is denied in these places of [`NEEDS`], counted from 1.
fn lacking(places: &[usize], keys: &Keys) -> Vec<String> {
    let denied = || places.iter().filter_map(|place| needs(true).nth(place.checked_sub(1)?));
    let all_denied = |rules: &[&str]| {
        rules.iter().all(|rule| denied().any(|(denied_rule, _)| denied_rule == rule))
    };
    // Whoever may not touch the keys is denied every command on them, whether or not the command itself is allowed.
    let no_keys = all_denied(&[KEYS]);
    let hidden = |command: &str| no_keys && command.contains('$') && !command.contains("$events");
    let mut rules: Vec<String> = denied()
        .filter(|(rule, command)| *rule != KEYS && !hidden(command))
        .map(|(rule, _)| (*rule).to_owned())
        .collect();
    if no_keys {
        rules.push(format!("~{}", keys.all()));
    }
    // The channel is what both have in common.
    if all_denied(&["+publish", "+subscribe"]) {
        rules.push(format!("&{}", keys.events()));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_scripts_is_among_the_needs() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scripts");
        let mut calls = 0;
        for script in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(script.unwrap().path()).unwrap();
            for call in text.split("call('").skip(1) {
                let name = call.split('\'').next().unwrap().to_lowercase();
                assert!(NEEDS.iter().any(|(rule, _)| *rule == format!("+{name}")), "{name}");
                calls += 1;
            }
        }
        assert!(calls > 10, "only {calls} calls");
    }
}
