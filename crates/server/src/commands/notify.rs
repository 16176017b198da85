//! `notify --test`: sends a message to each receiver of notifications, and says what came back.

use serde::Serialize;
use zhongkong_notify::{Client, Message, Refused};

use crate::config::{Config, NotifyConfig};
use crate::language::Language;
use crate::notify::receiver;
use crate::terminal::{Colour, Exit, Paint, answer, complain};

/// What came of one test message; programs may rely on the names.
#[derive(Clone, Debug, Serialize)]
struct Tried {
    receiver: String,
    #[serde(rename = "type")]
    kind: &'static str,
    delivered: bool,
    /// What came back, without any secret.
    answer: String,
    /// What to do, if it was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

/// Sends to the receiver `name`, or to all.
pub(crate) async fn test(
    config: &Config,
    name: Option<&str>,
    as_json: bool,
    paint: Paint,
    language: Language,
) -> anyhow::Result<Exit> {
    let chosen = |receiver: &&NotifyConfig| name.is_none_or(|name| receiver.name == name);
    let receivers: Vec<&NotifyConfig> = config.notify.iter().filter(chosen).collect();
    if receivers.is_empty() {
        let known: Vec<&str> = config.notify.iter().map(|r| r.name.as_str()).collect();
        complain(&match (known.as_slice(), language) {
            ([], _) => language
                .say(
                    "no receiver is configured: add [[notify]]; see docs/notifications.md",
                    "未配置接收方：请添加 [[notify]]，见 docs/notifications.zh-CN.md",
                )
                .to_owned(),
            (known, Language::English) => {
                format!("no receiver of this name; there are: {}", known.join(", "))
            }
            (known, Language::Chinese) => {
                format!("没有该名称的接收方；现有：{}", known.join("、"))
            }
        });
        return Ok(if config.notify.is_empty() { Exit::Configuration } else { Exit::Usage });
    }
    let mut all = Vec::with_capacity(receivers.len());
    for receiver in receivers {
        let tried = try_one(config, receiver, language).await;
        if !as_json {
            answer(&tried.in_words(paint, language));
        }
        all.push(tried);
    }
    if as_json {
        answer(&serde_json::to_string_pretty(&all)?);
    }
    Ok(if all.iter().all(|tried| tried.delivered) { Exit::Done } else { Exit::Failed })
}

async fn try_one(config: &Config, to: &NotifyConfig, language: Language) -> Tried {
    let tried = |delivered, answer, advice| Tried {
        receiver: to.name.clone(),
        kind: to.kind.as_str(),
        delivered,
        answer,
        advice,
    };
    let client = match Client::new(to.proxy.as_ref()) {
        Ok(client) => client,
        Err(error) => return tried(false, error.to_string(), None),
    };
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let worker = config.worker.name.as_str();
    let message = Message::test(&to.name, worker, now_ms, to.language);
    let sent = async { client.send(&receiver(to).await?, &message, now_ms).await };
    match sent.await {
        Ok(came_back) => tried(true, came_back, None),
        Err(Refused { why, advice, .. }) => tried(false, why, Some(language.pick(advice))),
    }
}

impl Tried {
    fn in_words(&self, paint: Paint, language: Language) -> String {
        let Self { receiver, kind, delivered, answer, advice } = self;
        let verdict = if *delivered {
            paint.paint(language.say("delivered", "已送达"), Colour::Green)
        } else {
            paint.paint(language.say("NOT DELIVERED", "未送达"), Colour::Red)
        };
        let colon = language.colon();
        let advice =
            advice.map_or_else(String::new, |advice| format!("{}{advice}", language.semicolon()));
        format!("{receiver} ({kind}){colon}{verdict}{colon}{answer}{advice}")
    }
}
