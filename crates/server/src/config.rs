//! Configuration: from files and the environment to values that do not contradict each other.
//!
//! Loading has no side effects, so a reload is another load. Whatever is wrong is told with file, line and key,
//! everything at once; a secret is in no message and in no `Debug` output.
//!
//! # Layout, in reading order
//! 1. This file: what a configuration is, and how it comes together.
//! 2. `error`, `environment`, `files`: problems and their places; the variables that override; the files and their includes.
//! 3. `keys`, `document`, `value`, `section`: the keys there are; a parsed file; one value; typed access to a table.
//! 4. `redis`, `http`, `basics`, `refresh`, `notify`, `credentials`, `publish`, `services`: one section each; `secret`
//!    and `certificate`: what they name.

mod basics;
mod certificate;
mod credentials;
mod document;
mod environment;
mod error;
mod files;
mod http;
mod keys;
mod notify;
mod publish;
mod redis;
mod refresh;
mod secret;
mod section;
mod services;
#[cfg(test)]
pub(crate) mod testing;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::error::Findings;
use self::keys::{HTTP, INCLUDED, LOG, REDIS, REFRESH, ROOT, UPSTREAM, WORKER};
use self::section::Section;

pub use self::basics::{LogConfig, LogFormat, UpstreamConfig, WorkerConfig};
pub use self::certificate::{Certificate, HttpTls, Validity};
pub use self::credentials::CredentialConfig;
pub use self::environment::Environment;
pub use self::error::ConfigError;
pub use self::http::{HttpConfig, HttpToken, Scope};
pub use self::notify::NotifyConfig;
pub use self::publish::PublishConfig;
pub use self::redis::{RedisConfig, Replicas};
pub use self::refresh::RefreshConfig;
pub use self::secret::{SecretError, SecretSource};
pub use self::services::ServiceConfig;

/// Where the file is looked for if nobody names one.
const PLACES: [&str; 2] = ["./zhongkong.toml", "/etc/zhongkong/zhongkong.toml"];

/// Everything that a worker is told from outside.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store.
    pub redis: RedisConfig,
    /// This worker.
    pub worker: WorkerConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The HTTP interface.
    pub http: HttpConfig,
    /// Those that are answered as WeChat would answer.
    pub services: Vec<ServiceConfig>,
    /// How upstreams are reached.
    pub upstream: UpstreamConfig,
    /// When tokens are refreshed.
    pub refresh: RefreshConfig,
    /// Who is told when a person is needed.
    pub notify: Vec<NotifyConfig>,
    /// The accounts, in the order of the files.
    pub credentials: Vec<CredentialConfig>,
}

/// Where a worker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address of its HTTP interface.
    pub address: SocketAddr,
    /// Whether connections to it are encrypted.
    pub encrypted: bool,
}

