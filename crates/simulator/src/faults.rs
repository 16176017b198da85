//! What can go wrong, for whom and how often; and the points at which calls can be held.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::orders::Target;
use crate::rules::Endpoint;

/// Which calls a fault or a hold is meant for, and how many. The default is every token call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Only calls for this account.
    pub app_id: Option<String>,
    /// Only calls from this address.
    pub caller: Option<IpAddr>,
    /// Only calls of this endpoint; `None` means both token endpoints.
    pub endpoint: Option<Endpoint>,
    /// Only the next so many calls; `None` means until cleared.
    pub times: Option<u32>,
}

impl Scope {
    /// Every token call for one account, until cleared.
    pub fn account(app_id: impl Into<String>) -> Self {
        Self { app_id: Some(app_id.into()), ..Self::default() }
    }

    /// Narrows to calls from one address.
    #[must_use]
    pub fn from_caller(self, caller: IpAddr) -> Self {
        Self { caller: Some(caller), ..self }
    }

    /// Narrows to calls of one endpoint.
    #[must_use]
    pub fn at_endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self }
    }

    /// Narrows to the next so many calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    pub(crate) fn matches(&self, target: Target<'_>) -> bool {
        self.times != Some(0)
            && self.app_id.as_deref().is_none_or(|app_id| app_id == target.app_id)
            && self.caller.is_none_or(|caller| caller == target.caller)
            && self
                .endpoint
                .map_or(target.endpoint.is_token(), |endpoint| endpoint == target.endpoint)
    }

    pub(crate) fn spend(&mut self) {
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
    }
}

/// Something that goes wrong with a call.
///
/// Where there is `issue`, it says whether the call is processed (a token issued) before the
/// answer is spoilt; it is `false` unless said otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// Processed at once, answered so much later.
    Latency {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// Processed only so much later, whether or not the caller is still there.
    Late {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// Nothing happens until the call is released (then it is served) or the caller goes away.
    Hang,
    /// A token is issued, then the connection is cut without a byte of answer.
    LostReply,
    /// The connection is cut without a byte of answer, and nothing was processed.
    NoReply,
    /// The connection is cut in the middle of the body.
    Cut {
        /// Whether the call is processed.
        #[serde(default)]
        issue: bool,
    },
    /// A status other than 200, with a page as proxies answer.
    HttpStatus {
        /// The status.
        status: u16,
        /// Whether the call is processed.
        #[serde(default)]
        issue: bool,
    },
    /// 200 with a page.
    Html {
        /// Whether the call is processed.
        #[serde(default)]
        issue: bool,
    },
    /// 200 with an empty body.
    Empty {
        /// Whether the call is processed.
        #[serde(default)]
        issue: bool,
    },
    /// A well-formed answer of more than a mebibyte. Without `issue` its token is not a token.
    Oversized {
        /// Whether the call is processed.
        #[serde(default)]
        issue: bool,
    },
    /// A token with this in the place of `expires_in`; `null` leaves the member out.
    OddExpiresIn {
        /// What stands there.
        value: Value,
    },
    /// 302 to somewhere else; nothing is processed.
    Redirect {
        /// Where to.
        location: String,
    },
    /// This errcode; nothing is processed.
    Errcode {
        /// The code.
        errcode: i32,
        /// Its message; the usual one of the code if absent.
        #[serde(default)]
        errmsg: Option<String>,
    },
}

impl FaultKind {
    /// The name the journal uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Late { .. } => "late",
            Self::Hang => "hang",
            Self::LostReply => "lost_reply",
            Self::NoReply => "no_reply",
            Self::Cut { .. } => "cut",
            Self::HttpStatus { .. } => "http_status",
            Self::Html { .. } => "html",
            Self::Empty { .. } => "empty",
            Self::Oversized { .. } => "oversized",
            Self::OddExpiresIn { .. } => "odd_expires_in",
            Self::Redirect { .. } => "redirect",
            Self::Errcode { .. } => "errcode",
        }
    }

    /// Whether the upstream processes a call with this fault.
    pub(crate) fn processes(&self) -> bool {
        match self {
            Self::Latency { .. }
            | Self::Late { .. }
            | Self::Hang
            | Self::LostReply
            | Self::OddExpiresIn { .. } => true,
            Self::Cut { issue }
            | Self::HttpStatus { issue, .. }
            | Self::Html { issue }
            | Self::Empty { issue }
            | Self::Oversized { issue } => *issue,
            Self::NoReply | Self::Redirect { .. } | Self::Errcode { .. } => false,
        }
    }
}

/// A fault and the calls it is meant for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// For which calls.
    #[serde(flatten)]
    pub scope: Scope,
}

/// A point at which a call stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Received, and nothing processed.
    Received,
    /// Processed (a token issued), and not answered.
    Processed,
    /// Hanging by a fault: received, and nothing processed.
    Hung,
}

/// Calls within the scope stand still at the point until released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Where they stand still: `received` or `processed`.
    pub point: Point,
    /// Which calls.
    #[serde(flatten)]
    pub scope: Scope,
}

/// A call that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldCall {
    /// Its number in the journal.
    pub call: u64,
    /// Where it stands.
    pub point: Point,
    /// The account it is for.
    pub app_id: String,
    /// What it asks for.
    pub endpoint: Endpoint,
    /// Where it comes from.
    pub caller: IpAddr,
    /// Since when it stands there.
    pub since_ms: u64,
}
