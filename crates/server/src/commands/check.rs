//! `check`: configuration, certificate, Redis, clock and the way to the upstream; one line each, and what to do about it.

mod certificate;
mod rights;
mod sentinel;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::net::TcpStream;
use url::Url;
use zhongkong_core::credential::Unit;
use zhongkong_redis::{Facts, Hindrance, Keys, SdkKeys};

use super::status::cluster_in_words;
use crate::config::{Config, ConfigError, Loaded, RedisConfig, Replicas};
use crate::hindrance;
use crate::language::Language;
use crate::terminal::{Colour, Exit, Paint, answer};
use crate::wiring;

/// Longest wait for a connection to an upstream.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A difference between this machine's clock and Redis' that is worth a word: nothing depends on it, but logs are hard to read.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// What is looked at; programs may rely on the names in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Configuration,
    Certificate,
    Sentinels,
    Redis,
    Acl,
    Cluster,
    Writes,
    Tracking,
    Epoch,
    Eviction,
    Persistence,
    Replicas,
    Clock,
    Upstream,
    Notify,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

/// One line: what is not in order also says what to do.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    what: What,
    verdict: Verdict,
    text: String,
}

pub(crate) async fn check(
    loaded: &Loaded,
    as_json: bool,
    paint: Paint,
    language: Language,
) -> anyhow::Result<Exit> {
    let mut findings = configuration(loaded, language);
    let now = crate::certificate::now_s();
    let tls = loaded.config.http.tls.iter();
    findings.extend(tls.map(|tls| certificate::finding(tls, now, language)));
    findings.extend(redis(&loaded.config, language).await?);
    findings.extend(upstreams(&loaded.config, language).await);
    findings.extend(receivers(&loaded.config, language).await);
    tell(&findings, as_json, paint, language)?;
    let wrong = || findings.iter().filter(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong().any(|finding| finding.what == What::Redis) {
        Exit::Unavailable
    } else if wrong().next().is_some() {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// What there is to say where the configuration is wrong, so that nothing else can be looked at.
pub(crate) fn refused(
    error: &ConfigError,
    as_json: bool,
    paint: Paint,
    language: Language,
) -> anyhow::Result<Exit> {
    let findings: Vec<Finding> =
        error.problems().iter().map(|problem| wrong(What::Configuration, problem)).collect();
    tell(&findings, as_json, paint, language)?;
    Ok(Exit::Configuration)
}

fn tell(
    findings: &[Finding],
    as_json: bool,
    paint: Paint,
    language: Language,
) -> anyhow::Result<()> {
    if as_json {
        answer(&serde_json::to_string_pretty(findings)?);
        return Ok(());
    }
    for Finding { what, verdict, text } in findings {
        let (verdict, colour) = match verdict {
            Verdict::Ok => (language.say("ok", "正常"), Colour::Green),
            Verdict::Warning => (language.say("warning", "注意"), Colour::Yellow),
            Verdict::Wrong => (language.say("WRONG", "错误"), Colour::Red),
        };
        let (colon, verdict) = (language.colon(), paint.paint(verdict, colour));
        answer(&format!("{}{colon}{verdict}{colon}{text}", what.name(language)));
    }
    Ok(())
}

impl What {
    const fn name(self, language: Language) -> &'static str {
        match self {
            Self::Configuration => language.say("configuration", "配置"),
            Self::Certificate => language.say("certificate", "证书"),
            Self::Sentinels => language.say("sentinels", "哨兵"),
            Self::Redis => language.say("redis", "Redis"),
            Self::Acl => language.say("acl", "权限"),
            Self::Cluster => language.say("cluster", "集群"),
            Self::Writes => language.say("writes", "写入"),
            Self::Tracking => language.say("tracking", "键跟踪"),
            Self::Epoch => language.say("epoch", "纪元"),
            Self::Eviction => language.say("eviction", "淘汰策略"),
            Self::Persistence => language.say("persistence", "持久化"),
            Self::Replicas => language.say("replicas", "从节点"),
            Self::Clock => language.say("clock", "时钟"),
            Self::Upstream => language.say("upstream", "上游"),
            Self::Notify => language.say("notify", "通知"),
        }
    }
}

fn ok(what: What, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Ok, text: text.into() }
}

fn warning(what: What, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Warning, text: text.into() }
}

