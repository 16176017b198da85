//! What workers ask of the store: how a step becomes a call, and what the core says to it.

use zhongkong_core::abandon::{AbandonAnswer, AbandonRequest, Outcome};
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::{CommitAnswer, CommitRequest};
use zhongkong_core::force::InvalidateAnswer;
use zhongkong_core::keep::{KeepAnswer, ReaderKey};
use zhongkong_core::life::{Alive, Known};
use zhongkong_core::refusal::{Scope, Status};
use zhongkong_core::report::{Evidence, Probed, ReportAnswer, ReportRequest};
use zhongkong_core::state::State;
use zhongkong_core::token::{Fingerprint, Token};

use crate::events;
use crate::lines;
use crate::reference::{Epochs, History, Key};
use crate::step::{AdoptStep, Step};

/// A call with all of its arguments: it may be sent again.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Claim(ClaimRequest),
    Commit(CommitRequest),
    Abandon(AbandonRequest),
    Keep(Option<Alive>),
    Force,
    Invalidate,
    Pause,
    Resume,
    Report(ReportRequest),
    Adopt(AdoptRequest),
    Forget,
}

/// What a call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With the epoch in which it was made.
    Claim(ClaimAnswer, String),
    Commit(CommitAnswer),
    Abandon(AbandonAnswer),
    Keep(KeepAnswer),
    /// Served from then on.
    Force(u64),
    Invalidate(InvalidateAnswer),
    Pause,
    Report(ReportAnswer),
    Adopt(AdoptAnswer),
    /// So many keys are gone.
    Forget(u32),
    /// The state is a newer version's, and left alone.
    Newer,
}

/// A call, its answer, and what everybody hears of it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    pub(crate) events: Vec<&'static str>,
}

/// A token by its number. One of them has the length that the upstream asks room for.
pub(crate) fn token_text(number: u8) -> String {
    let padding = if number == 3 { "x".repeat(504) } else { String::new() };
    format!("TOKEN-{number}{padding}")
}

impl History {
    /// The call that `step` is; none if it is somebody else's doing.
    pub(crate) fn call_of(&mut self, step: &Step) -> Option<Call> {
        let spacing_ms = self.rules().spacing_ms;
        Some(match *step {
            Step::Claim(ref step) => {
                let (worker, viewer) = self.claimant(step);
                let alive = step.life.map(|life| self.alive(life));
                let (nonce, rules) = (self.nonce(step.repeat), self.rules());
                Call::Claim(ClaimRequest { worker, nonce, viewer, rules, alive })
            }
            Step::Commit { claim, token, age_ms, life_ms } => {
                let (fence, nonce) = self.picked(claim);
                Call::Commit(CommitRequest {
                    fence,
                    nonce,
                    token: Token::new(token_text(token)).unwrap(),
                    age_ms,
                    life_ms,
                    ahead_ms: life_ms / 4,
                    assumed: token == 3,
                    idempotent: self.nature.is_idempotent(),
                    spacing_ms,
                })
            }
            Step::Abandon { claim, how, retry_in_ms } => {
                let (fence, nonce) = self.picked(claim);
                let (drain_ms, outcome) = (self.rules().drain_ms, outcome(how, retry_in_ms));
                Call::Abandon(AbandonRequest { fence, nonce, drain_ms, outcome })
            }
            Step::Keep { life } => Call::Keep(life.map(|life| self.alive(life))),
            Step::Force => Call::Force,
            Step::Invalidate => Call::Invalidate,
            Step::Pause { resume: false } => Call::Pause,
            Step::Pause { resume: true } => Call::Resume,
            Step::Report { token, evidence, budget } => {
                Call::Report(self.report_of(token, evidence, budget))
            }
            Step::Adopt(ref step) => Call::Adopt(self.adoption(step)),
            Step::Forget => Call::Forget,
            Step::Again { back } => self.calls.iter().rev().nth(usize::from(back))?.clone(),
            _ => return None,
        })
    }

