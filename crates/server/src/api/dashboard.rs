//! `GET /`: the page for people. It is the same for everybody and holds no data; what it shows it asks of the other calls.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::request::{Nothing, Query};

/// How caches keep a file whose address changes with it.
pub(super) const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// Nothing but this worker's own files and calls: no script and no style in the page itself, no frame around it, no
/// other host, and no text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 1] = [(CONTENT_SECURITY_POLICY, POLICY)];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($kind:expr, $folder:literal, $name:literal) => {
        File {
            name: $name,
            kind: $kind,
            content: include_str!(concat!("../../dashboard/", $folder, $name)),
        }
    };
}

static FILES: [File; 18] = [
    file!(STYLE, "", "dashboard.css"),
    file!(STYLE, "", "layout.css"),
    file!(PICTURE, "", "icon.svg"),
    file!(SCRIPT, "", "main.js"),
    file!(SCRIPT, "", "calls.js"),
    file!(SCRIPT, "", "live.js"),
    file!(SCRIPT, "", "state.js"),
    file!(SCRIPT, "", "actions.js"),
    file!(SCRIPT, "", "words.js"),
    file!(SCRIPT, "", "chinese.js"),
    file!(SCRIPT, "", "page.js"),
    file!(SCRIPT, "", "table.js"),
    file!(SCRIPT, "", "detail.js"),
    file!(SCRIPT, "", "events.js"),
    file!(SCRIPT, "", "history.js"),
    file!(SCRIPT, "", "html.js"),
    file!(SCRIPT, "vendor/", "preact-11.2.0.mjs"),
    file!(SCRIPT, "vendor/", "htm-3.1.1.mjs"),
];

/// Stands in the files' addresses: another content has another address.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for file in &FILES {
        hash.update(file.name);
        hash.update(file.content);
    }
    let first = hash.finalize().iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    format!("{first:016x}")
});

static PAGE: LazyLock<String> =
    LazyLock::new(|| include_str!("../../dashboard/index.html").replace("{version}", &VERSION));

/// `GET /`: the page.
///
/// - 200: HTML.
/// - 400 `invalid_request`: the address has parameters.
pub(super) async fn page(Query(Nothing {}): Query<Nothing>) -> Response {
    (HEADERS, [(CONTENT_TYPE, HTML)], PAGE.as_str()).into_response()
}

/// `GET /dashboard/{version}/{file}`: a file of the page, which never changes at this address.
///
/// - 200: the file. 304: the caller has it.
/// - 400 `invalid_request`: the address has parameters.
/// - 404 `not_found`: there is no such file, or it is another version's.
pub(super) async fn file(
    Path((version, name)): Path<(String, String)>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name && version == *VERSION);
    let file = file.ok_or_else(Problem::not_found)?;
    let tag = format!("\"{}\"", *VERSION);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        (StatusCode::NOT_MODIFIED, HEADERS).into_response()
    } else {
        (HEADERS, [(CONTENT_TYPE, file.kind)], file.content).into_response()
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}
