//! The problems that a person must lift.

use std::fmt;
use std::str::FromStr;

use zhongkong_core::refusal::Status;

/// Something that a person must lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Problem {
    /// A worker's address is not on the account's IP list.
    IpNotAllowed,
    /// The account's administrator has to confirm a worker's address.
    AwaitingAdmin,
    /// The administrator refused a worker's address.
    Blocked,
    /// The account's data or secret is wrong.
    Misconfigured,
    /// The account or its secret is frozen.
    AccountFrozen,
    /// Somebody outside the cluster refreshes with the same secret.
    ForeignRefresh,
    /// Readers have no token any more.
    TokenLost,
}

impl Problem {
    /// Every problem.
    pub const ALL: [Self; 7] = [
        Self::IpNotAllowed,
        Self::AwaitingAdmin,
        Self::Blocked,
        Self::Misconfigured,
        Self::AccountFrozen,
        Self::ForeignRefresh,
        Self::TokenLost,
    ];

    /// The name in the configuration, in webhooks and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpNotAllowed => "ip_not_allowed",
            Self::AwaitingAdmin => "awaiting_admin",
            Self::Blocked => "blocked",
            Self::Misconfigured => "misconfigured",
            Self::AccountFrozen => "account_frozen",
            Self::ForeignRefresh => "foreign_refresh",
            Self::TokenLost => "token_lost",
        }
    }

    /// The problem behind a refusal that is called `status`; none if it passes by itself.
    pub const fn of(status: Status) -> Option<Self> {
        match status {
            Status::IpNotAllowed => Some(Self::IpNotAllowed),
            Status::AwaitingAdmin => Some(Self::AwaitingAdmin),
            Status::Blocked => Some(Self::Blocked),
            Status::Misconfigured => Some(Self::Misconfigured),
            Status::AccountFrozen => Some(Self::AccountFrozen),
            Status::Ok
            | Status::Pending
            | Status::Paused
            | Status::Retrying
            | Status::Throttled => None,
        }
    }

    /// Whether it is a refusal by the upstream.
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::ForeignRefresh | Self::TokenLost)
    }

    /// Whether it belongs to the address from which a worker calls.
    pub const fn is_of_an_address(self) -> bool {
        matches!(self, Self::IpNotAllowed | Self::AwaitingAdmin | Self::Blocked)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Problem {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|problem| problem.as_str() == text).ok_or(())
    }
}
