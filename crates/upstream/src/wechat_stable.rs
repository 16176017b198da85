//! `wechat-stable`: `POST cgi-bin/stable_token` in normal mode, with everything in a JSON body.

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use crate::wechat::endpoint;

/// The request for the current token. Its body holds the secret.
///
/// `force` kills the token that readers hold, without any overlap: only an operator may want that.
pub(crate) fn request(base_url: &Url, app_id: &str, secret: &SecretString, force: bool) -> Request {
    let body = json!({
        "grant_type": "client_credential",
        "appid": app_id,
        "secret": secret.expose_secret(),
        "force_refresh": force,
    });
    let mut request = Request::new(Method::POST, endpoint(base_url, "cgi-bin/stable_token"));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(body.to_string().into());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_documented_one() {
        let base_url = Url::parse("https://api.weixin.qq.com").unwrap();
        let request = |force| request(&base_url, "wx1", &"a\"b".into(), force);
        let force = |request: &Request| {
            let body = request.body().and_then(reqwest::Body::as_bytes).unwrap();
            serde_json::from_slice::<serde_json::Value>(body).unwrap()["force_refresh"].clone()
        };
        assert_eq!(force(&request(true)), json!(true));
        let request = request(false);
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.url().as_str(), "https://api.weixin.qq.com/cgi-bin/stable_token");
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(body).unwrap(),
            json!({
                "grant_type": "client_credential",
                "appid": "wx1",
                "secret": "a\"b",
                "force_refresh": false,
            })
        );
    }
}
