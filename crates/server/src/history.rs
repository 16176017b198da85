//! A line of a credential's history, in words: on the command line, over HTTP and for the dashboard. Never a token.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use zhongkong_core::codes::ruling;
use zhongkong_core::credential::CredentialId;
use zhongkong_redis::HistoryEntry;

use crate::language::Language;
use crate::report::{seconds_until, span};
use crate::schemas;

/// Something that happened to a credential's token.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "HistoryLine")]
pub(crate) struct Line {
    #[schemars(with = "schemas::CredentialId")]
    id: CredentialId,
    #[schemars(with = "schemas::Kind")]
    kind: &'static str,
    /// What happened.
    #[serde(rename = "type")]
    what: String,
    /// Names it: what is before it is older.
    #[schemars(with = "schemas::Entry")]
    entry: String,
    /// When it was, in milliseconds since 1970 by Redis' clock; the last time, if it was more than once.
    time_ms: u64,
    /// Who did it: a worker, or who asked for it and where.
    #[serde(skip_serializing_if = "String::is_empty")]
    by: String,
    /// Why the refresh was owed; of a report, what speaks for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The claim's number, as text: it is too long for the numbers of some JSON readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<String>,
    #[serde(skip_serializing_if = "is_none")]
    generation: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    fingerprint: String,
    /// The token's whole life.
    #[serde(skip_serializing_if = "is_none")]
    life_ms: u64,
    /// From the request to its recorded outcome; of a token, none if it was no time at all.
    #[serde(skip_serializing_if = "is_none")]
    took_ms: u64,
    /// Why the token may not be the newest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubt: Vec<String>,
    /// Whom a refusal concerns.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    /// The upstream's words, or why there was no answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// What the code means, in the caller's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    /// When it is tried again, or served.
    #[serde(skip_serializing_if = "is_none")]
    retry_at_ms: u64,
    /// How often it was, one time after the other.
    times: u64,
    /// The first of these times; none if it was once.
    #[serde(skip_serializing_if = "is_none")]
    since_ms: u64,
    /// The SDK at whose key somebody else's token was found.
    #[serde(skip_serializing_if = "String::is_empty")]
    layout: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(number: &u64) -> bool {
    *number == 0
}

/// Why a refresh was owed, and what speaks for a report.
const REASONS: [(&str, &str, &str); 13] = [
    ("due", "due", "到期"),
    ("missing", "no token", "无 token"),
    ("reported", "reported", "被报告失效"),
    ("forced", "forced", "人工要求"),
    ("doubt", "doubt", "消除存疑"),
    ("epoch", "Redis changed", "Redis 变更"),
    ("takeover", "takeover", "接替"),
    ("dead", "the upstream rejects it", "上游拒绝该 token"),
    ("found", "found by the probe", "探测发现"),
    ("word", "readers insist", "读取方多次报告"),
    ("hearsay", "readers insist", "读取方多次报告"),
    ("alive", "readers insist", "读取方多次报告"),
    ("cannot_tell", "a reader's word", "读取方报告"),
];

impl Line {
    pub(crate) fn new(id: &CredentialId, entry: HistoryEntry, language: Language) -> Self {
        let HistoryEntry { code, doubt, fence, .. } = entry;
        Self {
            id: id.clone(),
            kind: entry.kind.as_str(),
            what: entry.what,
            entry: entry.entry.to_string(),
            time_ms: entry.time_ms,
            by: entry.by,
            reason: entry.reason,
            fence: (fence > 0).then(|| fence.to_string()),
            generation: entry.generation,
            fingerprint: entry.fingerprint,
            life_ms: entry.life_ms,
            took_ms: entry.took_ms,
            doubt: doubt.split(',').filter(|doubt| !doubt.is_empty()).map(str::to_owned).collect(),
            scope: entry.scope,
            status: entry.status,
            code,
            message: entry.message,
            meaning: code.map(|code| language.pick(ruling(code).meaning)),
            retry_at_ms: entry.retry_at_ms,
            times: entry.times,
            since_ms: entry.since_ms,
            layout: entry.layout,
        }
    }