    fn alive(&self, (for_ms, known): (u64, Known)) -> Alive {
        Alive { token_fence: self.model.token_fence, for_ms, known }
    }

    fn report_of(&self, token: u8, evidence: u8, budget: u32) -> ReportRequest {
        // Mostly the current token: the others are answered alike.
        let current = self.model.fingerprint.clone().filter(|_| token < 4);
        let fingerprint = current.unwrap_or_else(|| Fingerprint::of(&token_text(token)));
        let evidence = match evidence {
            0 | 1 => Evidence::Word { probe_ms: 1_000 * u64::from(evidence) },
            2 => Evidence::Checked(Probed::Alive),
            3 => Evidence::Checked(Probed::Dead),
            4 => Evidence::Checked(Probed::CannotTell),
            5 => Evidence::Hearsay,
            _ => Evidence::Found,
        };
        let epoch = if token == 3 { String::new() } else { self.epoch() };
        let (spacing_ms, again) = (self.rules().spacing_ms, token == 2);
        ReportRequest { fingerprint, evidence, spacing_ms, budget, epoch, again }
    }

    fn adoption(&mut self, step: &AdoptStep) -> AdoptRequest {
        let AdoptStep { token, of_another, ago_ms, stale, ahead } = *step;
        let own = self.model.fingerprint.clone().filter(|_| !of_another);
        let off = self.epochs == Epochs::Off;
        AdoptRequest {
            nonce: self.nonce(false),
            token: Token::new(token_text(token)).unwrap(),
            over: own.unwrap_or_else(|| Fingerprint::of("another")),
            layout: format!("sdk-{token}"),
            found_at_ms: self.now_ms().saturating_add_signed(-ago_ms),
            epoch: if stale && !off { "stale".to_owned() } else { self.epoch() },
            remembered: if ahead { self.model.fence + 5 } else { self.model.fence },
            rules: self.rules(),
        }
    }

    /// Applies `call` as the core and the documents say.
    pub(crate) fn perform(&mut self, call: Call) -> Told {
        self.calls.push(call.clone());
        let before = self.model.clone();
        let answer = self.answer(&call);
        // What a later reading cannot read counts as absent from now on.
        let fields = self.model.to_fields();
        self.model = State::from_fields(fields.iter().map(|(name, text)| (*name, text.as_str())));
        let events = events::expected(&call, &answer, &before);
        let lines = lines::expected((&call, &answer), (&before, &self.model), self.now_ms());
        for line in lines {
            lines::add(&mut self.kept, line);
        }
        Told { call, answer, events }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        let (now_ms, rules) = (self.now_ms(), self.rules());
        // A claim says which version it met, an outcome must be recorded, and the rest leaves a newer state alone.
        if self.is_newer() {
            match call {
                Call::Claim(_) | Call::Commit(_) | Call::Abandon(_) | Call::Forget => {}
                Call::Keep(_) => return Answer::Keep(KeepAnswer::Kept),
                _ => return Answer::Newer,
            }
        }
        match call {
            Call::Claim(request) => self.claim(request),
            Call::Commit(request) => self.commit(request),
            Call::Abandon(request) => {
                let answer = self.model.abandon(now_ms, request);
                if answer == AbandonAnswer::Recorded {
                    self.lock = None;
                }
                self.note_outcome(request.fence, &request.nonce);
                Answer::Abandon(answer)
            }
            Call::Keep(alive) => {
                let key = self.reader_key();
                let answer = self.model.keep(now_ms, *alive, key);
                if let (KeepAnswer::Republished { ttl_ms }, Some(token)) =
                    (answer, &self.model.token)
                {
                    self.reader = Some(Key::text(token.expose(), now_ms + ttl_ms));
                }
                if let (KeepAnswer::NoToken { .. }, ReaderKey::Current { .. }) = (answer, key) {
                    self.reader = None;
                }
                Answer::Keep(answer)
            }
            Call::Force => Answer::Force(self.model.force(now_ms, &rules)),
            Call::Invalidate => Answer::Invalidate(self.model.invalidate(now_ms, &rules)),
            Call::Pause => {
                self.model.pause();
                Answer::Pause
            }
            Call::Resume => {
                self.model.resume();
                Answer::Pause
            }
            Call::Report(request) => Answer::Report(self.model.report(now_ms, request)),
            Call::Adopt(request) => {
                let before = self.model.fence;
                let answer = self.model.adopt(self.now_us, request);
                if self.model.fence != before {
                    let token = request.token.expose();
                    self.reader = Some(Key::text(token, self.model.expires_at_ms));
                }
                Answer::Adopt(answer)
            }
            Call::Forget => {
                let there = [
                    !self.model.to_fields().is_empty(),
                    self.reader.is_some(),
                    self.lock.is_some(),
                    !self.kept.is_empty(),
                ];
                self.model = State::default();
                self.kept.clear();
                (self.reader, self.lock) = (None, None);
                Answer::Forget(there.into_iter().map(u32::from).sum())
            }
        }
    }

