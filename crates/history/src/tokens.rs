//! The tokens of a unit, by what the upstream says.

use std::collections::HashMap;

use crate::record::{Life, Processed, Record, UpstreamEvent, What};

/// Every token of a unit that the upstream issued.
#[derive(Debug, Default)]
pub(crate) struct Tokens<'a>(HashMap<&'a str, &'a Life>);

impl<'a> Tokens<'a> {
    pub(crate) fn of(records: &[&'a Record]) -> Self {
        let lives = records.iter().filter_map(|record| issued(record).map(|(life, _)| life));
        Self(lives.map(|life| (life.fingerprint.as_str(), life)).collect())
    }

    pub(crate) fn get(&self, fingerprint: &str) -> Option<&'a Life> {
        self.0.get(fingerprint).copied()
    }
}

/// The token that came into being, and whether somebody outside of the cluster fetched it.
pub(crate) fn issued(record: &Record) -> Option<(&Life, bool)> {
    match &record.what {
        What::Upstream(UpstreamEvent::Processed { outcome: Processed::Issued(life), .. }) => {
            Some((life, false))
        }
        What::Upstream(UpstreamEvent::Foreign { life }) => Some((life, true)),
        _ => None,
    }
}
