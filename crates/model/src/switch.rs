//! Switches: one rule taken away at a time, around the core's transitions and never in them.

/// A rule, or a wording of one, that a model may be run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// R1: a token is written whatever claim was made since.
    Fence,
    /// R2: a claim erases the unresolved intent that it finds.
    Intent,
    /// R3: what arrives after another claim is thrown away.
    Late,
    /// R4: an unknown outcome is recorded as one that was never sent.
    Unknown,
    /// R5: every commit clears all doubt.
    Drain,
    /// R5: a doubt that is raised during a claim leaves the claim's note as it is.
    Note,
    /// R5: the drain is one tick shorter than lease and hold.
    ShortDrain,
    /// R6: a worker sends however old its claim is.
    Deadline,
    /// R6: a claim that is repeated counts its time from the repetition.
    FirstSending,
    /// R7: no epoch, and workers remember nothing.
    Epoch,
    /// R7: the epoch is the primary's run id alone.
    RunIdAlone,
    /// R7: a worker does not look for its own last claim.
    OwnClaim,
    /// R7: a commit, too, notes the epoch in which it runs.
    CommitNotesEpoch,
    /// R8: the fence counts up by one.
    Clock,
    /// R9: a request is sent twice.
    OneSend,
    /// R10: a worker does not wait for replicas.
    WriteAhead,
    /// R11: a repeated claim is another claim, and a repeated commit is late.
    Repeatable,
    /// R12: no spacing.
    Spacing,
    /// R13: nobody looks after the reader's key.
    Keep,
    /// R14: unknown outcomes are not counted.
    SureLife,
    /// R14: a provisional commit forgets the older unknown outcomes.
    Before,
    /// R14: a lost history counts as no calls at all.
    LostHistory,
    /// What was not sent closes whatever intent is open.
    OwnIntent,
    /// A token of somebody else's that is adopted raises no doubt.
    Stranger,
    /// A token of somebody else's that is adopted is as sure as the one before it.
    StrangersLife,
}

impl Switch {
    /// Every switch, in the order of the rules.
    pub const ALL: [Self; 25] = [
        Self::Fence,
        Self::Intent,
        Self::Late,
        Self::Unknown,
        Self::Drain,
        Self::Note,
        Self::ShortDrain,
        Self::Deadline,
        Self::FirstSending,
        Self::Epoch,
        Self::RunIdAlone,
        Self::OwnClaim,
        Self::CommitNotesEpoch,
        Self::Clock,
        Self::OneSend,
        Self::WriteAhead,
        Self::Repeatable,
        Self::Spacing,
        Self::Keep,
        Self::SureLife,
        Self::Before,
        Self::LostHistory,
        Self::OwnIntent,
        Self::Stranger,
        Self::StrangersLife,
    ];

    /// The rule that is missing, and what happens in its place.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Fence => "without R1: a token is written whatever claim was made since",
            Self::Intent => "without R2: a claim erases the unresolved intent that it finds",
            Self::Late => "without R3: what arrives after another claim is thrown away",
            Self::Unknown => "without R4: an unknown outcome is recorded as never sent",
            Self::Drain => "without R5: every commit clears all doubt",
            Self::Note => "without R5's note: doubt raised during a claim does not erase it",
            Self::ShortDrain => "without R5's length: a drain one tick shorter than lease + hold",
            Self::Deadline => "without R6: a worker sends however old its claim is",
            Self::FirstSending => "without R6's first sending: a repeated claim starts anew",
            Self::Epoch => "without R7: no epoch, and workers remember nothing",
            Self::RunIdAlone => "without half of R7's epoch: the run id alone",
            Self::OwnClaim => "without R7's memory: a worker does not look for its own last claim",
            Self::CommitNotesEpoch => "without R7's limit: a commit notes the epoch, too",
            Self::Clock => "without R8: the fence counts up by one",
            Self::OneSend => "without R9: a request is sent twice",
            Self::WriteAhead => "without R10: a worker does not wait for replicas",
            Self::Repeatable => "without R11: a repeated command is another command",
            Self::Spacing => "without R12: no spacing",
            Self::Keep => "without R13: nobody looks after the reader's key",
            Self::SureLife => "without R14: unknown outcomes are not counted",
            Self::Before => "without R14's older outcomes: a provisional commit forgets them",
            Self::LostHistory => "without R14's lost history: a failover hides no calls",
            Self::OwnIntent => "without R3's limit: what was not sent closes any intent",
            Self::Stranger => "without doubt in a token that was adopted",
            Self::StrangersLife => "without weighing how long a token that was adopted is sure",
        }
    }
}
