//! What the credential's history keeps of a call, as code: the table of its entries in ARCHITECTURE.md.

use zhongkong_core::abandon::{AbandonAnswer, Outcome};
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::ClaimAnswer;
use zhongkong_core::commit::CommitAnswer;
use zhongkong_core::credential::Kind;
use zhongkong_core::doubt::{Doubt, Doubts};
use zhongkong_core::force::InvalidateAnswer;
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::outlook::Reason;
use zhongkong_core::report::{Evidence, Probed, ReportAnswer, ReportRequest};
use zhongkong_core::state::State;
use zhongkong_core::token::Fingerprint;
use zhongkong_redis::{EntryId, HISTORY_MAX, HistoryEntry};

use crate::call::{Answer, Call};

/// Who does what is not a claim's outcome; and who asks for what an operator asks for.
pub(crate) const RECORDER: &str = "recorder";
pub(crate) const OPERATOR: &str = "operator@host";

/// So many of the last entries are looked at for one like the new one.
const LOOKED_BACK: usize = 8;
/// What is counted where it comes again and again.
const COUNTED: [&str; 9] = [
    "unchanged",
    "refused",
    "unknown",
    "not_sent",
    "fenced",
    "unfinished",
    "doubted",
    "reported",
    "kept",
];

/// An entry without its name, which is the stream's to give.
fn line(what: &str, by: &str, now_ms: u64) -> HistoryEntry {
    HistoryEntry {
        entry: unnamed(),
        time_ms: now_ms,
        kind: Kind::AccessToken,
        what: what.to_owned(),
        by: by.to_owned(),
        reason: String::new(),
        fence: 0,
        generation: 0,
        fingerprint: String::new(),
        life_ms: 0,
        took_ms: 0,
        doubt: String::new(),
        scope: String::new(),
        status: String::new(),
        code: None,
        message: String::new(),
        retry_at_ms: 0,
        times: 1,
        since_ms: 0,
        layout: String::new(),
    }
}

fn unnamed() -> EntryId {
    "0-0".parse().unwrap()
}

/// `entry` as it is compared: without its name, and with what a reason of a newer version is read as.
pub(crate) fn compared(entry: HistoryEntry) -> HistoryEntry {
    let doubt = entry.doubt.parse::<Doubts>().unwrap().to_string();
    HistoryEntry { entry: unnamed(), doubt, ..entry }
}

fn text(fingerprint: Option<&Fingerprint>) -> String {
    fingerprint.map(ToString::to_string).unwrap_or_default()
}

/// The entries that `call` adds, in their order, `before` and `after` being the states around it.
pub(crate) fn expected(
    (call, answer): (&Call, &Answer),
    (before, after): (&State, &State),
    now_ms: u64,
) -> Vec<HistoryEntry> {
    let open_claim = |what: &str| HistoryEntry {
        reason: before.reason.map_or("", Reason::name).to_owned(),
        fence: before.fence,
        ..line(what, &before.worker, now_ms)
    };
    let about_the_token = |what: &str, by: &str| HistoryEntry {
        fingerprint: text(after.fingerprint.as_ref()),
        ..line(what, by, now_ms)
    };
    let marked = |what: &str| HistoryEntry {
        retry_at_ms: after.rejected_from_ms,
        ..about_the_token(what, OPERATOR)
    };
    match (call, answer) {
        (Call::Claim(request), Answer::Claim(ClaimAnswer::Claimed { fence, raised, .. }, _)) => {
            if before.exists() && before.nonce == request.nonce {
                return vec![];
            }
            let mut lines = Vec::new();
            if before.intent {
                lines.push(open_claim("unfinished"));
            }
            let told: Doubts = raised.iter().filter(|doubt| *doubt != Doubt::Takeover).collect();
            if !told.is_empty() {
                let doubted = line("doubted", request.worker.name.as_str(), now_ms);
                lines.push(HistoryEntry { fence: *fence, doubt: told.to_string(), ..doubted });
            }
            lines
        }
        (Call::Commit(request), Answer::Commit(answer)) => {
            let fetched = HistoryEntry {
                fingerprint: request.token.fingerprint().to_string(),
                took_ms: request.age_ms,
                ..line("fenced", RECORDER, now_ms)
            };
            match answer {
                CommitAnswer::Fenced => vec![HistoryEntry { fence: request.fence, ..fetched }],
                CommitAnswer::Committed { .. } if !before.intent => vec![],
                CommitAnswer::Committed { generation, changed } => vec![HistoryEntry {
                    fingerprint: fetched.fingerprint,
                    took_ms: fetched.took_ms,
                    life_ms: request.life_ms,
                    generation: *generation,
                    doubt: after.doubt.to_string(),
                    ..open_claim(if *changed { "refreshed" } else { "unchanged" })
                }],
            }
        }
        (Call::Abandon(request), Answer::Abandon(AbandonAnswer::Late)) => {
            let own =
                before.fence > 0 && before.fence == request.fence && before.nonce == request.nonce;
            match &request.outcome {
                Outcome::Unknown { why, .. } if !own => vec![HistoryEntry {
                    fence: request.fence,
                    message: why.clone(),
                    ..line("unknown", RECORDER, now_ms)
                }],
                _ => vec![],
            }
        }
        (Call::Abandon(request), Answer::Abandon(AbandonAnswer::Recorded)) => {
            let ended = |what, message: &String, retry_in_ms| HistoryEntry {
                message: message.clone(),
                retry_at_ms: now_ms + retry_in_ms,
                ..open_claim(what)
            };
            vec![match &request.outcome {
                Outcome::NotSent { why, retry_in_ms } => ended("not_sent", why, retry_in_ms),
                Outcome::Unknown { why, retry_in_ms } => ended("unknown", why, retry_in_ms),
                Outcome::Refused { scope, status, code, message, retry_in_ms } => HistoryEntry {
                    scope: scope.as_str().to_owned(),
                    status: status.as_str().to_owned(),
                    code: Some(*code),
                    ..ended("refused", message, retry_in_ms)
                },
            }]
        }
        (_, Answer::Keep(KeepAnswer::Republished { .. })) => {
            vec![about_the_token("kept", RECORDER)]
        }
        (_, Answer::Keep(KeepAnswer::NoToken { announce: true })) => {
            vec![about_the_token("lost", RECORDER)]
        }
        (_, Answer::Force(_)) => vec![marked("forced")],
        (_, Answer::Invalidate(InvalidateAnswer::Marked { .. })) => vec![marked("invalidated")],
        (Call::Pause, Answer::Pause) if !before.is_paused() || !before.exists() => {
            vec![about_the_token("paused", OPERATOR)]
        }
        (Call::Resume, Answer::Pause) if before.is_paused() => {
            vec![about_the_token("resumed", OPERATOR)]
        }
        (Call::Adopt(request), Answer::Adopt(answer)) => {
            adopted(request, *answer, (before, after), now_ms)
        }
        (Call::Report(request), Answer::Report(ReportAnswer::Marked { foreign, .. })) => {
            reported(request, *foreign, (before, after), now_ms)
        }
        _ => vec![],
    }
}

