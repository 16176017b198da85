//! A custom robot of DingTalk (钉钉): Markdown, 20 messages a minute; more shut it for ten minutes. Where "additional
//! signature" (加签) is on, the URL has a timestamp in milliseconds and the base64 of the HMAC-SHA256 of timestamp, line feed
//! and secret, whose key is the secret.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;
use zhongkong_core::codes::Text;

use crate::message::{Message, plain};
use crate::receiver::{
    Again, RATE, ROBOT_DISLIKES, ROBOT_GONE, ROBOT_REFUSES, Receiver, Request, WAIT,
};
use crate::webhook::hmac_sha256;

/// Far below the limit of 20,000 bytes: what is longer is of no use in a chat.
const LINES_MAX: usize = 6_000;
/// How long the robot takes nothing after too many messages.
const SHUT_FOR: Duration = Duration::from_mins(10);

/// The request with `message`, signed at `now_ms`.
pub(crate) fn request(
    mut url: Url,
    receiver: &Receiver,
    message: &Message,
    now_ms: u64,
) -> Request {
    let title = plain(&message.title);
    let lines = message.markdown(receiver.language, LINES_MAX);
    let text = format!("#### {title}\n\n{lines}");
    let body = json!({ "msgtype": "markdown", "markdown": { "title": title, "text": text } });
    if let Some(secret) = &receiver.secret {
        let secret = secret.expose_secret();
        let signed = format!("{now_ms}\n{secret}");
        let sign = STANDARD.encode(hmac_sha256(secret.as_bytes(), signed.as_bytes()));
        url.query_pairs_mut()
            .append_pair("timestamp", &now_ms.to_string())
            .append_pair("sign", &sign);
    }
    Request { url, headers: Vec::new(), body: body.to_string().into_bytes() }
}

/// What to do about a code, and when it is tried again.
pub(crate) const fn refusal(code: i64) -> (Text, Again) {
    match code {
        130_101 | 410_100 => (RATE, Again::After(SHUT_FOR)),
        -1 => (WAIT, Again::Soon),
        300_005 | 400_013 | 400_101 | 400_102 | 40035 => (ROBOT_GONE, Again::WhenMended),
        310_000 => (ROBOT_REFUSES, Again::WhenMended),
        _ => (ROBOT_DISLIKES, Again::WhenMended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::receiver::Type;

    #[test]
    fn a_signed_request_has_timestamp_and_sign_beside_the_robots_token() {
        let message = Message::test("ops", "worker-1", 5, Language::English);
        let receiver = Receiver {
            kind: Type::DingTalk,
            url: "https://oapi.dingtalk.com/robot/send?access_token=t".into(),
            secret: Some("this is secret".into()),
            language: Language::English,
        };
        let request = receiver.request(&message, 1_577_262_236_757).unwrap();
        assert_eq!(
            request.url.query(),
            Some(
                "access_token=t&timestamp=1577262236757\
                 &sign=hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D"
            )
        );
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let text = body["markdown"]["text"].as_str().unwrap();
        assert!(
            text.starts_with("#### zhongkong: test message\n\n**Test**: sent by hand"),
            "{text}"
        );
    }
}
