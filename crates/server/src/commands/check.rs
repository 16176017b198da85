//! `check`: configuration, Redis, clock and the way to the upstream; one line each, and what to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use url::Url;
use zhongkong_redis::Facts;

use crate::config::{Config, Loaded, RedisConfig, Replicas};
use crate::language::Language;
use crate::terminal::{Exit, answer};
use crate::wiring;

/// Longest wait for a connection to an upstream.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A difference between this machine's clock and Redis' that is worth a word: nothing depends on it, but logs are hard to read.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    text: String,
}

pub(crate) async fn check(
    loaded: &Loaded,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let mut findings = vec![configuration(loaded, language)];
    findings.extend(redis(&loaded.config, language).await?);
    findings.extend(upstreams(&loaded.config, language).await);
    if as_json {
        answer(&serde_json::to_string_pretty(&findings)?);
    } else {
        for Finding { what, verdict, text } in &findings {
            let verdict = match verdict {
                Verdict::Ok => language.say("ok", "正常"),
                Verdict::Warning => language.say("warning", "注意"),
                Verdict::Wrong => language.say("WRONG", "错误"),
            };
            answer(&format!("{what}: {verdict}: {text}"));
        }
    }
    let wrong = |what: &str| {
        findings.iter().any(|finding| finding.verdict == Verdict::Wrong && finding.what == what)
    };
    Ok(if wrong("redis") {
        Exit::Unavailable
    } else if findings.iter().any(|finding| finding.verdict == Verdict::Wrong) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn ok(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Ok, text: text.into() }
}

fn warning(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Warning, text: text.into() }
}

fn wrong(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Wrong, text: text.into() }
}

fn configuration(loaded: &Loaded, language: Language) -> Finding {
    let Loaded { config, files, warnings } = loaded;
    let count = config.credentials.len();
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let text = match language {
        Language::English => format!("{count} credentials from {}", files.join(", ")),
        Language::Chinese => format!("{} 中有 {count} 个账号", files.join("、")),
    };
    if warnings.is_empty() { ok("configuration", text) } else { warning("configuration", text) }
}

async fn redis(config: &Config, language: Language) -> anyhow::Result<Vec<Finding>> {
    let store = wiring::store(&config.redis)?;
    let facts = match store.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let advice = language.say(
                "start Redis, or correct [redis] in the configuration",
                "请启动 Redis，或更正配置中的 [redis]",
            );
            return Ok(vec![wrong("redis", format!("{error}; {advice}"))]);
        }
    };
    let mut findings = vec![version(&facts, language), acl(&facts, language)];
    if !facts.epoch {
        findings.push(warning("epoch", language.say(
            "INFO is refused: writes that a failover loses go unnoticed. Allow INFO to the worker's user",
            "INFO 被拒绝：故障切换丢失的写入将无法察觉。请允许 worker 用户执行 INFO",
        )));
    }
    match facts.eviction.as_deref() {
        Some("noeviction") => findings.push(ok("eviction", "noeviction")),
        Some(policy) => findings.push(warning("eviction", format!("{policy}: {}", language.say(
            "Redis may delete tokens and states when memory runs out; set maxmemory-policy noeviction",
            "内存不足时 Redis 可能删除 token 与状态；请设置 maxmemory-policy noeviction",
        )))),
        None => {}
    }
    findings.push(persistence(&facts, language));
    findings.push(replicas(&facts, &config.redis, language));
    findings.extend(facts.now_ms.map(|now_ms| clock(now_ms, language)));
    Ok(findings)
}

fn acl(facts: &Facts, language: Language) -> Finding {
    let denied = facts.denied.join(", ");
    let advice =
        language.say("not allowed to the worker's user; grant it", "worker 用户无此权限；请授权");
    match facts.denied.as_slice() {
        [] => ok("acl", language.say("the worker may do what it needs", "worker 权限齐全")),
        // Without these the worker works, and says what it then cannot notice.
        some if some.iter().all(|name| ["info", "wait", "client|tracking"].contains(name)) => {
            warning("acl", format!("{denied}: {advice}"))
        }
        _ => wrong("acl", format!("{denied}: {advice}")),
    }
}

fn version(facts: &Facts, language: Language) -> Finding {
    let Some(version) = facts.version.clone() else {
        return warning(
            "redis",
            language.say("version unknown, since INFO is refused", "INFO 被拒绝，版本未知"),
        );
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if facts.role.as_deref() == Some("slave") {
        return wrong(
            "redis",
            format!(
                "{version}: {}",
                language.say(
                    "this is a replica; redis.url must name the primary",
                    "这是从节点；redis.url 必须指向主节点",
                )
            ),
        );
    }
    if major.is_some_and(|major| major < 7) {
        return wrong(
            "redis",
            format!(
                "{version}: {}",
                language.say(
                    "too old; Redis 7.0 or newer, or Valkey, is needed",
                    "版本过旧；需要 Redis 7.0 及以上或 Valkey",
                )
            ),
        );
    }
    ok("redis", version)
}

fn persistence(facts: &Facts, language: Language) -> Finding {
    match (facts.append_only, facts.snapshots) {
        (None, _) | (Some(false), None) => warning("persistence", language.say("unknown", "未知")),
        (Some(true), _) => ok("persistence", "appendonly"),
        (Some(false), Some(false)) => warning("persistence", language.say(
            "neither an append-only file nor snapshots: after a restart every token is fetched anew. Set appendonly yes",
            "既无 AOF 也无 RDB：重启后所有 token 都要重新获取。建议设置 appendonly yes",
        )),
        (Some(false), Some(true)) => ok("persistence", "rdb"),
    }
}

fn replicas(facts: &Facts, config: &RedisConfig, language: Language) -> Finding {
    let (connected, required) = (facts.replicas.unwrap_or(0), facts.required);
    let text = match language {
        Language::English => format!("{connected} connected, {required} must acknowledge a claim"),
        Language::Chinese => format!("已连接 {connected} 个，每次 claim 需 {required} 个确认"),
    };
    if connected >= required {
        return ok("replicas", text);
    }
    let key = format!("{}:replicas", config.prefix);
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
    warning("replicas", format!("{text}; {advice}"))
}

fn clock(redis_ms: u64, language: Language) -> Finding {
    let local_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let difference = Duration::from_millis(local_ms.abs_diff(redis_ms));
    if difference > CLOCK_DIFFERENCE {
        let shown = humantime::format_duration(Duration::from_secs(difference.as_secs()));
        return warning(
            "clock",
            format!("{shown}: {}", language.say(
            "this machine's clock and Redis' differ; nothing depends on it, but set them right",
            "本机时钟与 Redis 时钟不一致；不影响工作，但建议校准",
        )),
        );
    }
    ok("clock", language.say("agrees with Redis'", "与 Redis 一致"))
}

/// Only connections are tried: a token that is fetched for a test would kill the one in use.
async fn upstreams(config: &Config, language: Language) -> Vec<Finding> {
    let targets: BTreeSet<(String, u16)> = match &config.upstream.proxy {
        Some(proxy) => target(proxy).into_iter().collect(),
        None => config.credentials.iter().filter_map(|c| target(&c.base_url)).collect(),
    };
    let mut findings = Vec::with_capacity(targets.len());
    for (host, port) in targets {
        let connecting = TcpStream::connect((host.as_str(), port));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let failure = match connected {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(language.say("no answer", "无响应").to_owned()),
        };
        findings.push(match failure {
            None => ok("upstream", format!("{host}:{port}")),
            Some(failure) => wrong(
                "upstream",
                format!(
                    "{host}:{port}: {failure}; {}",
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

fn target(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?))
}
