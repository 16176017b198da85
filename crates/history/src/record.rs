//! One thing that happened: at the upstream, to a reader, or in the cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that happened, at a time of the one clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in milliseconds of the history's clock.
    pub at_ms: u64,
    /// The unit that it concerns; none: all of them.
    pub unit: Option<String>,
    /// What happened.
    pub what: What,
}

/// Where it happened, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// At the upstream: the truth.
    Upstream(UpstreamEvent),
    /// To a reader.
    Reader(Read),
    /// In the cluster, as it said itself.
    Cluster(ClusterEvent),
}

/// What the upstream did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamEvent {
    /// A call for a token was received.
    Received {
        /// Its number.
        call: u64,
        /// The claim that it was sent under, where that is known.
        fence: Option<u64>,
    },
    /// A call was processed.
    Processed {
        /// Its number.
        call: u64,
        /// What came of it.
        outcome: Processed,
    },
    /// The answer to a call was sent.
    Answered {
        /// Its number.
        call: u64,
    },
    /// A call ended without an answer: it was cut, or its caller had gone.
    Unanswered {
        /// Its number.
        call: u64,
    },
    /// Somebody outside of the cluster fetched a token.
    Foreign {
        /// That token.
        life: Life,
    },
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Processed {
    /// A new token.
    Issued(Life),
    /// The token that was there already.
    Returned {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A definite refusal.
    Refused {
        /// The upstream's code.
        code: i64,
    },
    /// Nothing.
    Nothing,
}

/// A token's life, as it is known at the end of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The token's fingerprint; the token itself is in no history.
    pub fingerprint: String,
    /// From when the upstream does not accept it any more.
    pub dies_at_ms: u64,
    /// Why: `expired`, `replaced` …
    pub why: String,
}

/// What a reader did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// When it asked the store.
    pub asked_at_ms: u64,
    /// When it had the answer: also the record's time.
    pub answered_at_ms: u64,
    /// What the answer was.
    pub found: Found,
}

/// What a reader found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// A token of this fingerprint.
    Token(String),
    /// No token.
    Absent,
    /// The store did not answer.
    NoAnswer,
}

/// What the cluster said, or what was done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterEvent {
    /// A claim was made.
    Claimed {
        /// Its number.
        fence: u64,
        /// Who made it.
        worker: String,
        /// The epoch in which it was made; empty: the one since the last [`Self::EpochChanged`].
        epoch: String,
    },
    /// A token was published under a claim, which is over.
    Committed {
        /// The claim.
        fence: u64,
        /// The token's number.
        generation: u64,
        /// The token's fingerprint.
        fingerprint: String,
        /// Doubt is left.
        provisional: bool,
    },
    /// Somebody else's token was published, under a fence of its own.
    Adopted {
        /// The fence.
        fence: u64,
        /// Who found it.
        worker: String,
        /// The epoch, as in [`Self::Claimed`].
        epoch: String,
        /// The token's number.
        generation: u64,
        /// The token's fingerprint.
        fingerprint: String,
    },
    /// A claim is over, and brought the token that was there already.
    Unchanged {
        /// The claim.
        fence: u64,
        /// Doubt is left.
        provisional: bool,
    },
    /// The upstream refused, and the claim is over.
    Refused {
        /// The claim.
        fence: u64,
    },
    /// A claim is over, and nothing was sent.
    Released {
        /// The claim.
        fence: u64,
    },
    /// Doubt was raised.
    Doubted {
        /// All reasons that stand now.
        reasons: String,
        /// Whether the last claim's outcome is still open.
        claim_is_open: bool,
    },
    /// The token is to be replaced: readers reported it, or an operator asked.
    Marked {
        /// Whose word that is.
        by: String,
    },
    /// The reader's key was published again.
    Kept,
    /// The token's life ended without a successor.
    Lost,
    /// The store holds this now, seen from outside; it counts more than what was heard before.
    Seen {
        /// The token that readers find.
        published: Option<String>,
        /// All reasons for doubt.
        reasons: String,
        /// Whether the last claim's outcome is still open.
        claim_is_open: bool,
    },
    /// What the cluster says may be missed from now on, until [`Self::Heard`].
    Deaf,
    /// What the cluster says is heard again.
    Heard,
    /// The store is another one, or the same with another past.
    EpochChanged,
    /// A worker was started.
    WorkerStarted {
        /// Its name.
        worker: String,
    },
    /// A worker was killed, or ended.
    WorkerEnded {
        /// Its name.
        worker: String,
    },
    /// Anything else that was done to the cluster, in words.
    Fault {
        /// The words.
        what: String,
    },
}

