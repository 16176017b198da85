//! `get`: the token on standard output, alone.

use serde_json::json;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::ports::{Published, Store};

use crate::config::Config;
use crate::terminal::{Exit, answer, complain};
use crate::wiring;

pub(crate) async fn get(
    config: &Config,
    id: CredentialId,
    kind: Kind,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let unit = Unit { id, kind };
    let store = wiring::store(&config.redis)?;
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
            let id = &unit.id;
            complain(&if config.credentials.iter().any(|credential| credential.id == *id) {
                format!("no valid token of {unit}: see `zhongkong status {id}` for the reason")
            } else {
                format!("no valid token of {unit}: {id} is not in this configuration")
            });
            Ok(Exit::Unavailable)
        }
        Err(error) => {
            complain(&error.to_string());
            Ok(Exit::Unavailable)
        }
    }
}
