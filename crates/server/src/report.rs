//! A unit's status, for the API and for people: what happened, whom it concerns, what to do. Never a token.

use schemars::JsonSchema;
use serde::Serialize;
use zhongkong_core::codes::ruling_of;
use zhongkong_core::credential::{Kind, Unit, Worker};
use zhongkong_core::doubt::Doubt;
use zhongkong_core::outlook::Outlook;
use zhongkong_core::refusal::{Refusal, Scope, Status};
use zhongkong_core::state::{Mark, State};

use crate::language::Language;
use crate::schemas;

/// One kind of token of one credential.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UnitReport {
    #[schemars(with = "schemas::CredentialId")]
    pub(crate) id: String,
    #[schemars(with = "schemas::Kind")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<&'static str>,
    /// Whether the state has been read; if not, all that follows is empty.
    pub(crate) known: bool,
    #[schemars(with = "schemas::Status")]
    pub(crate) status: Status,
    /// Whether readers have a token that still lives.
    pub(crate) valid: bool,
    /// Seconds.
    pub(crate) expires_in: u64,
    /// Seconds since 1970.
    pub(crate) expires_at: u64,
    /// When its request was sent, in seconds since 1970.
    pub(crate) issued_at: u64,
    /// Seconds until the next refresh is due, or owed and free to run; none while an operator wants none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_in: Option<u64>,
    pub(crate) generation: u64,
    /// The fence, as text: it is too long for the numbers of some JSON readers.
    #[schemars(pattern(r"^[0-9]{1,20}$"))]
    pub(crate) fence: String,
    /// Who claimed last.
    pub(crate) worker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schemas::Fingerprint>")]
    pub(crate) fingerprint: Option<String>,
    /// Whether somebody refreshes now.
    pub(crate) refreshing: bool,
    /// The SDK at whose key this token was found, if a service fetched it for itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) layout: String,
    /// Why another token is owed, if that is still to be served: `reported`, `adopted`, `forced` or `invalidated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schemas::Mark>")]
    pub(crate) rejected: Option<&'static str>,
    /// Refreshes that reports caused today, by the upstream's day.
    pub(crate) reports_today: u32,
    /// Why the token may not be the newest; empty if it is.
    #[schemars(with = "Vec<schemas::Doubt>")]
    pub(crate) doubt: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
    /// Refusals in force, each with whom it concerns.
    pub(crate) refusals: Vec<RefusalReport>,
    /// The SDKs whose keys are kept current, too, where that was looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) published: Vec<PublishedReport>,
}

/// The keys of one SDK.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PublishedReport {
    pub(crate) layout: &'static str,
    /// Whether they hold what the state holds.
    pub(crate) current: bool,
}

/// How the last attempt failed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Failure {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i64>,
    pub(crate) message: String,
    /// Seconds until the next try.
    pub(crate) retry_in: u64,
}

/// A refusal in force.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RefusalReport {
    #[schemars(with = "schemas::Concern")]
    pub(crate) scope: Scope,
    #[schemars(with = "schemas::Status")]
    pub(crate) status: Status,
    /// The worker that it concerns, or of those with the same configuration the one that met it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i64>,
    pub(crate) message: String,
    /// Seconds until the next try.
    pub(crate) retry_in: u64,
    pub(crate) meaning: &'static str,
    pub(crate) advice: &'static str,
}

impl UnitReport {
    /// The report of a unit in `state`, at the store's time `now_ms`.
    pub(crate) fn new(
        unit: &Unit,
        provider: Option<&'static str>,
        state: &State,
        now_ms: u64,
        language: Language,
    ) -> Self {
        let valid = state.usable(now_ms);
        let failed = !matches!(state.status, Status::Ok | Status::Pending | Status::Paused);
        Self {
            id: unit.id.to_string(),
            kind: unit.kind.as_str(),
            provider,
            known: true,
            status: state.status,
            valid,
            expires_in: seconds_until(state.expires_at_ms, now_ms),
            expires_at: state.expires_at_ms / 1_000,
            issued_at: state.issued_at_ms / 1_000,
            refresh_in: Some(seconds_until(state.refresh_at_ms, now_ms)),
            generation: state.generation,
            fence: state.fence.to_string(),
            worker: state.worker.clone(),
            fingerprint: state.fingerprint.as_ref().map(ToString::to_string),
            refreshing: state.claim_is_current(now_ms),
            layout: state.layout.clone(),
            rejected: state.rejected.map(Mark::as_str),
            reports_today: state.reports_today(now_ms),
            doubt: state.doubt.iter().map(Doubt::as_str).collect(),
            error: failed.then(|| Failure {
                code: state.error_code,
                message: state.error_message.clone(),
                retry_in: seconds_until(state.retry_at_ms, now_ms),
            }),
            refusals: state
                .refusals
                .iter()
                // What concerned everybody is over when its time has come; what concerned one is tried by that one alone.
                .filter(|r| r.retry_at_ms > now_ms || failed || !r.scope.concerns_all())
                // A ticket is not asked for again with an access token that was replaced since.
                .filter(|r| !is_of_an_access_token(unit, r) || r.key == state.configuration)
                .map(|refusal| RefusalReport::new(unit.kind, refusal, now_ms, language))
                .collect(),
            published: Vec::new(),
        }
    }
}

