//! `--keep`: everything goes on, and here is what to try.

use zhongkong_testkit::cluster::{APP_ID, TOKEN_KEY};

use crate::show::Show;

pub(crate) fn tell(show: &Show) {
    let Show { narrator, stage, .. } = show;
    let port = stage.redis.port();
    let upstream = stage.upstream.url();
    let first = &stage.workers[0];
    let (url, configuration) = (first.http_url(), first.config_path());
    narrator.heading("Everything goes on until Ctrl-C. Things to try:");
    let tries = [
        ("the token, as readers get it", format!("redis-cli -p {port} GET '{TOKEN_KEY}'")),
        ("what happens, as it happens", format!("redis-cli -p {port} SUBSCRIBE zhongkong:events")),
        (
            "how the token is doing",
            format!("{} status --config {}", stage.binary.display(), configuration.display()),
        ),
        ("the same over HTTP", format!("curl {url}/v1/credentials/{APP_ID}")),
        (
            "a refresh now",
            format!(
                "curl -H 'content-type: application/json' -d '{{\"force\":true}}' \
                 {url}/v1/credentials/{APP_ID}/refresh"
            ),
        ),
        (
            "report the token as rejected, as readers do",
            format!(
                "curl -H 'content-type: application/json' -d \"{{\\\"token\\\":\\\"$(redis-cli -p {port} \
                 GET '{TOKEN_KEY}')\\\"}}\" {url}/v1/credentials/{APP_ID}/report"
            ),
        ),
        ("metrics", format!("curl {url}/metrics")),
        ("the truth", format!("curl '{upstream}/_simulator/summary?app_id={APP_ID}'")),
        (
            "let the next reply get lost",
            format!(
                "curl -d '{{\"kind\":\"lost_reply\",\"times\":1}}' {upstream}/_simulator/faults"
            ),
        ),
        (
            "let somebody else refresh",
            format!("curl -d '{{\"app_id\":\"{APP_ID}\"}}' {upstream}/_simulator/foreign_refresh"),
        ),
        (
            "take all addresses off the IP list",
            format!(
                "curl -X PUT -d '{{\"whitelist\":[]}}' {upstream}/_simulator/accounts/{APP_ID}\n  \
                 curl -X PUT -d '{{\"any_address\":true}}' {upstream}/_simulator/accounts/{APP_ID}   # and back"
            ),
        ),
    ];
    for (what, command) in tries {
        narrator.verbatim(&format!("  # {what}\n  {command}"));
    }
    for worker in &stage.workers {
        narrator.verbatim(&format!(
            "  # {name}: {url}, log {log}\n  kill -9 {pid}   # or kill -STOP, later kill -CONT",
            name = worker.name(),
            url = worker.http_url(),
            log = worker.output_path().display(),
            pid = worker.pid(),
        ));
    }
    narrator.verbatim("");
}
