//! `refresh`: marks a unit through Redis, and waits for a worker. Nothing here fetches a token.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use zhongkong_core::credential::{CredentialId, Kind};
use zhongkong_core::force::{INVALIDATIONS_A_DAY, InvalidateAnswer};
use zhongkong_core::outlook::Outlook;
use zhongkong_core::ports::{Notice, Reading, Store, StoreError};
use zhongkong_core::refusal::Refusal;
use zhongkong_core::state::{Mark, State};
use zhongkong_redis::RedisStore;

use super::target::{self, Target};
use crate::config::Config;
use crate::language::Language;
use crate::report::{RefusalReport, UnitReport, seconds_until, span};
use crate::terminal::{Exit, answer, complain, complain_of_redis};
use crate::wiring;

/// How often the state is looked at, whatever is heard.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A refresh, if one is owed.
    IfOwed,
    /// A refresh, whatever the status.
    Force,
    /// The token dead at once.
    Invalidate,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) wish: Wish,
    /// How long a worker is waited for, beyond the time at which a refresh may run.
    pub(crate) wait: Duration,
    pub(crate) as_json: bool,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Outcome {
    id: String,
    kind: &'static str,
    #[serde(rename = "outcome")]
    name: &'static str,
    generation: u64,
    /// Seconds; 0 if there is no valid token.
    expires_in: u64,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in: Option<u64>,
    /// For people.
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<RefusalReport>,
}

pub(crate) async fn refresh(
    config: &Config,
    named: (CredentialId, Kind),
    options: Options,
    by: &str,
    language: Language,
) -> anyhow::Result<Exit> {
    let store = wiring::store(&config.redis);
    let target = match Target::find(&store, config, named, language).await {
        Ok(target) => target,
        Err(exit) => return Ok(exit),
    };
    if options.wish == Wish::Invalidate && target.unit.kind.ticket().is_some() {
        complain(language.say(
            "--invalidate is for access tokens: nothing makes the platform replace a ticket before its time. Use --force",
            "--invalidate 只适用于 access_token：没有办法让平台提前更换 ticket。请用 --force",
        ));
        return Ok(Exit::Usage);
    }
    let rotating = !target.rules(config).nature.is_idempotent();
    if options.wish == Wish::Invalidate && target.credential.is_some() && rotating {
        complain(language.say(
            "--invalidate is for stable_token: with `wechat` every refresh replaces the token, and the old one lives \
             on for its overlap whatever is done. Use --force",
            "--invalidate 只适用于 stable_token：使用 `wechat` 时每次刷新都会更换 token，旧 token 仍会存续一段时间。请用 --force",
        ));
        return Ok(Exit::Usage);
    }
    let asked = Asking { store: &store, target: &target, options, by, language };
    match asked.run(config).await {
        Ok((outcome, exit)) => {
            if options.as_json {
                answer(&serde_json::to_string_pretty(&outcome)?);
            } else if exit == Exit::Done {
                answer(&outcome.message);
            } else {
                complain(&outcome.message);
            }
            Ok(exit)
        }
        Err(error) => Ok(complain_of_redis(&error, language)),
    }
}

struct Asking<'a> {
    store: &'a RedisStore,
    target: &'a Target<'a>,
    options: Options,
    by: &'a str,
    language: Language,
}

