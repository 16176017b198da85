//! Vocabulary and decisions of the refresh protocol: no IO, no clock, no runtime.
//!
//! Everything here is a function of state, event and time; adapters and loops elsewhere do what is decided here.
//! The Lua scripts of the Redis store apply the same transitions atomically and are tested against these.
//!
//! # Words
//! - *credential*: an account at an upstream; *kind*: one of the tokens that it yields; *unit*: one token of one credential;
//!   *ticket*: a kind that is got with the access token.
//! - *worker*: one running instance; *reader*: a service that only reads the token's key.
//! - *claim*: taking the lock for one refresh; *fence*: the claim's number, ever increasing;
//!   *intent*: "this fence may call the upstream", recorded with the claim and closed by its outcome.
//! - *doubt*: a recorded reason to believe that the token in the store may not be the newest one.
//! - *hold*: the longest time after sending in which the upstream may still process a request;
//!   *drain*: after this long no request of an earlier claim can be processed any more;
//!   *overlap*: how long the upstream honours a token after issuing the next.
//! - *epoch*: one uninterrupted life of the Redis primary's data.
//! - *provisional*: a commit that could not clear the doubt.
//! - *report*: a reader says that a token was rejected ("passive refresh").
//!
//! # Layout, in reading order
//! 1. [`credential`], [`token`], [`clock`], [`chance`]: what is refreshed, what it yields, when; jitter and nonces.
//! 2. [`timing`], [`nature`]: the times of a unit and which of them contradict each other; how an upstream treats old tokens;
//!    [`ticket`]: what is known of tickets, which are got with an access token.
//! 3. [`state`], [`doubt`], [`refusal`]: what the store knows of a unit; [`life`]: what a worker's boot clock knows better.
//! 4. [`outlook`]: is a refresh owed, and when may it run.
//! 5. [`claim`], [`commit`], [`abandon`], [`keep`], [`report`], [`adopt`], [`force`], [`pause`]: the transitions.
//! 6. [`policy`], [`codes`]: jitter, backoff, what each upstream error leads to.
//! 7. [`recollection`], [`keeper`], [`order`]: what one worker remembers of one unit and does next about it, and which
//!    worker begins.
//! 8. [`publication`], [`publisher`]: the keys of SDKs, and when one worker looks after them.
//! 9. [`ports`]: what the adapters must provide.

pub mod abandon;
pub mod adopt;
pub mod chance;
pub mod claim;
pub mod clock;
pub mod codes;
pub mod commit;
pub mod credential;
pub mod doubt;
pub mod force;
pub mod keep;
pub mod keeper;
pub mod life;
pub mod nature;
pub mod order;
pub mod outlook;
pub mod pause;
pub mod policy;
pub mod ports;
pub mod publication;
pub mod publisher;
pub mod recollection;
pub mod refusal;
pub mod report;
pub mod state;
pub mod ticket;
pub mod timing;
pub mod token;

#[cfg(test)]
mod protocol_tests;
