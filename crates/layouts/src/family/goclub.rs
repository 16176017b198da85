//! goclub/wx-api-center-control: the keys of another token server, for people who leave it.

use super::{Family, PLAIN, Verified};
use crate::encoding::Encoding::Raw;
use crate::layout::Key;

pub(super) const GOCLUB: Family = Family {
    name: "goclub",
    sdk: "goclub/wx-api-center-control (a token server)",
    versions: "2023",
    verified: Verified::Read,
    line: "stop that server; its readers need no change",
    keys: |account, _| {
        let id = account.app_id;
        match account.kind.ticket() {
            None => vec![Key::new("wx_api_center_control:access_token:appid:", id, Raw)],
            Some(kind) => {
                let rest = format!("{id}:{kind}");
                vec![Key::new("wx_api_center_control:ticket:appid:", &rest, Raw)]
            }
        }
    },
    ..PLAIN
};
