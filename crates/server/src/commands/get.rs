//! `get`: the token on standard output, alone.

use serde_json::json;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::ports::{Published, Store};

use super::target::no_ticket;
use crate::config::Config;
use crate::language::Language;
use crate::terminal::{Exit, answer, complain, complain_of_redis};
use crate::wiring;

pub(crate) async fn get(
    config: &Config,
    id: CredentialId,
    kind: Kind,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let unit = Unit { id, kind };
    let store = wiring::store(&config.redis);
    match store.token(&unit).await {
        Ok(Some(Published { token, left, generation, .. })) if as_json => {
            let expires_in = left.as_secs();
            let Unit { id, kind } = unit;
            let token = token.expose();
            let object = json!({
                "id": id, "kind": kind, "token": token, "expires_in": expires_in,
                "generation": generation,
            });
            answer(&object.to_string());
            Ok(Exit::Done)
        }
        Ok(Some(Published { token, .. })) => {
            answer(token.expose());
            Ok(Exit::Done)
        }
        Ok(None) => {
            let Unit { id, .. } = &unit;
            let credential = config.credentials.iter().find(|credential| credential.id == *id);
            let configured = credential.is_some();
            if credential.is_some_and(|credential| !credential.units().any(|kept| kept == unit)) {
                complain(&no_ticket(&unit, language));
                return Ok(Exit::Unavailable);
            }
            complain(&match (language, configured) {
                (Language::English, true) => {
                    format!("no valid token of {unit}: see `zhongkong status {id}` for the reason")
                }
                (Language::English, false) => {
                    format!("no valid token of {unit}: {id} is not in this configuration")
                }
                (Language::Chinese, true) => {
                    format!("{unit} 没有有效 token：原因见 `zhongkong status {id}`")
                }
                (Language::Chinese, false) => {
                    format!("{unit} 没有有效 token：{id} 不在当前配置中")
                }
            });
            Ok(Exit::Unavailable)
        }
        Err(error) => Ok(complain_of_redis(&error, language)),
    }
}
