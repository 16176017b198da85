//! labrador (Rust): bincode, in two keys without a prefix.

use super::{Family, PLAIN, Verified};
use crate::encoding::Encoding::{Bincode, BincodeEnd};
use crate::layout::Key;

pub(super) const LABRADOR: Family = Family {
    name: "labrador",
    sdk: "labrador (Rust)",
    versions: "0.2.3",
    verified: Verified::Derived,
    line: "WechatMpClient::new(\"{app_id}\".into(), \"{secret}\".into()) with RedisStorage",
    keys: |account, _| {
        let id = account.app_id;
        let (token, end) = match account.kind.ticket() {
            None => (format!("{id}_access_token"), format!("{id}_expires_at")),
            Some(kind) => (format!("{id}_{kind}_ticket"), format!("{id}_{kind}_ticket_expires_at")),
        };
        vec![Key::new("", &token, Bincode), Key::new("", &end, BincodeEnd)]
    },
    ..PLAIN
};
