//! What a step reached, in words.

use zhongkong_core::abandon::AbandonAnswer;
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::ClaimAnswer;
use zhongkong_core::commit::CommitAnswer;
use zhongkong_core::doubt::Doubt;
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::life::{Alive, Known};
use zhongkong_core::outlook::Reason;
use zhongkong_core::refusal::{REFUSALS_MAX, Scope, Status};
use zhongkong_core::report::ReportAnswer;
use zhongkong_core::state::{CLOCK_SLACK_MS, Mark, State};

use crate::call::{Answer, Call};
use crate::reference::{Epochs, History};
use crate::step::Step;

fn call_name(call: &Call) -> &'static str {
    match call {
        Call::Claim(_) => "claim",
        Call::Commit(_) => "commit",
        Call::Abandon(_) => "abandon",
        Call::Keep(_) => "keep",
        Call::Force => "force",
        Call::Report(_) => "report",
        Call::Adopt(_) => "adopt",
        Call::Invalidate | Call::Pause | Call::Resume | Call::Forget => "other",
    }
}

/// What a step reached, `before` and `after` being what the store holds.
pub(crate) fn reached(before: &History, step: &Step, after: &History) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut see = |yes: bool, what: &str| {
        if yes {
            seen.push(what.to_owned());
        }
    };
    let open = before.claims.iter().filter(|claim| claim.open).count();
    let numbers = ["no open claim", "one open claim", "two open claims", "three open claims"];
    see(true, numbers[open.min(3)]);
    match step {
        Step::Again { back } => {
            let call = &after.told.as_ref().unwrap().call;
            let when = if *back == 0 { "at once" } else { "later" };
            see(true, &format!("{} again {when}", call_name(call)));
        }
        Step::ForgetScripts => see(open > 0, "the scripts are forgotten while a claim is open"),
        Step::DeleteReader => see(true, "the reader's key is deleted"),
        Step::DeleteLock => {
            see(before.model.intent, "the lock is deleted while a claim is open");
        }
        Step::DeleteState => see(true, "the state is deleted"),
        Step::Wipe => see(open > 0, "all is wiped while a claim is open"),
        Step::LoseWrites { .. } => {
            see(before.model.fence > after.model.fence, "the last writes are lost");
        }
        Step::Promote => see(open > 0, "the server is promoted while a claim is open"),
        Step::Spoil(spoilt) => {
            see(spoilt.value.is_none(), "a field is deleted by hand");
            see(spoilt.value.is_some(), "a field is overwritten by hand");
            see(spoilt.field == "refusals", "the refusals are overwritten by hand");
            see(true, spoilt.field);
        }
        _ => {}
    }
    let back_ms = before.now_ms().saturating_sub(after.now_ms());
    see((1..CLOCK_SLACK_MS).contains(&back_ms), "the clock goes back by less than the slack");
    see(back_ms == CLOCK_SLACK_MS, "the clock goes back by the slack");
    see(back_ms > CLOCK_SLACK_MS, "the clock goes back by more than the slack");
    see(after.day() > before.day(), "the clock goes on over midnight");
    if let Some(told) = &after.told {
        answered(before, &told.call, &told.answer, after, &mut see);
    }
    states(&before.model, &after.model, &mut see);
    seen
}

