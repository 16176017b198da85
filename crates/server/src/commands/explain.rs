//! `explain`: what an error code of the upstream means, and what a worker does about it.

use std::ops::RangeInclusive;

use serde::Serialize;
use zhongkong_core::codes::{self, Remark, Ruling, SYSTEM_BUSY, Wait};
use zhongkong_core::credential::Kind;
use zhongkong_core::refusal::{Scope, Status};

use crate::language::Language;
use crate::terminal::{Exit, answer};

/// The numbers that can be a code: a worker does not take a longer one for one, either.
pub(crate) const CODES: RangeInclusive<i64> = -999_999_999..=999_999_999;

/// What there is to say of a code.
#[derive(Clone, Debug, Serialize)]
struct Explanation {
    code: i64,
    /// Whether it is in a table here.
    known: bool,
    /// Where a worker meets it; none if it is another endpoint's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint: Option<Refused>,
    /// Where a worker meets it that asks for a ticket, if that is another thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_endpoint: Option<Refused>,
    /// Where a reader meets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Rejected>,
}

/// What a worker makes of it.
#[derive(Clone, Debug, Serialize)]
struct Refused {
    meaning: &'static str,
    scope: Scope,
    concerns: &'static str,
    status: Status,
    retry: String,
    /// Why the token is doubted after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'static str>,
    advice: &'static str,
}

/// What a reader should make of it.
#[derive(Clone, Debug, Serialize)]
struct Rejected {
    meaning: &'static str,
    /// Whether the token is at fault.
    token_is_dead: bool,
    advice: &'static str,
}

pub(crate) fn explain(code: i64, as_json: bool, language: Language) -> anyhow::Result<Exit> {
    let explanation = Explanation::new(code, language);
    if as_json {
        answer(&serde_json::to_string_pretty(&explanation)?);
    } else {
        answer(&explanation.in_words(language));
    }
    Ok(Exit::Done)
}

impl Explanation {
    fn new(code: i64, language: Language) -> Self {
        let calls = codes::in_a_call(code).map(|Remark { meaning, advice }| Rejected {
            meaning: language.pick(meaning),
            token_is_dead: codes::token_is_dead(code),
            advice: language.pick(advice),
        });
        let known = codes::known(code);
        let doubt = (code == SYSTEM_BUSY).then(|| {
            language.say(
                "a token may have been issued unseen, so another fetch is owed; \
                 for `wechat` once refresh.drain has passed",
                "可能已签发新 token 而未收到，因此需再次获取；`wechat` 会先等待 refresh.drain",
            )
        });
        let refused = Refused::new(Kind::AccessToken, codes::ruling(code), doubt, language);
        let of_ticket = codes::known_of_tickets(code).filter(|ruling| known != Some(*ruling));
        Self {
            code,
            known: known.is_some() || calls.is_some() || of_ticket.is_some(),
            token_endpoint: (known.is_some() || calls.is_none()).then_some(refused),
            ticket_endpoint: of_ticket
                .map(|ruling| Refused::new(Kind::JsapiTicket, ruling, None, language)),
            calls,
        }
    }

    /// For people: a paragraph for each place.
    fn in_words(&self, language: Language) -> String {
        let Self { code, known, token_endpoint, ticket_endpoint, calls } = self;
        let colon = language.colon();
        let item = |(name, text): (&str, &str)| format!("\n  {name}{colon}{text}");
        let todo = language.say("what to do", "处理办法");
        let mut paragraphs = Vec::new();
        if !known {
            paragraphs.push(match language {
                Language::English => format!(
                    "{code} is not in the table; a worker treats it like every unknown code:"
                ),
                Language::Chinese => {
                    format!("{code} 不在码表中；worker 对未知错误码一律如下处理：")
                }
            });
        }
        let endpoints = [
            (
                token_endpoint,
                language.say("at a token endpoint", "在 token 接口"),
                language.say(
                    "readers keep the token they have, to the end of its life",
                    "读取方继续使用现有 token，直至其有效期结束",
                ),
            ),
            (
                ticket_endpoint,
                language.say("when a ticket is fetched", "在获取 ticket 时"),
                language.say(
                    "readers keep the ticket they have, as long as it is sure to be accepted",
                    "读取方继续使用现有 ticket，直至不再确定有效",
                ),
            ),
        ];
        for (refused, place, kept) in endpoints {
            let Some(refused) = refused else { continue };
            let Refused { meaning, concerns, status, retry, doubt, advice, .. } = refused;
            let items = [
                Some((language.say("concerns", "涉及"), *concerns)),
                Some((language.say("status", "状态"), status.as_str())),
                Some((language.say("tried again", "重试"), retry)),
                doubt.map(|doubt| (language.say("doubt", "存疑"), doubt)),
                Some((language.say("meanwhile", "期间"), kept)),
                Some((todo, advice)),
            ];
            let items: String = items.into_iter().flatten().map(item).collect();
            paragraphs.push(format!("{code} {place}{colon}{meaning}{items}"));
        }
        if let Some(Rejected { meaning, advice, .. }) = calls {
            let place = language.say("in a call with a token", "在业务接口");
            let advice = item((todo, advice));
            paragraphs.push(format!("{code} {place}{colon}{meaning}{advice}"));
        }
        paragraphs.join("\n\n")
    }
}

impl Refused {
    fn new(kind: Kind, ruling: Ruling, doubt: Option<&'static str>, language: Language) -> Self {
        let Ruling { scope, status, wait, meaning, advice } = ruling;
        Self {
            meaning: language.pick(meaning),
            scope,
            concerns: language.pick(codes::concerned(kind, scope)),
            status,
            retry: retry(kind, wait, scope, language),
            doubt,
            advice: language.pick(advice),
        }
    }
}

