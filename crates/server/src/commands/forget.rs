//! `forget`: removes an account's keys from Redis.

use serde_json::json;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_notify::Key;

use super::target::unknown;
use crate::config::Config;
use crate::language::Language;
use crate::terminal::{Exit, answer, complain_of_redis, consent};
use crate::wiring;

pub(crate) async fn forget(
    config: &Config,
    id: CredentialId,
    yes: bool,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let store = wiring::store(&config.redis);
    let credential = config.credentials.iter().find(|credential| credential.id == id);
    let configured = credential.is_some();
    let published = credential.into_iter().flat_map(|credential| &credential.publish);
    let sdk_keys: Vec<String> = published
        .flat_map(|published| published.layout.keys.iter().map(|key| key.name.clone()))
        .collect();
    let mut question = match language {
        Language::English => {
            format!("Remove the token, the tickets and all state of {id} from Redis?")
        }
        Language::Chinese => format!("从 Redis 中删除 {id} 的 token、ticket 与全部状态？"),
    };
    if !sdk_keys.is_empty() {
        let names = sdk_keys.join(language.say(", ", "、"));
        question.push_str(language.say(" And what SDKs read: ", "同时删除 SDK 读取的键："));
        question.push_str(&names);
        question.push_str(language.say(".", "。"));
    }
    question.push_str(if configured {
        language.say(
            " It is still in this configuration: workers that have it fetch a new token at once.",
            "该账号仍在本配置中：持有它的 worker 会立即重新获取 token。",
        )
    } else {
        language.say(
            " Workers that still have it in their configuration fetch a new token at once.",
            "仍配置了该账号的 worker 会立即重新获取 token。",
        )
    });
    if let Some(exit) = consent(&question, yes, language) {
        return Ok(exit);
    }
    let mut removed = 0;
    for kind in Kind::ALL {
        match store.forget(&Unit { id: id.clone(), kind }).await {
            Ok(keys) => removed += keys,
            Err(error) => return Ok(complain_of_redis(&error, language)),
        }
    }
    match store.forget_published(&sdk_keys).await {
        Ok(keys) => removed += keys,
        Err(error) => return Ok(complain_of_redis(&error, language)),
    }
    for receiver in &config.notify {
        let forgotten = async {
            let (stored, _) = store.told(&receiver.name).await?;
            let of_it = |field: &String| Key::parse(field).is_some_and(|key| key.unit.id == id);
            let fields: Vec<String> = stored.into_keys().filter(of_it).collect();
            store.forget_told(&receiver.name, &fields).await
        };
        if let Err(error) = forgotten.await {
            return Ok(complain_of_redis(&error, language));
        }
    }
    if removed == 0 && !configured {
        return Ok(unknown(&id, language));
    }
    answer(&if as_json {
        json!({ "id": id, "removed": removed }).to_string()
    } else {
        match language {
            Language::English => format!("{id}: {removed} keys removed"),
            Language::Chinese => format!("{id}：已删除 {removed} 个键"),
        }
    });
    Ok(Exit::Done)
}
