//! The port that the core crate asks for, on Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{Pipeline, RedisResult, Value};
use tokio::sync::watch;
use zhongkong_core::abandon::{AbandonAnswer, AbandonRequest, Outcome};
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::clock::millis;
use zhongkong_core::commit::CommitRequest;
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::force::{INVALIDATION_SPACING_MS, INVALIDATIONS_A_DAY, InvalidateAnswer};
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::life::{Alive, Known};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::Rules;
use zhongkong_core::ports::{
    Beat, Claimed, Committed, LeftReport, Notice, Observed, Published, Reading, Store, StoreError,
};
use zhongkong_core::publication::{self, Publication, Tracked};
use zhongkong_core::report::{
    AFTER_MIDNIGHT_MS, Evidence, Probed, ReportAnswer, ReportRequest, STRAIN_MAX,
    STRAINED_SPACING_MAX_MS, alive_holds_ms,
};
use zhongkong_core::state::OwnClaim;
use zhongkong_core::token::Token;

use crate::episode::Episode;
use crate::facts::{self, ClusterFacts, Facts, SdkKeys, ShardFacts};
use crate::hindrance::{self, Hindrance};
use crate::inbox::Inbox;
use crate::keys::Keys;
use crate::link::{describe, settled};
use crate::listen::listen;
use crate::nodes::Nodes;
use crate::refusal::{answers_nobody, explain, is_demoted};
use crate::reply::{Reply, strange};
use crate::scripts::{
    ABANDON, ADOPT, CLAIM, COMMIT, Call, FORCE, FORGET, INVALIDATE, KEEP, Operation, PAUSE, REPORT,
};
use crate::sentinel::SentinelFacts;
use crate::settings::RedisSettings;
use crate::tls;

/// Below the response time-out, so that too few acknowledgements are an answer.
const WAIT_TIMEOUT_MS: u64 = 500;

/// How many replicas must acknowledge a claim before its request is sent (rule R10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// The highest number that was ever seen connected; of a cluster, the highest that every primary had.
    Auto,
    /// This many.
    Number(u32),
}

/// Units in one Redis.
#[derive(Debug)]
pub struct RedisStore {
    pub(crate) keys: Keys,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) replicas: Replicas,
    /// Who asks, for the history.
    by: String,
    /// The highest number of replicas seen, for [`Replicas::Auto`].
    pub(crate) highest: AtomicU32,
    pub(crate) highest_known: AtomicBool,
    pub(crate) full: Episode,
    pub(crate) waits_in_vain: Episode,
    pub(crate) blind: Episode,
    inbox: Inbox,
    tracked: watch::Sender<Arc<Tracked>>,
}

impl RedisStore {
    /// A store at `settings`, with keys under `keys`. Nothing is connected yet.
    pub fn new(settings: &RedisSettings, keys: Keys, replicas: Replicas) -> Self {
        tls::choose_cryptography();
        let nodes = Arc::new(Nodes::new(settings));
        Self {
            replicas,
            by: String::new(),
            highest: AtomicU32::new(0),
            highest_known: AtomicBool::new(false),
            full: Episode::default(),
            waits_in_vain: Episode::default(),
            blind: Episode::default(),
            tracked: watch::Sender::default(),
            inbox: Inbox::new(Arc::clone(&nodes), keys.reports()),
            nodes,
            keys,
        }
    }

    /// The same store, asked by the worker `name`: so the history calls who did what is its own doing.
    #[must_use]
    pub fn asked_by(self, name: impl Into<String>) -> Self {
        Self { by: name.into(), ..self }
    }