/// The entry that a token of somebody else's adds.
fn adopted(
    request: &AdoptRequest,
    answer: AdoptAnswer,
    (before, after): (&State, &State),
    now_ms: u64,
) -> Vec<HistoryEntry> {
    let found = |what| HistoryEntry {
        fingerprint: request.token.fingerprint().to_string(),
        layout: request.layout.clone(),
        ..line(what, RECORDER, now_ms)
    };
    match answer {
        AdoptAnswer::Adopted { fence, from_ms } if before.fence != fence => vec![HistoryEntry {
            fence,
            generation: after.generation,
            life_ms: after.expires_at_ms - now_ms,
            doubt: after.doubt.to_string(),
            retry_at_ms: from_ms,
            ..found("adopted")
        }],
        AdoptAnswer::Doubted if !before.doubt.contains(Doubt::Foreign) => {
            vec![HistoryEntry { doubt: "foreign".to_owned(), ..found("doubted") }]
        }
        _ => vec![],
    }
}

/// The entry that a report adds which marked the token.
fn reported(
    request: &ReportRequest,
    foreign: bool,
    (before, after): (&State, &State),
    now_ms: u64,
) -> Vec<HistoryEntry> {
    let evidence = match request.evidence {
        Evidence::Word { .. } => "word",
        Evidence::Hearsay => "hearsay",
        Evidence::Checked(Probed::Alive) => "alive",
        Evidence::Checked(Probed::Dead) => "dead",
        Evidence::Checked(Probed::CannotTell) => "cannot_tell",
        Evidence::Found => "found",
    };
    if before.rejected.is_some() && !["dead", "found"].contains(&evidence) {
        return vec![];
    }
    vec![HistoryEntry {
        reason: evidence.to_owned(),
        fingerprint: request.fingerprint.to_string(),
        doubt: if foreign { "foreign".to_owned() } else { String::new() },
        retry_at_ms: after.rejected_from_ms,
        ..line("reported", RECORDER, now_ms)
    }]
}

/// Adds `line` to what is kept, oldest first: one like it takes its place, and what is too old goes.
pub(crate) fn add(kept: &mut Vec<HistoryEntry>, mut line: HistoryEntry) {
    let alike = |old: &HistoryEntry, new: &HistoryEntry| {
        let of = |entry: &HistoryEntry| {
            let HistoryEntry { what, by, reason, fingerprint, doubt, scope, status, code, .. } =
                entry.clone();
            ([what, by, reason, fingerprint, doubt, scope, status], code)
        };
        of(old) == of(new)
    };
    if COUNTED.contains(&line.what.as_str()) {
        let last = kept.iter().rposition(|old| old.what == "refreshed").map_or(0, |at| at + 1);
        let from = last.max(kept.len().saturating_sub(LOOKED_BACK));
        if let Some(place) = kept[from..].iter().rposition(|old| alike(old, &line)) {
            let old = kept.remove(from + place);
            line.times = (old.times + 1).min(u64::from(u32::MAX));
            line.since_ms = if old.times > 1 { old.since_ms } else { old.time_ms };
        }
    }
    kept.push(line);
    kept.drain(..kept.len().saturating_sub(HISTORY_MAX));
}