impl Record {
    /// What the upstream did to a unit.
    pub fn upstream(at_ms: u64, unit: impl Into<String>, event: UpstreamEvent) -> Self {
        Self { at_ms, unit: Some(unit.into()), what: What::Upstream(event) }
    }

    /// What a reader of a unit found.
    pub fn read(unit: impl Into<String>, read: Read) -> Self {
        Self { at_ms: read.answered_at_ms, unit: Some(unit.into()), what: What::Reader(read) }
    }

    /// What the cluster said of a unit.
    pub fn cluster(at_ms: u64, unit: impl Into<String>, event: ClusterEvent) -> Self {
        Self { at_ms, unit: Some(unit.into()), what: What::Cluster(event) }
    }

    /// What happened to all units at once.
    pub const fn everywhere(at_ms: u64, event: ClusterEvent) -> Self {
        Self { at_ms, unit: None, what: What::Cluster(event) }
    }
}

/// Shows milliseconds as seconds.
pub(crate) struct Seconds(pub(crate) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1_000, self.0 % 1_000)
    }
}

/// One compact line.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}  ", Seconds(self.at_ms).to_string())?;
        if let Some(unit) = &self.unit {
            write!(f, "{unit}  ")?;
        }
        match &self.what {
            What::Upstream(event) => write!(f, "upstream: {event}"),
            What::Reader(read) => write!(f, "reader: {}", read.found),
            What::Cluster(event) => write!(f, "cluster: {event}"),
        }
    }
}

impl fmt::Display for UpstreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received { call, fence: None } => write!(f, "call {call} received"),
            Self::Received { call, fence: Some(fence) } => {
                write!(f, "call {call} received, sent under fence {fence}")
            }
            Self::Processed { call, outcome: Processed::Issued(life) } => {
                write!(f, "call {call} processed: issued {life}")
            }
            Self::Processed { call, outcome: Processed::Returned { fingerprint } } => {
                write!(f, "call {call} processed: {fingerprint} again")
            }
            Self::Processed { call, outcome: Processed::Refused { code } } => {
                write!(f, "call {call} refused with {code}")
            }
            Self::Processed { call, outcome: Processed::Nothing } => {
                write!(f, "call {call} ended, and nothing was processed")
            }
            Self::Answered { call } => write!(f, "call {call} answered"),
            Self::Unanswered { call } => write!(f, "call {call} ended without an answer"),
            Self::Foreign { life } => write!(f, "somebody else fetched {life}"),
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, dies_at_ms, why } = self;
        write!(f, "{fingerprint}, which dies at {} ({why})", Seconds(*dies_at_ms))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(fingerprint) => write!(f, "found {fingerprint}"),
            Self::Absent => f.write_str("found no token"),
            Self::NoAnswer => f.write_str("got no answer"),
        }
    }
}

impl fmt::Display for ClusterEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = |provisional: &bool| if *provisional { ", provisional" } else { "" };
        let open = |is_open: &bool| if *is_open { "; a claim is open" } else { "" };
        match self {
            Self::Claimed { fence, worker, .. } => write!(f, "claimed by {worker}, fence {fence}"),
            Self::Committed { fence, generation, fingerprint, provisional } => {
                let left = left(provisional);
                write!(f, "published {fingerprint}, generation {generation}, fence {fence}{left}")
            }
            Self::Adopted { fence, worker, generation, fingerprint, .. } => write!(
                f,
                "adopted {fingerprint} by {worker}, generation {generation}, fence {fence}"
            ),
            Self::Unchanged { fence, provisional } => {
                write!(f, "the same token again, fence {fence}{}", left(provisional))
            }
            Self::Refused { fence } => write!(f, "refused, fence {fence}"),
            Self::Released { fence } => write!(f, "released, nothing was sent, fence {fence}"),
            Self::Doubted { reasons, claim_is_open } => {
                write!(f, "in doubt: {reasons}{}", open(claim_is_open))
            }
            Self::Marked { by } => write!(f, "to be replaced: {by}"),
            Self::Kept => f.write_str("published the same token again"),
            Self::Lost => f.write_str("the token ended without a successor"),
            Self::Seen { published, reasons, claim_is_open } => {
                let published = published.as_deref().unwrap_or("no token");
                let doubt = if reasons.is_empty() { "no doubt" } else { reasons };
                write!(f, "the store holds {published}, {doubt}{}", open(claim_is_open))
            }
            Self::Deaf => f.write_str("not heard any more"),
            Self::Heard => f.write_str("heard again"),
            Self::EpochChanged => f.write_str("the epoch changed"),
            Self::WorkerStarted { worker } => write!(f, "{worker} was started"),
            Self::WorkerEnded { worker } => write!(f, "{worker} ended"),
            Self::Fault { what } => write!(f, "-- {what} --"),
        }
    }
}
