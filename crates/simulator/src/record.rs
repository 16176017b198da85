//! What the journal tells: the record of a call, the counts of an account.

use std::net::IpAddr;

use serde::Serialize;

use crate::book::Token;
use crate::rules::Endpoint;

/// What processing a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new token, or ticket, came into being.
    Issued {
        /// Its number.
        serial: u64,
    },
    /// A token, or a ticket, that was there already was handed out.
    Returned {
        /// Its number.
        serial: u64,
    },
    /// The upstream refused.
    Errcode {
        /// With this code.
        errcode: i32,
    },
    /// A call that is not about a token was served.
    Served,
    /// A fault stood in the place of processing.
    Nothing,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// An answer was handed to the connection.
    Answered,
    /// The connection was cut on purpose.
    Cut,
    /// The caller had gone away before there was an answer.
    CallerGone,
    /// The simulator was stopped.
    Stopped,
}

/// One call. Times are milliseconds since the simulator's start.
#[derive(Clone, Debug, Serialize)]
pub struct CallRecord {
    /// Its number, counted from 1.
    pub call: u64,
    /// What it asked for.
    pub endpoint: Endpoint,
    /// The account it was for; empty if it named none.
    pub app_id: String,
    /// Where it came from.
    pub caller: IpAddr,
    /// Whether it asked for a forced refresh.
    pub forced: bool,
    /// The number of the token that it presented, if it was one of ours.
    pub presented: Option<u64>,
    /// The fault that struck it.
    pub fault: Option<&'static str>,
    /// When it was received.
    pub received_at_ms: u64,
    /// When the upstream processed it.
    pub processed_at_ms: Option<u64>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// When it was answered, cut or given up; `None` while it is under way.
    pub ended_at_ms: Option<u64>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// When the caller went away without an answer.
    pub caller_gone_at_ms: Option<u64>,
    /// Token calls for this account that were under way when this one was received, itself
    /// included, whether or not their callers still waited.
    pub overlapping: u32,
    /// Of those, the ones whose callers still waited.
    pub overlapping_awaited: u32,
}

/// The counts of one account. Only token calls are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Token calls received.
    pub calls: u64,
    /// Token calls processed.
    pub processed: u64,
    /// Tokens that came into being, those of other parties included.
    pub issued: u64,
    /// Tokens fetched by other parties.
    pub foreign: u64,
    /// Token calls refused with an errcode.
    pub refused: u64,
    /// Token calls under way now.
    pub under_way: u32,
    /// Of those, the ones whose callers still wait.
    pub awaited: u32,
    /// The most token calls ever under way at once.
    pub max_overlapping: u32,
    /// The most token calls ever under way at once whose callers still waited.
    pub max_overlapping_awaited: u32,
    /// The fingerprint of the newest token.
    pub newest: Option<String>,
}

/// A copy of the journal, without secrets and without whole tokens.
#[derive(Clone, Debug, Serialize)]
pub struct JournalView {
    /// When the simulator started, in milliseconds since 1970; all other times count from there.
    pub started_unix_ms: u64,
    /// Now.
    pub now_ms: u64,
    /// How many older calls were forgotten.
    pub forgotten: u64,
    /// The calls, oldest first.
    pub calls: Vec<CallRecord>,
    /// The tokens, oldest first.
    pub tokens: Vec<Token>,
}