    /// The names of keys and channels.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What kind of Redis this is, and what its user may not do, asked for the keys of `unit` and for those of SDKs.
    pub async fn facts(&self, unit: &Unit, sdk: &[SdkKeys]) -> Result<Facts, StoreError> {
        // Where it is refused, the rights below tell.
        let required = self.required().await.unwrap_or(0);
        let mut facts = Facts { required, ..Facts::default() };
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").cmd("CONFIG").arg(&["GET", "save"]).cmd("TIME");
        let in_cluster = self.nodes.cluster().is_some();
        facts::ask_rights(&mut pipe, &self.keys, unit, sdk, in_cluster);
        let mut results =
            self.nodes.send("facts", &self.keys.state(unit), &mut pipe).await?.into_iter();
        let info = results.next();
        if let Some(Err(error)) = &info
            && answers_nobody(error)
        {
            return Err(StoreError::Refused(explain(error)));
        }
        if let Some(Ok(info)) = info {
            facts.read_info(&redis::from_redis_value::<String>(info).unwrap_or_default());
        }
        if let Some(Ok(save)) = results.next() {
            facts.read_save(save);
        }
        facts.now_ms = results.next().and_then(|time| settled(Some(time)).ok()).and_then(millis_of);
        facts.read_rights(results.next(), &self.keys, sdk, in_cluster);
        facts.hindrances = self.hindrances().await?;
        facts.cluster = self.cluster().await;
        Ok(facts)
    }