    /// The cells of its row: when, how long before `now_ms`, which token, what, by whom, why, and what came of it.
    pub(crate) fn cells(&self, now_ms: u64, zone: &TimeZone, language: Language) -> [String; 7] {
        let or_none = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
        let why = REASONS.into_iter().find(|(reason, ..)| *reason == self.reason);
        let why = why.map_or(self.reason.as_str(), |(_, en, zh)| language.say(en, zh));
        [
            local(self.time_ms, "%Y-%m-%d %H:%M:%S", zone),
            roughly(seconds_until(now_ms, self.time_ms)),
            self.kind.to_owned(),
            self.what.clone(),
            or_none(&self.by),
            or_none(why),
            self.outcome(zone, language),
        ]
    }

    /// What came of it, or what it means.
    fn outcome(&self, zone: &TimeZone, language: Language) -> String {
        let say = |en, zh| String::from(language.say(en, zh));
        let (comma, colon) = (language.say(", ", "，"), language.colon());
        let mut parts = Vec::new();
        match self.what.as_str() {
            "refreshed" => parts.push(match language {
                Language::English => format!("generation {}", self.generation),
                Language::Chinese => format!("第 {} 代", self.generation),
            }),
            "adopted" => {
                let said = say(
                    "a service with this SDK fetched for itself; published for all, and another is fetched",
                    "使用该 SDK 的服务自行获取；已对所有读取方发布，并将再获取一次",
                );
                parts.push(format!("{}{colon}{said}", self.layout));
            }
            "unchanged" => {
                parts.push(say("the upstream has no newer token", "上游没有更新的 token"));
            }
            "refused" => {
                let code = self.code.map_or_else(String::new, |code| format!("{code} "));
                let meaning = self.meaning.unwrap_or_default();
                parts.push(format!("{code}{meaning}{colon}{}", self.message));
            }
            "unknown" => {
                let said =
                    say("a token may be out that nobody has", "可能签发了一个无人持有的 token");
                parts.push(format!("{said}{colon}{}", self.message));
            }
            "not_sent" => {
                let said = say("nothing was sent", "请求未发出");
                parts.push(format!("{said}{colon}{}", self.message));
            }
            "fenced" => parts.push(say(
                "its token came after another claim, and is not published",
                "token 在另一次认领之后才到达，未发布",
            )),
            "unfinished" => parts.push(say(
                "no outcome: it died or was held up, and another worker took over",
                "没有结果：该 worker 退出或卡住，已由其他 worker 接替",
            )),
            "doubted" => {
                let said = say("the token may not be the newest", "token 可能不是最新");
                parts.push(format!("{said}{colon}{}", self.doubt.join(",")));
                if !self.layout.is_empty() {
                    let found = say("found at the key of", "发现于其键");
                    parts.push(format!("{found}{colon}{}", self.layout));
                }
            }
            "reported" => {
                parts.push(say("the token was reported as rejected", "token 被报告失效"));
            }
            "forced" => parts.push(say("a refresh was asked for", "已要求刷新")),
            "invalidated" => {
                parts.push(say("the token's death was asked for", "已要求作废 token"));
            }
            "paused" => parts.push(say("no refresh from now on", "不再刷新")),
            "resumed" => parts.push(say("refreshes go on", "恢复刷新")),
            "kept" => parts.push(say(
                "the key was deleted or overwritten, and published again",
                "token 键被删除或改写，已重新写入",
            )),
            "lost" => parts.push(say("readers have no token any more", "已无有效 token")),
            _ => parts.push(self.message.clone()),
        }
        if self.life_ms > 0 {
            let life = span(self.life_ms / 1_000);
            parts.push(format!("{}{life}", language.say("valid for ", "有效期 ")));
        }
        if self.took_ms > 0 {
            parts.push(format!("{}{}ms", language.say("took ", "耗时 "), self.took_ms));
        }
        if !self.doubt.is_empty() && self.what != "doubted" {
            let doubt = self.doubt.join(",");
            parts.push(format!("{}{colon}{doubt}", language.say("in doubt", "存疑")));
        }
        if self.retry_at_ms > self.time_ms {
            let at = local(self.retry_at_ms, "%H:%M:%S", zone);
            parts.push(match (self.status.is_empty() && self.message.is_empty(), language) {
                (true, Language::English) => format!("served from {at}"),
                (true, Language::Chinese) => format!("{at} 起执行"),
                (false, Language::English) => format!("next try from {at}"),
                (false, Language::Chinese) => format!("{at} 起重试"),
            });
        }
        if self.times > 1 {
            let since = local(self.since_ms, "%m-%d %H:%M:%S", zone);
            parts.push(match language {
                Language::English => format!("{} times since {since}", self.times),
                Language::Chinese => format!("自 {since} 起共 {} 次", self.times),
            });
        }
        parts.join(comma)
    }
}

/// An instant of Redis' clock, where the person is.
fn local(ms: u64, format: &str, zone: &TimeZone) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| time.to_zoned(zone.clone()).strftime(format).to_string())
}