fn wrong(what: What, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Wrong, text: text.into() }
}

fn configuration(loaded: &Loaded, language: Language) -> Vec<Finding> {
    let Loaded { config, files, warnings } = loaded;
    let count = config.credentials.len();
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let source = match files.as_slice() {
        [] => language.say("the environment", "环境变量").to_owned(),
        files => files.join(language.say(", ", "、")),
    };
    let text = match language {
        Language::English => {
            format!("{count} credential{} from {source}", if count == 1 { "" } else { "s" })
        }
        Language::Chinese => format!("{source} 中有 {count} 个账号"),
    };
    let read = ok(What::Configuration, text);
    let warnings = warnings.iter().map(|text| warning(What::Configuration, text));
    std::iter::once(read).chain(warnings).collect()
}

async fn redis(config: &Config, language: Language) -> anyhow::Result<Vec<Finding>> {
    let store = wiring::store(&config.redis);
    let user = config.redis.access.username.as_deref().unwrap_or("default");
    let id = config.credentials.first().map_or_else(|| "any".parse(), |c| Ok(c.id.clone()))?;
    let sentinels = store.sentinels().await;
    let mut findings = sentinel::findings(&sentinels, language);
    let facts = match store.facts(&Unit::access_token(id), &sdk_keys(config)).await {
        Ok(facts) => facts,
        Err(error) => {
            let error = error.to_string();
            let advice = rights::advice(&error, user, language);
            let semicolon = language.semicolon();
            findings.push(wrong(What::Redis, format!("{error}{semicolon}{advice}")));
            return Ok(findings);
        }
    };
    findings.push(version(&facts, language));
    if let Some(cluster) = &facts.cluster {
        let (text, whole) = cluster_in_words(cluster, language);
        findings.push(if whole { ok(What::Cluster, text) } else { wrong(What::Cluster, text) });
    }
    findings.extend(hindrances(&facts, language));
    if facts.hindrances.contains(&Hindrance::Loading) {
        // It answers hardly anything else.
        return Ok(findings);
    }
    findings.push(rights::finding(&facts, user, language));
    findings.extend(done_without(&facts, language));
    match facts.eviction.as_deref() {
        Some("noeviction") => findings.push(ok(What::Eviction, "noeviction")),
        Some(policy) => findings.push(warning(What::Eviction, format!("{policy}{}{}", language.colon(), language.say(
            "Redis may delete tokens and states when memory runs out; set maxmemory-policy noeviction",
            "内存不足时 Redis 可能删除 token 与状态；请设置 maxmemory-policy noeviction",
        )))),
        None => {}
    }
    findings.push(persistence(&facts, language));
    findings.push(replicas(&facts, &config.redis, language));
    if !sentinels.is_empty() && facts.isolated_writes == Some(true) {
        findings.push(warning(What::Replicas, language.say(
            "min-replicas-to-write is 0: a primary that is cut off from its replicas takes writes that a failover loses; \
             set min-replicas-to-write 1 and min-replicas-max-lag 10",
            "min-replicas-to-write 为 0：与从节点失联的主节点仍接受写入，故障切换后会丢失；\
             请设置 min-replicas-to-write 1 与 min-replicas-max-lag 10",
        )));
    }
    findings.extend(facts.now_ms.map(|now_ms| clock(now_ms, language)));
    Ok(findings)
}

/// The keys of SDKs, by the patterns that an ACL needs to allow them.
fn sdk_keys(config: &Config) -> Vec<SdkKeys> {
    let published = config.credentials.iter().flat_map(|credential| &credential.publish);
    let keys = published.flat_map(|published| &published.layout.keys);
    let mut patterns = BTreeMap::new();
    for key in keys {
        let rest = if key.tracked() == key.name { "" } else { "*" };
        patterns.insert(format!("{}{rest}", key.tracked()), key.name.clone());
    }
    patterns.into_iter().map(|(pattern, one)| SdkKeys { pattern, one }).collect()
}

/// What keeps Redis from taking writes, and workers from noticing lost ones.
fn hindrances(facts: &Facts, language: Language) -> impl Iterator<Item = Finding> {
    facts.hindrances.iter().map(move |hindrance| {
        let text = hindrance::in_words(*hindrance, language);
        match hindrance {
            Hindrance::NoEpoch | Hindrance::EpochFlaps => warning(What::Epoch, text),
            _ => wrong(What::Writes, text),
        }
    })
}