fn answered(
    before: &History,
    call: &Call,
    answer: &Answer,
    after: &History,
    see: &mut impl FnMut(bool, &str),
) {
    let (old, new) = (&before.model, &after.model);
    let is_late = |fence: u64, nonce: &str| {
        fence > 0 && fence < old.fence && nonce != old.nonce && old.intent
    };
    match (call, answer) {
        (Call::Claim(request), Answer::Claim(answer, _)) => {
            see(before.epochs == Epochs::Told, "a claim where scripts may not read the epoch");
            see(before.epochs == Epochs::Off, "a claim where the epoch rule is off");
            see(request.viewer.epoch == "stale", "a claim by a worker with a stale epoch");
            followed(before, request.alive, after, see);
            match answer {
                ClaimAnswer::Claimed { reason, .. } => {
                    see(old.nonce == request.nonce, "a repeated claim has its fence again");
                    see(*reason == Reason::Takeover, "a claim is taken over");
                }
                ClaimAnswer::Held { .. } => see(true, "a claim is held off"),
                ClaimAnswer::NotOwed { .. } => see(true, "a claim is not owed"),
                ClaimAnswer::Paused => see(true, "a claim is paused"),
                ClaimAnswer::Newer { .. } => see(true, "a claim meets a newer state"),
            }
        }
        (Call::Commit(request), Answer::Commit(CommitAnswer::Fenced)) => {
            see(is_late(request.fence, &request.nonce), "a token of an older claim is late");
        }
        (Call::Commit(_), Answer::Commit(CommitAnswer::Committed { changed, .. })) => {
            see(!old.intent, "a repeated commit has its generation again");
            see(old.intent && !new.doubt.is_empty(), "a commit is provisional");
            see(!old.doubt.is_empty() && new.doubt.is_empty(), "a commit clears doubt");
            see(old.intent && !changed, "a commit of the same token");
            let dead = new.expires_at_ms <= after.now_ms();
            see(dead, "a commit of a token that is dead already");
            see(before.is_newer(), "a commit meets a newer state");
            let idempotent = before.nature.is_idempotent();
            see(!idempotent, "a rotating upstream commits");
            see(idempotent, "an idempotent upstream commits");
        }
        (Call::Abandon(request), Answer::Abandon(AbandonAnswer::Late)) => {
            let late = is_late(request.fence, &request.nonce);
            let raised = new.doubt.contains(Doubt::Unknown) && !old.doubt.contains(Doubt::Unknown);
            see(late && raised, "an unknown outcome of an older claim raises doubt");
            see(late && new == old, "a refusal of an older claim is late");
        }
        (Call::Keep(_), Answer::Keep(KeepAnswer::Republished { .. })) => {
            see(before.reader.is_none(), "the copy is published again");
            see(before.reader.is_some(), "the copy replaces what a stranger wrote");
        }
        (Call::Keep(_), Answer::Keep(KeepAnswer::NoToken { announce })) => {
            see(*announce, "the end of the last token is announced");
            let withdrawn = before.reader.is_some() && after.reader.is_none();
            see(withdrawn, "a token past its life is withdrawn");
        }
        (Call::Report(request), Answer::Report(answer)) => {
            reported(before, request.budget, *answer, new, see);
        }
        (Call::Adopt(request), Answer::Adopt(answer)) => {
            adopted(before, request, *answer, after, see);
        }
        (_, Answer::Newer) => see(true, "a call leaves a newer state alone"),
        _ => {}
    }
}

/// How the state and the reader's key followed a claimant's boot clock.
fn followed(
    before: &History,
    alive: Option<Alive>,
    after: &History,
    see: &mut impl FnMut(bool, &str),
) {
    let old_ms = before.model.expires_at_ms;
    let Some(alive) = alive.filter(|_| before.reader.is_some() && old_ms > 0) else { return };
    let knows_ms = before.now_ms() + alive.for_ms;
    let moved = after.model.expires_at_ms != old_ms;
    let follows = moved && before.reader != after.reader;
    match alive.known {
        Known::Exactly => see(moved && knows_ms > old_ms, "a witness makes a life longer"),
        Known::AtMost => {
            see(follows && knows_ms < old_ms, "a worker that read a token makes its life shorter");
            let longer = knows_ms > old_ms + CLOCK_SLACK_MS;
            see(longer && !moved, "a worker that read a token makes its life no longer");
        }
    }
}

fn reported(
    before: &History,
    budget: u32,
    answer: ReportAnswer,
    new: &State,
    see: &mut impl FnMut(bool, &str),
) {
    match answer {
        ReportAnswer::AlreadyNewer => see(true, "a report is answered with a newer token"),
        ReportAnswer::UnderWay => see(true, "a report is under way"),
        ReportAnswer::Probe => see(true, "a report is told to probe"),
        ReportAnswer::Probing { .. } => see(true, "a report waits for a probe"),
        ReportAnswer::Noted => see(true, "a report is noted"),
        ReportAnswer::StillValid => see(true, "a token that is reported is still valid"),
        ReportAnswer::Marked { from_ms, .. } => {
            let next_day = before.now_ms() + 600_000 < from_ms;
            see(!next_day, "a mark is served at once or after spacing");
            see(next_day && new.report_day == before.day() + 1, "a mark waits for the next day");
            let (old_day, old_count) = (before.model.report_day, before.model.report_count);
            let renewed = old_day > 0 && old_day < before.day() && old_count >= budget;
            see(
                renewed && new.report_day == before.day(),
                "a budget is spent, and new after midnight",
            );
            see(new.strain > 0, "a mark is strained");
        }
    }
}