/// Seconds by their two largest units.
fn roughly(seconds: u64) -> String {
    span(seconds).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zhongkong_core::credential::Kind;

    fn entry(what: &str) -> HistoryEntry {
        HistoryEntry {
            entry: "1795380778000-0".parse().unwrap(),
            time_ms: 1_795_380_778_000,
            kind: Kind::AccessToken,
            what: what.to_owned(),
            by: "worker-2".to_owned(),
            reason: "due".to_owned(),
            fence: 7,
            generation: 12,
            fingerprint: "0123456789abcdef".to_owned(),
            life_ms: 7_200_000,
            took_ms: 85,
            doubt: String::new(),
            scope: String::new(),
            status: String::new(),
            code: None,
            message: String::new(),
            retry_at_ms: 0,
            times: 1,
            since_ms: 0,
            layout: String::new(),
        }
    }

    fn cells(entry: HistoryEntry, language: Language) -> [String; 7] {
        let line = Line::new(&"wx1".parse().unwrap(), entry, language);
        line.cells(1_795_380_778_000 + 3_723_000, &TimeZone::UTC, language)
    }

    #[test]
    fn a_row_says_when_who_why_and_what_came_of_it() {
        let row = cells(entry("refreshed"), Language::English);
        let told = ["2026-11-22 20:52:58", "1h 2m", "access_token", "refreshed", "worker-2", "due"];
        assert_eq!(row[..6], told);
        assert_eq!(row[6], "generation 12, valid for 2h, took 85ms");
        let row = cells(entry("refreshed"), Language::Chinese);
        assert_eq!((row[5].as_str(), row[6].as_str()), ("到期", "第 12 代，有效期 2h，耗时 85ms"));
    }

    #[test]
    fn what_came_again_and_again_says_how_often_and_when_it_is_tried_again() {
        let refused = HistoryEntry {
            life_ms: 0,
            took_ms: 0,
            status: "ip_not_allowed".to_owned(),
            code: Some(40_164),
            message: "invalid ip 10.0.0.7".to_owned(),
            retry_at_ms: 1_795_380_838_000,
            times: 12,
            since_ms: 1_795_380_000_000,
            ..entry("refused")
        };
        let said = &cells(refused, Language::English)[6];
        assert!(said.starts_with("40164 ") && said.contains("invalid ip 10.0.0.7"), "{said}");
        assert!(said.ends_with("next try from 20:53:58, 12 times since 11-22 20:40:00"), "{said}");
    }

    #[test]
    fn a_service_that_fetched_for_itself_is_named_by_its_sdk() {
        let found = |what: &str, life_ms| HistoryEntry {
            life_ms,
            took_ms: 0,
            doubt: "foreign".to_owned(),
            layout: "wechatpy".to_owned(),
            ..entry(what)
        };
        let adopted = HistoryEntry { retry_at_ms: 1_795_380_808_000, ..found("adopted", 60_000) };
        let said = &cells(adopted, Language::English)[6];
        assert!(said.starts_with("wechatpy: a service with this SDK fetched for itself"), "{said}");
        assert!(said.ends_with("valid for 1m, in doubt: foreign, served from 20:53:28"), "{said}");
        let said = &cells(found("doubted", 0), Language::Chinese)[6];
        assert_eq!(said, "token 可能不是最新：foreign，发现于其键：wechatpy");
    }

    #[test]
    fn what_a_newer_version_tells_is_shown_as_it_is() {
        let row = cells(
            HistoryEntry { reason: "eclipse".to_owned(), ..entry("eclipsed") },
            Language::English,
        );
        assert_eq!((row[3].as_str(), row[5].as_str()), ("eclipsed", "eclipse"));
    }
}
