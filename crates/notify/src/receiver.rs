//! A receiver: what it is, the request that it gets, and what its answer means.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;
use zhongkong_core::codes::Text;

use crate::language::Language;
use crate::message::Message;
use crate::{dingtalk, feishu, webhook, wecom};

/// The longest piece of an answer that is shown, in characters.
const SHOWN_MAX: usize = 200;
/// The longest wait that a receiver may ask for.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// What kind of receiver it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A program that takes JSON.
    Webhook,
    /// A group robot of WeCom (企业微信).
    WeCom,
    /// A custom bot of Feishu (飞书).
    Feishu,
    /// A custom robot of DingTalk (钉钉).
    DingTalk,
}

/// A receiver, and the secrets for one message to it.
#[derive(Clone)]
pub struct Receiver {
    /// What it is.
    pub kind: Type,
    /// Where it is; the key that lets one send is part of it.
    pub url: SecretString,
    /// What signs the messages.
    pub secret: Option<SecretString>,
    /// In which language it is told.
    pub language: Language,
}

/// What goes out.
pub struct Request {
    /// Where to; it holds a key.
    pub(crate) url: Url,
    /// Beside the content type.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// JSON.
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What `Retry-After` asks for.
    pub retry_after: Option<Duration>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

/// When a message that was not taken is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Soon: it passes by itself.
    Soon,
    /// Not before so long.
    After(Duration),
    /// Now and then: somebody has to mend something.
    WhenMended,
}

/// A message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What came back, without any secret.
    pub why: String,
    /// What a person should do.
    pub advice: Text,
    /// When it is tried again.
    pub again: Again,
}

impl Type {
    /// Each with its name in the configuration.
    pub const ALL: [(&str, Self); 4] = [
        ("webhook", Self::Webhook),
        ("wecom", Self::WeCom),
        ("feishu", Self::Feishu),
        ("dingtalk", Self::DingTalk),
    ];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::WeCom => "wecom",
            Self::Feishu => "feishu",
            Self::DingTalk => "dingtalk",
        }
    }

    /// The most messages a minute: what the robots take, less two for tests by hand.
    pub const fn a_minute(self) -> usize {
        match self {
            Self::Webhook => 60,
            Self::WeCom | Self::Feishu | Self::DingTalk => 18,
        }
    }
}

