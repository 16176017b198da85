//! Risk control: an address the account has not called from needs its administrator's consent.

use std::collections::HashMap;
use std::net::IpAddr;

const NEEDS_CONFIRMATION: i32 = 89503;
const CONFIRMATION_PENDING: i32 = 89501;
const REFUSED_ONCE: i32 = 89507;
const REFUSED_TWICE: i32 = 89506;

/// What the administrator of one account thinks of each address.
#[derive(Debug, Default)]
pub(crate) struct Risk {
    on: bool,
    callers: HashMap<IpAddr, Caller>,
}

#[derive(Debug, Default)]
struct Caller {
    standing: Standing,
    refused_at_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Standing {
    #[default]
    Unknown,
    Pending,
    Confirmed,
    Blocked {
        until_ms: u64,
        errcode: i32,
    },
}

impl Risk {
    pub(crate) fn set(&mut self, on: bool) {
        self.on = on;
    }

    /// The first call asks the administrator; calls until the answer are told to wait.
    pub(crate) fn check(&mut self, caller: IpAddr, now_ms: u64) -> Result<(), i32> {
        if !self.on {
            return Ok(());
        }
        let caller = self.callers.entry(caller).or_default();
        match caller.standing {
            Standing::Confirmed => Ok(()),
            Standing::Pending => Err(CONFIRMATION_PENDING),
            Standing::Blocked { until_ms, errcode } if now_ms < until_ms => Err(errcode),
            Standing::Blocked { .. } | Standing::Unknown => {
                caller.standing = Standing::Pending;
                Err(NEEDS_CONFIRMATION)
            }
        }
    }

    pub(crate) fn confirm(&mut self, caller: IpAddr) {
        self.callers.entry(caller).or_default().standing = Standing::Confirmed;
    }

    pub(crate) fn refuse(&mut self, caller: IpAddr, now_ms: u64, once_ms: u64, twice_ms: u64) {
        let caller = self.callers.entry(caller).or_default();
        let again = caller.refused_at_ms.is_some_and(|at| now_ms < at.saturating_add(twice_ms));
        let (block_ms, errcode) =
            if again { (twice_ms, REFUSED_TWICE) } else { (once_ms, REFUSED_ONCE) };
        caller.refused_at_ms = Some(now_ms);
        caller.standing = Standing::Blocked { until_ms: now_ms.saturating_add(block_ms), errcode };
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
    const HOUR: u64 = 3_600_000;

    fn risk() -> Risk {
        let mut risk = Risk::default();
        risk.set(true);
        risk
    }

    #[test]
    fn an_unknown_address_waits_for_the_administrator() {
        let mut risk = risk();
        assert_eq!(risk.check(HERE, 0), Err(89503));
        assert_eq!(risk.check(HERE, 1), Err(89501));
        risk.confirm(HERE);
        assert_eq!(risk.check(HERE, 2), Ok(()));
        assert_eq!(risk.check(IpAddr::V4(Ipv4Addr::LOCALHOST), 2), Err(89503));
    }

    #[test]
    fn one_refusal_blocks_for_an_hour_and_a_second_for_a_day() {
        let mut risk = risk();
        assert_eq!(risk.check(HERE, 0), Err(89503));
        risk.refuse(HERE, 0, HOUR, 24 * HOUR);
        assert_eq!(risk.check(HERE, HOUR - 1), Err(89507));
        assert_eq!(risk.check(HERE, HOUR), Err(89503));
        risk.refuse(HERE, 2 * HOUR, HOUR, 24 * HOUR);
        assert_eq!(risk.check(HERE, 26 * HOUR - 1), Err(89506));
        assert_eq!(risk.check(HERE, 26 * HOUR), Err(89503));
        risk.refuse(HERE, 30 * HOUR, HOUR, 24 * HOUR);
        assert_eq!(risk.check(HERE, 30 * HOUR), Err(89507));
    }

    #[test]
    fn without_risk_control_every_address_may_call() {
        assert_eq!(Risk::default().check(HERE, 0), Ok(()));
    }
}
