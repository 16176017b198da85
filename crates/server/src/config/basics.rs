//! The short sections: the worker, its log, the way to the upstreams.

use std::fmt;

use rustix::system::uname;
use url::Url;
use zhongkong_core::credential::{NAME_MAX, WorkerName};

use super::section::Section;

/// This worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its name; the host's with a random suffix if none is given, so it differs from load to load then.
    pub name: WorkerName,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The filter for `tracing-subscriber`: `RUST_LOG` as it stands, else the configured level.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How upstreams are reached.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// The proxy for every upstream; may hold a password.
    pub proxy: Option<Url>,
    /// The most requests under way at once.
    pub max_concurrent: usize,
}

/// Without the proxy's user and password.
impl fmt::Debug for UpstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = self.proxy.as_ref().map(|url| (url.host_str(), url.port_or_known_default()));
        f.debug_struct("UpstreamConfig")
            .field("proxy", &proxy)
            .field("max_concurrent", &self.max_concurrent)
            .finish()
    }
}

pub(super) fn worker(section: &Section<'_>) -> WorkerConfig {
    let name = section.parsed("name");
    WorkerConfig { name: name.unwrap_or_else(|| default_name(&uname().nodename().to_string_lossy())) }
}

/// `<host>-<6 random hex digits>`: containers of one image may share a host name.
fn default_name(host: &str) -> WorkerName {
    let suffix = format!("-{:06x}", rand::random::<u32>() >> 8);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let host: String = host.chars().map(allowed).take(NAME_MAX - suffix.len()).collect();
    let host = if host.is_empty() { "worker" } else { &host };
    WorkerName::try_from(format!("{host}{suffix}"))
}

pub(super) fn log(section: &Section<'_>) -> LogConfig {
    let levels = ["off", "error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    let level = section.read("level", |raw| raw.choice(&levels)).unwrap_or("info");
    let formats =
        [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogConfig {
        filter: section.environment.get("RUST_LOG").unwrap_or(level).to_owned(),
        format: section.read("format", |raw| raw.choice(&formats)).unwrap_or(LogFormat::Auto),
    }
}

pub(super) fn upstream(section: &Section<'_>) -> UpstreamConfig {
    let proxy = section.read("proxy", |raw| http_url(raw.text()?));
    if section.in_file("proxy") && proxy.as_ref().is_some_and(|url| url.password().is_some()) {
        let what = "a password in plain text; set ZHONGKONG__UPSTREAM__PROXY instead";
        section.warn("proxy", what);
    }
    let max_concurrent = section.read("max_concurrent", |raw| raw.number(1..=10_000));
    UpstreamConfig { proxy, max_concurrent: max_concurrent.unwrap_or(64) as usize }
}

/// `text` as an address by http or https; it is never repeated, since it may hold a password.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("must be an address such as \"https://host:port\": {error}")
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("must begin with http:// or https://, not {scheme}:")),
    }
}