/// When a refusal of a fetch of `kind`, of this `scope`, is tried again, in words.
fn retry(kind: Kind, wait: Wait, scope: Scope, language: Language) -> String {
    // What a person must lift is tried at multiples of a configured time.
    let unit = language
        .say("(a minute stands for refresh.human_poll)", "（此处一分钟即 refresh.human_poll）");
    let is_ticket = kind.ticket().is_some();
    match (wait, language) {
        (Wait::Backoff, Language::English) if is_ticket => {
            "within seconds, then at growing random intervals of up to ten minutes".to_owned()
        }
        (Wait::Backoff, Language::Chinese) if is_ticket => {
            "数秒内，之后间隔随机递增，最长十分钟".to_owned()
        }
        (Wait::Poll { up_to }, Language::English) if scope == Scope::Configuration => format!(
            "at once with another access token; with the same within a minute, then less and less often, down to every \
             {up_to} minutes {unit}"
        ),
        (Wait::Poll { up_to }, Language::Chinese) if scope == Scope::Configuration => format!(
            "access_token 更换后立即重试；未更换则一分钟内重试，之后逐渐放缓，最长每 {up_to} 分钟一次{unit}"
        ),
        (Wait::Backoff, Language::English) => {
            "within a second, then at growing random intervals of up to a minute".to_owned()
        }
        (Wait::Backoff, Language::Chinese) => "一秒内，之后间隔随机递增，最长一分钟".to_owned(),
        (Wait::NextMinute, Language::English) => "in the next minute".to_owned(),
        (Wait::NextMinute, Language::Chinese) => "下一分钟".to_owned(),
        (Wait::NextDay, Language::English) => {
            "within five minutes after the next 00:00 of UTC+8".to_owned()
        }
        (Wait::NextDay, Language::Chinese) => "北京时间次日零点后五分钟内".to_owned(),
        (Wait::Poll { up_to }, Language::English) => format!(
            "by that worker: within a minute, then less and less often, down to every {up_to} minutes {unit}"
        ),
        (Wait::Poll { up_to }, Language::Chinese) => {
            format!("由该 worker：一分钟内，之后逐渐放缓，最长每 {up_to} 分钟一次{unit}")
        }
        (Wait::Pause { times }, Language::English) if scope == Scope::Configuration => format!(
            "at once when the secret or the configuration changes or somebody forces a refresh, else every {times} minutes {unit}"
        ),
        (Wait::Pause { times }, Language::Chinese) if scope == Scope::Configuration => {
            format!("密钥或配置变更、或有人强制刷新时立即重试，否则每 {times} 分钟一次{unit}")
        }
        (Wait::Pause { times }, Language::English) => {
            format!("when somebody forces a refresh, else every {times} minutes {unit}")
        }
        (Wait::Pause { times }, Language::Chinese) => {
            format!("有人强制刷新时，否则每 {times} 分钟一次{unit}")
        }
        (Wait::Fixed(wait), Language::English) => {
            format!("by that worker, after {} h", wait.as_secs() / 3_600)
        }
        (Wait::Fixed(wait), Language::Chinese) => {
            format!("由该 worker，{} 小时后", wait.as_secs() / 3_600)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(code: i64, language: Language, parts: &[&str]) {
        let text = Explanation::new(code, language).in_words(language);
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_code_is_explained_where_the_worker_and_where_a_reader_meets_it() {
        use Language::{Chinese, English};
        says(
            40001,
            English,
            &[
                "40001 at a token endpoint: the AppSecret is wrong",
                "status: misconfigured",
                "every 60 minutes",
                "40001 in a call with a token: the token was rejected",
                "report it",
            ],
        );
        says(
            40001,
            Chinese,
            &["40001 在 token 接口：AppSecret 错误", "状态：misconfigured", "上报"],
        );
        says(40164, English, &["that worker", "down to every 10 minutes", "reader's address"]);
        says(89503, English, &["awaiting_admin", "down to every 5 minutes"]);
        says(89506, Chinese, &["状态：blocked", "24 小时后"]);
        says(45009, English, &["00:00 of UTC+8", "the API that was called"]);
        says(50002, English, &["account_frozen", "every 10 minutes"]);
        says(
            40001,
            English,
            &[
                "40001 when a ticket is fetched: the access token",
                "at once with another access token",
            ],
        );
        says(
            48001,
            Chinese,
            &["48001 在获取 ticket 时：", "状态：misconfigured", "48001 在业务接口"],
        );
        says(-1, English, &["doubt: ", "refresh.drain", "the token is not at fault"]);
        says(0, English, &["0 in a call with a token: no error"]);
    }

    #[test]
    fn a_code_that_only_readers_meet_is_no_refusal_of_a_token_endpoint() {
        for code in [0, 40014, 42001, 48006] {
            let explanation = Explanation::new(code, Language::English);
            assert!(explanation.known && explanation.token_endpoint.is_none(), "{code}");
            assert!(explanation.calls.is_some(), "{code}");
        }
    }

    #[test]
    fn an_unknown_code_is_said_to_be_unknown_and_what_a_worker_does_about_it() {
        for (language, said) in [
            (Language::English, "12345 is not in the table"),
            (Language::Chinese, "12345 不在码表中"),
        ] {
            says(12345, language, &[said, "retrying"]);
            let explanation = Explanation::new(12345, language);
            assert!(!explanation.known && explanation.calls.is_none());
        }
    }

    #[test]
    fn a_doubt_follows_only_from_what_leaves_the_outcome_open() {
        let doubt = |code| Explanation::new(code, Language::English).token_endpoint.unwrap().doubt;
        assert!(doubt(SYSTEM_BUSY).is_some());
        assert!(doubt(40001).is_none() && doubt(12345).is_none());
    }
}
