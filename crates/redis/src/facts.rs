//! What kind of Redis this is, for people.

use redis::{RedisResult, ServerErrorKind, Value};

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
    /// `maxmemory-policy`: anything but `noeviction` may delete a state.
    pub eviction: Option<String>,
    /// Whether an append-only file is kept.
    pub append_only: Option<bool>,
    /// Whether snapshots are taken.
    pub snapshots: Option<bool>,
    /// Whether the epoch can be read, without which lost writes of a failover go unnoticed.
    pub epoch: bool,
    /// The server's clock, in milliseconds since 1970.
    pub now_ms: Option<u64>,
    /// Commands that the worker needs and its user may not run.
    pub denied: Vec<&'static str>,
}

/// What the worker's user must be allowed, each in a form that changes nothing.
pub(crate) const PROBES: [(&str, &[&str]); 6] = [
    ("evalsha", &["EVALSHA", "0000000000000000000000000000000000000000", "0"]),
    ("eval", &["EVAL", "return 1", "0"]),
    ("info", &["INFO", "server"]),
    ("time", &["TIME"]),
    ("wait", &["WAIT", "0", "1"]),
    ("client|tracking", &["CLIENT", "TRACKING", "OFF"]),
];

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
        self.eviction = field(info, "maxmemory_policy").map(ToOwned::to_owned);
        self.append_only = field(info, "aof_enabled").map(|flag| flag == "1");
        self.epoch = epoch(info).is_some();
    }

    pub(crate) fn read_probes(&mut self, results: impl Iterator<Item = RedisResult<Value>>) {
        let denied = |result: &RedisResult<Value>| {
            result.as_ref().is_err_and(|error| error.kind() == ServerErrorKind::NoPerm.into())
        };
        let probed = PROBES.iter().zip(results);
        self.denied =
            probed.filter_map(|((name, _), result)| denied(&result).then_some(*name)).collect();
    }

    pub(crate) fn read_save(&mut self, answer: Value) {
        let pairs: Option<std::collections::BTreeMap<String, String>> =
            redis::from_redis_value(answer).ok();
        self.snapshots = pairs.and_then(|p| p.get("save").map(|save| !save.is_empty()));
    }
}
