//! A worker's way to the upstream of one account: the upstream's port over a network that delays and loses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use zhongkong_core::clock::{Boot, Clock};
use zhongkong_core::codes::SYSTEM_BUSY;
use zhongkong_core::ports::{Fetched, Upstream};
use zhongkong_core::report::Probed;
use zhongkong_core::token::Token;
use zhongkong_history::{Life, Processed, UpstreamEvent};
use zhongkong_simulator::{Answer, Fetch};

use crate::cast::{Secret, secret_text};
use crate::machine::Machine;
use crate::time::WorkerClock;
use crate::weather::Fate;
use crate::world::{TheWorld, World, address, pass};

/// One worker's way to the upstream of one account.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) world: TheWorld,
    pub(crate) machine: Arc<Machine>,
    pub(crate) clock: WorkerClock,
    /// Which account.
    pub(crate) index: usize,
    /// The secret as it was read last.
    pub(crate) secret: Mutex<Secret>,
}

/// One request, on its way.
#[derive(Clone, Copy)]
struct Request {
    index: usize,
    number: usize,
    secret: Secret,
    force: bool,
    call: u64,
}

impl Way {
    fn secret(&self) -> Secret {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cut(&self) -> bool {
        self.world.state().is_cut(self.machine.number).upstream
    }

    fn fate(&self) -> Fate {
        let state = self.world.state();
        state.weather.of_request(&self.world.network, state.hold)
    }

    /// Sends one request; what is sent is on its way whatever becomes of its sender.
    fn send(&self, force: bool) -> oneshot::Receiver<Fetched> {
        let (index, number, secret) = (self.index, self.machine.number, self.secret());
        let call = {
            let mut state = self.world.state();
            state.calls += 1;
            let (call, unit) = (state.calls, state.accounts[index].unit.clone());
            state.enter(self.world.time.ms(), &unit, UpstreamEvent::Received { call, fence: None });
            call
        };
        let request = Request { index, number, secret, force, call };
        let (sender, answer) = oneshot::channel();
        let (world, fate, sent_at) = (Arc::clone(&self.world), self.fate(), self.clock.now());
        self.world.spawn(async move {
            let (out, back) = match fate {
                Fate::Lost => {
                    let at_ms = world.time.ms();
                    let mut state = world.state();
                    let unit = state.accounts[index].unit.clone();
                    state.enter(at_ms, &unit, UpstreamEvent::Unanswered { call });
                    return;
                }
                Fate::Fine { out, back } => (out, Some(back)),
                Fate::Unanswered { out } | Fate::Late { after: out } => (out, None),
            };
            pass(out).await;
            let answer = process(&world, request, sent_at);
            match back {
                Some(back) if !world.state().is_cut(number).upstream => {
                    pass(back).await;
                    // Whoever has given up needs no answer.
                    sender.send(answer).ok();
                }
                _ => world.note(format!("the answer to call {call} is lost")),
            }
        });
        answer
    }
}

/// The upstream receives a request and processes it, in one step.
fn process(world: &World, request: Request, sent_at: Boot) -> Fetched {
    let (at_ms, unix_ms) = (world.time.ms(), world.time.unix_ms());
    let mut state = world.state();
    let Request { index, number, secret, force, call } = request;
    let busy = state.weather.upstream && world.network.happens(100);
    let account = &mut state.accounts[index];
    let unit = account.unit.clone();
    let (app_id, pool, secret) = (account.app_id().to_owned(), account.pool, secret_text(secret));
    let fetch = Fetch { app_id: &app_id, secret: &secret, pool, force, caller: address(number) };
    let answer = if busy {
        let errcode = i32::try_from(SYSTEM_BUSY).unwrap_or(-1);
        Answer::Refused { errcode, errmsg: "system error".to_owned() }
    } else {
        account.platform.fetch(fetch, unix_ms)
    };
    let (outcome, fetched) = match answer {
        Answer::Token { token, expires_in, minted } => {
            let fingerprint = token.fingerprint.clone();
            let outcome = if minted {
                // How it really ends is known at the end.
                let life = Life { fingerprint, dies_at_ms: u64::MAX, why: String::new() };
                Processed::Issued(life)
            } else {
                Processed::Returned { fingerprint }
            };
            let life = Some(Duration::from_secs(expires_in)).filter(|life| !life.is_zero());
            let fetched = match Token::new(token.value) {
                Ok(token) => Fetched::Token { token, life, sent_at },
                Err(error) => Fetched::Unknown { why: error.to_string(), code: None },
            };
            (outcome, fetched)
        }
        Answer::Refused { errcode, errmsg } => {
            let code = i64::from(errcode);
            let fetched = if code == SYSTEM_BUSY {
                Fetched::Unknown { why: errmsg, code: Some(code) }
            } else {
                Fetched::Refused { code, message: errmsg }
            };
            (Processed::Refused { code }, fetched)
        }
    };
    state.enter(at_ms, &unit, UpstreamEvent::Processed { call, outcome });
    world.look(&mut state);
    fetched
}

#[async_trait]
impl Upstream for Way {
    fn configuration(&self) -> String {
        format!("configuration-{}", self.secret())
    }

    async fn reread_secret(&self) -> bool {
        self.machine.gate.pass().await;
        let file = self.world.state().accounts[self.index].file(self.machine.number);
        let mut secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *secret, file) != file
    }

    async fn fetch(&self, send_by: Boot, timeout: Duration, invalidate: bool) -> Fetched {
        let not_sent = |why: &str| Fetched::NotSent { why: why.to_owned() };
        self.machine.gate.pass().await;
        if self.is_cut() {
            pass(timeout).await;
            self.machine.gate.pass().await;
            return not_sent("connecting took too long");
        }
        pass(self.world.network.ms(5..=60)).await;
        self.machine.gate.pass().await;
        if self.clock.now() > send_by {
            return not_sent("the deadline has passed");
        }
        self.machine.reach(&self.world, "after_check").await;
        let answer = self.send(invalidate);
        self.machine.reach(&self.world, "after_send").await;
        let answer = tokio::time::timeout(timeout, answer).await;
        self.machine.reach(&self.world, "after_answer").await;
        match answer {
            Ok(Ok(fetched)) => fetched,
            _ => Fetched::Unknown { why: "no answer in time".to_owned(), code: None },
        }
    }

    fn has_probe(&self) -> bool {
        true
    }

    async fn probe(&self, token: &Token, timeout: Duration) -> Probed {
        self.machine.gate.pass().await;
        let fate = self.fate();
        let verdict = match fate {
            Fate::Fine { out, back } if !self.is_cut() => {
                pass(out).await;
                let unix_ms = self.world.time.unix_ms();
                let alive = {
                    let state = self.world.state();
                    let found = state.accounts[self.index].platform.token(token.expose());
                    found.is_some_and(|token| token.is_alive(unix_ms))
                };
                pass(back).await;
                if alive { Probed::Alive } else { Probed::Dead }
            }
            _ => {
                pass(timeout).await;
                Probed::CannotTell
            }
        };
        self.machine.gate.pass().await;
        verdict
    }
}