/// A configuration, and what came up on the way to it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but is odd, one sentence each, with its place.
    pub warnings: Vec<String>,
    /// The files that it was read from, the main file first; none if the environment says it all.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// Loads the file at `path`, else the one that `ZHONGKONG_CONFIG` names, else the first that exists of
    /// `./zhongkong.toml` and `/etc/zhongkong/zhongkong.toml`; then its includes, then what `environment` overrides.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
        Self::load_from(path, environment, &PLACES.map(Path::new))
    }

    /// Where the worker of this configuration listens, whatever else is wrong with it.
    pub fn listen(path: Option<&Path>, environment: &Environment) -> Result<Listen, ConfigError> {
        Self::listen_from(path, environment, &PLACES.map(Path::new))
    }

    fn listen_from(
        path: Option<&Path>,
        environment: &Environment,
        places: &[&Path],
    ) -> Result<Listen, ConfigError> {
        let (findings, beside) = (Findings::default(), Findings::default());
        let main = files::main(path, environment, places, &findings);
        let section = Section::root(main.as_ref(), &ROOT, environment, &beside).section(&HTTP);
        let section = section.telling(&findings);
        let encrypted = section.has("tls_cert");
        let listen = Listen { address: http::listen(&section), encrypted };
        findings.finish(Some(listen)).map(|(listen, _)| listen)
    }

    fn load_from(
        path: Option<&Path>,
        environment: &Environment,
        places: &[&Path],
    ) -> Result<Loaded, ConfigError> {
        let findings = Findings::default();
        environment.check(&findings);
        let main = files::main(path, environment, places, &findings);
        let root = Section::root(main.as_ref(), &ROOT, environment, &findings);
        let included = files::included(&root, main.as_ref());

        let mut roots = vec![root.clone()];
        roots.extend(
            included
                .iter()
                .map(|file| Section::root(Some(file), &INCLUDED, environment, &findings)),
        );
        let redis = redis::read(&root.section(&REDIS));
        let worker = basics::worker(&root.section(&WORKER));
        let log = basics::log(&root.section(&LOG));
        let http_section = root.section(&HTTP);
        let http = http::read(&http_section);
        let upstream = basics::upstream(&root.section(&UPSTREAM));
        let section = root.section(&REFRESH);
        let refresh = refresh::read(&section);
        let notify = notify::read(&root);
        let prefix = redis.as_ref().map_or("", |redis| redis.prefix.as_str());
        let credentials = credentials::read(&roots, &section, &refresh, prefix);
        let services = services::read(&http_section, &http.tokens, &credentials);
        let config = redis.zip(worker).map(|(redis, worker)| Self {
            redis,
            worker,
            log,
            http,
            services,
            upstream,
            refresh,
            notify,
            credentials,
        });
        let files = main.iter().chain(&included).map(|file| file.path().to_owned()).collect();
        let (config, warnings) = findings.finish(config)?;
        Ok(Loaded { config, warnings, files })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zhongkong_redis::{Deployment, RedisAddress};

    use super::testing::{ACCOUNT, load_with, loaded, refused};
    use super::{Config, Environment, Replicas};

    #[test]
    fn the_example_loads_and_says_nothing_but_the_defaults() {
        let example =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../zhongkong.example.toml"));
        let variables: [(&str, &str); 1] = [("WX_SECRET", "s3cret")];
        let loaded = Config::load(Some(example), &variables.into_iter().collect()).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert_eq!(loaded.files, [example]);
        let said = loaded.config;
        let default = super::testing::loaded(ACCOUNT).config;
        let sections = |c: &Config| {
            format!("{:?} {:?} {:?} {:?} {:?}", c.redis, c.log, c.http, c.upstream, c.refresh)
        };
        assert_eq!(sections(&said), sections(&default));
        assert_eq!(said.credentials[0].timing, default.credentials[0].timing);
    }

    #[test]
    fn every_default_holds_if_only_an_account_is_named() {
        let config = loaded(ACCOUNT).config;
        let address = RedisAddress::Tcp("127.0.0.1".to_owned(), 6379);
        assert_eq!(config.redis.deployment, Deployment::Server(address));
        assert_eq!(config.redis.access.database, 0);
        assert_eq!(config.redis.prefix, "zhongkong");
        assert_eq!(config.redis.replicas, Replicas::Auto);
        assert_eq!(config.log.filter, "info");
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8620");
        assert_eq!(config.upstream.max_concurrent, 64);
        assert_eq!(config.refresh.human_poll.as_secs(), 60);
        assert_eq!(config.credentials.len(), 1);
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        let refresh = "[refresh]\nleese = \"8s\"";
        refused(
            refresh,
            &[
                "zhongkong.toml:2: refresh.leese: unknown key `leese` in [refresh]; did you mean `lease`?",
            ],
        );
        refused("[redsi]", &["zhongkong.toml:1: redsi", "in the file; did you mean `redis`?"]);
        refused("[log]\ncolour = 1", &["log.colour", "(known: level, format)"]);
        refused("[[credentials]]\nappid = 1", &["credentials[0].appid", "did you mean `app_id`?"]);
        refused("redis = 1", &["zhongkong.toml:1: redis: must be a table: [redis]"]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let toml = "[refresh]\nlease = 8\nahead = \"soon\"\n[log]\nformat = \"xml\"";
        refused(toml, &["toml:2: refresh.lease", "toml:3: refresh.ahead", "toml:5: log.format"]);
    }

    #[test]
    fn a_syntax_error_has_line_and_column_and_never_the_text() {
        let toml = "[redis]\npassword = \"s3cret\" s3cret\n";
        let error = load_with(toml, []).unwrap_err().to_string();
        assert!(error.contains("zhongkong.toml:2:21: not TOML: "), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn no_secret_is_in_any_debug_output() {
        let toml = "
            redis = { url = \"redis://user:s3cret@host/0\" }
            upstream = { proxy = \"http://user:s3cret@egress:3128\" }
            http = { tokens = [{ name = \"shop\", scope = \"read\", secret = \"s3cret-s3cret-s3cret\" }] }
            notify = [{ name = \"ops\", type = \"wecom\", url = \"https://robot/s3cret\", proxy = \"http://u:s3cret@p\" }]
            [[credentials]]
            app_id = \"wx1\"
            provider = \"wechat\"
            secret = \"s3cret\"
            [[credentials]]
            app_id = \"wx2\"
            provider = \"wechat\"
            secret = { env = \"WX\" }";
        let loaded = load_with(toml, [("WX", "s3cret")]).unwrap();
        let shown = format!("{loaded:?} {loaded:#?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(loaded.warnings.len(), 6, "{:?}", loaded.warnings);
    }

    #[test]
    fn where_a_worker_listens_is_known_however_wrong_the_rest_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zhongkong.toml");
        let listen = |toml: &str, variables: &[(&str, &str)]| {
            std::fs::write(&path, toml).unwrap();
            let environment: Environment = variables.iter().copied().collect();
            let listen = Config::listen_from(Some(&path), &environment, &[]);
            listen.map(|listen| listen.address.to_string()).map_err(|error| error.to_string())
        };
        let wrong =
            "[http]\nlisten = \"0.0.0.0:80\"\nlitsen = 1\n[refresh]\nlease = \"0s\"\n[redsi]\n";
        assert_eq!(listen(wrong, &[]), Ok("0.0.0.0:80".to_owned()));
        let overridden = [("ZHONGKONG__HTTP__LISTEN", "127.0.0.1:81")];
        assert_eq!(listen(wrong, &overridden), Ok("127.0.0.1:81".to_owned()));
        assert_eq!(listen("", &[]), Ok("127.0.0.1:8620".to_owned()));
        let error = listen("[http]\nlisten = 80", &[]).unwrap_err();
        assert!(error.contains("zhongkong.toml:2: http.listen: "), "{error}");
        let error = listen("[http", &[]).unwrap_err();
        assert!(error.contains("zhongkong.toml:1:") && error.contains("not TOML"), "{error}");
    }

    #[test]
    fn without_a_file_the_environment_must_say_something() {
        let load = |variables: &[(&str, &str)]| {
            let environment: Environment = variables.iter().copied().collect();
            Config::load_from(
                None,
                &environment,
                &[Path::new("/no/a.toml"), Path::new("/no/b.toml")],
            )
        };
        let error = load(&[]).unwrap_err().to_string();
        assert!(error.contains("/no/a.toml, /no/b.toml") && error.contains("--config"), "{error}");
        let loaded = load(&[("ZHONGKONG__REDIS__URL", "redis://store")]).unwrap();
        assert!(loaded.files.is_empty());
        let address = RedisAddress::Tcp("store".to_owned(), 6379);
        assert_eq!(loaded.config.redis.deployment, Deployment::Server(address));
        assert!(loaded.warnings[0].contains("none is configured"), "{:?}", loaded.warnings);
    }
}
