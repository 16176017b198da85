//! The keys that there are, table by table.

/// The keys of a table.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) name: &'static str,
    /// Scalars, which the environment may override.
    pub(super) scalars: &'static [&'static str],
    /// Secrets, which it may override, too: the secret itself, its file or its variable.
    pub(super) secrets: &'static [&'static str],
    /// Lists and tables.
    pub(super) others: &'static [&'static str],
}

/// The tables of which there is one each.
pub(super) const SECTIONS: [&Keys; 6] = [&REDIS, &WORKER, &LOG, &HTTP, &UPSTREAM, &REFRESH];

const NONE: Keys = Keys { name: "", scalars: &[], secrets: &[], others: &[] };
pub(super) const ROOT: Keys = Keys {
    name: "the file",
    others: &[
        "include",
        "redis",
        "worker",
        "log",
        "http",
        "upstream",
        "refresh",
        "notify",
        "credentials",
    ],
    ..NONE
};
pub(super) const INCLUDED: Keys =
    Keys { name: "an included file", others: &["credentials"], ..NONE };
pub(super) const REDIS: Keys = Keys {
    name: "redis",
    scalars: &[
        "url",
        "prefix",
        "username",
        "replicas",
        "ca",
        "client_cert",
        "client_key",
        "sentinel_username",
    ],
    secrets: &["password", "sentinel_password"],
    ..NONE
};
pub(super) const WORKER: Keys = Keys { name: "worker", scalars: &["name"], ..NONE };
pub(super) const LOG: Keys = Keys { name: "log", scalars: &["level", "format"], ..NONE };
pub(super) const HTTP: Keys = Keys {
    name: "http",
    scalars: &["listen", "tls_cert", "tls_key"],
    others: &["tokens", "wechat"],
    ..NONE
};
pub(super) const HTTP_TOKEN: Keys =
    Keys { name: "tokens", scalars: &["name", "scope"], secrets: &["secret"], ..NONE };
pub(super) const HTTP_SERVICE: Keys = Keys {
    name: "wechat",
    scalars: &["name"],
    secrets: &["secret"],
    others: &["credentials"],
    ..NONE
};
pub(super) const UPSTREAM: Keys =
    Keys { name: "upstream", scalars: &["proxy", "max_concurrent"], ..NONE };
pub(super) const REFRESH: Keys = Keys {
    name: "refresh",
    scalars: &[
        "ahead",
        "request_timeout",
        "lease",
        "drain",
        "spacing",
        "report_budget",
        "probe_interval",
        "reconcile_rate",
        "human_poll",
    ],
    ..NONE
};
pub(super) const NOTIFY: Keys = Keys {
    name: "notify",
    scalars: &[
        "name",
        "type",
        "language",
        "proxy",
        "group_wait",
        "group_interval",
        "over_after",
        "again_after",
        "repeat_interval",
    ],
    secrets: &["url", "secret"],
    others: &["only"],
};
pub(super) const CREDENTIAL: Keys = Keys {
    name: "credentials",
    scalars: &["id", "provider", "app_id", "base_url", "overlap", "hold"],
    secrets: &["secret"],
    others: &["tickets", "publish"],
};
pub(super) const PUBLISH: Keys = Keys {
    name: "publish",
    scalars: &[
        "layout",
        "key",
        "encoding",
        "ttl",
        "prefix",
        "namespace",
        "codec",
        "stable",
        "agent_id",
        "ma_id",
    ],
    secrets: &["sdk_secret"],
    ..NONE
};
pub(super) const SECRET: Keys = Keys { scalars: &["file", "env"], ..NONE };

impl Keys {
    /// Every key that the environment may override, as `section.key`.
    pub(super) fn overridable(&self) -> impl Iterator<Item = String> {
        let sources = self.secrets.iter().flat_map(|secret| {
            ["", ".file", ".env"].map(|source| format!("{}.{secret}{source}", self.name))
        });
        self.scalars.iter().map(|key| format!("{}.{key}", self.name)).chain(sources)
    }

    /// Every key that may stand in the table.
    pub(super) fn known(&self) -> impl Iterator<Item = &'static str> + Clone {
        [self.scalars, self.secrets, self.others].into_iter().flatten().copied()
    }
}
