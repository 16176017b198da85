//! `wechat`: `GET cgi-bin/token`, with everything in the query.

use reqwest::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

/// The request for a new token. Its URL holds the secret: it must not be shown.
pub(crate) fn request(base_url: &Url, app_id: &str, secret: &SecretString) -> Request {
    let mut url = endpoint(base_url, "cgi-bin/token");
    url.set_query(Some(&format!(
        "grant_type=client_credential&appid={}&secret={}",
        encoded(app_id),
        encoded(secret.expose_secret()),
    )));
    Request::new(Method::GET, url)
}

/// `path` below the base URL, which may have a path of its own where a gateway stands before the upstream.
pub(crate) fn endpoint(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}/{path}", base_url.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// `text` as a value in a query. A space is `%20`: as `+` it would be a plus to those who decode it as a URL's part.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base_url: &str, app_id: &str, secret: &str) -> String {
        let base_url = Url::parse(base_url).unwrap();
        request(&base_url, app_id, &secret.into()).url().to_string()
    }

    #[test]
    fn the_request_is_the_documented_one() {
        assert_eq!(
            url("https://api.weixin.qq.com", "wx1", "abc"),
            "https://api.weixin.qq.com/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=abc"
        );
    }

    #[test]
    fn a_base_url_may_have_a_path_of_its_own() {
        assert!(url("http://h:1/wx/?x=1#y", "a", "b").starts_with("http://h:1/wx/cgi-bin/token?g"));
        assert!(url("http://h/wx", "a", "b").starts_with("http://h/wx/cgi-bin/token?g"));
    }

    #[test]
    fn a_secret_of_any_characters_arrives_as_it_is() {
        let secret = "a b+c&d=e/f?g#h%20i'j\"k中~";
        let url = Url::parse(&url("http://h", "wx&x", secret)).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let expected = [("grant_type", "client_credential"), ("appid", "wx&x"), ("secret", secret)];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(!url.as_str().contains('+'), "{url}");
    }
}