impl RefusalReport {
    /// `refusal` of a fetch of `kind`, at the store's time `now_ms`.
    pub(crate) fn new(kind: Kind, refusal: &Refusal, now_ms: u64, language: Language) -> Self {
        let named =
            |identity: &str| (!identity.is_empty()).then(|| Worker::name_of(identity).to_owned());
        let worker = match refusal.scope {
            Scope::Worker => named(&refusal.key),
            Scope::Configuration if kind.ticket().is_some() => None,
            Scope::Configuration => named(&refusal.by),
            Scope::Account | Scope::Transient => None,
        };
        let (meaning, advice) = match refusal.code {
            Some(code) => {
                let ruling = ruling_of(kind, code);
                (language.pick(ruling.meaning), language.pick(ruling.advice))
            }
            None => (
                language.say(
                    "the request was not sent, or its outcome is not clear, for the reason below",
                    "请求未发出，或结果不明确，原因见下",
                ),
                language.say(
                    "nothing yet; it is tried again. If it lasts, look after what the reason names: \
                     the way to the upstream, or Redis' replicas",
                    "暂无需处理，会自动重试；若持续出现，请检查原因所指：到上游的网络，或 Redis 从节点",
                ),
            ),
        };
        Self {
            scope: refusal.scope,
            status: refusal.status,
            worker,
            code: refusal.code,
            message: refusal.message.clone(),
            retry_in: seconds_until(refusal.retry_at_ms, now_ms),
            meaning,
            advice,
        }
    }
}

impl RefusalReport {
    /// Whom it concerns, what it means, what the upstream said, when it is tried again, and what to do.
    pub(crate) fn in_words(&self, language: Language) -> String {
        let Self { scope, worker, code, message, retry_in, meaning, advice, .. } = self;
        let who = match (scope, worker, language) {
            (Scope::Worker, Some(worker), _) => format!(" {worker}:"),
            (Scope::Configuration, Some(worker), Language::English) => {
                format!(" {worker} and every worker with the same secret:")
            }
            (Scope::Configuration, Some(worker), Language::Chinese) => {
                format!(" {worker} 及密钥相同的所有 worker：")
            }
            (Scope::Worker | Scope::Configuration, None, _) => String::new(),
            (Scope::Account | Scope::Transient, _, _) => {
                language.say(" all workers:", " 所有 worker：").to_owned()
            }
        };
        let code = code.map_or_else(String::new, |code| format!(" ({code})"));
        let retry = match (language, *retry_in) {
            (Language::English, 0) => "may try again now".to_owned(),
            (Language::English, seconds) => format!("next try in {}", span(seconds)),
            (Language::Chinese, 0) => "现在可以重试".to_owned(),
            (Language::Chinese, seconds) => format!("{} 后重试", span(seconds)),
        };
        let todo = language.say("what to do", "处理办法");
        format!("{who} {meaning}{code}\n  {message}\n  {retry}; {todo}: {advice}")
    }
}

/// Whether what was refused is the access token that a ticket was asked for with.
fn is_of_an_access_token(unit: &Unit, refusal: &Refusal) -> bool {
    unit.kind.ticket().is_some() && refusal.scope == Scope::Configuration
}

/// Seconds, as people say them.
pub(crate) fn span(seconds: u64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

/// Seconds until the next refresh, by what the state means for somebody; none if an operator wants none.
pub(crate) const fn next_refresh(outlook: &Outlook, now_ms: u64) -> Option<u64> {
    Some(match outlook {
        Outlook::Paused => return None,
        Outlook::Newer { .. } => 0,
        Outlook::Held { until_ms: at_ms }
        | Outlook::NotOwed { look_at_ms: at_ms }
        | Outlook::Owed { at_ms, .. } => seconds_until(*at_ms, now_ms),
    })
}

/// Seconds from `now_ms` until `at_ms`, rounded down; 0 if that is past.
pub(crate) const fn seconds_until(at_ms: u64, now_ms: u64) -> u64 {
    at_ms.saturating_sub(now_ms) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_worker_that_it_concerns_and_what_to_do() {
        let refusal = Refusal {
            scope: Scope::Worker,
            key: "worker-2#0000abcd".to_owned(),
            status: Status::IpNotAllowed,
            code: Some(40164),
            message: "invalid ip 10.0.0.7".to_owned(),
            at_ms: 0,
            retry_at_ms: 61_500,
            count: 1,
            by: "worker-2#0000abcd".to_owned(),
        };
        let report = RefusalReport::new(Kind::AccessToken, &refusal, 500, Language::English);
        assert_eq!(report.worker.as_deref(), Some("worker-2"));
        assert_eq!(report.retry_in, 61);
        assert!(report.advice.contains("IP list"));
        let report = RefusalReport::new(Kind::AccessToken, &refusal, 500, Language::Chinese);
        assert!(report.advice.contains("白名单"));
    }
}
