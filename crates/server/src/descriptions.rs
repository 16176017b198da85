//! A word on each metric, for whoever looks at what is scraped.

use metrics::{describe_counter, describe_gauge, describe_histogram};

const COUNTERS: [(&str, &str); 11] = [
    ("zhongkong_refreshes_total", "Refreshes that this worker tried, by reason and outcome."),
    ("zhongkong_claims_total", "What this worker's claims came to."),
    ("zhongkong_reports_total", "Reports of rejected tokens that this worker answered."),
    ("zhongkong_published_total", "What became of keys that SDKs read, by layout and outcome."),
    ("zhongkong_foreign_refreshes_total", "Refreshes that somebody else made."),
    ("zhongkong_fenced_commits_total", "Tokens that came after another claim."),
    ("zhongkong_unprotected_total", "Refreshes that too few replicas acknowledged."),
    ("zhongkong_doubts_total", "Doubts that this worker raised."),
    ("zhongkong_upstream_errors_total", "Refusals by the upstream that this worker met."),
    (
        "zhongkong_http_failed_sign_ins_total",
        "Calls of this worker with a wrong bearer token, or a wrong secret of a service.",
    ),
    ("zhongkong_notifications_total", "Messages that this worker tried to deliver to a person."),
];

const GAUGES: [(&str, &str); 6] = [
    ("zhongkong_token_expires_timestamp_seconds", "When the token's life ends."),
    ("zhongkong_token_generation", "Counts the tokens of the unit."),
    ("zhongkong_unit_status", "1 for the current status; without id: units that have it."),
    ("zhongkong_unit_in_doubt", "1 while the unit is in doubt; without id: units in doubt."),
    ("zhongkong_store_up", "Whether Redis answers this worker."),
    ("zhongkong_workers", "Workers that live."),
];

const HISTOGRAMS: [(&str, &str); 2] = [
    ("zhongkong_upstream_request_duration_seconds", "How long calls of the upstream take."),
    ("zhongkong_store_request_duration_seconds", "How long calls to Redis take, by operation."),
];

/// Describes every metric to the recorder that is installed.
pub(crate) fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        describe_gauge!(name, text);
    }
    for (name, text) in HISTOGRAMS {
        describe_histogram!(name, text);
    }
}
