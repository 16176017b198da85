//! `GET /`: the page for people. It is the same for everybody and holds no data; what it shows it asks of the other calls.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::describe::{About, Answers, Operation};
use super::problem::{Code, Problem};
use super::request::{Known, Nothing, Place, Query};

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
#[derive(Debug)]
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

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| include_str!("../../dashboard/index.html").replace("{version}", &VERSION));

pub(super) const PAGE: About = About {
    name: "getDashboard",
    summary: "The page for people",
    details: "It is the same for everybody and holds no data; what it shows it asks of the other calls.",
    answer: "The page.",
    problems: &[],
};

pub(super) const FILE: About = About {
    name: "getDashboardFile",
    summary: "A file of the page",
    details: "It never changes at this address.",
    answer: "The file.",
    problems: &[(Code::NotFound, "there is no such file, or it is another version's")],
};

/// The page.
#[derive(Debug)]
pub(super) struct Page;

/// `GET /`: [`PAGE`].
pub(super) async fn page(Query(Nothing {}): Query<Nothing>) -> Page {
    Page
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        (HEADERS, [(CONTENT_TYPE, HTML)], DOCUMENT.as_str()).into_response()
    }
}

impl Answers for Page {
    fn describe(operation: &mut Operation<'_>) {
        operation.content(StatusCode::OK, "text/html", &json!({ "type": "string" }));
    }
}

/// Where a file is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Address {
    /// Of the files: another content has another one.
    version: String,
    /// The file's name.
    file: String,
}

/// A file, unless the caller has it.
#[derive(Debug)]
pub(super) struct Found {
    file: &'static File,
    known: bool,
}

/// `GET /dashboard/{version}/{file}`: [`FILE`].
pub(super) async fn file(
    Place(Address { version, file: name }): Place<Address>,
    Query(Nothing {}): Query<Nothing>,
    Known(known): Known,
) -> Result<Found, Problem> {
    let file = FILES.iter().find(|file| file.name == name && version == *VERSION);
    let file = file.ok_or_else(Problem::not_found)?;
    let known = known.is_some_and(|known| known.as_bytes() == tag().as_bytes());
    Ok(Found { file, known })
}

fn tag() -> String {
    format!("\"{}\"", *VERSION)
}

impl IntoResponse for Found {
    fn into_response(self) -> Response {
        let Self { file, known } = self;
        let mut response = if known {
            (StatusCode::NOT_MODIFIED, HEADERS).into_response()
        } else {
            (HEADERS, [(CONTENT_TYPE, file.kind)], file.content).into_response()
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
        if let Ok(tag) = HeaderValue::from_str(&tag()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

impl Answers for Found {
    fn describe(operation: &mut Operation<'_>) {
        for kind in [SCRIPT, STYLE, PICTURE] {
            let kind = kind.split(';').next().unwrap_or(kind);
            operation.content(StatusCode::OK, kind, &json!({ "type": "string" }));
        }
        operation.said(StatusCode::NOT_MODIFIED, "The caller has the file.");
        for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
            let cached = json!({ "description": "For good", "schema": { "const": FOR_GOOD } });
            operation.header(status, "Cache-Control", cached);
            let tag = json!({ "description": "The version", "schema": { "type": "string" } });
            operation.header(status, "ETag", tag);
        }
    }
}