/// What a worker then cannot do, for those whose Redis grants no more.
fn done_without(facts: &Facts, language: Language) -> impl Iterator<Item = Finding> {
    let lacks = |rule: &str| facts.denied.iter().flatten().any(|denied| denied == rule);
    let wait = lacks("+wait").then(|| {
        warning(What::Replicas, language.say(
        "WAIT is refused: a failover may lose a claim, so that two tokens are fetched at once",
        "WAIT 被拒绝：故障切换可能丢失认领，导致同时获取两个 token",
    ))
    });
    let tracking = lacks("+client|tracking").then(|| warning(What::Tracking, language.say(
        "CLIENT TRACKING is refused: a key that somebody deletes or overwrites is repaired within 10 minutes, not at once",
        "CLIENT TRACKING 被拒绝：被删除或覆盖的键要在 10 分钟内才会修复，而不是立即修复",
    )));
    wait.into_iter().chain(tracking)
}

fn version(facts: &Facts, language: Language) -> Finding {
    let Some(version) = facts.version.clone() else {
        return warning(
            What::Redis,
            language.say(
                "version unknown, since INFO is refused; allow it to the worker's user",
                "INFO 被拒绝，版本未知；请允许 worker 用户执行 INFO",
            ),
        );
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if facts.role.as_deref() == Some("slave") {
        return wrong(
            What::Redis,
            format!(
                "{version}{}{}",
                language.colon(),
                language.say(
                    "this is a replica; redis.url must name the primary",
                    "这是从节点；redis.url 必须指向主节点",
                )
            ),
        );
    }
    if major.is_some_and(|major| major < 7) {
        return wrong(
            What::Redis,
            format!(
                "{version}{}{}",
                language.colon(),
                language.say(
                    "too old; Redis 7.0 or newer, or Valkey, is needed",
                    "版本过旧；需要 Redis 7.0 及以上或 Valkey",
                )
            ),
        );
    }
    ok(What::Redis, version)
}

fn persistence(facts: &Facts, language: Language) -> Finding {
    match (facts.append_only, facts.snapshots) {
        (None, _) => warning(What::Persistence, language.say(
            "unknown, since INFO is refused; allow it to the worker's user, or see to it that appendonly is yes",
            "INFO 被拒绝，无法得知；请允许 worker 用户执行 INFO，或自行确认已设置 appendonly yes",
        )),
        // Not advised is CONFIG GET: it shows passwords.
        (Some(false), None) => warning(What::Persistence, language.say(
            "no append-only file, and CONFIG GET is refused, which tells of snapshots; set appendonly yes, or see to it that there are snapshots",
            "未启用 AOF；CONFIG GET 被拒绝，无法得知是否有 RDB。请设置 appendonly yes，或自行确认有 RDB 快照",
        )),
        (Some(true), _) => ok(What::Persistence, "appendonly"),
        (Some(false), Some(false)) => warning(What::Persistence, language.say(
            "neither an append-only file nor snapshots: after a restart every token is fetched anew. Set appendonly yes",
            "既无 AOF 也无 RDB：重启后所有 token 都要重新获取。建议设置 appendonly yes",
        )),
        (Some(false), Some(true)) => ok(What::Persistence, "rdb"),
    }
}

fn replicas(facts: &Facts, config: &RedisConfig, language: Language) -> Finding {
    let required = facts.required;
    let Some(connected) = facts.replicas else {
        return warning(
            What::Replicas,
            language.say(
                "unknown, since INFO is refused; allow it to the worker's user",
                "INFO 被拒绝，数量未知；请允许 worker 用户执行 INFO",
            ),
        );
    };
    let text = match language {
        Language::English => format!("{connected} connected, {required} must acknowledge a claim"),
        Language::Chinese => format!("已连接 {connected} 个，每次 claim 需 {required} 个确认"),
    };
    if connected >= required {
        return ok(What::Replicas, text);
    }
    let key = Keys::new(config.prefix.clone()).replicas();
    let advice = match (config.replicas, language) {
        (Replicas::Auto, Language::English) => format!(
            "refreshes wait until the replicas are back; if they are gone for good, delete the key {key}"
        ),
        (Replicas::Auto, Language::Chinese) => {
            format!("从节点恢复前刷新将等待；若已永久下线，请删除键 {key}")
        }
        (Replicas::Number(_), Language::English) => {
            "refreshes wait until the replicas are back, or redis.replicas is lowered".to_owned()
        }
        (Replicas::Number(_), Language::Chinese) => {
            "从节点恢复或调低 redis.replicas 前刷新将等待".to_owned()
        }
    };
    warning(What::Replicas, format!("{text}{}{advice}", language.semicolon()))
}

fn clock(redis_ms: u64, language: Language) -> Finding {
    let local_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let difference = Duration::from_millis(local_ms.abs_diff(redis_ms));
    if difference > CLOCK_DIFFERENCE {
        let shown = humantime::format_duration(Duration::from_secs(difference.as_secs()));
        return warning(
            What::Clock,
            format!("{shown}{}{}", language.colon(), language.say(
            "this machine's clock and Redis' differ; nothing depends on it, but set them right",
            "本机时钟与 Redis 时钟不一致；不影响工作，但建议校准",
        )),
        );
    }
    ok(What::Clock, language.say("agrees with Redis'", "与 Redis 一致"))
}

/// Only connections are tried: a token that is fetched for a test would kill the one in use.
async fn upstreams(config: &Config, language: Language) -> Vec<Finding> {
    let targets: BTreeSet<(String, u16)> = match &config.upstream.proxy {
        Some(proxy) => target(proxy).into_iter().collect(),
        None => config.credentials.iter().filter_map(|c| target(&c.base_url)).collect(),
    };
    let mut findings = Vec::with_capacity(targets.len());
    for (host, port) in targets {
        findings.push(match unreachable(&host, port, language).await {
            None => ok(What::Upstream, format!("{host}:{port}")),
            Some(failure) => wrong(
                What::Upstream,
                format!(
                    "{host}:{port}{}{failure}{}{}",
                    language.colon(),
                    language.semicolon(),
                    language.say(
                        "check the name, the firewall and upstream.proxy",
                        "请检查域名、防火墙与 upstream.proxy",
                    )
                ),
            ),
        });
    }
    findings
}

/// Why there is no connection; none if there is one.
async fn unreachable(host: &str, port: u16, language: Language) -> Option<String> {
    let connecting = TcpStream::connect((host, port));
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(language.say("no answer", "无响应").to_owned()),
    }
}

