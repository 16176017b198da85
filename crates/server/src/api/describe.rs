//! What a call takes and what it answers, told by the types of its function: a call whose types say nothing does not
//! compile. The description follows OpenAPI 3.1, whose schemas are those of JSON Schema.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Api;
use super::guard::{Access, Caller};
use super::problem::{Code, Problem};
use crate::config::Scope;

/// Names the bearer tokens among the ways to sign in.
pub(super) const BEARER: &str = "bearer";

/// What a call is for, and what of its answers its types do not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// Its name in clients that are made from the description.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) details: &'static str,
    /// What it is answered if all is well.
    pub(super) answer: &'static str,
    /// How it may go wrong, beyond what its parameters, its body and its guard may say.
    pub(super) problems: &'static [(Code, &'static str)],
}

/// What a call takes, by one of its function's arguments.
pub(super) trait Takes {
    fn describe(_: &mut Operation<'_>) {}
}

/// What a call answers, by what its function returns.
pub(super) trait Answers {
    fn describe(operation: &mut Operation<'_>);
}

/// A function that serves a call.
pub(super) trait Described<Arguments> {
    fn describe(operation: &mut Operation<'_>);
}

/// The schemas that operations refer to.
#[derive(Debug)]
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

/// A call, as far as it is described.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    about: &'a About,
    schemas: &'a mut Schemas,
    parameters: Vec<Value>,
    body: Option<Value>,
    security: Option<Scope>,
    replies: BTreeMap<u16, Reply>,
}

/// All answers of one status.
#[derive(Debug, Default)]
struct Reply {
    said: Option<String>,
    headers: Map<String, Value>,
    content: Map<String, Value>,
    codes: BTreeMap<Code, Vec<String>>,
}

/// Describes `function` by its types.
pub(super) fn by_types<Function: Described<Arguments>, Arguments>(
    _: Function,
    operation: &mut Operation<'_>,
) {
    Function::describe(operation);
}

macro_rules! described {
    ($($argument:ident)*) => {
        impl<Function, Answer, $($argument),*> Described<($($argument,)*)> for Function
        where
            Function: Fn($($argument),*) -> Answer,
            Answer: Future<Output: Answers>,
            $($argument: Takes),*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)*
                Answer::Output::describe(operation);
            }
        }
    };
}

described!();
described!(A);
described!(A B);
described!(A B C);
described!(A B C D);
described!(A B C D E);
described!(A B C D E F);

impl Takes for State<Api> {}

impl Takes for Caller {}

impl<T: JsonSchema> Answers for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.given::<T>();
        operation.content(StatusCode::OK, "application/json", schema.as_value());
    }
}

impl<T: Answers> Answers for Result<T, Problem> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

impl Answers for &str {
    fn describe(operation: &mut Operation<'_>) {
        operation.text(StatusCode::OK);
    }
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        // What is absent from an answer is left out of it, and never null.
        let given = settings().for_serialize().with_transform(never_null);
        Self { taken: settings().for_deserialize().into_generator(), given: given.into_generator() }
    }

    /// The schema of what is read.
    fn taken<T: JsonSchema>(&mut self) -> Schema {
        self.taken.subschema_for::<T>()
    }

    /// The schema of what is answered.
    pub(super) fn given<T: JsonSchema>(&mut self) -> Schema {
        self.given.subschema_for::<T>()
    }

    /// All that was referred to, by name.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.given.take_definitions(true));
        all
    }
}

/// Properties that need not be there are never null.
fn never_null(schema: &mut Schema) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required =
        |name: &str| required.as_array().is_some_and(|all| all.contains(&name.into()));
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
            not_null(property);
        }
    }
}

/// Takes `null` out of what is allowed.
fn not_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = &**types {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(one)] = &**choices {
            let one = one.clone();
            object.remove("anyOf");
            for (key, value) in one {
                object.entry(key).or_insert(value);
            }
        }
    }
}

impl<'a> Operation<'a> {
    /// What holds for every call, and what its guard may say.
    pub(super) fn new(about: &'a About, access: Access, schemas: &'a mut Schemas) -> Self {
        let (parameters, replies) = (Vec::new(), BTreeMap::new());
        let mut new = Self { about, schemas, parameters, body: None, security: None, replies };
        new.problem(
            Code::InvalidRequest,
            "a header that decides something is repeated or malformed",
        );
        new.problem(Code::Internal, "a defect of this program; its log has more");
        new.problem(Code::Timeout, "the worker took too long");
        if access != Access::Anybody {
            let when = "without `http.tokens`: `Host` is no loopback name, or a web page of another origin asks";
            new.problem(Code::Forbidden, when);
        }
        if let Access::Scoped(scope) = access {
            new.security = Some(scope);
            new.problem(Code::Unauthorized, "with `http.tokens`: there is no known bearer token");
            new.problem(Code::Forbidden, "the bearer token's scope is too low");
            let when = "the bearer token is wrong, as many from this address were";
            new.problem(Code::TooManyAttempts, when);
            let challenge = json!({ "description": "`Bearer`", "schema": { "type": "string" } });
            new.header(StatusCode::UNAUTHORIZED, "WWW-Authenticate", challenge);
        }
        for (code, when) in about.problems {
            new.problem(*code, when);
        }
        new
    }

