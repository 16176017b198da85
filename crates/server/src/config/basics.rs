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

pub(super) fn worker(section: &Section<'_>) -> Option<WorkerConfig> {
    let default = default_name(&uname().nodename().to_string_lossy());
    let name = section.read("name", |raw| Ok(raw.text()?.to_owned())).unwrap_or(default);
    let name = WorkerName::try_from(name);
    let name = name.inspect_err(|error| section.problem("name", &error.to_string())).ok()?;
    Some(WorkerConfig { name })
}

/// `<host>-<6 random hex digits>`: containers of one image may share a host name.
fn default_name(host: &str) -> String {
    let suffix = format!("-{:06x}", rand::random::<u32>() >> 8);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let host: String = host.chars().map(allowed).take(NAME_MAX - suffix.len()).collect();
    let host = if host.is_empty() { "worker" } else { &host };
    format!("{host}{suffix}")
}

pub(super) fn log(section: &Section<'_>) -> LogConfig {
    let levels = ["off", "error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    let level = section.read("level", |raw| raw.choice(&levels)).unwrap_or("info");
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
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
    let url = Url::parse(text)
        .map_err(|error| format!("must be an address such as \"https://host:port\": {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("must begin with http:// or https://, not {scheme}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{ACCOUNT, load_with, loaded, refused, warned};

    #[test]
    fn a_default_name_is_the_host_and_six_hex_digits() {
        for (host, begins) in [("node-1.lan", "node-1.lan-"), ("", "worker-"), ("机 a", "--a-")] {
            let name = default_name(host);
            assert!(name.starts_with(begins) && name.len() == begins.len() + 6, "{name}");
        }
        assert_eq!(default_name(&"x".repeat(200)).len(), NAME_MAX);
        assert!(loaded(ACCOUNT).config.worker.name.as_str().len() > 7);
    }

    #[test]
    fn rust_log_wins_over_the_configured_level() {
        let toml = format!("[log]\nlevel = \"warn\"\nformat = \"json\"\n{ACCOUNT}");
        let log = loaded(&toml).config.log;
        assert_eq!((log.filter.as_str(), log.format), ("warn", LogFormat::Json));
        let log = load_with(&toml, [("RUST_LOG", "zhongkong=trace")]).unwrap().config.log;
        assert_eq!(log.filter, "zhongkong=trace");
    }

    #[test]
    fn the_proxy_shows_its_password_to_nobody() {
        let toml = format!("[upstream]\nproxy = \"http://u:s3cret@egress:3128\"\n{ACCOUNT}");
        warned(&toml, &["zhongkong.toml:2: upstream.proxy", "ZHONGKONG__UPSTREAM__PROXY"]);
        let upstream = loaded(&toml).config.upstream;
        assert!(format!("{upstream:?}").contains("egress"));
        assert!(!format!("{upstream:?}").contains("s3cret"));
        assert_eq!(upstream.proxy.unwrap().password(), Some("s3cret"));
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (toml, parts) in [
            ("[worker]\nname = \"a b\"", ["worker.name: ", "1 to 64 characters"]),
            ("[log]\nlevel = \"inof\"", ["log.level: ", "did you mean `info`?"]),
            ("[log]\nformat = \"xml\"", ["log.format: ", "(known: auto, text, json)"]),
            ("[upstream]\nmax_concurrent = 0", ["upstream.max_concurrent: ", "1 to 10000"]),
            ("[upstream]\nproxy = \"socks5://h\"", ["upstream.proxy: ", "http:// or https://"]),
            ("[upstream]\nproxy = \"u:s3cret@h\"", ["upstream.proxy: ", "http:// or https://"]),
        ] {
            refused(toml, &[&["zhongkong.toml:2: "][..], &parts].concat());
        }
    }
}
