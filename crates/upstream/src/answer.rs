//! What an answer says, by its content: WeChat's content types and status codes are not dependable.

use std::time::Duration;

use serde_json::{Map, Value};
use zhongkong_core::clock::Boot;
use zhongkong_core::codes::{SYSTEM_BUSY, token_is_dead};
use zhongkong_core::ports::Fetched;
use zhongkong_core::report::Probed;
use zhongkong_core::token::Token;

use crate::quota::ClearQuotaError;
use crate::scrub::Scrub;

/// The longest life that is believed. WeChat's tokens live two hours.
const LIFE_MAX: Duration = Duration::from_hours(31 * 24);

/// What a token stands under in an answer.
pub(crate) const ACCESS_TOKEN: &str = "access_token";
/// What a ticket stands under.
pub(crate) const TICKET: &str = "ticket";

/// An error code, as far as there is one.
enum Code {
    None,
    Some(i64),
    Unreadable,
}

/// What an answer to a request of `sent_at` says, its token being in `field`.
///
/// The platform's codes have five digits. A number beyond this is none of them, and nothing to keep in Redis.
const CODE_MAX: u64 = 999_999_999;

/// Only an error code is a definite refusal; whatever cannot be read may stand for a token that was issued (rule R4).
pub(crate) fn read(status: u16, body: &[u8], field: &str, sent_at: Boot, scrub: &Scrub) -> Fetched {
    let readable = matches!(status, 200..=299 | 400..=499);
    let object = if readable { parse(body) } else { Err(String::new()) };
    match object {
        Ok(object) => match code(&object) {
            Code::Some(SYSTEM_BUSY) => Fetched::Unknown {
                why: "the upstream is busy (-1)".to_owned(),
                code: Some(SYSTEM_BUSY),
            },
            Code::Some(code) if claims_a_token(&object, field) => {
                unknown(format!("a token and the error code {code} in one answer"))
            }
            Code::Some(code) => Fetched::Refused { code, message: message(&object, scrub) },
            Code::Unreadable => unknown("an error code that is no number"),
            Code::None if status >= 400 => unknown(format!("HTTP {status}")),
            Code::None => token(object, field, sent_at),
        },
        Err(why) if (200..=299).contains(&status) => unknown(why),
        Err(_) => unknown(format!("HTTP {status}")),
    }
}

/// What an answer to the probe says. Only three codes speak of the token; any other is about something else.
pub(crate) fn probed(status: u16, body: &[u8]) -> Probed {
    let readable = matches!(status, 200..=299 | 400..=499);
    let Some(object) = readable.then(|| parse(body).ok()).flatten() else {
        return Probed::CannotTell;
    };
    match code(&object) {
        Code::Some(code) if token_is_dead(code) => Probed::Dead,
        Code::None if object.get("ip_list").is_some_and(Value::is_array) => Probed::Alive,
        Code::Some(_) | Code::None | Code::Unreadable => Probed::CannotTell,
    }
}

/// What an answer to `clear_quota` says: success is the code 0, and nothing else.
pub(crate) fn cleared(status: u16, body: &[u8], scrub: &Scrub) -> Result<(), ClearQuotaError> {
    let unclear = || ClearQuotaError::Unknown(format!("HTTP {status}"));
    let object = parse(body).map_err(|_| unclear())?;
    match code(&object) {
        Code::Some(SYSTEM_BUSY) => {
            Err(ClearQuotaError::Unknown("the upstream is busy (-1)".to_owned()))
        }
        Code::Some(code) => {
            Err(ClearQuotaError::Refused { code, message: message(&object, scrub) })
        }
        Code::None if object.contains_key("errcode") => Ok(()),
        Code::None | Code::Unreadable => Err(unclear()),
    }
}

fn unknown(why: impl Into<String>) -> Fetched {
    Fetched::Unknown { why: why.into(), code: None }
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, String> {
    // Old messages were in GBK: a message that cannot be read must not hide the code beside it.
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("empty body".to_owned());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err("no JSON".to_owned()),
    }
}