    fn reply(&mut self, status: StatusCode) -> &mut Reply {
        self.replies.entry(status.as_u16()).or_default()
    }

    /// One of the problems that the call may end with.
    pub(super) fn problem(&mut self, code: Code, when: &str) {
        if code.waits() {
            let seconds = json!({
                "description": "Seconds after which to ask again",
                "schema": { "type": "integer", "minimum": 1 }
            });
            self.header(code.status(), "Retry-After", seconds);
        }
        let said = self.reply(code.status()).codes.entry(code).or_default();
        if !said.iter().any(|known| known == when) {
            said.push(when.to_owned());
        }
    }

    /// A body that the call may be answered with.
    pub(super) fn content(&mut self, status: StatusCode, kind: &str, schema: &Value) {
        let said = self.about.answer;
        let reply = self.reply(status);
        if status == StatusCode::OK {
            reply.said = Some(said.to_owned());
        }
        reply.content.insert(kind.to_owned(), json!({ "schema": schema }));
    }

    /// Plain text that the call may be answered with.
    pub(super) fn text(&mut self, status: StatusCode) {
        self.content(status, "text/plain", &json!({ "type": "string" }));
    }

    /// What an answer of this status means.
    pub(super) fn said(&mut self, status: StatusCode, said: &str) {
        self.reply(status).said = Some(said.to_owned());
    }

    /// A header of the answers of this status.
    pub(super) fn header(&mut self, status: StatusCode, name: &str, header: Value) {
        self.reply(status).headers.insert(name.to_owned(), header);
    }

    /// The schema of what is answered.
    pub(super) fn given<T: JsonSchema>(&mut self) -> Value {
        self.schemas.given::<T>().to_value()
    }

    /// A parameter: `place` is `path`, `query` or `header`.
    pub(super) fn parameter<T: JsonSchema>(&mut self, place: &str, name: &str, said: &str) {
        let schema = self.schemas.taken::<T>().to_value();
        self.add_parameter(place, name, said, place == "path", &schema);
    }

    fn add_parameter(
        &mut self,
        place: &str,
        name: &str,
        said: &str,
        required: bool,
        schema: &Value,
    ) {
        self.parameters.push(json!({
            "in": place, "name": name, "description": said, "required": required, "schema": schema
        }));
    }

    /// Parameters: the properties of `T`.
    pub(super) fn parameters<T: JsonSchema>(&mut self, place: &str) {
        let schema = T::json_schema(&mut self.schemas.taken);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let mut property = property.clone();
            not_null(&mut property);
            let said = property.as_object_mut().and_then(|object| object.remove("description"));
            let said = said.as_ref().and_then(Value::as_str).unwrap_or_default();
            let required = schema.get("required").and_then(Value::as_array);
            let required = required.is_some_and(|all| all.contains(&name.as_str().into()));
            self.add_parameter(place, name, said, required, &property);
        }
    }

    /// A body of JSON.
    pub(super) fn body<T: JsonSchema>(&mut self, required: bool) {
        let schema = self.schemas.taken::<T>();
        let content = json!({ "application/json": { "schema": schema } });
        self.body = Some(json!({ "required": required, "content": content }));
    }

    /// The operation object.
    pub(super) fn into_value(mut self) -> Value {
        let problem = self.given::<Problem>();
        let replies = self.replies.into_iter();
        let replies: Map<String, Value> = replies
            .map(|(status, reply)| (status.to_string(), reply.into_value(status, &problem)))
            .collect();
        let mut operation = json!({
            "operationId": self.about.name,
            "summary": self.about.summary,
            "description": self.about.details,
            "responses": replies,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        if let Some(scope) = self.security {
            operation["security"] = json!([{ BEARER: [scope.as_str()] }]);
        }
        operation
    }
}

impl Reply {
    fn into_value(mut self, status: u16, problem: &Value) -> Value {
        let mut said: Vec<String> = self.said.into_iter().collect();
        for (code, when) in &self.codes {
            said.push(format!("`{}`: {}.", code.as_str(), when.join("; or ")));
        }
        if !self.codes.is_empty() {
            let codes: Vec<&str> = self.codes.keys().map(|code| code.as_str()).collect();
            let narrower = json!({ "properties": { "code": { "enum": codes }, "status": { "const": status } } });
            let schema = json!({ "allOf": [problem, narrower] });
            self.content.insert("application/problem+json".to_owned(), json!({ "schema": schema }));
        }
        let cached = json!({ "description": "`no-store`", "schema": { "const": "no-store" } });
        self.headers.entry("Cache-Control").or_insert(cached);
        let mut reply = json!({ "description": said.join("\n\n"), "headers": self.headers });
        if !self.content.is_empty() {
            reply["content"] = self.content.into();
        }
        reply
    }
}
