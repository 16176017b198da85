//! A key of one's own.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN, Verified};
use crate::account::Account;
use crate::encoding::Encoding;
use crate::layout::Key;
use crate::options::{Format, Options, Setting};

/// A key of one's own: `{ key = "my:{app_id}" }`.
pub static CUSTOM: Family = Family {
    name: "custom",
    sdk: "a key of your own",
    versions: "-",
    verified: Verified::Own,
    needs: &[Setting::Key],
    takes: &[Setting::Encoding, Setting::Ttl],
    line: "read this key, and do not write it",
    keys: |account, options| {
        let encoding = match options.encoding.unwrap_or(Format::Raw) {
            Format::Raw => Encoding::Raw,
            Format::Json => Encoding::Json,
            Format::Php => Encoding::Php,
        };
        key(account, options, encoding)
    },
    ..PLAIN
};

/// The key that the operator named. One that does not say the kind is the access token's.
pub(super) fn key(account: &Account<'_>, options: &Options, encoding: Encoding) -> Vec<Key> {
    let template = options.key.as_deref().unwrap_or_default();
    if account.kind != Kind::AccessToken && !template.contains("{kind}") {
        return Vec::new();
    }
    let name =
        template.replace("{app_id}", account.app_id).replace("{kind}", account.kind.as_str());
    // Others may have much else under the same beginning.
    vec![Key::new("", &name, encoding)]
}
