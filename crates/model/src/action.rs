//! What can happen next in a world.

/// One step. Workers are numbered as the world keeps them, requests likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One tick passes.
    Tick,
    /// A worker claims, and hears the answer.
    Claim(usize),
    /// A worker claims, and the answer is lost.
    ClaimUnheard(usize),
    /// A worker repeats a claim of which it heard no answer.
    Repeat(usize),
    /// A worker gives such a claim up.
    GiveUp(usize),
    /// A worker looks at its deadline for the last time, and stalls.
    Check(usize),
    /// A worker sends its request.
    Send(usize),
    /// A worker ends its claim without sending.
    NotSent(usize),
    /// The upstream processes a request.
    Process(usize),
    /// The upstream refuses a request, and its worker hears that.
    Refuse(usize),
    /// A worker waits no longer.
    Timeout(usize),
    /// A worker commits its token, and hears the answer.
    Commit(usize),
    /// A worker commits its token, and the answer is lost.
    CommitUnheard(usize),
    /// A worker reads the state.
    Hear(usize),
    /// A worker ends in the middle, and starts again.
    Crash(usize),
    /// A client library sends a worker's last claim once more.
    Replay(usize),
    /// The replica catches up.
    Replicate,
    /// The replica becomes the primary.
    Failover,
    /// The same, and the old primary goes on serving.
    SplitBrain,
    /// A worker of the old primary meets the new one.
    Meet(usize),
    /// The old primary ends.
    Demote,
    /// Redis is emptied.
    Wipe,
    /// The store's clock steps back.
    ClockBack,
    /// The store's clock steps forward.
    ClockForward,
    /// A reader reports the token, and the probe says what is true.
    Report,
    /// A reader reports the token, and the probe can't tell.
    ReportUnchecked,
    /// The probe finds the token dead.
    Probe,
    /// An operator forces a refresh.
    Force,
    /// The reader's key vanishes.
    Evict,
    /// A worker looks after the reader's key.
    Keep(usize),
    /// Somebody outside of the cluster fetches a token.
    Foreign,
    /// They write it to the key of an SDK.
    Write,
    /// A worker finds it there, and tries it at the upstream.
    Try,
    /// A worker adopts it.
    Adopt(usize),
    /// A reader reads the key.
    Read,
}

impl Action {
    /// What may happen to a worker, at most.
    pub const OF_A_WORKER: [fn(usize) -> Self; 15] = [
        Self::Claim,
        Self::ClaimUnheard,
        Self::Repeat,
        Self::GiveUp,
        Self::Check,
        Self::Send,
        Self::NotSent,
        Self::Timeout,
        Self::Commit,
        Self::CommitUnheard,
        Self::Hear,
        Self::Crash,
        Self::Replay,
        Self::Meet,
        Self::Adopt,
    ];

    /// What may happen to all.
    pub const OF_THE_WORLD: [Self; 17] = [
        Self::Tick,
        Self::Replicate,
        Self::Failover,
        Self::SplitBrain,
        Self::Demote,
        Self::Wipe,
        Self::ClockBack,
        Self::ClockForward,
        Self::Report,
        Self::ReportUnchecked,
        Self::Probe,
        Self::Force,
        Self::Evict,
        Self::Foreign,
        Self::Write,
        Self::Try,
        Self::Read,
    ];
}
