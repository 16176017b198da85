//! An event, for those who watch: over HTTP and on the command line. Never a token.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use zhongkong_core::credential::{Kind, Unit};
use zhongkong_core::doubt::Doubt;
use zhongkong_core::outlook::Reason;
use zhongkong_core::refusal::Status;
use zhongkong_core::state::State;

use crate::language::Language;
use crate::report::{seconds_until, span};
use crate::schemas;

/// Something that happened to a unit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Event {
    /// What happened.
    #[serde(rename = "type")]
    #[schemars(schema_with = "told")]
    pub(crate) what: &'static str,
    #[schemars(with = "schemas::CredentialId")]
    id: String,
    #[schemars(with = "schemas::Kind")]
    kind: &'static str,
    /// Milliseconds since 1970, by Redis' clock.
    time_ms: u64,
    generation: u64,
    expires_at_ms: u64,
    /// Who claimed last.
    #[serde(skip_serializing_if = "String::is_empty")]
    worker: String,
    /// The last claim's number, as text: it is too long for the numbers of some JSON readers.
    #[schemars(pattern(r"^[0-9]{1,20}$"))]
    fence: String,
    /// Why the refresh that begins was owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// When the current claim's lease ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    #[schemars(with = "schemas::Status")]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schemas::Fingerprint>")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<schemas::Doubt>")]
    doubt: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at_ms: Option<u64>,
    /// The SDK at whose key the token was found, if a service fetched it for itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    layout: String,
}

/// What people are told of, and how it is said. What else workers tell each other is for them alone.
const TOLD: [(&str, &str, &str); 12] = [
    ("claimed", "refresh begins", "开始刷新"),
    ("refreshed", "new token", "新 token"),
    (
        "adopted",
        "a service fetched a token for itself, which all use until another comes",
        "某个服务自行获取了 token，在下一个到来前供所有读取方使用",
    ),
    ("refused", "the upstream refused", "上游拒绝"),
    ("doubted", "the token may not be the newest", "token 可能不是最新"),
    ("reported", "the token was reported as rejected", "token 被报告失效"),
    ("forced", "a refresh was asked for", "已要求刷新"),
    ("kept", "the key was published again", "已重新写入 token 键"),
    ("paused", "no refresh from now on", "不再刷新"),
    ("resumed", "refreshes go on", "恢复刷新"),
    ("forgotten", "removed from Redis", "已从 Redis 删除"),
    ("lost", "readers have no token any more", "已无有效 token"),
];

/// The types of events.
fn told(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": TOLD.map(|(told, ..)| told) })
}

impl Event {
    /// The event `what` of a unit that is in `state` after it; none if it is no news to people.
    pub(crate) fn new(what: &str, unit: &Unit, state: &State, now_ms: u64) -> Option<Self> {
        let (what, ..) = TOLD.into_iter().find(|(told, ..)| *told == what)?;
        let refused = what == "refused";
        Some(Self {
            what,
            id: unit.id.to_string(),
            kind: unit.kind.as_str(),
            time_ms: now_ms,
            generation: state.generation,
            expires_at_ms: state.expires_at_ms,
            worker: state.worker.clone(),
            fence: state.fence.to_string(),
            reason: state.reason.map(Reason::name).filter(|_| what == "claimed"),
            until_ms: state.claim_is_current(now_ms).then(|| state.until_ms()),
            status: state.status,
            fingerprint: state.fingerprint.as_ref().map(ToString::to_string),
            doubt: state.doubt.iter().map(Doubt::as_str).collect(),
            error_code: state.error_code.filter(|_| refused),
            error_message: if refused { state.error_message.clone() } else { String::new() },
            retry_at_ms: Some(state.retry_at_ms).filter(|_| refused),
            layout: state.layout.clone(),
        })
    }

    /// The reason, in brackets; nothing if an older worker's claim has none.
    fn why(&self) -> String {
        self.reason.map_or_else(String::new, |reason| format!(" ({reason})"))
    }

