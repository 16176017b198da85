//! The probe: a call that changes nothing, and tells a token that works from one that does not.
//!
//! `get_api_domain_ip` needs a token and nothing else, and counts against no quota of the token endpoints.

use reqwest::{Method, Request};
use url::Url;
use zhongkong_core::token::Token;

use crate::wechat::{encoded, endpoint};

/// The request that tries `token`. Its URL holds it: it must not be shown.
pub(crate) fn request(base_url: &Url, token: &Token) -> Request {
    let mut url = endpoint(base_url, "cgi-bin/get_api_domain_ip");
    url.set_query(Some(&format!("access_token={}", encoded(token.expose()))));
    Request::new(Method::GET, url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_documented_one() {
        let base_url = Url::parse("https://api.weixin.qq.com").unwrap();
        let token = Token::new("a+b/c=".to_owned()).unwrap();
        assert_eq!(
            request(&base_url, &token).url().as_str(),
            "https://api.weixin.qq.com/cgi-bin/get_api_domain_ip?access_token=a%2Bb%2Fc%3D"
        );
    }
}