    /// What keeps Redis from taking writes now, or one of its primaries.
    pub async fn hindrances(&self) -> Result<Vec<Hindrance>, StoreError> {
        if let Some(cluster) = self.nodes.cluster() {
            cluster.look_again().await?;
        }
        let nodes = self.nodes.primaries().borrow().clone();
        let mut found = Vec::new();
        for asked in join_all(nodes.iter().map(|node| hindrance::of(&node.commands))).await {
            match asked {
                // Each once, however many primaries it ails.
                Ok(hindrances) => {
                    for hindrance in hindrances {
                        if !found.contains(&hindrance) {
                            found.push(hindrance);
                        }
                    }
                }
                // A primary that is away is told as such.
                Err(_) if self.nodes.cluster().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What kind of cluster this is; none if it is no cluster.
    pub async fn cluster(&self) -> Option<ClusterFacts> {
        let cluster = self.nodes.cluster()?;
        // What is known already is told where nothing new can be found out.
        cluster.look().await.ok();
        let nodes = self.nodes.primaries().borrow().clone();
        let shards = join_all(nodes.iter().map(|node| ShardFacts::of(node))).await;
        Some(ClusterFacts { shards, uncovered: cluster.uncovered() })
    }

    /// What each Sentinel tells; none where there are none.
    pub async fn sentinels(&self) -> Vec<SentinelFacts> {
        match self.nodes.sentinels() {
            Some(sentinels) => sentinels.facts().await,
            None => Vec::new(),
        }
    }

    /// Marks the token as to be killed: an idempotent upstream replaces it at once, and without overlap. The history says
    /// that it was asked for `by`.
    pub async fn invalidate(
        &self,
        unit: &Unit,
        rules: &Rules,
        by: &str,
    ) -> Result<(InvalidateAnswer, Observed), StoreError> {
        let arguments = [
            rules.spacing_ms.to_string(),
            INVALIDATIONS_A_DAY.to_string(),
            INVALIDATION_SPACING_MS.to_string(),
        ];
        let mut reply = self.run_by(by, &INVALIDATE, unit, &arguments).await?;
        let answer = match reply.verdict_unless_newer()?.as_str() {
            "spent" => {
                reply.skip(1);
                InvalidateAnswer::Spent
            }
            _ => InvalidateAnswer::Marked { from_ms: reply.parsed()? },
        };
        Ok((answer, reply.observed()?))
    }

    /// Pauses the unit: no refresh, whoever asks. The history says that it was asked for `by`.
    pub async fn pause(&self, unit: &Unit, by: &str) -> Result<Observed, StoreError> {
        self.pause_or_resume(unit, "pause", by).await
    }

    /// Lets the unit be refreshed again, likewise.
    pub async fn resume(&self, unit: &Unit, by: &str) -> Result<Observed, StoreError> {
        self.pause_or_resume(unit, "resume", by).await
    }

    async fn pause_or_resume(
        &self,
        unit: &Unit,
        what: &str,
        by: &str,
    ) -> Result<Observed, StoreError> {
        let mut reply = self.run_by(by, &PAUSE, unit, &[what.to_owned()]).await?;
        reply.verdict_unless_newer()?;
        reply.skip(1);
        reply.observed()
    }

    /// Removes the unit's keys, and its credential's history. Returns how many there were.
    pub async fn forget(&self, unit: &Unit) -> Result<u32, StoreError> {
        let mut reply = self.run(&FORGET, unit, &[]).await?;
        reply.skip(1);
        reply.parsed()
    }

    /// The store's time, in milliseconds since 1970.
    pub(crate) async fn now_ms(&self, name: &'static str) -> Result<u64, StoreError> {
        let time = self.nodes.ask(name, &self.keys.workers(), redis::cmd("TIME")).await?;
        millis_of(time).ok_or_else(|| strange("a time that is none"))
    }

    async fn run(
        &self,
        operation: &Operation,
        unit: &Unit,
        arguments: &[String],
    ) -> Result<Reply, StoreError> {
        self.run_by(&self.by, operation, unit, arguments).await
    }

    async fn run_by(
        &self,
        by: &str,
        operation: &Operation,
        unit: &Unit,
        arguments: &[String],
    ) -> Result<Reply, StoreError> {
        let append = |pipe: &mut Pipeline, call: Call<'_>| {
            operation.call(pipe, &self.keys, unit, (arguments, by), call.known);
        };
        let results = self.nodes.run(operation, &self.keys.state(unit), false, append).await?;
        Reply::new(settled(results.into_iter().next())?)
    }

    /// Replicas that acknowledged a claim, and those that had to.
    fn acknowledged(&self, wait: Option<RedisResult<Value>>, required: u32) -> (u32, u32) {
        let refused = match wait {
            None => return (0, required),
            Some(Ok(count)) => {
                self.waits_in_vain.is_news(false);
                return (redis::from_redis_value(count).unwrap_or(0), required);
            }
            // Its replicas have the claim no more than any other server will.
            Some(Err(error)) if is_demoted(&error) => return (0, required),
            Some(Err(error)) => error,
        };
        if self.waits_in_vain.is_news(true) {
            tracing::warn!(
                error = describe(&refused),
                "redis refuses WAIT, as some managed ones do: no replica is known to have a claim, and a failover may \
                 lose it, so that two tokens are fetched at once"
            );
        }
        // Whoever asked for a number of replicas gets it or no refresh; else there is nothing to wait for.
        let required = if self.replicas == Replicas::Auto { 0 } else { required };
        (0, required)
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn claim(&self, unit: &Unit, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let required = self.required().await?;
        let append = |pipe: &mut Pipeline, call: Call<'_>| {
            let arguments = claim_arguments(request, call.epoch);
            CLAIM.call(pipe, &self.keys, unit, (&arguments, &self.by), call.known);
            if required > 0 {
                pipe.cmd("WAIT").arg(required).arg(WAIT_TIMEOUT_MS);
            }
        };
        // Without a `WAIT` a claim holds nobody up, and shares the connection of all other commands.
        let results = self.nodes.run(&CLAIM, &self.keys.state(unit), required > 0, append).await?;
        let mut results = results.into_iter();
        let mut reply = Reply::new(settled(results.next())?)?;
        let (acknowledged, required) = self.acknowledged(results.next(), required);
        let verdict = reply.text()?;
        let mut answer = match verdict.as_str() {
            "claimed" => {
                let (fence, reason) = (reply.parsed()?, reply.reason()?);
                let raised = reply.parsed()?;
                ClaimAnswer::Claimed { fence, reason, raised, invalidate: false }
            }
            "paused" => {
                reply.skip(1);
                ClaimAnswer::Paused
            }
            "held" => ClaimAnswer::Held { until_ms: reply.parsed()? },
            "not_owed" => ClaimAnswer::NotOwed { look_at_ms: reply.parsed()? },
            "newer" => ClaimAnswer::Newer { v: reply.parsed()? },
            _ => return Err(strange("an unknown verdict")),
        };
        if !matches!(answer, ClaimAnswer::Claimed { .. }) {
            // The places of the reason and of the doubts, which only a claim has.
            reply.skip(2);
        }
        let epoch = reply.text()?;
        let connected = reply.parsed()?;
        let observed = reply.observed()?;
        if let ClaimAnswer::Claimed { fence, invalidate, .. } = &mut answer {
            *invalidate = observed.state.invalidating == *fence;
        }
        // One primary of a cluster does not speak for all. A number that could not be remembered is seen again at the next
        // claim.
        if self.nodes.cluster().is_none() {
            self.remember(connected).await.ok();
        }
        Ok(Claimed { answer, observed, epoch, acknowledged, required })
    }

    async fn commit(&self, unit: &Unit, request: &CommitRequest) -> Result<Committed, StoreError> {
        let flag = |set: bool| String::from(if set { "1" } else { "" });
        let arguments = [
            request.fence.to_string(),
            request.nonce.clone(),
            request.token.expose().to_owned(),
            request.token.fingerprint().to_string(),
            request.age_ms.to_string(),
            request.life_ms.to_string(),
            request.ahead_ms.to_string(),
            flag(request.assumed),
            flag(request.idempotent),
            request.spacing_ms.to_string(),
        ];
        let mut reply = self.run(&COMMIT, unit, &arguments).await?;
        if reply.text()? == "fenced" {
            return Err(StoreError::Fenced);
        }
        let generation = reply.parsed()?;
        let changed = reply.text()? == "1";
        Ok(Committed { generation, changed, observed: reply.observed()? })
    }

    async fn abandon(
        &self,
        unit: &Unit,
        request: &AbandonRequest,
    ) -> Result<(AbandonAnswer, Observed), StoreError> {
        let AbandonRequest { fence, nonce, drain_ms, outcome } = request;
        let mut arguments = vec![fence.to_string(), nonce.clone(), drain_ms.to_string()];
        let mut add = |texts: &[&str]| arguments.extend(texts.iter().map(ToString::to_string));
        match outcome {
            Outcome::NotSent { why, retry_in_ms } => {
                add(&["not_sent", why, &retry_in_ms.to_string()]);
            }
            Outcome::Unknown { why, retry_in_ms } => {
                add(&["unknown", why, &retry_in_ms.to_string()]);
            }
            Outcome::Refused { scope, status, code, message, retry_in_ms } => {
                add(&["refused", message, &retry_in_ms.to_string()]);
                add(&[scope.as_str(), status.as_str(), &code.to_string()]);
            }
        }
        let mut reply = self.run(&ABANDON, unit, &arguments).await?;
        let answer = match reply.text()?.as_str() {
            "recorded" => AbandonAnswer::Recorded,
            _ => AbandonAnswer::Late,
        };
        Ok((answer, reply.observed()?))
    }

    async fn keep(
        &self,
        unit: &Unit,
        alive: Option<Alive>,
    ) -> Result<(KeepAnswer, Observed), StoreError> {
        let mut reply = self.run(&KEEP, unit, &known_life(alive)).await?;
        let verdict = reply.text()?;
        let ttl = reply.text()?;
        let announce = reply.text()? == "1";
        let answer = match verdict.as_str() {
            "republished" => KeepAnswer::Republished { ttl_ms: ttl.parse().unwrap_or(0) },
            "kept" => KeepAnswer::Kept,
            _ => KeepAnswer::NoToken { announce },
        };
        Ok((answer, reply.observed()?))
    }

    async fn force(&self, unit: &Unit, rules: &Rules, by: &str) -> Result<Observed, StoreError> {
        let arguments = [rules.spacing_ms.to_string()];
        let mut reply = self.run_by(by, &FORCE, unit, &arguments).await?;
        reply.verdict_unless_newer()?;
        reply.skip(1);
        reply.observed()
    }

    async fn report(
        &self,
        unit: &Unit,
        request: &ReportRequest,
    ) -> Result<(ReportAnswer, Observed), StoreError> {
        let mut reply = self.run(&REPORT, unit, &report_arguments(request)).await?;
        let verdict = reply.verdict_unless_newer()?;
        let (detail, foreign) = (reply.text()?, reply.text()? == "1");
        let at_ms = || detail.parse().map_err(|_| strange("an instant that is none"));
        let answer = match verdict.as_str() {
            "already_newer" => ReportAnswer::AlreadyNewer,
            "still_valid" => ReportAnswer::StillValid,
            "under_way" => ReportAnswer::UnderWay,
            "probe" => ReportAnswer::Probe,
            "noted" => ReportAnswer::Noted,
            "probing" => ReportAnswer::Probing { until_ms: at_ms()? },
            "marked" => ReportAnswer::Marked { from_ms: at_ms()?, foreign },
            _ => return Err(strange("an unknown verdict")),
        };
        Ok((answer, reply.observed()?))
    }

    async fn adopt(
        &self,
        unit: &Unit,
        request: &AdoptRequest,
    ) -> Result<(AdoptAnswer, Observed), StoreError> {
        let mut reply = self.run(&ADOPT, unit, &adopt_arguments(request)).await?;
        let verdict = reply.verdict_unless_newer()?;
        let answer = match verdict.as_str() {
            "adopted" => AdoptAnswer::Adopted { fence: reply.parsed()?, from_ms: reply.parsed()? },
            "doubted" => AdoptAnswer::Doubted,
            "superseded" => AdoptAnswer::Superseded,
            "paused" => AdoptAnswer::Paused,
            _ => return Err(strange("an unknown verdict")),
        };
        if !matches!(answer, AdoptAnswer::Adopted { .. }) {
            // The places of the fence and of the instant.
            reply.skip(2);
        }
        Ok((answer, reply.observed()?))
    }

    async fn read(&self, units: &[Unit]) -> Result<Vec<Result<Reading, StoreError>>, StoreError> {
        self.read_all(units).await
    }

    async fn token(&self, unit: &Unit) -> Result<Option<Published>, StoreError> {
        let key = self.keys.reader(unit);
        let mut pipe = redis::pipe();
        // In one transaction, so that the number is this token's.
        pipe.cmd("MULTI").cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        pipe.cmd("HMGET").arg(self.keys.state(unit)).arg(&["fingerprint", "generation"]);
        pipe.cmd("TIME").cmd("EXEC");
        let answer = settled(self.nodes.send("token", &key, &mut pipe).await?.pop())?;
        let (token, ttl_ms, state, time): (Option<String>, i64, Vec<Option<String>>, Value) =
            redis::from_redis_value(answer).map_err(|_| strange("a token that is no text"))?;
        let Some(token) = token.and_then(|text| Token::new(text).ok()) else { return Ok(None) };
        let [fingerprint, generation] = state.try_into().unwrap_or_default();
        let own = fingerprint.is_some_and(|own| own == token.fingerprint().as_str());
        let generation = generation.filter(|_| own).and_then(|number| number.parse().ok());
        let left = Duration::from_millis(u64::try_from(ttl_ms).unwrap_or(0));
        let now_ms = millis_of(time).unwrap_or_default();
        let expires_at_ms = now_ms.saturating_add(millis(left));
        Ok(Some(Published { token, left, expires_at_ms, generation: generation.unwrap_or(0) }))
    }

    async fn copy(&self, unit: &Unit) -> Result<Observed, StoreError> {
        self.read_copy(unit).await
    }

    async fn publish(
        &self,
        publication: &Publication,
    ) -> Result<Vec<publication::Outcome>, StoreError> {
        self.publish_all(publication).await
    }

    fn track(&self, tracked: Arc<Tracked>) {
        self.tracked.send_if_modified(|now| {
            let changed = *now != tracked;
            *now = tracked;
            changed
        });
    }

    async fn take_reports(&self, worker: &Worker) -> Result<Vec<LeftReport>, StoreError> {
        self.inbox.take(&worker.identity).await
    }

    async fn adopt_reports(
        &self,
        worker: &Worker,
        living: &[String],
    ) -> Result<Vec<LeftReport>, StoreError> {
        self.inbox.adopt(&worker.identity, living).await
    }

    async fn finish_report(&self, entry: &str) -> Result<(), StoreError> {
        self.inbox.finish(entry).await
    }

    async fn beat(&self, worker: &Worker) -> Result<Beat, StoreError> {
        self.say_that_it_lives(worker).await
    }

    async fn leave(&self, worker: &Worker) -> Result<(), StoreError> {
        let mut remove = redis::cmd("ZREM");
        remove.arg(self.keys.workers()).arg(&worker.identity);
        self.nodes.ask("leave", &self.keys.workers(), remove).await.map(drop)
    }

    async fn listen(&self, hear: &(dyn Fn(Notice) + Send + Sync)) {
        listen(&self.nodes, &self.keys, &self.tracked, hear).await;
    }
}

/// The arguments on a connection that told this of the epoch.
fn claim_arguments(request: &ClaimRequest, told: &str) -> Vec<String> {
    let ClaimRequest { worker, nonce, viewer, rules, alive } = request;
    let honours = honours(rules);
    let none = OwnClaim { fence: 0, nonce: String::new(), epoch: String::new() };
    let own = viewer.memory.own.as_ref().unwrap_or(&none);
    let [alive_fence, alive_for, at_most] = known_life(*alive);
    vec![
        worker.name.to_string(),
        worker.identity.clone(),
        nonce.clone(),
        viewer.configuration.clone(),
        rules.lease_ms.to_string(),
        rules.drain_ms.to_string(),
        rules.spacing_ms.to_string(),
        rules.overlap_ms.to_string(),
        rules.request_timeout_ms.to_string(),
        honours.to_string(),
        viewer.memory.remembered.to_string(),
        own.fence.to_string(),
        own.nonce.clone(),
        own.epoch.clone(),
        alive_fence,
        alive_for,
        if told.is_empty() { viewer.epoch.clone() } else { told.to_owned() },
        at_most,
    ]
}

/// Tokens that live at once; 0 stands for an upstream whose every answer is the newest.
const fn honours(rules: &Rules) -> u32 {
    match rules.nature {
        Nature::Rotating { honours } => honours,
        Nature::Idempotent | Nature::Lasting => 0,
    }
}

fn adopt_arguments(request: &AdoptRequest) -> Vec<String> {
    let AdoptRequest { nonce, token, over, layout, found_at_ms, epoch, remembered, rules } =
        request;
    vec![
        nonce.clone(),
        token.expose().to_owned(),
        token.fingerprint().to_string(),
        over.to_string(),
        layout.clone(),
        found_at_ms.to_string(),
        epoch.clone(),
        remembered.to_string(),
        rules.lease_ms.to_string(),
        rules.spacing_ms.to_string(),
        rules.overlap_ms.to_string(),
        rules.request_timeout_ms.to_string(),
        honours(rules).to_string(),
        STRAINED_SPACING_MAX_MS.to_string(),
        STRAIN_MAX.to_string(),
    ]
}

fn report_arguments(request: &ReportRequest) -> Vec<String> {
    let ReportRequest { fingerprint, evidence, spacing_ms, budget, epoch, again } = request;
    let (evidence, probe_ms) = match *evidence {
        Evidence::Word { probe_ms } => ("word", probe_ms),
        Evidence::Hearsay => ("hearsay", 0),
        Evidence::Checked(Probed::Alive) => ("alive", 0),
        Evidence::Checked(Probed::Dead) => ("dead", 0),
        Evidence::Checked(Probed::CannotTell) => ("cannot_tell", 0),
        Evidence::Found => ("found", 0),
    };
    vec![
        fingerprint.to_string(),
        evidence.to_owned(),
        probe_ms.to_string(),
        spacing_ms.to_string(),
        budget.to_string(),
        STRAINED_SPACING_MAX_MS.to_string(),
        alive_holds_ms(*spacing_ms).to_string(),
        STRAIN_MAX.to_string(),
        epoch.clone(),
        AFTER_MIDNIGHT_MS.to_string(),
        String::from(if *again { "1" } else { "" }),
    ]
}

fn known_life(alive: Option<Alive>) -> [String; 3] {
    let none = Alive { token_fence: 0, for_ms: 0, known: Known::Exactly };
    let Alive { token_fence, for_ms, known } = alive.unwrap_or(none);
    let at_most = String::from(if known == Known::AtMost { "1" } else { "" });
    [token_fence.to_string(), for_ms.to_string(), at_most]
}

/// The answer of `TIME`, in milliseconds.
pub(crate) fn millis_of(time: Value) -> Option<u64> {
    let (seconds, micros): (u64, u64) = redis::from_redis_value(time).ok()?;
    Some(seconds * 1_000 + micros / 1_000)
}
