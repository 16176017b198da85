//! `clear-quota`: has the platform set an account's daily quotas to zero used.

use std::sync::Arc;

use serde_json::json;
use zhongkong_core::codes::ruling;
use zhongkong_core::credential::CredentialId;
use zhongkong_core::ports::Store;
use zhongkong_core::refusal::Status;
use zhongkong_upstream::ClearQuotaError;

use super::target::Target;
use crate::clock::BootClock;
use crate::config::Config;
use crate::language::Language;
use crate::terminal::{Exit, answer, complain, consent};
use crate::wiring;

/// The platform's code for "cleared too often".
const TOO_OFTEN: i64 = 48006;

pub(crate) async fn clear_quota(
    config: &Config,
    id: CredentialId,
    by: &str,
    yes: bool,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let Some(credential) = config.credentials.iter().find(|credential| credential.id == id) else {
        let unknown = language.say("is not in this configuration", "不在本配置中");
        complain(&format!("{id}: {unknown}"));
        return Ok(Exit::Failed);
    };
    let question = match language {
        Language::English => format!(
            "Clear the daily quotas of {id}? The platform allows this ten times a month, for all calls of the account together."
        ),
        Language::Chinese => {
            format!("清零 {id} 的当日调用次数？每个账号每月共 10 次，对所有接口一并生效。")
        }
    };
    if let Some(exit) = consent(&question, yes, language) {
        return Ok(exit);
    }
    let transport = wiring::transport(config, Arc::new(BootClock))?;
    let upstream = wiring::upstream(credential, &transport)?;
    if let Err(error) = upstream.clear_quota(config.refresh.request_timeout).await {
        complain(&format!("{id}: {error}"));
        match error {
            ClearQuotaError::Refused { code: TOO_OFTEN, .. } => complain(language.say(
                "this month's ten are used up; the quota is new on the next day, 00:00 +08:00",
                "本月 10 次已用完；配额将于次日零点（北京时间）恢复",
            )),
            ClearQuotaError::Refused { code, .. } => {
                let ruling = ruling(code);
                let (meaning, advice) =
                    (language.pick(ruling.meaning), language.pick(ruling.advice));
                complain(&format!("  {meaning}; {advice}"));
            }
            ClearQuotaError::Unknown(_) => complain(language.say(
                "it may have been done: look at the quota in the account's console before trying again",
                "可能已生效：重试前请先在公众平台后台查看配额",
            )),
            ClearQuotaError::NotSent(_) => {}
        }
        return Ok(Exit::Failed);
    }
    let retried = retry_now(config, &id, by, language).await?;
    answer(&if as_json {
        json!({ "id": id, "cleared": true, "retried": retried }).to_string()
    } else {
        let cleared = language.say("quotas cleared", "配额已清零");
        let retry = if retried {
            language
                .say("; the refresh that waited for them is tried now", "；等待中的刷新将立即重试")
        } else {
            ""
        };
        format!("{id}: {cleared}{retry}")
    });
    Ok(Exit::Done)
}

/// A refresh that waits for the quota need not wait any longer. The quotas are cleared whatever Redis says to that.
async fn retry_now(
    config: &Config,
    id: &CredentialId,
    by: &str,
    language: Language,
) -> anyhow::Result<bool> {
    let store = wiring::store(&config.redis);
    let Ok(targets) = Target::find_all(&store, config, id, language).await else {
        return Ok(false);
    };
    let mut retried = false;
    for target in targets {
        let throttled = |refusal: &zhongkong_core::refusal::Refusal| {
            refusal.status == Status::Throttled && refusal.retry_at_ms > target.now_ms
        };
        if target.state.refusals.iter().any(throttled) {
            retried |= store.force(&target.unit, &target.rules(config), by).await.is_ok();
        }
    }
    Ok(retried)
}
