//! `POST /v1/credentials/{id}/jssdk-signature`: what a web page in WeChat configures its JS-SDK with, so that no service
//! needs the ticket.

use axum::Json;
use axum::extract::State;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use zhongkong_core::credential::{Kind, Unit};

use super::Api;
use super::describe::About;
use super::problem::{Code, Problem};
use super::request::{Body, Id, Nothing, Query, Shape};
use super::token::next_chance;
use crate::signature;

/// The longest address that is signed, in bytes.
const URL_MAX: usize = 4_096;
/// The longest nonce that a caller may choose, in characters.
const NONCE_MAX: usize = 64;

/// What is to be signed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = with_url)]
pub(super) struct PageBody {
    /// The page's address as its browser has it; what follows a `#` is cut off.
    #[schemars(with = "String", length(max = URL_MAX), extend("format" = "uri"))]
    url: Option<String>,
    /// A fresh one if it is not given.
    #[schemars(pattern(r"^[A-Za-z0-9._-]{1,64}$"))]
    nonce: Option<String>,
    /// In seconds since 1970; now, by Redis' clock, if it is not given.
    timestamp: Option<u64>,
}

/// The fields that `wx.config` takes, under the names that it takes them by; and what was signed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageConfig {
    app_id: String,
    /// Seconds since 1970.
    timestamp: u64,
    nonce_str: String,
    /// SHA-1, in hex digits.
    signature: String,
    /// What was signed.
    url: String,
}

/// Whoever leaves it out is told so; for everybody else it is required.
fn with_url(schema: &mut Schema) {
    schema.insert("required".to_owned(), json!(["url"]));
}

impl Shape for PageBody {
    const SHAPE: &'static str = "{\"url\": text, \"nonce\"?: text, \"timestamp\"?: number}";
    const REQUIRED: bool = true;
}

impl PageBody {
    /// The address without its fragment, which no browser shows the platform; otherwise as it is, byte by byte.
    fn page(&self) -> Result<&str, Problem> {
        let url = self.url.as_deref().ok_or_else(|| Problem::invalid_request("url is needed"))?;
        let page = url.split('#').next().unwrap_or_default();
        let fits = page.len() <= URL_MAX && !page.contains(|c: char| c.is_control() || c == ' ');
        let known = Url::parse(page).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if fits && known {
            return Ok(page);
        }
        Err(Problem::invalid_request(format!(
            "url must be the page's own address as the browser has it, such as location.href: http:// or https://, at most \
             {URL_MAX} bytes, without spaces"
        )))
    }

    /// The nonce that the caller chose, or a fresh one.
    fn nonce(&self) -> Result<String, Problem> {
        let Some(nonce) = &self.nonce else {
            return Ok(hex::encode(rand::random::<[u8; 16]>()));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if (1..=NONCE_MAX).contains(&nonce.len()) && nonce.chars().all(plain) {
            return Ok(nonce.clone());
        }
        let what = format!("nonce must be 1 to {NONCE_MAX} characters of A-Z a-z 0-9 . _ -");
        Err(Problem::invalid_request(what))
    }

    /// The address and the nonce, or what is wrong with them.
    pub(super) fn read(&self) -> Result<(&str, String), Problem> {
        Ok((self.page()?, self.nonce()?))
    }
}

pub(super) const SIGNATURE: About = About {
    name: "signPage",
    summary: "What a web page in WeChat configures its JS-SDK with",
    details: "Signs a page's address with the account's `jsapi_ticket`, for `wx.config`. Never the ticket.",
    answer: "The first four fields as `wx.config` takes them.",
    problems: &[
        (Code::InvalidRequest, "`url` is no address that a browser has for a page"),
        (Code::UnknownCredential, "it is not configured with this ticket"),
        (
            Code::NoValidToken,
            "there is no ticket now; the next refresh may run after `Retry-After`",
        ),
        (Code::StoreUnavailable, "Redis cannot be asked, or the worker is stopping or overloaded"),
    ],
};

/// `POST /v1/credentials/{id}/jssdk-signature` `{"url", "nonce"?, "timestamp"?}` (scope token): [`SIGNATURE`].
pub(super) async fn signature(
    State(api): State<Api>,
    Id(id): Id,
    Query(Nothing {}): Query<Nothing>,
    Body(body): Body<PageBody>,
) -> Result<Json<PageConfig>, Problem> {
    let unit = Unit { id, kind: Kind::JsapiTicket };
    let view = api.view(&unit).await?;
    let (url, nonce) = body.read()?;
    if view.state.is_none() {
        return Err(Problem::store_unavailable("the ticket's state has not been read yet"));
    }
    let published = api.published(&unit).await?;
    let published = published.ok_or_else(|| Problem::no_valid_token(&unit, next_chance(&view)))?;
    // By the clock that all workers share.
    let timestamp = body.timestamp.unwrap_or(view.now_ms / 1_000);
    let signature = signature::of_page(published.token.expose(), &nonce, timestamp, url);
    Ok(Json(PageConfig {
        app_id: view.app_id.to_string(),
        timestamp,
        nonce_str: nonce,
        signature,
        url: url.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> PageBody {
        serde_json::from_str(json).unwrap()
    }

    fn page(url: &str) -> Option<String> {
        let body = PageBody { url: Some(url.to_owned()), ..PageBody::default() };
        body.page().ok().map(str::to_owned)
    }

    #[test]
    fn a_page_is_signed_as_it_is_without_its_fragment() {
        for (url, signed) in [
            ("http://mp.weixin.qq.com?params=value", "http://mp.weixin.qq.com?params=value"),
            ("https://h/a?b=c%20d&e=%E4%B8%AD#/route?x=1#y", "https://h/a?b=c%20d&e=%E4%B8%AD"),
            ("https://h/#", "https://h/"),
            ("https://h:8443/\u{4e2d}", "https://h:8443/\u{4e2d}"),
        ] {
            assert_eq!(page(url).as_deref(), Some(signed), "{url}");
        }
    }

    #[test]
    fn what_no_browser_has_for_an_address_is_refused() {
        let long = format!("https://h/{}", "x".repeat(URL_MAX));
        for url in ["", "#a", "h/a", "ftp://h/a", "file:///a", "https://", "https://h/a b", &long] {
            assert_eq!(page(url), None, "{url}");
        }
        assert_eq!(page("https://h/a\nb"), None);
        assert!(body("{}").page().is_err());
    }

    #[test]
    fn a_nonce_is_fresh_unless_it_is_given() {
        let nonce = |json: &str| body(json).nonce().ok();
        let (one, other) = (nonce("{}").unwrap(), nonce("{}").unwrap());
        assert!(one.len() == 32 && one != other, "{one} {other}");
        assert_eq!(nonce(r#"{"nonce":"Wm3WZYTPz0wzccnW"}"#).as_deref(), Some("Wm3WZYTPz0wzccnW"));
        for wrong in ["", "a&url=b", "a b", "中"] {
            assert_eq!(nonce(&format!(r#"{{"nonce":"{wrong}"}}"#)), None, "{wrong}");
        }
        assert_eq!(nonce(&format!(r#"{{"nonce":"{}"}}"#, "x".repeat(65))), None);
    }
}
