//! A custom bot of Feishu (飞书): a card of at most 20 KB. Where "signature verification" (签名校验) is on, the body has a
//! timestamp in seconds and the base64 of an HMAC-SHA256 of nothing, whose key is timestamp, line feed and secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;
use zhongkong_core::codes::Text;

use crate::message::Message;
use crate::receiver::{
    Again, RATE, ROBOT_DISLIKES, ROBOT_GONE, ROBOT_REFUSES, Receiver, Request, WAIT,
};
use crate::webhook::hmac_sha256;

/// Far below the limit: what is longer is of no use in a chat.
const LINES_MAX: usize = 6_000;

/// The request with `message`, signed at `now_ms`.
pub(crate) fn request(url: Url, receiver: &Receiver, message: &Message, now_ms: u64) -> Request {
    let template = if message.is_alarm { "red" } else { "green" };
    let mut body = json!({
        "msg_type": "interactive",
        "card": {
            "header": {
                "template": template,
                "title": { "tag": "plain_text", "content": message.title },
            },
            "elements": [
                { "tag": "markdown", "content": message.markdown(receiver.language, LINES_MAX) },
            ],
        },
    });
    if let (Some(secret), Some(body)) = (&receiver.secret, body.as_object_mut()) {
        let timestamp = (now_ms / 1_000).to_string();
        let key = format!("{timestamp}\n{}", secret.expose_secret());
        body.insert("sign".to_owned(), STANDARD.encode(hmac_sha256(key.as_bytes(), b"")).into());
        body.insert("timestamp".to_owned(), timestamp.into());
    }
    Request { url, headers: Vec::new(), body: body.to_string().into_bytes() }
}

/// What to do about a code, and when it is tried again.
pub(crate) const fn refusal(code: i64) -> (Text, Again) {
    match code {
        9499 | 11232 => (RATE, Again::Soon),
        11233 | 11246 => (WAIT, Again::Soon),
        19001 | 19002 => (ROBOT_GONE, Again::WhenMended),
        19021 | 19022 | 19024 => (ROBOT_REFUSES, Again::WhenMended),
        _ => (ROBOT_DISLIKES, Again::WhenMended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::receiver::Type;

    #[test]
    fn a_signed_card_has_the_sign_that_the_platform_computes() {
        let message = Message::test("ops", "worker-1", 5, Language::English);
        let receiver = Receiver {
            kind: Type::Feishu,
            url: "https://open.feishu.cn/open-apis/bot/v2/hook/key".into(),
            secret: Some("demo".into()),
            language: Language::English,
        };
        let request = receiver.request(&message, 1_599_360_473_999).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["timestamp"], "1599360473");
        // By the platform's own lines of Python.
        assert_eq!(body["sign"], "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
        assert_eq!(body["card"]["header"]["title"]["content"], "zhongkong: test message");
    }
}
