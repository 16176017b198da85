//! `watch`: what happens to the tokens, as it happens.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::sync::mpsc;
use zhongkong_core::credential::CredentialId;
use zhongkong_core::ports::{Notice, Store};

use super::target::Target;
use crate::config::Config;
use crate::event::Event;
use crate::language::Language;
use crate::terminal::{Exit, answer, answer_while_somebody_listens, complain, complain_of_redis};
use crate::wiring;

/// Events that may wait to be shown; what is more is told as missed.
const WAITING: usize = 4_096;

pub(crate) async fn watch(
    config: &Config,
    id: Option<CredentialId>,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let store = wiring::store(&config.redis);
    if let Some(id) = &id
        && let Err(exit) = Target::find_all(&store, config, id, language).await
    {
        return Ok(exit);
    }
    if let Err(error) = store.living().await {
        return Ok(complain_of_redis(&error, language));
    }
    let (sender, mut notices) = mpsc::channel(WAITING);
    // Whoever reads too slowly to keep up sees the newest later.
    let missed = AtomicU64::new(0);
    let hear = |notice: Notice| {
        if sender.try_send(notice).is_err() {
            missed.fetch_add(1, Ordering::Relaxed);
        }
    };
    let listening = store.listen(&hear);
    tokio::pin!(listening);
    let mut deaf = false;
    loop {
        let notice = tokio::select! {
            () = &mut listening => return Ok(Exit::Unavailable),
            notice = notices.recv() => notice,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        };
        match missed.swap(0, Ordering::Relaxed) {
            0 => {}
            missed if as_json => answer(&json!({ "type": "missed", "missed": missed }).to_string()),
            missed => {
                complain(&format!("{missed} {}", language.say("events missed", "个事件未能显示")));
            }
        }
        match notice {
            Some(Notice::Event { unit, what, observed }) => {
                if id.as_ref().is_some_and(|id| *id != unit.id) {
                    continue;
                }
                let Some(event) = Event::new(&what, &unit, &observed.state, observed.now_ms) else {
                    continue;
                };
                let line =
                    if as_json { serde_json::to_string(&event)? } else { event.in_words(language) };
                if !answer_while_somebody_listens(&line) {
                    return Ok(Exit::Done);
                }
            }
            Some(Notice::Deaf) => {
                deaf = true;
                complain(language.say(
                    "redis does not answer; what happens now is not seen. Trying again",
                    "Redis 无响应；此期间的事件看不到，正在重连",
                ));
            }
            Some(Notice::Listening) if std::mem::take(&mut deaf) => {
                complain(language.say("redis answers again", "Redis 已恢复"));
            }
            Some(Notice::Listening) if !as_json => {
                complain(language.say("watching; Ctrl-C ends it", "正在监听；按 Ctrl-C 结束"));
            }
            Some(Notice::Listening | Notice::Touched { .. } | Notice::Flushed) => {}
            None => return Ok(Exit::Unavailable),
        }
    }
}