/// Without its secrets.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Without its URL.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Receiver {
    /// The request with `message`, signed at `now_ms` since 1970; an URL that is none is refused.
    pub fn request(&self, message: &Message, now_ms: u64) -> Result<Request, Refused> {
        let url = Url::parse(self.url.expose_secret().trim());
        let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| Refused {
            why: "the url is no address that begins with http:// or https://".to_owned(),
            advice: NO_URL,
            again: Again::WhenMended,
        })?;
        Ok(match self.kind {
            Type::Webhook => webhook::request(url, self, message, now_ms),
            Type::WeCom => wecom::request(url, self, message),
            Type::Feishu => feishu::request(url, self, message, now_ms),
            Type::DingTalk => dingtalk::request(url, self, message, now_ms),
        })
    }

    /// What `answer` means: for people, what came back if the message was taken.
    pub fn read(&self, answer: &Answer) -> Result<String, Refused> {
        let Answer { status, retry_after, body } = answer;
        let refused = |advice, again| {
            Err(Refused { why: self.shown(&format!("HTTP {status}"), body), advice, again })
        };
        match *status {
            200..=299 => {}
            300..=399 => return refused(REDIRECTED, Again::WhenMended),
            408 | 425 | 429 | 500..=599 => {
                let again = retry_after.map_or(Again::Soon, |after| {
                    Again::After(after.clamp(Duration::from_secs(1), WAIT_MAX))
                });
                return refused(WAIT, again);
            }
            401 | 403 => return refused(NOT_LET_IN, Again::WhenMended),
            404 | 410 => return refused(NOBODY_THERE, Again::WhenMended),
            _ => return refused(NOT_TAKEN, Again::WhenMended),
        }
        let read = match self.kind {
            Type::Webhook => return Ok(format!("HTTP {status}")),
            Type::WeCom => wecom::refusal,
            Type::Feishu => feishu::refusal,
            Type::DingTalk => dingtalk::refusal,
        };
        // Robots answer 200 whatever they think of a message.
        let said: Said = serde_json::from_slice(body).unwrap_or_default();
        match said.code() {
            Some(0) => Ok(format!("HTTP {status}, {} 0", self.code_name())),
            Some(code) => {
                let (advice, again) = read(code);
                let why = format!("{} {code}", self.code_name());
                let words = said.words().as_bytes();
                Err(Refused { why: self.shown(&why, words), advice, again })
            }
            None => refused(NO_ROBOT, Again::Soon),
        }
    }

    const fn code_name(&self) -> &'static str {
        match self.kind {
            Type::Feishu => "code",
            Type::Webhook | Type::WeCom | Type::DingTalk => "errcode",
        }
    }

    /// `what`, and the beginning of what was said to it, without anything that is secret.
    fn shown(&self, what: &str, said: &[u8]) -> String {
        let said = String::from_utf8_lossy(said);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut said: String = said.chars().filter(|c| !c.is_control()).collect();
        for secret in self.secrets() {
            said = said.replace(&secret, "[removed]");
        }
        let mut shown: String = said.chars().take(SHOWN_MAX).collect();
        if shown.len() < said.len() {
            shown.push('…');
        }
        if shown.is_empty() { what.to_owned() } else { format!("{what}: {shown}") }
    }

    /// Every piece of the URL that may be a key, and the secret; the longest first.
    fn secrets(&self) -> Vec<String> {
        let url = self.url.expose_secret().trim();
        let mut secrets = vec![url.to_owned()];
        if let Ok(url) = Url::parse(url) {
            secrets.extend(url.path_segments().into_iter().flatten().map(ToOwned::to_owned));
            secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
            secrets.push(url[url::Position::BeforePath..].to_owned());
        }
        secrets.extend(self.secret.iter().map(|secret| secret.expose_secret().to_owned()));
        // What is that short is a word of the path, and no key.
        secrets.retain(|secret| secret.len() >= 8);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

/// A robot's answer: each platform has its own names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    errcode: Option<i64>,
    errmsg: Option<String>,
    code: Option<i64>,
    msg: Option<String>,
    #[serde(rename = "StatusCode")]
    status_code: Option<i64>,
}

impl Said {
    fn code(&self) -> Option<i64> {
        self.errcode.or(self.code).or(self.status_code)
    }

    fn words(&self) -> &str {
        self.errmsg.as_deref().or(self.msg.as_deref()).unwrap_or_default()
    }
}

const NO_URL: Text =
    Text { en: "correct the url of this receiver", zh: "请更正该接收方的 url" };
