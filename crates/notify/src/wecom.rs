//! A group robot of WeCom (企业微信): Markdown of at most 4,096 bytes, 20 messages a minute, no signature; the URL's key is
//! all that it asks for.

use serde_json::json;
use url::Url;
use zhongkong_core::codes::Text;

use crate::message::{Message, plain};
use crate::receiver::{Again, RATE, ROBOT_DISLIKES, ROBOT_GONE, Receiver, Request, WAIT};

/// What is left of the limit for the lines below the title.
const LINES_MAX: usize = 3_400;

/// The request with `message`.
pub(crate) fn request(url: Url, receiver: &Receiver, message: &Message) -> Request {
    let colour = if message.is_alarm { "warning" } else { "info" };
    let lines = message.markdown(receiver.language, LINES_MAX);
    let content = format!("**<font color=\"{colour}\">{}</font>**\n{lines}", plain(&message.title));
    let body = json!({ "msgtype": "markdown", "markdown": { "content": content } });
    Request { url, headers: Vec::new(), body: body.to_string().into_bytes() }
}

/// What to do about a code, and when it is tried again.
pub(crate) const fn refusal(code: i64) -> (Text, Again) {
    match code {
        45009 | 45033 => (RATE, Again::Soon),
        -1 => (WAIT, Again::Soon),
        93000 | 93008 | 40014 | 40001 => (ROBOT_GONE, Again::WhenMended),
        _ => (ROBOT_DISLIKES, Again::WhenMended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::receiver::Type;

    #[test]
    fn a_message_is_markdown_within_the_robots_limit() {
        let mut message = Message::test("ops", "worker-1", 5, Language::Chinese);
        for _ in 0..100 {
            message.lines.push(("处理办法", "无需处理".repeat(10)));
        }
        let receiver = Receiver {
            kind: Type::WeCom,
            url: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k".into(),
            secret: None,
            language: Language::Chinese,
        };
        let request = receiver.request(&message, 5).unwrap();
        assert_eq!(request.url.query(), Some("key=k"));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let content = body["markdown"]["content"].as_str().unwrap();
        assert!(
            content.starts_with("**<font color=\"info\">zhongkong：测试消息</font>**\n**测试**")
        );
        assert!((3_000..=4_096).contains(&content.len()), "{}", content.len());
    }
}
