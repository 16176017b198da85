//! `clear_quota/v2`: sets an account's daily quotas to zero used; it needs the secret, and no token.
//!
//! The documentation lists the parameters as the body's and shows them in the query; the SDKs that call it use the query.

use reqwest::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::wechat::{encoded, endpoint};

/// Why an account's quotas were not cleared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClearQuotaError {
    /// The upstream refused.
    #[error("refused: {message} ({code})")]
    Refused {
        /// Its code.
        code: i64,
        /// Its words, without a secret.
        message: String,
    },
    /// Nothing was sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may or may not have been done.
    #[error("no clear answer: {0}")]
    Unknown(String),
}

/// The request. Its URL holds the secret: it must not be shown.
pub(crate) fn request(base_url: &Url, app_id: &str, secret: &SecretString) -> Request {
    let mut url = endpoint(base_url, "cgi-bin/clear_quota/v2");
    let (app_id, secret) = (encoded(app_id), encoded(secret.expose_secret()));
    url.set_query(Some(&format!("appid={app_id}&appsecret={secret}")));
    Request::new(Method::POST, url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_one_that_sdks_send() {
        let base_url = Url::parse("https://api.weixin.qq.com").unwrap();
        let request = request(&base_url, "wx1", &"a&b".into());
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            request.url().as_str(),
            "https://api.weixin.qq.com/cgi-bin/clear_quota/v2?appid=wx1&appsecret=a%26b"
        );
    }
}
