//! From the simulator's journal and the cluster's events to records of a history.

use serde_json::Value;
use zhongkong_history::{ClusterEvent, Life, Processed, Record, Told, UpstreamEvent};
use zhongkong_simulator::{Death, Ending, Endpoint, JournalView, Outcome, Token};

/// What the upstream did for `unit`, the account's access token or, `of_ticket`, its only ticket. Of calls received before
/// `from_ms`, whose claims nobody recorded, only their tokens count.
pub fn of_upstream(
    journal: &JournalView,
    unit: &str,
    of_ticket: bool,
    from_ms: u64,
) -> Vec<Record> {
    assert_eq!(journal.forgotten, 0, "the journal must be whole");
    let life = |serial: u64| journal.tokens.iter().find(|token| token.serial == serial).map(life);
    let mut records = Vec::new();
    for call in &journal.calls {
        let mut add = |at_ms, event| records.push(Record::upstream(at_ms, unit, event));
        let number = call.call;
        let processed_at_ms = call.processed_at_ms.unwrap_or_default();
        if call.endpoint == Endpoint::Foreign && !of_ticket {
            if let Some(Outcome::Issued { serial }) = call.outcome
                && let Some(life) = life(serial)
            {
                add(processed_at_ms, UpstreamEvent::Foreign { life });
            }
            continue;
        }
        let concerns =
            if of_ticket { call.endpoint == Endpoint::Ticket } else { call.endpoint.is_token() };
        if !concerns {
            continue;
        }
        let is_recorded = call.received_at_ms >= from_ms;
        if is_recorded {
            add(call.received_at_ms, UpstreamEvent::Received { call: number, fence: None });
        }
        if let Some(outcome) = call.outcome {
            let outcome = match outcome {
                Outcome::Issued { serial } => life(serial).map(Processed::Issued),
                Outcome::Returned { serial } => {
                    life(serial).map(|life| Processed::Returned { fingerprint: life.fingerprint })
                }
                Outcome::Errcode { errcode } => Some(Processed::Refused { code: errcode.into() }),
                Outcome::Served | Outcome::Nothing => Some(Processed::Nothing),
            };
            let outcome = outcome.expect("the journal has every token");
            add(processed_at_ms, UpstreamEvent::Processed { call: number, outcome });
        }
        if let (Some(at_ms), Some(ending), true) = (call.ended_at_ms, call.ending, is_recorded) {
            add(
                at_ms,
                match ending {
                    Ending::Answered => UpstreamEvent::Answered { call: number },
                    Ending::Cut | Ending::CallerGone | Ending::Stopped => {
                        UpstreamEvent::Unanswered { call: number }
                    }
                },
            );
        }
    }
    records
}

fn life(token: &Token) -> Life {
    let why = match token.death {
        Death::Expired => "expired",
        Death::Replaced => "replaced",
        Death::NotNewestTwo => "not one of the newest two",
        Death::Forced => "killed by a forced refresh",
        Death::Revoked => "revoked",
    };
    let (fingerprint, dies_at_ms) = (token.fingerprint.clone(), token.dies_at_ms);
    Life { fingerprint, dies_at_ms, why: why.to_owned() }
}

/// What the cluster said of `kind`, and when, in milliseconds since 1970 by Redis' clock.
pub fn of_cluster(event: &str, kind: &str) -> Option<(u64, ClusterEvent)> {
    let event: Value = serde_json::from_str(event).ok()?;
    if event["kind"].as_str().is_some_and(|of| of != kind) {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let state = |name: &str| text(&event["state"][name]);
    let told = Told {
        event_type: text(&event["type"]),
        fence: event["fence"].as_str().and_then(|fence| fence.parse().ok()).unwrap_or_default(),
        worker: text(&event["worker"]),
        epoch: state("epoch"),
        generation: event["generation"].as_u64().unwrap_or_default(),
        fingerprint: state("fingerprint"),
        reasons: state("doubt"),
        claim_is_open: !state("intent").is_empty(),
    };
    let what = told.event_type.clone();
    let what = told.happened().unwrap_or(ClusterEvent::Fault { what });
    Some((event["time_ms"].as_str()?.parse().ok()?, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: &str, expected: ClusterEvent) {
        assert_eq!(of_cluster(event, "access_token"), Some((7, expected)));
    }

    #[test]
    fn events_are_read_with_their_state() {
        check(
            r#"{"type":"claimed","worker":"w","fence":"9","time_ms":"7","state":{"epoch":"e","intent":"1"}}"#,
            ClusterEvent::Claimed { fence: 9, worker: "w".to_owned(), epoch: "e".to_owned() },
        );
        let committed = |provisional| ClusterEvent::Committed {
            fence: 9,
            generation: 3,
            fingerprint: "aa".to_owned(),
            provisional,
        };
        check(
            r#"{"type":"refreshed","fence":"9","generation":3,"time_ms":"7","state":{"fingerprint":"aa"}}"#,
            committed(false),
        );
        check(
            r#"{"type":"refreshed","fence":"9","generation":3,"time_ms":"7","state":{"fingerprint":"aa","doubt":"late"}}"#,
            committed(true),
        );
        let doubted = |claim_is_open| ClusterEvent::Doubted {
            reasons: "late,unknown".to_owned(),
            claim_is_open,
        };
        check(
            r#"{"type":"doubted","fence":"9","time_ms":"7","state":{"doubt":"late,unknown","intent":"1"}}"#,
            doubted(true),
        );
        check(
            r#"{"type":"doubted","fence":"9","time_ms":"7","state":{"doubt":"late,unknown"}}"#,
            doubted(false),
        );
    }

    #[test]
    fn what_is_no_event_is_left_out() {
        assert_eq!(of_cluster("junk", "access_token"), None);
        assert_eq!(of_cluster(r#"{"type":"claimed"}"#, "access_token"), None);
        let of_another = r#"{"type":"lost","kind":"jsapi_ticket","time_ms":"7"}"#;
        assert_eq!(of_cluster(of_another, "access_token"), None);
        assert!(of_cluster(of_another, "jsapi_ticket").is_some());
    }
}
