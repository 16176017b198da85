//! The keys that the SDKs of WeChat read in Redis, as data: which keys, which bytes, which life; and back to the token.
//!
//! Pure: no IO, no clock. Existing services keep their SDK and its cache, and the workers keep that cache current, so that
//! the SDK never fetches. Nothing here decides when something is written: a layout only says what is to stand where.
//!
//! # Layout, in reading order
//! - [`account`]: whose keys, and of which of its tokens.
//! - [`options`]: what differs between installations of one SDK.
//! - [`encoding`]: the bytes of a value, and back.
//! - [`layout`]: the keys of one SDK for one token of one account.
//! - [`family`]: every SDK there is, each with the versions it was verified against; one module for each.

pub mod account;
pub mod encoding;
pub mod family;
pub mod layout;
pub mod options;

pub use account::{Account, Platform};
pub use family::{Family, Verified};
pub use layout::{Key, Layout};
pub use options::{Codec, Format, Options, Refused, Setting};
