//! The tickets: `GET cgi-bin/ticket/getticket`, with the access token in the query.
//!
//! What is known of what it answers stands in [`zhongkong_core::ticket`].

use reqwest::{Method, Request};
use url::Url;
use zhongkong_core::token::Token;

use crate::wechat::{encoded, endpoint};

/// The request for the ticket that the platform calls `ticket_type`. Its URL holds the access token: it must not be shown.
pub(crate) fn request(base_url: &Url, access_token: &Token, ticket_type: &str) -> Request {
    let mut url = endpoint(base_url, "cgi-bin/ticket/getticket");
    let access_token = encoded(access_token.expose());
    url.set_query(Some(&format!("access_token={access_token}&type={ticket_type}")));
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
            request(&base_url, &token, "wx_card").url().as_str(),
            "https://api.weixin.qq.com/cgi-bin/ticket/getticket?access_token=a%2Bb%2Fc%3D&type=wx_card"
        );
    }
}
