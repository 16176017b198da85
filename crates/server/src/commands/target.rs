//! What a command is about: a unit that is configured here, or that Redis knows.

use std::sync::Arc;

use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::ports::{Reading, Store, StoreError};
use zhongkong_core::state::{Memory, State};
use zhongkong_redis::RedisStore;
use zhongkong_upstream::Provider;

use crate::config::{Config, CredentialConfig};
use crate::language::Language;
use crate::terminal::{Exit, complain, complain_of_redis};

/// A unit, and what is known of it.
pub(crate) struct Target<'a> {
    pub(crate) unit: Unit,
    /// None if this configuration lacks it, and Redis has it.
    pub(crate) credential: Option<&'a CredentialConfig>,
    pub(crate) state: State,
    /// The store's time and epoch when the state was read.
    pub(crate) now_ms: u64,
    pub(crate) epoch: Arc<str>,
}

impl<'a> Target<'a> {
    /// Finds the unit; complains, and tells how to end, if there is none or Redis does not answer.
    pub(crate) async fn find(
        store: &RedisStore,
        config: &'a Config,
        (id, kind): (CredentialId, Kind),
        language: Language,
    ) -> Result<Self, Exit> {
        let unit = Unit { id, kind };
        let credential = config.credentials.iter().find(|c| c.id == unit.id);
        let Reading { state, now_ms, epoch, .. } = match read(store, &unit).await {
            Ok(reading) => reading,
            Err(error) => {
                return Err(complain_of_redis(&error, language));
            }
        };
        if credential.is_none() && !state.exists() {
            return Err(unknown(&unit.id, language));
        }
        if !credential.is_none_or(|credential| credential.units().any(|kept| kept == unit)) {
            return Err(not_kept(&unit, language));
        }
        Ok(Self { unit, credential, state, now_ms, epoch })
    }

    /// Finds every unit of `id` that is kept here or known in Redis, likewise.
    pub(crate) async fn find_all(
        store: &RedisStore,
        config: &'a Config,
        id: &CredentialId,
        language: Language,
    ) -> Result<Vec<Self>, Exit> {
        let first = Self::find(store, config, (id.clone(), Kind::AccessToken), language).await?;
        let credential = first.credential;
        let mut targets = vec![first];
        for kind in Kind::TICKETS {
            let unit = Unit { id: id.clone(), kind };
            match read(store, &unit).await {
                Ok(Reading { state, now_ms, epoch, .. })
                    if state.exists() || credential.is_some_and(|c| c.tickets.contains(&kind)) =>
                {
                    targets.push(Self { unit, credential, state, now_ms, epoch });
                }
                Ok(_) => {}
                Err(error) => return Err(complain_of_redis(&error, language)),
            }
        }
        Ok(targets)
    }

    /// The unit's rules; of one that is configured elsewhere, those of this configuration.
    pub(crate) fn rules(&self, config: &Config) -> Rules {
        if let Some(credential) = self.credential {
            return credential.rules(self.unit.kind);
        }
        let millis = zhongkong_core::clock::millis;
        let refresh = &config.refresh;
        let is_ticket = self.unit.kind.ticket().is_some();
        Rules {
            nature: if is_ticket { Nature::Lasting } else { Nature::WECHAT },
            request_timeout_ms: millis(refresh.request_timeout),
            lease_ms: millis(refresh.lease),
            drain_ms: millis(refresh.drain),
            spacing_ms: millis(refresh.spacing),
            overlap_ms: millis(Provider::WeChat.default_overlap()),
        }
    }

    /// Somebody who remembers nothing, and whom only those refusals concern that concern all.
    pub(crate) fn anybody(&self) -> Viewer {
        anybody(&self.epoch)
    }
}

/// Complains of a credential that nobody knows, and tells how to end.
pub(crate) fn unknown(id: &CredentialId, language: Language) -> Exit {
    let unknown = language
        .say("is neither in this configuration nor in Redis", "既不在本配置中，也不在 Redis 中");
    complain(&format!("{id}: {unknown}"));
    Exit::Failed
}

/// Complains of a ticket that the configuration does not name, and tells how to end.
fn not_kept(unit: &Unit, language: Language) -> Exit {
    complain(&no_ticket(unit, language));
    Exit::Failed
}

/// That the configuration does not name the ticket `unit`, and what to do about it.
pub(crate) fn no_ticket(unit: &Unit, language: Language) -> String {
    let Unit { id, kind } = unit;
    let name = kind.ticket().unwrap_or_default();
    match language {
        Language::English => {
            format!(
                "no {kind} is kept of {id}: add \"{name}\" to its `tickets` in the configuration"
            )
        }
        Language::Chinese => {
            format!("{id} 未配置 {kind}：请在该账号的 `tickets` 中加入 \"{name}\"")
        }
    }
}

/// A unit as it is read alone.
pub(crate) async fn read(store: &RedisStore, unit: &Unit) -> Result<Reading, StoreError> {
    let mut readings = store.read(std::slice::from_ref(unit)).await?;
    readings.pop().unwrap_or_else(|| Err(StoreError::Unavailable("no answer".to_owned())))
}

/// Somebody who remembers nothing, and whom only those refusals concern that concern all.
pub(crate) fn anybody(epoch: &str) -> Viewer {
    Viewer {
        identity: String::new(),
        configuration: String::new(),
        epoch: epoch.to_owned(),
        memory: Memory::default(),
    }
}
