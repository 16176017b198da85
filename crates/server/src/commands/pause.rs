//! `pause` and `resume`: no refresh of a credential, whoever asks; for a migration.

use serde_json::json;
use zhongkong_core::credential::CredentialId;

use super::target::Target;
use crate::config::Config;
use crate::language::Language;
use crate::report::{seconds_until, span};
use crate::terminal::{Exit, answer, complain_of_redis};
use crate::wiring;

pub(crate) async fn pause(
    config: &Config,
    id: CredentialId,
    by: &str,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    pause_or_resume(config, id, (true, by), as_json, language).await
}

pub(crate) async fn resume(
    config: &Config,
    id: CredentialId,
    by: &str,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    pause_or_resume(config, id, (false, by), as_json, language).await
}

async fn pause_or_resume(
    config: &Config,
    id: CredentialId,
    (pause, by): (bool, &str),
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let store = wiring::store(&config.redis);
    let targets = match Target::find_all(&store, config, &id, language).await {
        Ok(targets) => targets,
        Err(exit) => return Ok(exit),
    };
    let mut done = Vec::with_capacity(targets.len());
    for target in targets {
        let asked = async {
            if pause {
                store.pause(&target.unit, by).await
            } else {
                store.resume(&target.unit, by).await
            }
        };
        match asked.await {
            Ok(observed) => done.push((target, observed)),
            Err(error) => {
                return Ok(complain_of_redis(&error, language));
            }
        }
    }
    for (target, observed) in done {
        let (unit, state, now_ms) = (&target.unit, observed.state, observed.now_ms);
        let left = seconds_until(state.expires_at_ms, now_ms);
        if as_json {
            let object = json!({
                "id": unit.id, "kind": unit.kind, "status": state.status, "expires_in": left,
            });
            answer(&object.to_string());
            continue;
        }
        let was_paused = target.state.is_paused();
        answer(&match (language, pause) {
            (Language::English, true) if left == 0 => format!(
                "{unit}: paused; readers have no token, and get none until `zhongkong resume {}`",
                unit.id
            ),
            (Language::English, true) => format!(
                "{unit}: paused; readers keep the token for {}. `zhongkong resume {}` ends the pause",
                span(left),
                unit.id
            ),
            (Language::Chinese, true) if left == 0 => {
                format!(
                    "{unit}：已暂停；目前没有有效 token，执行 `zhongkong resume {}` 后恢复",
                    unit.id
                )
            }
            (Language::Chinese, true) => format!(
                "{unit}：已暂停；现有 token 还可使用 {}。执行 `zhongkong resume {}` 恢复",
                span(left),
                unit.id
            ),
            (Language::English, false) if was_paused => {
                format!("{unit}: resumed; a refresh that is owed runs at once")
            }
            (Language::Chinese, false) if was_paused => {
                format!("{unit}：已恢复；如需刷新将立即执行")
            }
            (Language::English, false) => format!("{unit}: was not paused"),
            (Language::Chinese, false) => format!("{unit}：未处于暂停状态"),
        });
    }
    Ok(Exit::Done)
}
