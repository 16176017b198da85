//! The story, continued: somebody else with the same secret, five hundred reports, an address that is not allowed.
//!
//! Here tokens die from outside, so readers may find a dead one. How long is part of the story, and has a limit.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;
use zhongkong_testkit::wait::holds_within;

use crate::events::{Event, short};
use crate::herd::{self, Answered};
use crate::journal::Probe;
use crate::scenes::{IN_TURN, SOON};
use crate::show::Show;
use crate::stage::{PROBE_INTERVAL, Published, TIMINGS};

/// How the warning begins that somebody else refreshes.
const STRANGER: &str = "the upstream rejects the newest token that this cluster knows";
/// From when a dead token is found out until another is published; a busy machine takes its time.
const REPLACED_WITHIN: Duration = TIMINGS.lease;
/// How often chance may choose another worker than the scene is about.
const TRIES: usize = 5;

pub(crate) async fn somebody_else_refreshes(show: &mut Show) -> anyhow::Result<()> {
    let (overlap, probe) = (TIMINGS.overlap.as_secs(), PROBE_INTERVAL.as_secs_f64());
    let text = format!(
        "Another program has the same AppSecret, and fetches a token of its own. That starts the \
         death of the published one: {overlap} s later every call with it is rejected, and \
         nothing tells the cluster. So the workers try the token against the upstream \
         themselves, here every {probe} s or so (probe_interval; in reality five minutes)."
    );
    let began = show.begin("Somebody else refreshes", &text).await?;
    let mark = show.events.count();
    let doomed = show.stage.published().await?;
    show.reader.will_be_killed(&doomed.token);
    show.stage.upstream.foreign_refresh().await?;
    show.narrator.event(&format!(
        "somebody else fetches a token: {} dies in {overlap} s",
        short(&doomed.fingerprint)
    ));
    let foreign = |event: &Event| event.doubts("foreign");
    show.events.after(mark, "a doubt that somebody else refreshed", IN_TURN, foreign).await?;
    let held = replaced(show, mark, &doomed).await?;

    let (worker, warning) = show.stage.logged(STRANGER).context("no worker warned of it")?;
    show.narrator.say(&format!("In the log of {worker} the operator finds this warning:"));
    show.narrator.quote(&warning);
    let rejected = show.counts_since(&began).killed;
    show.narrator.say(&format!(
        "The reader held a dead token for {:.1} s, and {rejected} of its calls were rejected. \
         With the real times it can be up to seven and a half minutes, unless readers report \
         it: see the next scene. And it happens again until the other program is stopped, \
         because each kills the other's token.",
        held.as_secs_f64()
    ));
    let limit = found_within() + REPLACED_WITHIN;
    ensure!(held <= limit, "a dead token was published for {held:?}, longer than {limit:?}");
    show.end(began).await
}

pub(crate) async fn five_hundred_reports(show: &mut Show) -> anyhow::Result<()> {
    let (by_http, by_stream) = (herd::BY_HTTP, herd::BY_STREAM);
    let text = format!(
        "The token dies again, at once this time, and {} readers report it in the same moment: \
         {by_http} over HTTP, spread over the workers, and wait for the answer; {by_stream} leave \
         a line in a Redis stream, {}, and look at the key again. The workers ask the upstream \
         once whether the token is really dead, and fetch once.",
        by_http + by_stream,
        herd::STREAM
    );
    let began = show.begin("500 readers report one dead token", &text).await?;
    let probed_at = a_probe(show).await?;
    let mark = show.events.count();
    let dead = show.stage.published().await?;
    show.reader.will_be_killed(&dead.token);
    show.stage.upstream.revoke().await?;
    let name = short(&dead.fingerprint);
    show.narrator.event(&format!("token {name} dies, and all readers report it"));
    let Answered { readers, tokens, took } = herd::report(&show.stage, &dead).await?;
    let held = replaced(show, mark, &dead).await?;

    let fetches = show.calls_since(&began).await?;
    let probes = show.stage.upstream.journal().await?.probes().to_vec();
    let probes: Vec<Probe> =
        probes.into_iter().filter(|p| p.rejected && p.at > probed_at).collect();
    let next = show.stage.published().await?;
    let asked = probes.len();
    ensure!(fetches == 1, "{readers} reports of one token cost {fetches} fetches");
    // The workers' own next probe is due half an interval later at the earliest; before, each is a report's.
    let own = usize::from(probes.iter().any(|probe| probe.at > probed_at + PROBE_INTERVAL / 2));
    ensure!((1..=1 + own).contains(&asked), "{readers} reports of one token cost {asked} probes");
    ensure!(
        tokens.len() == 1 && tokens.contains(&next.token),
        "the readers were given other tokens than the newest"
    );
    let served = async || show.stage.redis.command::<u64>(&["XLEN", herd::STREAM]).await == 0;
    ensure!(holds_within(SOON, served).await, "reports are left in the stream");
    ensure!(held <= REPLACED_WITHIN, "a token that readers reported was published for {held:?}");
    show.narrator.say(&format!(
        "{readers} reports, {asked} {}, {fetches} upstream fetch. {:.1} s later all {readers} \
         readers had another token, all of them the same: {}. (Nothing of the cluster's own \
         explains the death, so it suspects somebody else again.)",
        if asked == 1 { "probe" } else { "probes" },
        took.as_secs_f64(),
        short(&next.fingerprint)
    ));
    show.end(began).await
}