    /// One line: when, which unit, what, and what of that matters.
    pub(crate) fn in_words(&self, language: Language) -> String {
        let time = i64::try_from(self.time_ms)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        // Redis' own time, in UTC: logs of several machines agree on it.
        let time = time.map_or_else(String::new, |time| time.strftime("%H:%M:%S%.3fZ").to_string());
        let said = TOLD.into_iter().find(|(told, ..)| *told == self.what);
        let said = said.map_or("", |(_, en, zh)| language.say(en, zh));
        let left = span(seconds_until(self.expires_at_ms, self.time_ms));
        let worker = &self.worker;
        let more = match (self.what, language) {
            ("claimed", Language::English) => format!("by {worker}{}", self.why()),
            ("claimed", Language::Chinese) => format!("worker {worker}{}", self.why()),
            ("refreshed", Language::English) => {
                format!("{} by {worker}, valid for {left}", self.generation)
            }
            ("refreshed", Language::Chinese) => {
                format!("第 {} 代，worker {worker}，有效期 {left}", self.generation)
            }
            ("adopted", Language::English) => {
                format!("{} from the key of {}", self.generation, self.layout)
            }
            ("adopted", Language::Chinese) => {
                format!("第 {} 代，发现于 {} 的键", self.generation, self.layout)
            }
            ("refused", _) => {
                let code = self.error_code.map_or_else(String::new, |code| format!(" {code}"));
                let retry = span(seconds_until(self.retry_at_ms.unwrap_or(0), self.time_ms));
                let again = language.say("next try in", "下次重试");
                format!("{worker}:{code} {}; {again} {retry}", self.error_message)
            }
            ("doubted", _) => self.doubt.join(","),
            ("reported" | "lost", _) => self.fingerprint.clone().unwrap_or_default(),
            ("paused", Language::English) => format!("the token is valid for {left}"),
            ("paused", Language::Chinese) => format!("token 有效期还有 {left}"),
            _ => String::new(),
        };
        let (id, what) = (&self.id, self.what);
        // An access token's kind goes without saying.
        let kind = Some(self.kind).filter(|kind| *kind != Kind::AccessToken.as_str());
        let unit = kind.map_or_else(|| id.clone(), |kind| format!("{id} {kind}"));
        if more.is_empty() {
            format!("{time}  {unit}  {what:<9}  {said}")
        } else {
            format!("{time}  {unit}  {what:<9}  {said}{}{more}", language.colon())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zhongkong_core::token::{Fingerprint, Token};

    #[test]
    fn an_event_has_a_fingerprint_and_no_token() {
        let token = Token::new("s3cret-token".to_owned()).unwrap();
        let fingerprint = Some(Fingerprint::of(token.expose()));
        let state = State { v: 1, token: Some(token), fingerprint, ..State::default() };
        let unit = Unit::access_token("wx1".parse().unwrap());
        let event = Event::new("refreshed", &unit, &state, 0).unwrap();
        let json = serde_json::to_string(&event).unwrap();
        assert!(!json.contains("s3cret") && json.contains("\"type\":\"refreshed\""), "{json}");
        assert!(!event.in_words(Language::English).contains("s3cret"));
    }

    #[test]
    fn a_token_of_a_service_is_told_with_its_sdk() {
        let state =
            State { v: 1, generation: 4, layout: "wechatpy".to_owned(), ..State::default() };
        let unit = Unit::access_token("wx1".parse().unwrap());
        let event = Event::new("adopted", &unit, &state, 0).unwrap();
        let said = event.in_words(Language::English);
        assert!(said.ends_with("until another comes: 4 from the key of wechatpy"), "{said}");
    }

    #[test]
    fn what_workers_tell_each_other_is_no_event_for_people() {
        let unit = Unit::access_token("wx1".parse().unwrap());
        for what in ["unchanged", "released", "anything"] {
            assert!(Event::new(what, &unit, &State::default(), 0).is_none());
        }
    }
}
