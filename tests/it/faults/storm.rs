//! Faults drawn by chance, two at a time, one round after the other: what nobody thought of.
//!
//! A seed draws the same faults each time; what they meet depends on the machine.

use futures_util::future::join_all;
use serde_json::json;
use zhongkong_history::{Kind, Limits};
use zhongkong_simulator::{FaultKind, Scope};
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::{
    APP_ID, PATIENCE, Proxy, Recorder, Timings, Way, Worker, http, wait_until,
};

use crate::faults::scene::{Scene, is_wide};
use crate::setup::ms;

/// Times that leave room for two faults at once: what befalls one worker, and a second stall.
const STORMY: Timings = Timings {
    life: ms(14_000),
    overlap: ms(6_000),
    hold: ms(900),
    ahead: ms(6_000),
    request_timeout: ms(500),
    lease: ms(1_100),
    drain: ms(2_000),
    spacing: ms(300),
    human_poll: ms(300),
};

/// What is held on its way to the upstream and then processed late must still be processed within the hold.
const HALF_OF_HOLD_MS: u64 = 400;

const WORKERS: usize = 3;
const ROUNDS: usize = 4;
const ROUNDS_WIDE: usize = 200;

/// What a round does.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Pause,
    KillAt(&'static str),
    PauseAt(&'static str),
    Upstream(Answer),
    Cut(To),
    Refuse(To),
    Hold(To, Way),
    Lose(To, Way),
    Slow(To),
    PauseRedis,
    RestartRedis,
    /// Redis comes back without what was written in this round.
    LoseWrites,
    KillAll,
    DeleteKey,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Redis,
    Upstream,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Lost,
    Late,
    None,
    Cut,
    Error,
    Busy,
}

/// Points at which a refresh is struck. After its last check a worker may send however long it was paused, and if it is
/// killed then nobody knows: that is open by nature.
const POINTS: [&str; 8] = [
    "before_claim",
    "after_claim",
    "before_send",
    "after_send",
    "after_answer",
    "before_commit",
    "after_commit",
    "before_abandon",
];

/// A stream of numbers that a seed decides (SplitMix64).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }

    fn fault(&mut self) -> Fault {
        let to = self.one_of(&[To::Redis, To::Upstream]);
        let way = self.one_of(&[Way::There, Way::Back]);
        let point = self.one_of(&POINTS);
        let answers =
            [Answer::Lost, Answer::Late, Answer::None, Answer::Cut, Answer::Error, Answer::Busy];
        let answer = self.one_of(&answers);
        self.one_of(&[
            Fault::Kill,
            Fault::Pause,
            Fault::KillAt(point),
            Fault::PauseAt(point),
            Fault::PauseAt(point),
            Fault::Upstream(answer),
            Fault::Upstream(answer),
            Fault::Cut(to),
            Fault::Refuse(to),
            Fault::Hold(to, way),
            Fault::Hold(to, way),
            Fault::Lose(to, way),
            Fault::Slow(to),
            Fault::PauseRedis,
            Fault::RestartRedis,
            Fault::LoseWrites,
            Fault::LoseWrites,
            Fault::KillAll,
            Fault::DeleteKey,
        ])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_faults_leaves_readers_alone() {
    let rounds = if is_wide() { ROUNDS_WIDE } else { ROUNDS };
    let seed = if is_wide() { seed_of_the_day() } else { 1 };
    let mut chance = Chance(seed);
    let persistent = ["--appendonly", "yes", "--appendfsync", "everysec"];
    let mut scene = Scene::new(|cluster| {
        cluster.workers(WORKERS).timings(STORMY).proxied().redis_options(&persistent)
    })
    .await;
    for round in 1..=rounds {
        let faults = [(); 2].map(|()| (chance.fault(), chance.below(WORKERS)));
        let forced = chance.below(6) > 0;
        let is_held = faults.iter().any(|(fault, _)| fault.holds_requests());
        let most_ms = if is_held { HALF_OF_HOLD_MS } else { 1_500 };
        let lasts_ms = u64::try_from(200 + chance.below(1_300)).unwrap().min(most_ms);
        scene.recorder = Recorder::start(&scene.cluster).await;
        let name = format!("storm {seed}, round {round}: {faults:?}, {lasts_ms} ms");
        let from_ms = scene.recorder.note(name.clone());
        let written = scene.written();
        for (fault, worker) in faults {
            scene.strike(fault, worker).await;
        }
        if forced {
            scene.order().await;
        }
        tokio::time::sleep(ms(lasts_ms)).await;
        if faults.iter().any(|(fault, _)| matches!(fault, Fault::LoseWrites)) {
            scene.restart_redis(Some(written)).await;
        }
        scene.lift().await;
        let to_ms = scene.recorder.note("all faults are over");
        let limits = scene.limits();
        let emptied = faults.iter().any(|(fault, _)| matches!(fault, Fault::DeleteKey));
        let limits = if emptied {
            let kinds = [Kind::AbsentRead];
            limits.excuse(from_ms, to_ms + 3_000, &kinds, "the key was deleted by hand")
        } else {
            limits
        };
        // Two faults at once, a scheduled refresh, and the forced one.
        let limits = Limits { calls_per_refresh: Some(8), ..limits };
        scene.judge(&name, &limits).await;
    }
}

/// Another one for each run, shown in its rows.
fn seed_of_the_day() -> u64 {
    std::process::id().into()
}

impl Scene {
    async fn strike(&mut self, fault: Fault, worker: usize) {
        let Self { cluster, failpoints, .. } = self;
        let way = |to: To| -> &Proxy {
            match to {
                To::Redis => &cluster.ways(worker).redis,
                To::Upstream => &cluster.ways(worker).upstream,
            }
        };
        match fault {
            Fault::Kill => cluster.workers_mut()[worker].kill9().await,
            Fault::Pause => {
                if cluster.workers_mut()[worker].is_running() {
                    cluster.workers()[worker].pause().await;
                }
            }
            Fault::KillAt(point) => failpoints.arm(point, "kill"),
            Fault::PauseAt(point) => failpoints.arm(point, "stop"),
            Fault::Upstream(answer) => {
                cluster.simulator.set_fault(answer.kind(), Scope::account(APP_ID).times(1));
            }
            Fault::Cut(to) => way(to).cut(),
            Fault::Refuse(to) => way(to).refuse(),
            Fault::Hold(to, on) => way(to).hold(on),
            Fault::Lose(to, on) => way(to).lose(on),
            Fault::Slow(to) => {
                way(to).slow(Way::There, ms(60));
                way(to).slow(Way::Back, ms(60));
            }
            Fault::PauseRedis => cluster.redis.pause(),
            Fault::RestartRedis => {
                cluster.redis.kill().await;
                cluster.redis.restart().await;
            }
            Fault::LoseWrites => {}
            Fault::KillAll => {
                for worker in cluster.workers_mut() {
                    worker.kill9().await;
                }
            }
            Fault::DeleteKey => {
                // One that is paused deletes it when it goes on.
                let deleting = cluster.redis.command::<()>(&["DEL", TOKEN_KEY]);
                drop(tokio::time::timeout(ms(50), deleting).await);
            }
        }
    }

    /// A refresh is ordered at every worker that answers; whoever does not is left alone.
    async fn order(&self) {
        let body = json!({ "force": true });
        let orders = self.cluster.workers().iter().map(|worker| {
            let url = format!("{}/v1/credentials/{APP_ID}/refresh", worker.http_url());
            http::Request::new("POST", &url).json(&body).within(ms(100)).send()
        });
        join_all(orders).await;
    }

    /// Everything is as it should be again: what is left is up to the workers.
    async fn lift(&mut self) {
        let Self { cluster, failpoints, .. } = self;
        failpoints.disarm();
        cluster.simulator.clear_faults();
        cluster.redis.resume();
        for index in 0..WORKERS {
            cluster.ways(index).redis.heal();
            cluster.ways(index).upstream.heal();
            let worker = &mut cluster.workers_mut()[index];
            if worker.is_running() {
                worker.resume();
            } else {
                worker.restart();
            }
        }
        for worker in cluster.workers_mut() {
            // One that had just taken a failpoint stopped after it was to go on.
            until_ready(worker).await;
        }
    }
}

async fn until_ready(worker: &mut Worker) {
    wait_until("a worker is ready again", PATIENCE, async || {
        if worker.is_running() {
            worker.resume();
        } else {
            worker.restart();
        }
        worker.is_ready().await
    })
    .await;
}

impl Fault {
    const fn holds_requests(self) -> bool {
        matches!(self, Self::Hold(To::Upstream, Way::There))
    }
}

impl Answer {
    fn kind(self) -> FaultKind {
        match self {
            Self::Lost => FaultKind::LostReply,
            Self::Late => FaultKind::Late { ms: HALF_OF_HOLD_MS },
            Self::None => FaultKind::NoReply,
            Self::Cut => FaultKind::Cut { issue: true },
            Self::Error => FaultKind::HttpStatus { status: 502, issue: true },
            Self::Busy => FaultKind::Errcode { errcode: -1, errmsg: None },
        }
    }
}