impl Asking<'_> {
    async fn run(&self, config: &Config) -> Result<(Outcome, Exit), StoreError> {
        let Self { store, target, options, by, language } = self;
        let rules = target.rules(config);
        let before = &target.state;
        if before.is_paused() {
            let resume = match language {
                Language::English => {
                    format!("paused: `zhongkong resume {}` first", target.unit.id)
                }
                Language::Chinese => {
                    format!("已暂停：请先执行 `zhongkong resume {}`", target.unit.id)
                }
            };
            return Ok((self.outcome("paused", before, target.now_ms, resume), Exit::Failed));
        }
        let (marked, now_ms) = match options.wish {
            Wish::IfOwed => (before.clone(), target.now_ms),
            Wish::Force => {
                let observed = store.force(&target.unit, &rules, by).await?;
                (observed.state, observed.now_ms)
            }
            Wish::Invalidate => match store.invalidate(&target.unit, &rules, by).await? {
                (InvalidateAnswer::Marked { .. }, observed) => (observed.state, observed.now_ms),
                (InvalidateAnswer::Spent, observed) => {
                    let spent = match language {
                        Language::English => format!(
                            "today's {INVALIDATIONS_A_DAY} invalidations are spent; the next day begins at 00:00 +08:00. \
                             The platform allows a few more, in the account's console"
                        ),
                        Language::Chinese => format!(
                            "今日 {INVALIDATIONS_A_DAY} 次强制失效已用完；北京时间零点重新计数"
                        ),
                    };
                    let outcome = self.outcome("spent", &observed.state, observed.now_ms, spent);
                    return Ok((outcome, Exit::Failed));
                }
            },
        };
        let at_ms = match marked.outlook(now_ms, &target.anybody(), &rules) {
            Outlook::NotOwed { look_at_ms } => {
                let life = span(seconds_until(marked.expires_at_ms, now_ms));
                let next = span(seconds_until(look_at_ms, now_ms));
                let text = match language {
                    Language::English => format!(
                        "no refresh is owed: the token is valid for {life}, and the next one due in {next}. \
                         --force asks for one all the same"
                    ),
                    Language::Chinese => format!(
                        "目前不需要刷新：token 有效期还有 {life}，{next} 后刷新。--force 可强制刷新"
                    ),
                };
                let outcome = self.outcome("not_owed", &marked, now_ms, text);
                return Ok((outcome, Exit::Done));
            }
            Outlook::Newer { .. } | Outlook::Paused | Outlook::Held { .. } => now_ms,
            Outlook::Owed { at_ms, .. } => at_ms.max(now_ms),
        };
        let living = store.living().await?;
        let refusal = marked.refused_to_all(now_ms, &marked.configuration, &living);
        if let Some(refusal) = refusal {
            return Ok((self.refused(&marked, refusal, now_ms), Exit::Failed));
        }
        if living.is_empty() {
            let nobody = language.say(
                "no worker lives, so nobody refreshes: start one with `zhongkong run`",
                "没有存活的 worker，无法刷新：请用 `zhongkong run` 启动",
            );
            let nobody = format!("{nobody}{}", self.kept());
            return Ok((self.outcome("no_worker", &marked, now_ms, nobody), Exit::Failed));
        }
        let until_it_may = Duration::from_millis(at_ms - now_ms);
        if options.wish == Wish::IfOwed && until_it_may > options.wait {
            let wait = span(until_it_may.as_secs());
            let later = match language {
                Language::English => {
                    format!("a refresh is owed, and runs in {wait}. --force asks for one before")
                }
                Language::Chinese => format!("需要刷新，将在 {wait} 后执行。--force 可提前刷新"),
            };
            let outcome = self.outcome("deferred", &marked, now_ms, later);
            let retry_in = Some(until_it_may.as_secs());
            return Ok((Outcome { retry_in, ..outcome }, Exit::Failed));
        }
        if !until_it_may.is_zero() {
            complain(&match language {
                Language::English => format!(
                    "two fetches keep their distance: this one may run in {}; waiting",
                    span(until_it_may.as_secs().max(1))
                ),
                Language::Chinese => format!(
                    "两次获取之间须保持间隔：{} 后可执行，等待中",
                    span(until_it_may.as_secs().max(1))
                ),
            });
        }
        let deadline = Instant::now() + until_it_may + options.wait;
        self.wait(before, deadline).await
    }

    /// Waits for another token, or for a refusal that concerns all.
    async fn wait(&self, before: &State, deadline: Instant) -> Result<(Outcome, Exit), StoreError> {
        let Self { store, target, options, language, .. } = self;
        let (heard, mut news) = mpsc::channel(1);
        // Whoever is full has news already.
        let hear = move |_notice: Notice| {
            heard.try_send(()).ok();
        };
        let listening = store.listen(&hear);
        tokio::pin!(listening);
        loop {
            let Reading { state, now_ms, .. } = target::read(store, &target.unit).await?;
            // The outcome of a claim that was made before is not that of an invalidation, nor is what was adopted that of a force.
            let waits = match options.wish {
                Wish::Invalidate => state.rejected == Some(Mark::Invalidated),
                Wish::Force => state.rejected == Some(Mark::Forced),
                Wish::IfOwed => false,
            };
            if state.token_fence != before.token_fence && state.usable(now_ms) && !waits {
                return Ok(self.refreshed(before, &state, now_ms));
            }
            let tried = state.fence > before.fence && !state.intent;
            if tried {
                let living = store.living().await?;
                let refusal = state.refused_to_all(now_ms, &state.configuration, &living);
                if let Some(refusal) = refusal {
                    return Ok((self.refused(&state, refusal, now_ms), Exit::Failed));
                }
            }
            if Instant::now() >= deadline {
                let late = match language {
                    Language::English => format!(
                        "no worker refreshed within {}{}. `zhongkong status {}` tells why",
                        span(options.wait.as_secs()),
                        self.kept(),
                        target.unit.id
                    ),
                    Language::Chinese => format!(
                        "{} 内没有 worker 完成刷新{}。原因见 `zhongkong status {}`",
                        span(options.wait.as_secs()),
                        self.kept(),
                        target.unit.id
                    ),
                };
                return Ok((self.outcome("deferred", &state, now_ms, late), Exit::Failed));
            }
            tokio::select! {
                () = &mut listening => {}
                _ = news.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn refreshed(&self, before: &State, state: &State, now_ms: u64) -> (Outcome, Exit) {
        let life = span(seconds_until(state.expires_at_ms, now_ms));
        let (generation, worker) = (state.generation, &state.worker);
        if state.generation != before.generation {
            let text = match self.language {
                Language::English => {
                    format!("refreshed by {worker}: token {generation}, valid for {life}")
                }
                Language::Chinese => {
                    format!("已由 {worker} 刷新：第 {generation} 代 token，有效期 {life}")
                }
            };
            return (self.outcome("refreshed", state, now_ms, text), Exit::Done);
        }
        let killed = self.options.wish == Wish::Invalidate;
        let text = match (self.language, killed) {
            (Language::English, false) => {
                format!("the upstream confirmed token {generation}, valid for {life}")
            }
            (Language::Chinese, false) => {
                format!("上游确认了第 {generation} 代 token，有效期 {life}")
            }
            (Language::English, true) => format!(
                "the upstream returned token {generation} once more: it is not invalidated. Try again"
            ),
            (Language::Chinese, true) => {
                format!("上游仍返回第 {generation} 代 token：未能使其失效，请重试")
            }
        };
        let exit = if killed { Exit::Failed } else { Exit::Done };
        (self.outcome("unchanged", state, now_ms, text), exit)
    }

    /// That a mark outlives this command, if one was made.
    const fn kept(&self) -> &'static str {
        match self.options.wish {
            Wish::IfOwed => "",
            Wish::Force | Wish::Invalidate => {
                self.language.say("; the wish is kept", "；该请求已保留")
            }
        }
    }

    fn refused(&self, state: &State, refusal: &Refusal, now_ms: u64) -> Outcome {
        let report = UnitReport::new(&self.target.unit, None, state, now_ms, self.language);
        let mut message = self.language.say("the upstream refused", "上游拒绝了请求").to_owned();
        for refusal in &report.refusals {
            message.push('\n');
            message.push_str(&refusal.in_words(self.language));
        }
        let retry_in = seconds_until(refusal.retry_at_ms, now_ms);
        let outcome = self.outcome("refused", state, now_ms, message);
        Outcome { retry_in: Some(retry_in), refusals: report.refusals, ..outcome }
    }

    fn outcome(&self, name: &'static str, state: &State, now_ms: u64, message: String) -> Outcome {
        let expires_in =
            if state.usable(now_ms) { seconds_until(state.expires_at_ms, now_ms) } else { 0 };
        Outcome {
            id: self.target.unit.id.to_string(),
            kind: self.target.unit.kind.as_str(),
            name,
            generation: state.generation,
            expires_in,
            retry_in: None,
            message,
            refusals: Vec::new(),
        }
    }
}
