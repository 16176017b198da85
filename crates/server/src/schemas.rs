//! How words of the core look in JSON, for the description of the HTTP interface: the core itself knows no schemas.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use zhongkong_core::{credential, doubt, refusal, state};

macro_rules! schemas {
    ($($(#[doc = $doc:literal])+ $name:ident: $schema:tt)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("description".to_owned(), concat!($($doc),+).trim().into());
                schema
            }
        }
    )+};
}

schemas! {
    /// Names an account: 1 to 128 characters.
    CredentialId: {
        "type": "string",
        "pattern": "^[A-Za-z0-9._-]{1,128}$",
        "examples": ["wx0123456789abcdef"]
    }
    /// One of the tokens that a credential yields.
    Kind: { "type": "string", "enum": credential::Kind::ALL.map(credential::Kind::as_str) }
    /// How a unit is doing.
    Status: { "type": "string", "enum": refusal::Status::ALL.map(refusal::Status::as_str) }
    /// Whom a refusal concerns.
    Concern: { "type": "string", "enum": refusal::Scope::ALL.map(refusal::Scope::as_str) }
    /// Why a token may not be the newest.
    Doubt: { "type": "string", "enum": doubt::Doubt::ALL.map(doubt::Doubt::as_str) }
    /// Who asked for another token.
    Mark: { "type": "string", "enum": state::Mark::ALL.map(state::Mark::as_str) }
    /// Names an entry of a history.
    Entry: { "type": "string", "pattern": "^[0-9]{1,19}-[0-9]{1,19}$" }
    /// Names a token: the first 16 hex digits, in lower case, of its SHA-256.
    Fingerprint: { "type": "string", "pattern": "^[0-9a-f]{16}$", "examples": ["0123456789abcdef"] }
}
