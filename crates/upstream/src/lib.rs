//! The upstreams: one module per provider, one request per claim.
//!
//! The only crate that knows `reqwest`. It fetches a token once, no later than a deadline, and says what that came to;
//! what follows from it is decided in `zhongkong-core`.
//!
//! # Layout, in reading order
//! 1. [`provider`]: which upstreams there are, and how each treats old tokens.
//! 2. [`secret`]: where an account's secret comes from.
//! 3. [`account`]: one account at its upstream, the port that the rest of the program sees.
//! 4. `wechat`, `wechat_stable`: the request of each provider; `ticket`: that for what is got with an access token;
//!    `probe`, `quota`: the calls that fetch nothing.
//! 5. [`transport`]: the client, and one exchange; `gate`: the deadline between the connection and the request.
//! 6. `answer`: what an answer says; `scrub`: text without secrets.
//! 7. `failpoint`, with the feature of that name: where tests stall or kill a fetch; `fuzzing`, likewise: for the fuzzer.

pub mod account;
mod answer;
#[cfg(feature = "failpoints")]
pub mod failpoint;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod probe;
pub mod provider;
mod quota;
mod scrub;
pub mod secret;
mod ticket;
pub mod transport;
mod wechat;
mod wechat_stable;

pub use account::{Account, WeChat};
pub use provider::{Provider, UnknownProvider};
pub use quota::ClearQuotaError;
pub use secret::{Secret, SecretError};
pub use transport::{Transport, TransportError, TransportSettings};
