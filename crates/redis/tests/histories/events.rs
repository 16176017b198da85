//! What everybody hears of a call: the table of events in ARCHITECTURE.md, as code.

use std::collections::BTreeMap;

use serde_json::Value;
use zhongkong_core::abandon::{AbandonAnswer, Outcome};
use zhongkong_core::adopt::AdoptAnswer;
use zhongkong_core::claim::ClaimAnswer;
use zhongkong_core::commit::CommitAnswer;
use zhongkong_core::credential::Unit;
use zhongkong_core::doubt::Doubt;
use zhongkong_core::force::InvalidateAnswer;
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::report::{Evidence, Probed, ReportAnswer};
use zhongkong_core::state::State;

use crate::call::{Answer, Call};
use crate::reference::History;
use crate::system::same;

/// The types of the events that `call` causes, in their order, `before` being the state that it met.
pub(crate) fn expected(call: &Call, answer: &Answer, before: &State) -> Vec<&'static str> {
    match (call, answer) {
        (Call::Claim(request), Answer::Claim(ClaimAnswer::Claimed { raised, .. }, _)) => {
            let repeated = before.exists() && before.nonce == request.nonce;
            match (repeated, raised.is_empty()) {
                (true, _) => vec![],
                (false, true) => vec!["claimed"],
                (false, false) => vec!["doubted", "claimed"],
            }
        }
        (Call::Commit(_), Answer::Commit(CommitAnswer::Fenced)) => vec!["doubted"],
        (Call::Commit(_), Answer::Commit(CommitAnswer::Committed { changed, .. })) => {
            match (before.intent, changed) {
                (false, _) => vec![],
                (true, true) => vec!["refreshed"],
                (true, false) => vec!["unchanged"],
            }
        }
        (Call::Abandon(request), Answer::Abandon(answer)) => {
            let own =
                before.fence > 0 && before.fence == request.fence && before.nonce == request.nonce;
            match (&request.outcome, answer) {
                (Outcome::Unknown { .. }, AbandonAnswer::Recorded) => vec!["doubted"],
                (Outcome::Unknown { .. }, AbandonAnswer::Late) if !own => vec!["doubted"],
                (_, AbandonAnswer::Late) => vec![],
                (Outcome::Refused { .. }, AbandonAnswer::Recorded) => vec!["refused"],
                (Outcome::NotSent { .. }, AbandonAnswer::Recorded) => vec!["released"],
            }
        }
        (_, Answer::Keep(KeepAnswer::Republished { .. })) => vec!["kept"],
        (_, Answer::Keep(KeepAnswer::NoToken { announce: true })) => vec!["lost"],
        (_, Answer::Force(_) | Answer::Invalidate(InvalidateAnswer::Marked { .. })) => {
            vec!["forced"]
        }
        (Call::Pause, Answer::Pause) if !before.is_paused() || !before.exists() => vec!["paused"],
        (Call::Resume, Answer::Pause) if before.is_paused() => vec!["resumed"],
        (_, Answer::Report(ReportAnswer::Noted)) => vec!["noted"],
        (Call::Report(request), Answer::Report(ReportAnswer::Marked { foreign, .. })) => {
            let death =
                matches!(request.evidence, Evidence::Found | Evidence::Checked(Probed::Dead));
            match (foreign, before.rejected.is_none() || death) {
                (true, _) => vec!["doubted", "reported"],
                (false, true) => vec!["reported"],
                (false, false) => vec![],
            }
        }
        (Call::Adopt(request), Answer::Adopt(answer)) => {
            let repeated = before.exists() && before.nonce == request.nonce;
            match (answer, before.doubt.contains(Doubt::Foreign)) {
                (AdoptAnswer::Adopted { .. }, _) if repeated => vec![],
                (AdoptAnswer::Adopted { .. }, true) => vec!["adopted"],
                (AdoptAnswer::Adopted { .. }, false) => vec!["doubted", "adopted"],
                (AdoptAnswer::Doubted, false) => vec!["doubted"],
                (AdoptAnswer::Doubted, true)
                | (AdoptAnswer::Superseded | AdoptAnswer::Paused, _) => vec![],
            }
        }
        (_, Answer::Forget(_)) => vec!["forgotten"],
        _ => vec![],
    }
}

/// Fails unless `heard` is an event of type `what` that tells of the state as it is now, and not of its token.
///
/// `named` gives the state's epoch the name that it has in the history.
pub(crate) fn check(
    heard: &str,
    what: &str,
    unit: &Unit,
    history: &History,
    named: impl Fn(State) -> State,
) {
    assert!(!heard.contains("TOKEN-"), "a token in {heard}");
    let event: Value = serde_json::from_str(heard).unwrap();
    let model = &history.model;
    assert_eq!(event["type"], what, "{heard}");
    assert_eq!(event["id"], unit.id.as_str());
    assert_eq!(event["kind"], unit.kind.as_str());
    assert_eq!(event["time_ms"], history.now_ms().to_string());
    // An empty table of Lua is an array of JSON.
    let fields: BTreeMap<String, String> =
        serde_json::from_value(event["state"].clone()).unwrap_or_default();
    let state = State::from_view(fields.iter().map(|(name, text)| (&**name, &**text)));
    same(&named(state), &model.clone().without_token());
    if history.spoilt {
        return;
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| event.get(name).and_then(Value::as_u64);
    let fence = if model.fence > 0 { model.fence.to_string() } else { String::new() };
    assert_eq!((text("worker"), text("fence")), (model.worker.as_str(), fence.as_str()), "{heard}");
    assert_eq!(number("generation"), Some(model.generation), "{heard}");
    assert_eq!(number("expires_at_ms"), Some(model.expires_at_ms), "{heard}");
    assert_eq!(number("until_ms"), model.intent.then_some(model.until_ms()), "{heard}");
}
