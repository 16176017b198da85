//! What the tests share.

use zhongkong_core::credential::Unit;
use zhongkong_core::refusal::{Refusal, Scope, Status};
use zhongkong_core::state::State;

/// An instant.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) fn unit(id: &str) -> Unit {
    Unit::access_token(id.parse().unwrap())
}

/// A state of a unit whose last attempt, by `who`, was refused a second ago.
pub(crate) fn refused(scope: Scope, status: Status, who: &str) -> State {
    let refusal = Refusal {
        scope,
        key: if scope == Scope::Configuration { "c0ffee".to_owned() } else { who.to_owned() },
        status,
        code: Some(40164),
        message: "invalid ip 10.0.0.7 ipv6 ::ffff:10.0.0.7, not in whitelist rid: 1-2-3".to_owned(),
        at_ms: NOW - 1_000,
        retry_at_ms: NOW + 60_000,
        count: 1,
        by: who.to_owned(),
    };
    State {
        v: 1,
        status,
        error_code: refusal.code,
        error_message: refusal.message.clone(),
        refusals: vec![refusal],
        ..State::default()
    }
}
