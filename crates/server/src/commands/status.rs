//! `status`: how the tokens are doing, and what a person should do about it.

use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::ports::{Observed, Reading, Store, StoreError};
use zhongkong_core::publication::Publication;
use zhongkong_redis::{ClusterFacts, RedisStore, ShardFacts};

use super::target::anybody;
use crate::config::{Config, PublishConfig};
use crate::hindrance;
use crate::language::Language;
use crate::report::{PublishedReport, UnitReport, next_refresh, span};
use crate::terminal::{self, Exit, answer, complain, complain_of_redis};
use crate::wiring;

/// Units read in one pipeline.
const READ_AT_ONCE: usize = 500;

pub(crate) async fn status(
    config: &Config,
    id: Option<CredentialId>,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let named = id.is_some();
    let configured = || config.credentials.iter().map(|credential| credential.id.clone()).collect();
    let ids: Vec<CredentialId> = id.map_or_else(configured, |id| vec![id]);
    let units: Vec<Unit> = ids.into_iter().flat_map(|id| units(config, &id)).collect();
    let store = wiring::store(&config.redis);
    let living = match store.living().await {
        Ok(living) => living,
        Err(error) => {
            return Ok(complain_of_redis(&error, language));
        }
    };
    // A status that Redis cannot write is not seen below.
    for hindrance in store.hindrances().await.unwrap_or_default() {
        complain(&hindrance::in_words(hindrance, language));
    }
    let mut reports = Vec::with_capacity(units.len());
    let mut exit = Exit::Done;
    for chunk in units.chunks(READ_AT_ONCE) {
        let readings = match store.read(chunk).await {
            Ok(readings) => readings,
            Err(error) => return Ok(complain_of_redis(&error, language)),
        };
        for (unit, read) in chunk.iter().zip(readings) {
            let Reading { state, now_ms, epoch, .. } = match read {
                Ok(reading) => reading,
                Err(error) => {
                    complain(&format!("{unit}: its state cannot be read: {error}"));
                    exit = Exit::Failed;
                    continue;
                }
            };
            let credential = config.credentials.iter().find(|c| c.id == unit.id);
            if !state.exists() && credential.is_none() && unit.kind.ticket().is_some() {
                continue;
            }
            if named && !state.exists() && credential.is_none() {
                complain(&format!("unknown credential {}", unit.id));
                return Ok(Exit::Failed);
            }
            let provider = credential.map(|credential| credential.provider.name());
            let shown = state.clone().without_refusals_of_the_dead(now_ms, &living);
            let mut report = UnitReport::new(unit, provider, &shown, now_ms, language);
            if let Some(credential) = credential {
                let rules = credential.rules(unit.kind);
                let outlook = state.outlook(now_ms, &anybody(&epoch), &rules);
                report.refresh_in = next_refresh(&outlook, now_ms);
            }
            if let Some(credential) = credential {
                report.published = match published(&store, unit, &credential.publish).await {
                    Ok(published) => published,
                    Err(error) => return Ok(complain_of_redis(&error, language)),
                };
            }
            // Whom the refusal concerns may be everybody there is.
            let retry_in = report.error.as_ref().map_or(0, |error| error.retry_in);
            report.refresh_in = report.refresh_in.map(|wait| wait.max(retry_in));
            reports.push(report);
        }
    }
    if as_json {
        answer(&serde_json::to_string_pretty(&reports)?);
    } else {
        answer(&table(&reports, language));
        for note in reports.iter().flat_map(|report| notes(report, language)) {
            answer(&note);
        }
        for note in waiting(&reports, language) {
            answer(&note);
        }
        if let Some(cluster) = store.cluster().await {
            answer(&format!("\n{}", cluster_in_words(&cluster, language).0));
        }
        if living.is_empty() {
            answer(language.say(
                "\nno worker lives, so nothing is refreshed: start one with `zhongkong run`",
                "\n没有存活的 worker，不会刷新任何 token：请用 `zhongkong run` 启动",
            ));
        }
    }
    Ok(exit)
}

/// Of each SDK whether its keys hold what the state holds.
async fn published(
    store: &RedisStore,
    unit: &Unit,
    publish: &[PublishConfig],
) -> Result<Vec<PublishedReport>, StoreError> {
    let mut reports = Vec::new();
    let mut layouts =
        publish.iter().filter(|of| of.kind == unit.kind).map(|of| &of.layout).peekable();
    if layouts.peek().is_none() {
        return Ok(reports);
    }
    let Observed { state, now_ms } = store.copy(unit).await?;
    for layout in layouts {
        let current = match &state.token {
            Some(token) if state.usable(now_ms) => {
                let publication = Publication {
                    token_fence: state.token_fence,
                    expires_at_ms: state.expires_at_ms,
                    left_ms: state.expires_at_ms.saturating_sub(now_ms),
                    entries: layout.entries(token, state.expires_at_ms),
                };
                store.is_current(&publication, now_ms).await?
            }
            _ => false,
        };
        reports.push(PublishedReport { layout: layout.family.name, current });
    }
    Ok(reports)
}

/// The units of `id` that are kept here; of a credential that is configured elsewhere, all that there can be.
fn units(config: &Config, id: &CredentialId) -> Vec<Unit> {
    match config.credentials.iter().find(|credential| credential.id == *id) {
        Some(credential) => credential.units().collect(),
        None => Kind::ALL.map(|kind| Unit { id: id.clone(), kind }).to_vec(),
    }
}

