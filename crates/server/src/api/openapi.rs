//! `GET /openapi.json`: all calls, described by OpenAPI 3.1. It holds no data, and is the same for everybody.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::describe::{About, Answers, BEARER, Operation, Schemas};
use super::request::{Nothing, Query};
use super::routes::{POST, ROUTES, Route};

const INTRODUCTION: &str = "\
The tokens of WeChat accounts that this cluster keeps, and how they are doing.\n\n\
Readers need none of this: they read a key in Redis.\n\n\
Errors are problems (RFC 9457) with a stable `code`. A `HEAD` request gets the headers of the `GET` request. \
An address that is not described is answered 404 `not_found`, a method 405 `method_not_allowed` with `Allow`. \
What is no HTTP is answered 400, and headers that are too long 431, without a body.";

const SCOPES: &str = "\
A bearer token of the configuration's `http.tokens`. Its scope allows a call that names it or a lower one: \
`read` (the status of credentials) < `token` (their tokens, and reports) < `admin` (refreshes and pauses at will). \
Without `http.tokens` every call is open, on loopback only.";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

pub(super) const DESCRIPTION: About = About {
    name: "getDescription",
    summary: "This description",
    details: "All calls, for tools that make clients, forms and tests of it.",
    answer: "An OpenAPI document.",
    problems: &[],
};

/// The document.
#[derive(Debug)]
pub(super) struct Document;

/// `GET /openapi.json`: [`DESCRIPTION`].
pub(super) async fn description(Query(Nothing {}): Query<Nothing>) -> Document {
    Document
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
    }
}

impl Answers for Document {
    fn describe(operation: &mut Operation<'_>) {
        operation.content(StatusCode::OK, "application/json", &json!({ "type": "object" }));
    }
}

pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for Route { method, path, access, call, about } in &ROUTES {
        let mut operation = Operation::new(about, *access, &mut schemas);
        (call.describe)(&mut operation);
        let method = if *method == POST { "post" } else { "get" };
        let path = paths.entry(*path).or_insert_with(|| json!({}));
        path[method] = operation.into_value();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "zhongkong",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.into_definitions(),
            "securitySchemes": {
                BEARER: { "type": "http", "scheme": "bearer", "description": SCOPES },
            },
        },
    })
}
