//! What really happened, by the upstream's journal: which token died when, and who tried it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::Instant;

/// A copy of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    taken_at: Instant,
    now_ms: u64,
    tokens: Vec<Value>,
    /// The workers' calls that try a token; the reader calls from the loopback address.
    probes: Vec<Probe>,
}

/// A token was tried by a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The worker's address.
    pub(crate) caller: IpAddr,
    pub(crate) at: Instant,
    pub(crate) rejected: bool,
}

impl Journal {
    /// Reads what the simulator tells.
    pub(crate) fn read(told: &Value) -> anyhow::Result<Self> {
        let taken_at = Instant::now();
        let now_ms = told["now_ms"].as_u64().context("the journal says when it is")?;
        let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
        let mut journal = Self { taken_at, now_ms, tokens: list("tokens"), probes: Vec::new() };
        for call in list("calls") {
            let caller = call["caller"].as_str().unwrap_or_default();
            let caller: IpAddr = caller.parse().context("a call has its caller")?;
            if call["endpoint"] == "probe" && caller != Ipv4Addr::LOCALHOST {
                let at_ms = call["received_at_ms"].as_u64().context("a call has its time")?;
                let rejected = call["outcome"].get("errcode").is_some();
                journal.probes.push(Probe { caller, at: journal.instant(at_ms), rejected });
            }
        }
        Ok(journal)
    }

    /// When this token dies or died.
    pub(crate) fn death_of(&self, fingerprint: &str) -> anyhow::Result<Instant> {
        let token = self.tokens.iter().find(|token| token["fingerprint"] == fingerprint);
        let at_ms = token.and_then(|token| token["dies_at_ms"].as_u64());
        Ok(self.instant(at_ms.context("the upstream knows no such token")?))
    }

    /// The workers' probes, oldest first.
    pub(crate) fn probes(&self) -> &[Probe] {
        &self.probes
    }

    fn instant(&self, at_ms: u64) -> Instant {
        let past = Duration::from_millis(self.now_ms.saturating_sub(at_ms));
        let ahead = Duration::from_millis(at_ms.saturating_sub(self.now_ms));
        self.taken_at - past + ahead
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_readers_own_calls_are_no_probes() {
        let call = |caller: &str, outcome: Value| {
            json!({
                "endpoint": "probe", "caller": caller,
                "received_at_ms": 900, "outcome": outcome,
            })
        };
        let dead = json!({ "errcode": { "errcode": 40001 } });
        let journal = Journal::read(&json!({
            "now_ms": 1_000,
            "calls": [call("127.0.0.1", dead.clone()), call("203.0.113.1", dead)],
            "tokens": [{ "fingerprint": "0123456789abcdef", "dies_at_ms": 1_500 }],
        }));
        let journal = journal.unwrap();
        assert_eq!(journal.probes().len(), 1);
        assert!(journal.probes()[0].rejected && journal.probes()[0].at < journal.taken_at);
        let dies_at = journal.death_of("0123456789abcdef").unwrap();
        assert_eq!(dies_at.duration_since(journal.taken_at), Duration::from_millis(500));
        assert!(journal.death_of("ffffffffffffffff").is_err());
    }
}