fn table(reports: &[UnitReport], language: Language) -> String {
    let mut table = terminal::table([
        language.say("ID", "账号"),
        language.say("KIND", "种类"),
        language.say("STATUS", "状态"),
        language.say("EXPIRES IN", "剩余有效期"),
        language.say("NEXT REFRESH IN", "距下次刷新"),
        language.say("GENERATION", "代次"),
        language.say("LAST WORKER", "最近刷新者"),
        language.say("DOUBT", "存疑"),
    ]);
    for report in reports {
        let none = || "-".to_owned();
        let life = if report.valid { span(report.expires_in) } else { none() };
        let next = if report.refreshing {
            language.say("now", "进行中").to_owned()
        } else {
            report.refresh_in.map_or_else(none, span)
        };
        let doubt = if report.doubt.is_empty() { none() } else { report.doubt.join(",") };
        let worker = if report.worker.is_empty() { none() } else { report.worker.clone() };
        let status = if report.valid || report.generation == 0 {
            report.status.to_string()
        } else {
            format!("{} {}", report.status, language.say("(no valid token)", "（无有效 token）"))
        };
        table.add_row([
            report.id.clone(),
            report.kind.to_owned(),
            status,
            life,
            next,
            report.generation.to_string(),
            worker,
            doubt,
        ]);
    }
    table.trim_fmt()
}

/// What a cluster is made of, and whether all of it is there.
pub(crate) fn cluster_in_words(cluster: &ClusterFacts, language: Language) -> (String, bool) {
    let ClusterFacts { shards, uncovered } = cluster;
    let count = shards.len();
    let mut parts = vec![match language {
        Language::English => format!("a cluster of {count} primaries"),
        Language::Chinese => format!("{count} 个主节点的集群"),
    }];
    let mut whole = true;
    for ShardFacts { address, error, state, replicas, moving } in shards {
        let mut words = Vec::new();
        if let Some(error) = error {
            whole = false;
            words.push(error.clone());
        }
        if let Some(replicas) = replicas {
            words.push(match language {
                Language::English if *replicas == 1 => "1 replica".to_owned(),
                Language::English => format!("{replicas} replicas"),
                Language::Chinese => format!("{replicas} 个从节点"),
            });
        }
        if let Some(state) = state.as_deref().filter(|state| *state != "ok") {
            whole = false;
            words.push(format!("{}{state}", language.say("cluster_state ", "cluster_state ")));
        }
        if !moving.is_empty() {
            let slots = moving.join(" ");
            words.push(match language {
                Language::English => format!(
                    "slots on their way: {slots}; their units are refreshed once they are there, see redis-cli --cluster fix"
                ),
                Language::Chinese => {
                    format!("迁移中的 slot：{slots}；迁移完成后才会刷新其中的 token，参见 redis-cli --cluster fix")
                }
            });
        }
        parts.push(format!(
            "{address}{}{}",
            language.colon(),
            words.join(language.say(", ", "，"))
        ));
    }
    if let Some(slots) = uncovered {
        whole = false;
        parts.push(format!(
            "{}{slots}",
            language.say("slots without a primary: ", "没有主节点的 slot：")
        ));
    }
    (parts.join(language.semicolon()), whole)
}

/// The tickets that nobody asks for because there is no access token to get them with.
fn waiting(reports: &[UnitReport], language: Language) -> impl Iterator<Item = String> {
    let is_ticket = |report: &UnitReport| report.kind != Kind::AccessToken.as_str();
    // The units of a credential stand together, the access token's first.
    let of_one = reports.chunk_by(|one, next| one.id == next.id);
    let without = of_one.filter(|of_one| !of_one[0].valid).flatten();
    let waiting = without.filter(move |of| is_ticket(of) && of.refresh_in == Some(0));
    waiting.map(move |UnitReport { id, kind, .. }| {
        let waits = language.say("waits for an access token", "等待 access_token");
        format!("\n{id} {kind}{}{waits}", language.colon())
    })
}

/// What a person should know beyond the row: each refusal, whom it concerns, and what to do.
fn notes(report: &UnitReport, language: Language) -> impl Iterator<Item = String> {
    let UnitReport { id, kind, .. } = report;
    let ticket = *kind != Kind::AccessToken.as_str();
    let unit = if ticket { format!("{id} {kind}") } else { id.clone() };
    let named = |current: bool| {
        let of = report.published.iter().filter(move |of| of.current == current);
        let names: Vec<&str> = of.map(|of| of.layout).collect();
        (!names.is_empty()).then(|| names.join(language.say(", ", "、")))
    };
    let current = named(true).map(|names| match language {
        Language::English => format!("\n{unit}: current for SDKs: {names}"),
        Language::Chinese => format!("\n{unit}：SDK 键为最新：{names}"),
    });
    let stale = named(false).map(|names| match language {
        Language::English => format!(
            "\n{unit}: not current for SDKs: {names}. Workers with this configuration write them within moments, unless the \
             unit is paused or has no token; else look into their logs, and at `zhongkong check`"
        ),
        Language::Chinese => format!(
            "\n{unit}：SDK 键不是最新：{names}。具有本配置的 worker 会很快写入，除非已暂停或没有 token；否则请查看 worker 日志与 `zhongkong check`"
        ),
    });
    let refusals = report
        .refusals
        .iter()
        .map(move |refusal| format!("\n{unit}:{}", refusal.in_words(language)));
    current.into_iter().chain(stale).chain(refusals)
}