fn adopted(
    before: &History,
    request: &AdoptRequest,
    answer: AdoptAnswer,
    after: &History,
    see: &mut impl FnMut(bool, &str),
) {
    let (old, new) = (&before.model, &after.model);
    match answer {
        AdoptAnswer::Adopted { .. } if old.nonce == request.nonce => {
            see(true, "a repeated adoption has its fence again");
        }
        AdoptAnswer::Adopted { from_ms, .. } => {
            see(new.unsure_from_ms == 0, "a stranger's token is newer than all that is known");
            see(new.unsure_from_ms > 0, "a stranger's token may be the older");
            let spaced = from_ms >= after.now_ms() + request.rules.spacing_ms;
            see(spaced, "a stranger's token is replaced after spacing");
            see(
                !spaced && from_ms > after.now_ms(),
                "a stranger's token is replaced before its end",
            );
            see(
                from_ms == after.now_ms(),
                "a stranger's token that is not sure is replaced at once",
            );
            see(
                new.rejected == Some(Mark::Forced),
                "a stranger's token is replaced for an operator",
            );
        }
        AdoptAnswer::Doubted => {
            see(old.claim_is_current(after.now_ms()), "a stranger's token is found during a claim");
            see(old.holder_is_dead(after.now_ms()), "a stranger's token is found after a death");
            see(request.epoch == "stale", "a stranger's token is found in another epoch");
            see(
                request.remembered > old.fence,
                "a stranger's token is found by who remembers more",
            );
            let same = old.fingerprint.as_ref() == Some(&request.over);
            see(!same, "a stranger's token stood over an older one");
            see(same && !old.usable(after.now_ms()), "a stranger's token stood over a dead one");
        }
        AdoptAnswer::Superseded => see(true, "a stranger's token is superseded"),
        AdoptAnswer::Paused => see(true, "a stranger's token is found while the unit is paused"),
    }
}

fn states(old: &State, new: &State, see: &mut impl FnMut(bool, &str)) {
    for (doubt, what) in [
        (Doubt::Clock, "doubt of the clock"),
        (Doubt::Epoch, "doubt of the epoch"),
        (Doubt::LostClaim, "doubt of a lost claim"),
        (Doubt::Rewound, "doubt of a fence that went back"),
        (Doubt::ColdStart, "doubt of a cold start"),
        (Doubt::Foreign, "doubt of a stranger"),
    ] {
        see(new.doubt.contains(doubt), what);
    }
    let has = |scope| new.refusals.iter().any(|refusal| refusal.scope == scope);
    see(has(Scope::Worker), "a refusal for a worker");
    see(has(Scope::Configuration), "a refusal for a configuration");
    see(has(Scope::Account), "a refusal for the account");
    see(has(Scope::Transient), "a refusal for all, briefly");
    let misconfigured = |state: &State| {
        state.refusals.iter().filter(|refusal| refusal.status == Status::Misconfigured).count()
    };
    see(misconfigured(new) > 1, "refusals for two configurations");
    see(new.refusals.len() == REFUSALS_MAX, "as many refusals as are kept");
    let full = old.refusals.len() == REFUSALS_MAX && new.refusals.len() == REFUSALS_MAX;
    let key = |state: &State| state.refusals.last().map(|refusal| refusal.key.clone());
    let is_new = !old.refusals.iter().any(|refusal| Some(&refusal.key) == key(new).as_ref());
    see(full && is_new, "a refusal is pushed out");
    let taken_on = new.invalidating > 0 && new.invalidating != old.invalidating;
    see(taken_on, "an invalidation is taken on");
    let waits = new.rejected == Some(Mark::Invalidated) && new.invalidating > 0;
    see(waits, "an invalidation waits for the one before");
}
