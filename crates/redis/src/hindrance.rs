//! What keeps Redis from taking writes, and workers from noticing lost ones, as it tells of itself.

use std::collections::{BTreeMap, BTreeSet};

use zhongkong_core::ports::StoreError;

use crate::facts::{epoch, field};
use crate::link::Link;

/// What is in the way. All but the first two keep Redis from taking writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// `INFO` is refused, so the epoch rule is off: writes that a failover loses go unnoticed.
    NoEpoch,
    /// It tells another run at each turn, as behind a proxy that sends each command to another server: likewise.
    EpochFlaps,
    /// Its data is still being loaded.
    Loading,
    /// Its memory is full, and its policy evicts nothing. Tokens are refreshed all the same; readers' reports are refused.
    MemoryFull,
    /// Its append-only file cannot be written.
    AppendOnlyFile,
    /// Its last snapshot failed.
    Snapshot,
    /// Fewer replicas follow it than its `min-replicas-to-write`.
    FewReplicas {
        /// Replicas that follow it closely enough.
        good: u32,
        /// Replicas that have to.
        needed: u32,
    },
}

/// How often a server is asked: enough for a proxy to come to another one.
const ASKED: usize = 3;

/// What stands in the way of the server at the end of `link`. Where `CONFIG` is refused, its defaults are assumed.
pub(crate) async fn of(link: &Link) -> Result<Vec<Hindrance>, StoreError> {
    let mut runs = BTreeSet::new();
    let mut found = Vec::new();
    for _ in 0..ASKED {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").arg(&["server", "memory", "persistence", "replication"]);
        pipe.cmd("CONFIG").arg(&["GET", "stop-writes-on-bgsave-error", "min-replicas-to-write"]);
        let mut answers = link.send("hindrances", &mut pipe).await?.into_iter().map(Result::ok);
        let mut next = || answers.next().flatten();
        let info: Option<String> = next().and_then(|value| redis::from_redis_value(value).ok());
        let config: Option<BTreeMap<String, String>> =
            next().and_then(|value| redis::from_redis_value(value).ok());
        let info = info.unwrap_or_default();
        found = hindrances(&info, &config.unwrap_or_default());
        runs.insert(field(&info, "run_id").map(ToOwned::to_owned));
    }
    if runs.len() > 1 {
        found.insert(0, Hindrance::EpochFlaps);
    }
    Ok(found)
}

fn hindrances(info: &str, config: &BTreeMap<String, String>) -> Vec<Hindrance> {
    let says = |name: &str, value: &str| field(info, name) == Some(value);
    let number = |name: &str| field(info, name).and_then(|text| text.parse::<u64>().ok());
    let option = |name: &str| config.get(name).map(String::as_str);

    let used = number("used_memory").zip(number("maxmemory")).map(|(used, max)| {
        // What waits for replicas and for the append-only file is not counted against the limit.
        (used.saturating_sub(number("mem_not_counted_for_evict").unwrap_or(0)), max)
    });
    let full = says("maxmemory_policy", "noeviction")
        && used.is_some_and(|(used, max)| max > 0 && used > max);
    let stops = option("stop-writes-on-bgsave-error") != Some("no");
    let good = number("min_slaves_good_slaves").and_then(|good| u32::try_from(good).ok());
    // Told only where there has to be one.
    let needed = option("min-replicas-to-write").map_or(Some(1), |needed| needed.parse().ok());
    let few = good.zip(needed).filter(|(good, needed)| good < needed);

    let candidates = [
        epoch(info).is_none().then_some(Hindrance::NoEpoch),
        says("loading", "1").then_some(Hindrance::Loading),
        full.then_some(Hindrance::MemoryFull),
        says("aof_last_write_status", "err").then_some(Hindrance::AppendOnlyFile),
        (stops && says("rdb_last_bgsave_status", "err")).then_some(Hindrance::Snapshot),
        few.map(|(good, needed)| Hindrance::FewReplicas { good, needed }),
    ];
    candidates.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(info: &str, options: &[(&str, &str)]) -> Vec<Hindrance> {
        let info = format!("run_id:1 master_replid2:0 {info}");
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        hindrances(&info.replace(' ', "\r\n"), &options.iter().map(own).collect())
    }

    #[test]
    fn a_redis_that_takes_writes_has_no_hindrance() {
        let info = "used_memory:9 maxmemory:0 maxmemory_policy:noeviction loading:0 \
                    aof_last_write_status:ok rdb_last_bgsave_status:ok min_slaves_good_slaves:1";
        assert_eq!(found(info, &[("min-replicas-to-write", "1")]), []);
        assert_eq!(found("", &[]), []);
    }

    #[test]
    fn without_info_the_epoch_rule_is_off() {
        assert_eq!(hindrances("", &BTreeMap::new()), [Hindrance::NoEpoch]);
    }

    #[test]
    fn memory_is_full_above_its_limit_if_nothing_may_be_evicted() {
        for (info, full) in [
            ("used_memory:11 maxmemory:10 maxmemory_policy:noeviction", true),
            ("used_memory:10 maxmemory:10 maxmemory_policy:noeviction", false),
            ("used_memory:11 maxmemory:10 maxmemory_policy:allkeys-lru", false),
            (
                "used_memory:11 maxmemory:10 maxmemory_policy:noeviction mem_not_counted_for_evict:1",
                false,
            ),
        ] {
            assert_eq!(found(info, &[]).contains(&Hindrance::MemoryFull), full, "{info}");
        }
    }

    #[test]
    fn a_failed_snapshot_stops_writes_unless_the_configuration_says_otherwise() {
        let failed = "rdb_last_bgsave_status:err";
        assert_eq!(found(failed, &[]), [Hindrance::Snapshot]);
        assert_eq!(found(failed, &[("stop-writes-on-bgsave-error", "no")]), []);
    }

    #[test]
    fn too_few_replicas_are_counted() {
        let few = Hindrance::FewReplicas { good: 1, needed: 2 };
        let options = [("min-replicas-to-write", "2")];
        assert_eq!(found("min_slaves_good_slaves:1", &options), [few]);
        assert_eq!(found("min_slaves_good_slaves:1", &[]), []);
        let none = Hindrance::FewReplicas { good: 0, needed: 1 };
        assert_eq!(found("min_slaves_good_slaves:0", &[]), [none]);
    }
}