/// Only connections are tried: nobody is to be told of a check.
async fn receivers(config: &Config, language: Language) -> Vec<Finding> {
    let mut findings = Vec::with_capacity(config.notify.len());
    for receiver in &config.notify {
        let name = format!("{} ({})", receiver.name, receiver.kind.as_str());
        // The configuration found it to be one; a file may have changed since.
        let url = receiver.url.read().ok().and_then(|url| Url::parse(url.expose_secret()).ok());
        let way = receiver.proxy.as_ref().or(url.as_ref()).and_then(target);
        let Some((host, port)) = way else { continue };
        let colon = language.colon();
        findings.push(match unreachable(&host, port, language).await {
            None => ok(
                What::Notify,
                format!(
                    "{name}{colon}{host}:{port}{}{}",
                    language.semicolon(),
                    language.say(
                        "nothing was sent; `zhongkong notify --test` does",
                        "未发送消息；可用 `zhongkong notify --test` 发送测试",
                    )
                ),
            ),
            Some(failure) => wrong(
                What::Notify,
                format!(
                    "{name}{colon}{host}:{port}{colon}{failure}{}{}",
                    language.semicolon(),
                    language.say(
                        "check the name, the firewall and the receiver's proxy",
                        "请检查域名、防火墙与该接收方的 proxy",
                    )
                ),
            ),
        });
    }
    findings
}

fn target(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_names_in_json_are_those_of_the_english_lines() {
        for what in [
            What::Configuration,
            What::Certificate,
            What::Sentinels,
            What::Redis,
            What::Acl,
            What::Cluster,
            What::Writes,
            What::Tracking,
            What::Epoch,
            What::Eviction,
            What::Persistence,
            What::Replicas,
            What::Clock,
            What::Upstream,
            What::Notify,
        ] {
            assert_eq!(serde_json::json!(what), what.name(Language::English));
        }
    }
}
