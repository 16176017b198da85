//! Senparc's containers: a bag as Newtonsoft writes it.

use jiff::Timestamp;

use super::LIFE_S;

/// The names in one kind of bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bag {
    /// The account.
    pub(crate) app_id: &'static str,
    /// Its secret, which is left empty: the SDK cannot refresh with it.
    pub(crate) app_secret: &'static str,
    /// The end of the token's life.
    pub(crate) until: &'static str,
    /// The upstream's answer.
    pub(crate) result: &'static str,
    /// The token in it.
    pub(crate) token: &'static str,
}

impl Bag {
    /// Of an official account's access token.
    pub const ACCESS_TOKEN: Self = Self {
        app_id: "AppId",
        app_secret: "AppSecret",
        until: "AccessTokenExpireTime",
        result: "AccessTokenResult",
        token: "access_token",
    };

    /// The bag with `token`, which is JSON already, whose life ends at `end_s` in seconds since 1970.
    pub(super) fn encode(self, token: &str, key: &str, end_s: u64) -> String {
        let Self { app_id, app_secret, until, result, token: name } = self;
        let end = i64::try_from(end_s).ok().and_then(|end| Timestamp::from_second(end).ok());
        let end = end.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S+00:00");
        format!(
            "{{\"Key\":\"{key}\",\"{app_id}\":\"{key}\",\"{app_secret}\":\"\",\"{until}\":\"{end}\",\
             \"{result}\":{{\"errcode\":0,\"errmsg\":\"ok\",\"{name}\":{token},\"expires_in\":{LIFE_S}}}}}"
        )
    }
}