const REDIRECTED: Text = Text {
    en: "the url leads elsewhere, and redirects are not followed; put in the address that it leads to",
    zh: "该 url 会重定向，而重定向不会被跟随；请改为最终地址",
};
const NOT_LET_IN: Text = Text {
    en: "the receiver lets nobody in with this url and secret; compare both with what it expects",
    zh: "接收方拒绝了该 url 与 secret；请与其要求核对",
};
const NOBODY_THERE: Text = Text {
    en: "there is no receiver at this url any more; get the present one, and put it in",
    zh: "该 url 已无接收方；请获取新的 url 并更新配置",
};
const NOT_TAKEN: Text = Text {
    en: "the receiver does not take such messages; look into its log, and check type and url",
    zh: "接收方不接受此类消息；请查看其日志，并核对 type 与 url",
};
const NO_ROBOT: Text = Text {
    en: "this is no robot's answer; check type and url",
    zh: "这不是机器人的应答；请核对 type 与 url",
};
pub(crate) const WAIT: Text = Text {
    en: "nothing yet; if that lasts, look after the receiver",
    zh: "暂无需处理；若持续出现，请检查接收方",
};
pub(crate) const RATE: Text = Text {
    en: "nothing: the robot takes no more for now; if that lasts, see who else uses the robot",
    zh: "无需处理：机器人暂时限流；若持续出现，请检查是否有其他程序共用该机器人",
};
pub(crate) const ROBOT_GONE: Text = Text {
    en: "the robot was removed, or the url is not complete; add one to the group, and put its url in",
    zh: "机器人已被移除，或 url 不完整；请在群中添加机器人并更新 url",
};
pub(crate) const ROBOT_REFUSES: Text = Text {
    en: "look at the robot's security settings: the secret must be the robot's own, a keyword must be \"zhongkong\", a list of \
         addresses must have the workers'",
    zh: "请检查机器人的安全设置：secret 须为该机器人的加签密钥；自定义关键词须为 zhongkong；IP 白名单须包含 worker 的出口 IP",
};
pub(crate) const ROBOT_DISLIKES: Text = Text {
    en: "look the code up in the platform's documentation",
    zh: "请在平台文档中查询该错误码",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(kind: Type) -> Receiver {
        Receiver {
            kind,
            url: "https://robots.example/send/v2/key-0123456789?access_token=token-0123456789"
                .into(),
            secret: Some("s3cret-s3cret".into()),
            language: Language::English,
        }
    }

    fn answered(kind: Type, status: u16, body: &str) -> Result<String, Refused> {
        let answer = Answer { status, retry_after: None, body: body.as_bytes().to_vec() };
        receiver(kind).read(&answer)
    }

    #[test]
    fn a_robot_that_answers_200_with_a_code_has_not_taken_the_message() {
        for (kind, body, again) in [
            (Type::WeCom, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, Again::Soon),
            (Type::WeCom, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, Again::WhenMended),
            (Type::Feishu, r#"{"code":11232,"msg":"frequency limited"}"#, Again::Soon),
            (Type::Feishu, r#"{"code":9499,"msg":"too many request"}"#, Again::Soon),
            (Type::Feishu, r#"{"code":19021,"msg":"sign match fail"}"#, Again::WhenMended),
            (Type::DingTalk, r#"{"errcode":-1,"errmsg":"系统繁忙"}"#, Again::Soon),
            (
                Type::DingTalk,
                r#"{"errcode":130101,"errmsg":"send too fast"}"#,
                Again::After(Duration::from_mins(10)),
            ),
            (Type::DingTalk, r#"{"errcode":310000,"errmsg":"sign not match"}"#, Again::WhenMended),
            (Type::DingTalk, "<html>", Again::Soon),
        ] {
            let refused = answered(kind, 200, body).unwrap_err();
            assert_eq!(refused.again, again, "{body}");
        }
        for (kind, body) in [
            (Type::WeCom, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Type::DingTalk, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Type::Feishu, r#"{"code":0,"msg":"success","data":{}}"#),
            (Type::Feishu, r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#),
            (Type::Webhook, "whatever"),
        ] {
            assert!(answered(kind, 200, body).is_ok(), "{body}");
        }
    }

    #[test]
    fn an_http_status_says_whether_trying_again_is_of_use() {
        for (status, again) in [
            (302, Again::WhenMended),
            (400, Again::WhenMended),
            (401, Again::WhenMended),
            (404, Again::WhenMended),
            (408, Again::Soon),
            (429, Again::Soon),
            (500, Again::Soon),
            (503, Again::Soon),
        ] {
            assert_eq!(answered(Type::Webhook, status, "").unwrap_err().again, again, "{status}");
        }
        let asks = Answer { status: 429, retry_after: Some(WAIT_MAX * 9), body: vec![] };
        let again = receiver(Type::Webhook).read(&asks).unwrap_err().again;
        assert_eq!(again, Again::After(WAIT_MAX));
    }

    #[test]
    fn what_is_shown_of_an_answer_is_short_and_has_no_key_and_no_secret() {
        let body = format!(
            "no robot at https://robots.example/send/v2/key-0123456789?access_token=token-0123456789 \
             /send/v2/key-0123456789 token-0123456789\n s3cret-s3cret {}",
            "x".repeat(1_000)
        );
        let Refused { why, .. } = answered(Type::Webhook, 400, &body).unwrap_err();
        assert!(why.starts_with("HTTP 400: no robot at [removed]"), "{why}");
        for secret in ["key-0123456789", "token-0123456789", "s3cret"] {
            assert!(!why.contains(secret), "{why}");
        }
        assert!(why.chars().count() < 250, "{why}");
        assert!(!format!("{:?}", receiver(Type::WeCom)).contains("0123456789"));
    }
}