fn code(object: &Map<String, Value>) -> Code {
    let number = match object.get("errcode") {
        None | Some(Value::Null) => return Code::None,
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match number {
        Some(0) => Code::None,
        Some(code) if code.unsigned_abs() <= CODE_MAX => Code::Some(code),
        Some(_) | None => Code::Unreadable,
    }
}

fn claims_a_token(object: &Map<String, Value>, field: &str) -> bool {
    object.get(field).and_then(Value::as_str).is_some_and(|token| !token.is_empty())
}

fn message(object: &Map<String, Value>, scrub: &Scrub) -> String {
    object.get("errmsg").and_then(Value::as_str).map(|text| scrub.text(text)).unwrap_or_default()
}

fn token(mut object: Map<String, Value>, field: &str, sent_at: Boot) -> Fetched {
    let life = object.get("expires_in").and_then(life);
    match object.remove(field) {
        None | Some(Value::Null) => unknown("neither a token nor an error code"),
        Some(Value::String(text)) => match Token::new(text) {
            Ok(token) => Fetched::Token { token, life, sent_at },
            Err(error) => unknown(error.to_string()),
        },
        Some(_) => unknown("a token that is no text"),
    }
}

/// A usable life: at least one second, at most [`LIFE_MAX`]. For any other the caller assumes one, and says so.
fn life(value: &Value) -> Option<Duration> {
    let life = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    (Duration::from_secs(1)..=LIFE_MAX).contains(&life).then(|| Duration::from_secs(life.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: impl AsRef<[u8]>) -> Fetched {
        let scrub = Scrub::new(&"s3cret".into());
        read(status, body.as_ref(), ACCESS_TOKEN, Boot::new(Duration::from_secs(7)), &scrub)
    }

    #[track_caller]
    fn is_unknown(status: u16, body: impl AsRef<[u8]>, expected: &str) {
        let Fetched::Unknown { why, .. } = answer(status, body) else { panic!("known") };
        assert_eq!(why, expected);
    }

    #[track_caller]
    fn is_refused(status: u16, body: impl AsRef<[u8]>, expected: (i64, &str)) {
        let Fetched::Refused { code, message } = answer(status, body) else {
            panic!("not refused")
        };
        assert_eq!((code, message.as_str()), expected);
    }

    #[track_caller]
    fn lives(expires_in: &str, expected: Option<Duration>) {
        let answer = answer(200, format!(r#"{{"access_token":"t"{expires_in}}}"#));
        let Fetched::Token { life, .. } = answer else { panic!("{expires_in}: {answer:?}") };
        assert_eq!(life, expected, "{expires_in}");
    }

    #[test]
    fn a_token_counts_from_its_sending() {
        let expected = Fetched::Token {
            token: Token::new("abc".to_owned()).unwrap(),
            life: Some(Duration::from_hours(2)),
            sent_at: Boot::new(Duration::from_secs(7)),
        };
        for body in [
            r#"{"access_token":"abc","expires_in":7200}"#,
            r#"{"access_token":"abc","expires_in":7200,"errcode":0,"errmsg":"ok"}"#,
            r#"{"access_token":"abc","expires_in":7200,"errcode":null,"more":[]}"#,
            "\u{feff}{\"access_token\":\"abc\",\"expires_in\":7200.0}\n",
        ] {
            assert_eq!(answer(200, body), expected, "{body}");
        }
        assert_eq!(answer(201, r#"{"access_token":"abc","expires_in":7200}"#), expected);
    }

    #[test]
    fn a_ticket_stands_under_a_name_of_its_own() {
        let scrub = Scrub::new(&"t0ken".into());
        let read = |body: &str| read(200, body.as_bytes(), TICKET, Boot::default(), &scrub);
        let ok = r#"{"errcode":0,"errmsg":"ok","ticket":"abc","expires_in":7200}"#;
        let expected = Fetched::Token {
            token: Token::new("abc".to_owned()).unwrap(),
            life: Some(Duration::from_hours(2)),
            sent_at: Boot::default(),
        };
        assert_eq!(read(ok), expected);
        let dead = r#"{"errcode":40001,"errmsg":"invalid credential t0ken"}"#;
        let message = "invalid credential [removed]".to_owned();
        assert_eq!(read(dead), Fetched::Refused { code: 40001, message });
        let token = read(r#"{"access_token":"abc","expires_in":7200}"#);
        assert!(matches!(token, Fetched::Unknown { .. }), "{token:?}");
    }

    #[test]
    fn an_odd_life_is_none_and_the_token_still_a_token() {
        lives(r#","expires_in":1"#, Some(Duration::from_secs(1)));
        lives(r#","expires_in":345.9"#, Some(Duration::from_secs(345)));
        lives(r#","expires_in":2678400"#, Some(LIFE_MAX));
        for odd in ["", ":0", ":-7200", ":\"7200\"", ":2678401", ":0.5", ":1e300", ":null", ":{}"] {
            let field =
                if odd.is_empty() { String::new() } else { format!(r#","expires_in"{odd}"#) };
            lives(&field, None);
        }
    }

    #[test]
    fn an_error_code_is_a_refusal_whatever_else_the_answer_is() {
        let busy = r#"{"errcode":45011,"errmsg":"slower, rid: 1-2-3"}"#;
        for status in [200, 400, 401, 429] {
            is_refused(status, busy, (45011, "slower, rid: 1-2-3"));
        }
        is_refused(
            200,
            r#"{"errcode":"40125","errmsg":"invalid appsecret"}"#,
            (40125, "invalid appsecret"),
        );
        is_refused(200, r#"{"errcode":40013,"access_token":""}"#, (40013, ""));
        is_refused(
            200,
            b"{\"errcode\":40013,\"errmsg\":\"\xb2\xbb\"}",
            (40013, "\u{fffd}\u{fffd}"),
        );
        is_refused(200, r#"{"errcode":40164,"errmsg":"for s3cret"}"#, (40164, "for [removed]"));
    }

    #[test]
    fn what_may_stand_for_an_issued_token_is_unknown() {
        is_unknown(200, r#"{"errcode":-1,"errmsg":"system error"}"#, "the upstream is busy (-1)");
        is_unknown(400, r#"{"errcode":-1}"#, "the upstream is busy (-1)");
        is_unknown(200, r#"{"errcode":true}"#, "an error code that is no number");
        is_unknown(200, r#"{"errcode":4.5,"access_token":"t"}"#, "an error code that is no number");
        let both = r#"{"errcode":40001,"access_token":"t"}"#;
        is_unknown(200, both, "a token and the error code 40001 in one answer");
        is_unknown(200, "", "empty body");
        is_unknown(200, " \r\n", "empty body");
        is_unknown(200, "<html><body>Not here</body></html>", "no JSON");
        is_unknown(200, r#"{"access_token":"abc","expi"#, "no JSON");
        is_unknown(200, r#"["access_token"]"#, "no JSON");
        is_unknown(200, "[".repeat(10_000), "no JSON");
        is_unknown(200, "{}", "neither a token nor an error code");
        is_unknown(200, r#"{"errcode":0,"errmsg":"ok"}"#, "neither a token nor an error code");
        is_unknown(200, r#"{"access_token":7}"#, "a token that is no text");
        for token in [String::new(), "a b".to_owned(), "中".to_owned(), "x".repeat(4097)] {
            let body = format!(r#"{{"access_token":"{token}","expires_in":7200}}"#);
            is_unknown(200, body, "a token must be 1 to 4096 visible ASCII characters");
        }
    }

    #[test]
    fn only_three_codes_of_the_probe_speak_of_the_token() {
        for code in [40001, 40014, 42001] {
            let body = format!(r#"{{"errcode":{code},"errmsg":"x"}}"#);
            assert_eq!(probed(200, body.as_bytes()), Probed::Dead);
        }
        assert_eq!(probed(200, br#"{"ip_list":["1.2.3.4"]}"#), Probed::Alive);
        for body in
            [r#"{"errcode":40164}"#, r#"{"errcode":-1}"#, "{}", "<html>", r#"{"errcode":"x"}"#]
        {
            assert_eq!(probed(200, body.as_bytes()), Probed::CannotTell, "{body}");
        }
        assert_eq!(probed(502, br#"{"errcode":40001}"#), Probed::CannotTell);
        assert_eq!(probed(302, br#"{"ip_list":[]}"#), Probed::CannotTell);
    }

    #[test]
    fn quotas_are_cleared_if_the_upstream_says_so_and_not_otherwise() {
        let scrub = Scrub::new(&"s3cret".into());
        let cleared = |body: &str| cleared(200, body.as_bytes(), &scrub);
        assert_eq!(cleared(r#"{"errcode":0,"errmsg":"ok"}"#), Ok(()));
        let message = "no s3cret".to_owned().replace("s3cret", "[removed]");
        let refused = ClearQuotaError::Refused { code: 48006, message };
        assert_eq!(cleared(r#"{"errcode":48006,"errmsg":"no s3cret"}"#), Err(refused));
        for body in ["{}", "", r#"{"errcode":-1}"#] {
            assert!(matches!(cleared(body), Err(ClearQuotaError::Unknown(_))), "{body}");
        }
    }

    #[test]
    fn a_status_that_is_no_success_is_unknown_unless_it_carries_an_error_code() {
        let token = r#"{"access_token":"abc","expires_in":7200}"#;
        for status in [302, 304, 400, 404, 500, 502, 503] {
            is_unknown(status, "<html>", &format!("HTTP {status}"));
            is_unknown(status, token, &format!("HTTP {status}"));
        }
        is_unknown(502, r#"{"errcode":40013}"#, "HTTP 502");
        is_unknown(302, r#"{"errcode":40013}"#, "HTTP 302");
    }
}