pub(crate) async fn address_not_allowed(show: &mut Show) -> anyhow::Result<()> {
    let text = "The account's IP list names the addresses that may fetch. One worker's address is \
                taken off it, as when a machine moves and nobody thinks of the list; then an \
                operator asks for a refresh. That worker is refused, and another one goes on.";
    let began = show.begin("An address is not on the IP list", text).await?;
    let addresses = show.stage.addresses();
    let everybody: Vec<IpAddr> = addresses.iter().map(|(_, address)| *address).collect();
    let (excluded, address, next) = refused(show, &addresses).await?;
    show.narrator.say(&format!(
        "{} published a token {:.1} s after the refusal. Below its table `zhongkong status` says:",
        next.worker,
        next.after.as_secs_f64()
    ));
    let status = show.stage.status().await?;
    // A table is too wide to be set in.
    show.narrator.quote(status.split_once("\n\n").map_or("", |(_table, notes)| notes));
    for needed in [excluded.as_str(), &address.to_string(), "40164", "IP list"] {
        ensure!(status.contains(needed), "`zhongkong status` does not say {needed:?}");
    }

    show.narrator.say(&format!(
        "The address is put on the list again, and that is all: when the next refresh is due, \
         {excluded} takes part again."
    ));
    let mut mark = show.events.count();
    show.stage.upstream.allow(&everybody).await?;
    show.narrator.event(&format!("{address} is on the IP list again"));
    for _ in 0..TRIES {
        let refreshed = show.events.after(mark, "a refresh", IN_TURN, is_refreshed).await?;
        show.stage.settle(SOON).await?;
        if refreshed.worker == excluded {
            let status = show.stage.status().await?;
            ensure!(!status.contains("40164"), "`zhongkong status` still tells of the refusal");
            return show.end(began).await;
        }
        show.narrator.event(&format!("{} was quicker: once more", refreshed.worker));
        mark = show.events.count();
        show.stage.force_refresh();
    }
    anyhow::bail!("{excluded} takes part no more, although its address is allowed")
}

/// Who published although one worker was refused, and how long after that.
struct Next {
    worker: String,
    after: Duration,
}

/// Has a worker refused.
async fn refused(
    show: &mut Show,
    addresses: &[(String, IpAddr)],
) -> anyhow::Result<(String, IpAddr, Next)> {
    // The worker that tries the token in its own time is the one that begins a refresh, too.
    let journal = show.stage.upstream.journal().await?;
    let first = journal.probes().iter().rfind(|probe| !probe.rejected).copied();
    let first = first.and_then(|probe| addresses.iter().find(|(_, own)| *own == probe.caller));
    let (mut excluded, mut address) = first.context("a worker tried the token")?.clone();
    for _ in 0..TRIES {
        let others = addresses.iter().map(|(_, other)| *other).filter(|other| *other != address);
        show.stage.upstream.allow(&others.collect::<Vec<_>>()).await?;
        show.narrator.event(&format!("{address}, of {excluded}, is taken off the IP list"));
        let mark = show.events.count();
        show.stage.force_refresh();
        let next = show.events.after(mark, "another token", SOON, is_refreshed).await?;
        show.stage.settle(SOON).await?;
        let refusal = show.events.seen_after(mark, |event| event.what == "refused");
        if let Some(refusal) = refusal {
            ensure!(
                refusal.worker == excluded && next.worker != excluded,
                "who may fetch was refused"
            );
            let after = next.at.duration_since(refusal.at);
            return Ok((excluded, address, Next { worker: next.worker, after }));
        }
        let quicker = addresses.iter().find(|(name, _)| *name == next.worker);
        (excluded, address) = quicker.context("it has an address")?.clone();
        show.narrator.event(&format!("{excluded} was quicker: the same with its address"));
    }
    anyhow::bail!("no worker was refused")
}

/// Waits until another token is published than the one that was killed, and says for how long readers held a dead one.
async fn replaced(show: &Show, mark: usize, killed: &Published) -> anyhow::Result<Duration> {
    let next = show.events.after(mark, "another token", SOON, is_refreshed).await?;
    show.reader.was_replaced(next.at);
    show.stage.settle(SOON).await?;
    let content = holds_within(SOON, async || show.reader.is_content());
    ensure!(content.await, "the reader still finds no token that works");
    let died_at = show.stage.upstream.journal().await?.death_of(&killed.fingerprint)?;
    Ok(next.at.saturating_duration_since(died_at))
}

/// Waits for a probe, so that the next one in its turn is half an interval away; says when it was.
async fn a_probe(show: &Show) -> anyhow::Result<Instant> {
    let from = Instant::now();
    let mut found = None;
    let probed = holds_within(found_within() + SOON, async || {
        let journal = show.stage.upstream.journal().await;
        let last = journal.ok().and_then(|journal| journal.probes().last().copied());
        found = last.map(|probe| probe.at).filter(|at| *at >= from);
        found.is_some()
    });
    ensure!(probed.await, "no worker tries the token against the upstream");
    found.context("it was found")
}

/// The longest pause between two probes: by then one that died is found out, whoever reports it.
fn found_within() -> Duration {
    PROBE_INTERVAL * 3 / 2
}

fn is_refreshed(event: &Event) -> bool {
    event.what == "refreshed"
}
