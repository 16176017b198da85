//! What scripts and events say, in the core's types.

use std::collections::BTreeMap;
use std::str::FromStr;

use redis::Value;
use serde::Deserialize;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::outlook::Reason;
use zhongkong_core::ports::{Observed, StoreError};
use zhongkong_core::state::State;

/// The JSON that a script returns and publishes.
#[derive(Debug, Deserialize)]
pub(crate) struct View {
    #[serde(rename = "type")]
    pub(crate) what: String,
    id: String,
    kind: String,
    time_ms: String,
    state: BTreeMap<String, String>,
}

impl View {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(json).map_err(|error| strange(&format!("a view: {error}")))
    }

    pub(crate) fn unit(&self) -> Option<Unit> {
        let id = CredentialId::from_str(&self.id).ok()?;
        Some(Unit { id, kind: Kind::from_str(&self.kind).ok()? })
    }

    pub(crate) fn observed(&self) -> Observed {
        let fields = self.state.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let state = State::from_view(fields).without_token();
        Observed { state, now_ms: self.time_ms.parse().unwrap_or_default() }
    }
}

/// The array that a script returned, read from its start.
#[derive(Debug)]
pub(crate) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(crate) fn new(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(strange("an answer that is no array")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        let value = self.0.next().ok_or_else(|| strange("an answer that is too short"))?;
        redis::from_redis_value(value).map_err(|_| strange("an answer that is no text"))
    }

    /// What a script says first; an error if a newer version wrote the state, which is left alone then.
    pub(crate) fn verdict_unless_newer(&mut self) -> Result<String, StoreError> {
        let verdict = self.text()?;
        if verdict != "newer" {
            return Ok(verdict);
        }
        let v = self.text()?;
        let text = format!("the state is of version {v}, newer than this worker");
        Err(StoreError::Refused(text))
    }

    pub(crate) fn skip(&mut self, values: usize) {
        self.0.by_ref().take(values).for_each(drop);
    }

    /// The next value, in whatever form it is written as text.
    pub(crate) fn parsed<T: FromStr>(&mut self) -> Result<T, StoreError> {
        self.text()?.parse().map_err(|_| strange("an answer of another form"))
    }

    pub(crate) fn reason(&mut self) -> Result<Reason, StoreError> {
        Reason::from_name(&self.text()?).ok_or_else(|| strange("an unknown reason"))
    }

    pub(crate) fn observed(&mut self) -> Result<Observed, StoreError> {
        Ok(View::parse(self.text()?.as_bytes())?.observed())
    }
}

/// Redis answered with something that no script of ours says.
pub(crate) fn strange(what: &str) -> StoreError {
    StoreError::Refused(format!("unexpected answer: {what}"))
}
