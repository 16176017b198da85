//! One transition of the core, with any arguments that an adapter may pass.

use arbitrary::{Arbitrary, Unstructured};
use zhongkong_core::abandon::{AbandonRequest, Outcome};
use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::{CommitAnswer, CommitRequest};
use zhongkong_core::credential::Worker;
use zhongkong_core::keep::{KeepAnswer, ReaderKey};
use zhongkong_core::life::{Alive, Known};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::refusal::{REFUSALS_MAX, Scope, Status};
use zhongkong_core::report::{Evidence, Probed, ReportRequest};
use zhongkong_core::state::{Memory, NUMBER_MAX, OwnClaim, State};
use zhongkong_core::token::{Fingerprint, Token};

/// The longest time of the configuration: a year.
const YEAR_MS: u64 = 366 * 86_400_000;

/// What is asked, and how far the clock moves before it.
#[derive(Debug, Arbitrary)]
pub(crate) struct Transition {
    forth: bool,
    step_us: u64,
    ask: Ask,
    times: Times,
    text: Text,
    number: u64,
    flags: [bool; 4],
}

#[derive(Debug, Arbitrary)]
enum Ask {
    Claim,
    Commit,
    Abandon(u8),
    Keep,
    Force,
    Invalidate,
    Pause,
    Resume,
    Report(u8),
    Adopt,
}

/// A few texts, so that one is met again.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Text {
    Empty,
    A,
    B,
    OfTheState,
}

#[derive(Clone, Copy, Debug)]
struct Times([u64; 6]);

impl<'a> Arbitrary<'a> for Times {
    fn arbitrary(chance: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut times = [0; 6];
        for time in &mut times {
            *time = chance.int_in_range(0..=YEAR_MS)?;
        }
        Ok(Self(times))
    }
}

impl Transition {
    /// Applies it. Returns the store's time after it.
    pub(crate) fn apply(&self, state: &mut State, before_us: u64) -> u64 {
        let step_us = self.step_us % NUMBER_MAX;
        let moved_us = if self.forth {
            before_us.saturating_add(step_us)
        } else {
            before_us.saturating_sub(step_us)
        };
        let time_us = moved_us.min(NUMBER_MAX);
        let (now_ms, rules) = (time_us / 1_000, self.rules());
        match self.ask {
            Ask::Claim => self.claim(state, time_us, rules),
            Ask::Commit => self.commit(state, now_ms),
            Ask::Abandon(how) => {
                let before = state.refusals.len();
                state.abandon(now_ms, &self.abandon(state, how));
                assert!(state.refusals.len() <= REFUSALS_MAX.max(before));
            }
            Ask::Keep => {
                let [ttl_ms, ..] = self.times.0;
                let ttl_ms = Some(ttl_ms).filter(|_| self.flags[0]);
                let key =
                    if self.flags[1] { ReaderKey::Current { ttl_ms } } else { ReaderKey::Absent };
                if let KeepAnswer::Republished { ttl_ms } =
                    state.keep(now_ms, self.alive(state), key)
                {
                    assert!(ttl_ms > 0 && state.token.is_some(), "{state:?}");
                }
            }
            Ask::Force => assert!(state.force(now_ms, &rules) == state.rejected_from_ms),
            Ask::Invalidate => {
                state.invalidate(now_ms, &rules);
            }
            Ask::Pause => state.pause(),
            Ask::Resume => state.resume(),
            Ask::Report(evidence) => {
                state.report(now_ms, &self.report(state, evidence));
            }
            Ask::Adopt => self.adopt(state, time_us, rules),
        }
        time_us
    }

    fn claim(&self, state: &mut State, time_us: u64, rules: Rules) {
        let Ok(name) = "w1".parse() else { return };
        let worker = Worker::new(name, 1);
        let nonce = self.text_of(&state.nonce);
        let repeated = state.nonce == nonce;
        let before = state.fence;
        let viewer = viewer(state, self.number % NUMBER_MAX, self.flags);
        let request = ClaimRequest { worker, nonce, viewer, rules, alive: self.alive(state) };
        if let ClaimAnswer::Claimed { fence, .. } = state.claim(time_us, &request) {
            assert!(fence > before || repeated && fence == before, "{before} {fence}");
            assert!(repeated || state.intent && fence >= time_us);
        }
    }

    fn commit(&self, state: &mut State, now_ms: u64) {
        let [age_ms, life_ms, ahead_ms, spacing_ms, ..] = self.times.0;
        let Ok(token) = Token::new(format!("{}{}", crate::TOKEN, self.number % 4)) else { return };
        let request = CommitRequest {
            fence: if self.flags[0] { state.fence } else { self.number },
            nonce: self.text_of(&state.nonce),
            token,
            age_ms,
            life_ms,
            ahead_ms,
            assumed: self.flags[1],
            spacing_ms,
            idempotent: self.flags[2],
        };
        let (was_open, before) = (state.intent, state.token.clone());
        match state.commit(now_ms, &request) {
            CommitAnswer::Committed { .. } if was_open => {
                assert_eq!(state.token, Some(request.token));
            }
            CommitAnswer::Committed { .. } | CommitAnswer::Fenced => {
                assert_eq!(state.token, before);
            }
        }
    }

