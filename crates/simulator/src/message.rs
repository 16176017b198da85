//! The exact wording of the upstream's errors.

use std::net::IpAddr;

use crate::clock::Moment;
use crate::settings::WhitelistMessage;

/// The reference of one call: three groups of hex digits, the first of which is the time.
pub(crate) fn rid(now: Moment, random: u64) -> String {
    format!("{:08x}-{:08x}-{:08x}", now.unix_ms / 1_000, random >> 32, random & 0xffff_ffff)
}

/// The message that goes with an error code.
pub(crate) fn errmsg(errcode: i32, rid: &str) -> String {
    let text = match errcode {
        -1 => "system error",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40097 => "invalid args",
        40125 => "invalid appsecret,",
        40164 => "invalid ip, not in whitelist",
        40243 => "appsecret is frozen",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        42001 => "access_token expired",
        43002 => "require POST method",
        44002 => return "empty post data".to_owned(),
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        47001 => return "data format error".to_owned(),
        48001 => "api unauthorized,",
        48006 => "forbid to clear quota because of reaching the limit",
        50002 => "user limited",
        50004 => "user not allow to use accesstoken, maybe for punishment",
        50007 => "user is frozen",
        61024 => "must use api(api_component_token) to get token for component acct",
        89501 => "此IP正在等待管理员确认,请联系管理员",
        89503 => "此IP调用需要管理员确认,请联系管理员",
        89506 => "24小时内该IP被管理员拒绝调用两次,24小时内不可再使用该IP调用",
        89507 => "1小时内该IP被管理员拒绝调用一次,1小时内不可再使用该IP调用",
        _ => "error",
    };
    if errcode == -1 { text.to_owned() } else { format!("{text} rid: {rid}") }
}

/// 40164 names the refused address, in the wording asked for.
pub(crate) fn not_in_whitelist(form: WhitelistMessage, caller: IpAddr, rid: &str) -> String {
    let mapped = match caller {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    match form {
        WhitelistMessage::Current => {
            format!("invalid ip {caller} ipv6 {mapped}, not in whitelist rid: {rid}")
        }
        WhitelistMessage::Comma => {
            format!("invalid ip {caller} ipv6 {mapped}, not in whitelist, rid: {rid}")
        }
        WhitelistMessage::Older => {
            let hint = rid.replace('-', "");
            let hint = hint.get(8..22).unwrap_or(&hint);
            format!("invalid ip {caller}, not in whitelist hint: [{hint}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rid_begins_with_the_time() {
        let now = Moment { ms: 0, unix_ms: 0x6511_2232_u64 * 1_000 };
        assert_eq!(rid(now, 0x35da_441e_28f0_2baf), "65112232-35da441e-28f02baf");
    }

    #[track_caller]
    fn check(form: WhitelistMessage, expected: &str) {
        let caller: IpAddr = "1.2.3.4".parse().unwrap();
        assert_eq!(not_in_whitelist(form, caller, "65112232-35da441e-28f02baf"), expected);
    }

    #[test]
    fn the_refused_address_is_named_in_three_wordings() {
        check(
            WhitelistMessage::Current,
            "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 65112232-35da441e-28f02baf",
        );
        check(
            WhitelistMessage::Comma,
            "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist, rid: 65112232-35da441e-28f02baf",
        );
        check(
            WhitelistMessage::Older,
            "invalid ip 1.2.3.4, not in whitelist hint: [35da441e28f02b]",
        );
    }

    #[test]
    fn a_wrong_secret_is_worded_with_a_comma() {
        assert_eq!(errmsg(40125, "r"), "invalid appsecret, rid: r");
        assert_eq!(
            errmsg(40001, "r"),
            "invalid credential, access_token is invalid or not latest rid: r"
        );
        assert_eq!(errmsg(44002, "r"), "empty post data");
    }
}
