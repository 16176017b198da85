//! Steps: what an action does to a world, or that it cannot happen there.

use zhongkong_core::claim::ClaimAnswer;
use zhongkong_core::commit::CommitAnswer;
use zhongkong_core::keep::{KeepAnswer, ReaderKey};
use zhongkong_core::report::{Evidence, Probed};
use zhongkong_core::state::{OwnClaim, State};

use crate::action::Action;
use crate::bounds::{Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::store::Ended;
use crate::switch::Switch;
use crate::time::NOW_MS;
use crate::upstream::Request;
use crate::world::{Claim, Hand, Phase, World};

/// A reader uses what it read for so many ticks.
const COPY_LASTS: u8 = 1;

impl World {
    /// The world after `action`; none if that cannot happen, or changes nothing.
    pub fn after(&self, protocol: &Protocol, action: Action) -> Option<Self> {
        self.allows(protocol, action).then(|| self.clone().into_after(protocol, action)).flatten()
    }

    /// The same, of an action that [`Self::allows`].
    pub(crate) fn into_after(mut self, protocol: &Protocol, action: Action) -> Option<Self> {
        self.happened = Happened::default();
        self.step(protocol, action).then_some(self)
    }

    fn step(&mut self, protocol: &Protocol, action: Action) -> bool {
        match action {
            Action::Tick => self.tick(protocol),
            Action::Claim(w) => return self.claims(protocol, w),
            Action::ClaimUnheard(w) => return self.claims_unheard(protocol, w),
            Action::Repeat(w) => self.repeats(protocol, w),
            Action::GiveUp(w) => self.gives_up(w),
            Action::Check(w) => {
                self.left.spend(Fault::Stall);
                if let Phase::Held { checked, .. } = &mut self.workers[w].phase {
                    *checked = true;
                }
            }
            Action::Send(w) => self.sends(protocol, w),
            Action::NotSent(w) => self.ends_as(protocol, w, Ended::NotSent),
            Action::Process(i) => self.processes(protocol, i),
            Action::Refuse(i) => {
                self.left.spend(Fault::Refusal);
                let waiter = self.upstream.requests.remove(i).waiter;
                return waiter.is_some_and(|w| {
                    self.ends_as(protocol, usize::from(w), Ended::Refused);
                    true
                });
            }
            Action::Timeout(w) => self.ends_as(protocol, w, Ended::Unknown),
            Action::Commit(w) => self.commits(protocol, w, true),
            Action::CommitUnheard(w) => {
                self.left.spend(Fault::LostReply);
                self.commits(protocol, w, false);
            }
            Action::Hear(w) => return self.hears(w),
            Action::Crash(w) => {
                // A worker in no refresh that starts again forgets what it knew; no more is lost with it.
                if self.workers[w].phase != Phase::Idle {
                    self.left.spend(Fault::Crash);
                }
                self.leave(w);
                let astray = self.workers[w].astray;
                self.workers[w] = Hand { astray, ..Hand::default() };
            }
            Action::Replay(w) => return self.replays(protocol, w),
            Action::Replicate => return self.replicates(),
            Action::Failover => {
                self.left.spend(Fault::Failover);
                self.fails_over(protocol);
            }
            Action::SplitBrain => {
                self.left.spend(Fault::SplitBrain);
                self.splits(protocol);
            }
            Action::Meet(w) => self.workers[w].astray = false,
            Action::Demote => {
                self.split = false;
                self.workers.iter_mut().for_each(|worker| worker.astray = false);
            }
            Action::Wipe => {
                self.left.spend(Fault::Wipe);
                let primary = &mut self.nodes[self.primary];
                primary.state = State::default();
                primary.published = false;
            }
            Action::ClockBack => {
                self.left.spend(Fault::ClockBack);
                self.move_clock(-1);
            }
            Action::ClockForward => {
                self.left.spend(Fault::ClockForward);
                self.move_clock(2);
            }
            Action::Report => {
                self.left.spend(Fault::Report);
                let token = names::token_id(self.state().fingerprint.as_ref());
                let lives = self.upstream.honours(token);
                let probed = if lives { Probed::Alive } else { Probed::Dead };
                return self.report(protocol, Evidence::Checked(probed)).is_some();
            }
            Action::ReportUnchecked => {
                self.left.spend(Fault::Report);
                let evidence = Evidence::Checked(Probed::CannotTell);
                return self.report(protocol, evidence).is_some();
            }
            Action::Probe => return self.probes(protocol),
            Action::Force => {
                self.left.spend(Fault::Force);
                let primary = self.primary;
                self.nodes[primary].state.force(NOW_MS, &protocol.rules);
            }
            Action::Evict => {
                self.left.spend(Fault::Evict);
                self.nodes[self.primary].published = false;
            }
            Action::Keep(w) => return self.keeps(w),
            Action::Foreign => self.fetches_outside(protocol),
            Action::Write => self.writes_outside(),
            Action::Try => self.tries_what_it_found(),
            Action::Adopt(w) => self.adopts(protocol, w),
            Action::Read => return self.reads(),
        }
        true
    }

    fn tick(&mut self, protocol: &Protocol) {
        let bounds = &protocol.bounds;
        self.move_clock(1);
        self.upstream.pass(bounds);
        let past_deadline = bounds.lease.saturating_add(1);
        let oldest = bounds.request_counts();
        for worker in &mut self.workers {
            match &mut worker.phase {
                Phase::Idle => {}
                Phase::Asking { age, .. } | Phase::Held { age, .. } => {
                    *age = past_deadline.min(*age + 1);
                }
                Phase::Sent { age, .. } | Phase::Answered { age, .. } => {
                    *age = oldest.min(*age + 1);
                }
            }
            if let Some((_, left)) = &mut worker.witness {
                *left = left.saturating_sub(1);
            }
        }
        if let Some(stranger) = &mut self.stranger {
            stranger.pass(bounds);
        }
        self.copy = self.copy.map(|(token, age)| (token, age + 1));
        self.copy = self.copy.filter(|(_, age)| *age <= COPY_LASTS);
    }

    fn claims(&mut self, protocol: &Protocol, w: usize) -> bool {
        let node = self.node_of(w);
        let (nonce, epoch) = (self.fresh_nonce(), self.nodes[node].epoch);
        let expires_at_ms = self.nodes[node].state.expires_at_ms;
        if let ClaimAnswer::Claimed { fence, .. } = self.claim(protocol, w, nonce) {
            let claim = Claim { fence, nonce, epoch };
            self.workers[w].phase =
                Phase::Held { claim, age: 0, acknowledged: false, checked: false };
            return true;
        }
        // A claim that is not granted may move the token's instants all the same.
        let followed = self.nodes[node].state.expires_at_ms != expires_at_ms;
        if followed {
            self.happened.add(Happened::FOLLOWED);
            self.sees(w, epoch);
        }
        followed
    }

    fn claims_unheard(&mut self, protocol: &Protocol, w: usize) -> bool {
        self.left.spend(Fault::LostReply);
        let (nonce, epoch) = (self.fresh_nonce(), self.nodes[self.node_of(w)].epoch);
        let answer = self.claim(protocol, w, nonce);
        self.workers[w].phase = Phase::Asking { nonce, age: 0, epoch };
        matches!(answer, ClaimAnswer::Claimed { .. })
    }

    fn repeats(&mut self, protocol: &Protocol, w: usize) {
        let Phase::Asking { nonce, age, .. } = self.workers[w].phase else { return };
        let node = self.node_of(w);
        let epoch = self.nodes[node].epoch;
        let age = if protocol.lacks(Switch::FirstSending) { 0 } else { age };
        let answer = self.claim(protocol, w, nonce);
        if let ClaimAnswer::Claimed { fence, .. } = answer {
            let claim = Claim { fence, nonce, epoch };
            self.workers[w].phase = Phase::Held { claim, age, acknowledged: false, checked: false };
        } else {
            self.workers[w].phase = Phase::Idle;
            self.sees(w, epoch);
        }
    }

    fn gives_up(&mut self, w: usize) {
        let Phase::Asking { nonce, epoch, .. } = self.workers[w].phase else { return };
        let own = OwnClaim { fence: 0, nonce: names::text(nonce), epoch: names::text(epoch) };
        let worker = &mut self.workers[w];
        worker.recollection.claimed(own);
        worker.phase = Phase::Idle;
    }

    fn sends(&mut self, protocol: &Protocol, w: usize) {
        let Phase::Held { claim, .. } = self.workers[w].phase else { return };
        if self.split && self.workers[w].astray {
            self.happened.add(Happened::ASTRAY);
        }
        let waiter = u8::try_from(w).ok();
        let request = Request { age: 0, waiter, sender: self.called[w] };
        self.upstream.requests.push(request);
        if protocol.lacks(Switch::OneSend) {
            self.upstream.requests.push(Request { waiter: None, ..request });
        }
        self.workers[w].phase = Phase::Sent { claim, age: 0 };
    }

    fn processes(&mut self, protocol: &Protocol, i: usize) {
        let request = self.upstream.requests.remove(i);
        let fresh = self.fresh_token();
        let (token, life) = self.upstream.process(&protocol.bounds, fresh);
        let Some(worker) = request.waiter.map(|w| &mut self.workers[usize::from(w)]) else {
            return;
        };
        if let Phase::Sent { claim, age } = worker.phase {
            worker.phase = Phase::Answered { claim, age, token, life };
        }
    }

    /// Worker `w` waits for no request any more.
    fn leave(&mut self, w: usize) {
        let waits = u8::try_from(w).ok();
        let requests = self.upstream.requests.iter_mut();
        requests.filter(|r| r.waiter == waits).for_each(|request| request.waiter = None);
    }

    fn ends_as(&mut self, protocol: &Protocol, w: usize, ended: Ended) {
        let claim = match self.workers[w].phase {
            Phase::Held { claim, .. }
            | Phase::Sent { claim, .. }
            | Phase::Answered { claim, .. } => claim,
            Phase::Idle | Phase::Asking { .. } => return,
        };
        self.leave(w);
        self.abandon(protocol, w, claim, ended);
        self.ends(w, claim, true);
    }

    fn commits(&mut self, protocol: &Protocol, w: usize, heard: bool) {
        let Phase::Answered { claim, age, token, life } = self.workers[w].phase else { return };
        if protocol.bounds.life.is_some() && age >= life {
            self.ends_as(protocol, w, Ended::Unknown);
            return;
        }
        let answer = self.commit(protocol, w, claim, (token, life), age);
        let committed = matches!(answer, CommitAnswer::Committed { .. });
        if heard {
            if committed && protocol.witnessed_life().is_some() {
                self.workers[w].witness = Some((claim.fence, life - age));
            }
            self.ends(w, claim, committed);
        }
    }

    /// Worker `w` ends its refresh, and remembers its claim (rule R7), as the worker's loop does.
    fn ends(&mut self, w: usize, claim: Claim, observed: bool) {
        let Claim { fence, nonce, epoch } = claim;
        let own = OwnClaim { fence, nonce: names::text(nonce), epoch: names::text(epoch) };
        self.workers[w].recollection.claimed(own);
        self.workers[w].phase = Phase::Idle;
        if observed {
            self.sees(w, epoch);
        }
    }

    pub(crate) fn sees(&mut self, w: usize, epoch: u8) {
        let node = self.node_of(w);
        let state = &self.nodes[node].state;
        self.workers[w].recollection.saw(state, Some(&names::text(epoch)));
    }

    fn hears(&mut self, w: usize) -> bool {
        let before = self.workers[w].recollection.clone();
        self.sees(w, self.nodes[self.node_of(w)].epoch);
        self.workers[w].recollection != before
    }

    fn replays(&mut self, protocol: &Protocol, w: usize) -> bool {
        self.left.spend(Fault::Replay);
        let worker = &self.workers[w];
        let nonce = match worker.phase {
            Phase::Held { claim, .. }
            | Phase::Sent { claim, .. }
            | Phase::Answered { claim, .. } => claim.nonce,
            Phase::Asking { nonce, .. } => nonce,
            Phase::Idle => {
                let own = worker.recollection.memory.own.as_ref();
                own.map_or(0, |own| names::number(&own.nonce))
            }
        };
        nonce > 0 && matches!(self.claim(protocol, w, nonce), ClaimAnswer::Claimed { .. })
    }

    fn replicates(&mut self) -> bool {
        let (from, to) = (self.primary, self.other());
        let primary = &self.nodes[from];
        let mut news = !self.synced || self.nodes[to].state != primary.state;
        for worker in &mut self.workers {
            if let Phase::Held { claim, acknowledged, .. } = &mut worker.phase {
                let shown = primary.state.fence == claim.fence
                    && primary.state.nonce == names::text(claim.nonce);
                news |= shown && !*acknowledged;
                *acknowledged |= shown;
            }
        }
        let (state, published) = (primary.state.clone(), primary.published);
        self.nodes[to].state = state;
        self.nodes[to].published = published;
        self.synced = true;
        news
    }

    fn fails_over(&mut self, protocol: &Protocol) {
        let (from, to) = (self.primary, self.other());
        if self.nodes[from].state.fence != self.nodes[to].state.fence {
            self.happened.add(Happened::FORGOTTEN);
        }
        if to == 0 {
            self.happened.add(Happened::BACK);
        }
        if !protocol.lacks(Switch::RunIdAlone) {
            self.nodes[to].epoch = self.fresh_epoch();
        }
        self.primary = to;
        self.synced = false;
    }

    /// The replica takes over, and the old primary goes on serving everybody.
    pub(crate) fn splits(&mut self, protocol: &Protocol) {
        self.fails_over(protocol);
        self.split = true;
        self.workers.iter_mut().for_each(|worker| worker.astray = true);
    }

    fn probes(&mut self, protocol: &Protocol) -> bool {
        let before = self.state().rejected;
        self.report(protocol, Evidence::Found);
        self.state().rejected != before
    }

    fn keeps(&mut self, w: usize) -> bool {
        let alive = self.alive(w);
        let primary = self.primary;
        let answer = self.nodes[primary].state.keep(NOW_MS, alive, ReaderKey::Absent);
        let republished = matches!(answer, KeepAnswer::Republished { .. });
        self.nodes[primary].published |= republished;
        if republished {
            self.happened.add(Happened::REPUBLISHED);
        }
        republished
    }

    fn reads(&mut self) -> bool {
        let read = self.readable().map(|token| (token, 0));
        let news = self.copy != read;
        self.copy = read;
        news
    }
}