    fn abandon(&self, state: &State, how: u8) -> AbandonRequest {
        let [drain_ms, retry_in_ms, ..] = self.times.0;
        let why = self.text_of(&state.error_message);
        let scopes = [Scope::Worker, Scope::Configuration, Scope::Account, Scope::Transient];
        let outcome = match how % 6 {
            0 => Outcome::NotSent { why, retry_in_ms },
            1 => Outcome::Unknown { why, retry_in_ms },
            other => Outcome::Refused {
                scope: scopes[usize::from(other - 2)],
                status: Status::ALL[usize::from(how) % Status::ALL.len()],
                code: i64::from(how),
                message: why,
                retry_in_ms,
            },
        };
        let fence = if self.flags[0] { state.fence } else { self.number };
        AbandonRequest { fence, nonce: self.text_of(&state.nonce), drain_ms, outcome }
    }

    fn report(&self, state: &State, evidence: u8) -> ReportRequest {
        let [probe_ms, spacing_ms, ..] = self.times.0;
        let other = || Fingerprint::of(crate::TOKEN);
        ReportRequest {
            fingerprint: state.fingerprint.clone().unwrap_or_else(other),
            evidence: match evidence % 6 {
                0 => Evidence::Word { probe_ms },
                1 => Evidence::Hearsay,
                2 => Evidence::Checked(Probed::Alive),
                3 => Evidence::Checked(Probed::Dead),
                4 => Evidence::Checked(Probed::CannotTell),
                _ => Evidence::Found,
            },
            spacing_ms,
            budget: u32::try_from(self.number % 200).unwrap_or_default(),
            epoch: self.text_of(&state.epoch),
            again: self.flags[0],
        }
    }

    fn adopt(&self, state: &mut State, time_us: u64, rules: Rules) {
        let Ok(token) = Token::new(format!("{}{}", crate::TOKEN, self.number % 4)) else { return };
        let own = || state.fingerprint.clone().filter(|_| self.flags[0]);
        let (nonce, before, was_open) = (self.text_of(&state.nonce), state.fence, state.intent);
        let repeated = state.nonce == nonce;
        let request = AdoptRequest {
            nonce,
            over: own().unwrap_or_else(|| token.fingerprint()),
            token,
            layout: self.text_of(&state.layout),
            found_at_ms: self.times.0[5],
            epoch: self.text_of(&state.epoch),
            remembered: self.number % NUMBER_MAX,
            rules,
        };
        match state.adopt(time_us, &request) {
            AdoptAnswer::Adopted { fence, .. } if !repeated => {
                assert!(fence > before && fence >= time_us && !was_open, "{before} {fence}");
                assert_eq!(state.token, Some(request.token));
            }
            _ => assert_eq!(state.fence, before),
        }
    }

    const fn rules(&self) -> Rules {
        let [request_timeout_ms, lease_ms, drain_ms, spacing_ms, overlap_ms, _] = self.times.0;
        let nature = if self.flags[3] { Nature::Idempotent } else { Nature::WECHAT };
        Rules { nature, request_timeout_ms, lease_ms, drain_ms, spacing_ms, overlap_ms }
    }

    fn alive(&self, state: &State) -> Option<Alive> {
        let for_ms = self.times.0[5];
        let known = if self.flags[0] { Known::Exactly } else { Known::AtMost };
        self.flags[2].then_some(Alive { token_fence: state.token_fence, for_ms, known })
    }

    fn text_of(&self, of_the_state: &str) -> String {
        match self.text {
            Text::Empty => String::new(),
            Text::A => "a".to_owned(),
            Text::B => "b".to_owned(),
            Text::OfTheState => of_the_state.to_owned(),
        }
    }
}

/// Asks `state` what it asks of nobody else.
pub(crate) fn look(state: &State, now_ms: u64) {
    let rules = Rules {
        nature: Nature::WECHAT,
        request_timeout_ms: 5_000,
        lease_ms: 8_000,
        drain_ms: 60_000,
        spacing_ms: 30_000,
        overlap_ms: 300_000,
    };
    let viewer = viewer(state, NUMBER_MAX, [true; 4]);
    state.outlook(now_ms, &viewer, &rules);
    state.refused_to_all(now_ms, &viewer.configuration, std::slice::from_ref(&viewer.identity));
    let shown = state.clone().without_refusals_of_the_dead(now_ms, &[viewer.identity]);
    assert!(shown.refusals.len() <= state.refusals.len());
}

fn viewer(state: &State, remembered: u64, flags: [bool; 4]) -> Viewer {
    let own = OwnClaim { fence: 0, nonce: "a".to_owned(), epoch: "b".to_owned() };
    Viewer {
        identity: state.holder.clone(),
        configuration: state.configuration.clone(),
        epoch: if flags[0] { state.epoch.clone() } else { "a".to_owned() },
        memory: Memory {
            remembered: if flags[1] { remembered } else { 0 },
            own: flags[2].then_some(own),
        },
    }
}