    fn claim(&mut self, request: &ClaimRequest) -> Answer {
        let mut request = request.clone();
        if self.epochs == Epochs::Read {
            // The script reads it, whatever the worker believes.
            request.viewer.epoch = self.epoch();
        }
        let repeated = self.model.exists() && self.model.nonce == request.nonce;
        let (now_ms, found_ms) = (self.now_ms(), self.model.expires_at_ms);
        let answer = self.model.claim(self.now_us, &request);
        if let Some(ttl_ms) = self.model.cut_ttl_ms(found_ms, now_ms)
            && matches!(self.reader_key(), ReaderKey::Current { .. })
        {
            let token = self.model.token.as_ref().map_or("", Token::expose);
            self.reader = Some(Key::text(token, now_ms + ttl_ms)).filter(|_| ttl_ms > 0);
        }
        if let ClaimAnswer::Claimed { fence, .. } = answer
            && !repeated
        {
            let text = format!("{fence}:{}", request.worker.name);
            self.lock = Some(Key::text(text, self.now_ms() + request.rules.lease_ms));
            self.note_claim(request.worker.identity, fence, request.nonce);
        }
        Answer::Claim(answer, request.viewer.epoch)
    }

    fn commit(&mut self, request: &CommitRequest) -> Answer {
        let was_open = self.model.intent;
        let answer = self.model.commit(self.now_ms(), request);
        if matches!(answer, CommitAnswer::Committed { .. }) && was_open {
            self.lock = None;
            if self.model.expires_at_ms > self.now_ms() {
                let token = request.token.expose();
                self.reader = Some(Key::text(token, self.model.expires_at_ms));
            }
        }
        self.note_outcome(request.fence, &request.nonce);
        Answer::Commit(answer)
    }

    /// What the reader's key holds, as a keep sees it.
    pub(crate) fn reader_key(&self) -> ReaderKey {
        let Some(key) = &self.reader else { return ReaderKey::Absent };
        let own = self.model.token.as_ref().map(Token::expose);
        if own.is_none() || key.text.as_deref() != own {
            return ReaderKey::Other;
        }
        let now_ms = self.now_ms();
        ReaderKey::Current { ttl_ms: key.dies_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms)) }
    }
}

fn outcome(how: u8, retry_in_ms: u64) -> Outcome {
    let why = "it \"broke\" / 坏了".to_owned();
    let (scope, status, code) = match how {
        0 | 1 => return Outcome::NotSent { why, retry_in_ms },
        2 => return Outcome::Unknown { why, retry_in_ms },
        3 => (Scope::Worker, Status::IpNotAllowed, 40164),
        4 => (Scope::Configuration, Status::Misconfigured, 40125),
        5 => (Scope::Account, Status::Throttled, 45009),
        _ => (Scope::Transient, Status::Retrying, -7),
    };
    Outcome::Refused { scope, status, code, message: why, retry_in_ms }
}
