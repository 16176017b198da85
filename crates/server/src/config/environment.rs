//! The environment as a value, and the variables in it that override the file.

use std::collections::BTreeMap;
use std::fmt;

use super::error::{Findings, Place, suggest};
use super::keys::SECTIONS;

/// Begins the name of every variable that overrides a value: `ZHONGKONG__REFRESH__LEASE`.
const PREFIX: &str = "ZHONGKONG__";

/// The environment variables that configuration may look at.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process; what is not UTF-8 is left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of the variable `name`; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable that overrides `key`, such as `refresh.lease`, and its value.
    pub(super) fn override_of(&self, key: &str) -> Option<(String, &str)> {
        let name = variable(key);
        self.0.get(&name).map(|value| (name, value.as_str()))
    }

    /// Whether any value at all is overridden.
    pub(super) fn overrides_anything(&self) -> bool {
        self.overrides().next().is_some()
    }

    /// Refuses variables that look like an override and are none.
    pub(super) fn check(&self, findings: &Findings) {
        let known: Vec<String> = SECTIONS.iter().flat_map(|s| s.overridable()).collect();
        let known: Vec<String> = known.iter().map(|key| variable(key)).collect();
        for name in self.overrides().filter(|name| !known.iter().any(|known| known == name)) {
            let list = ["credentials", "include", "http.tokens", "notify"].map(variable);
            let what = if list.iter().any(|list| name.starts_with(list)) {
                "lists cannot be overridden by environment; use the file, with { env = … } for secrets"
                    .to_owned()
            } else {
                let suggestion = suggest(name, known.iter().map(String::as_str));
                format!("unknown variable{suggestion}")
            };
            findings.problem(&Place::Variable(name.to_owned()), "", &what);
        }
    }

    fn overrides(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| name.starts_with(PREFIX))
    }
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Names alone: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{ACCOUNT, load_with, refused_with};

    #[test]
    fn a_variable_overrides_the_file_and_the_default() {
        let toml = format!("[refresh]\nlease = \"9s\"\n{ACCOUNT}");
        let variables = [
            ("ZHONGKONG__REFRESH__LEASE", "10s"),
            ("ZHONGKONG__REFRESH__RECONCILE_RATE", "7"),
            ("ZHONGKONG__WORKER__NAME", "worker-9"),
            ("ZHONGKONG__HTTP__LISTEN", "127.0.0.2:80"),
            ("ZHONGKONG_SERVICE_HOST", "set by Kubernetes, not by the operator"),
        ];
        let config = load_with(&toml, variables).unwrap().config;
        assert_eq!(config.refresh.lease.as_secs(), 10);
        assert_eq!(config.refresh.reconcile_rate, 7);
        assert_eq!(config.worker.name.as_str(), "worker-9");
        assert_eq!(config.http.listen.to_string(), "127.0.0.2:80");
    }

    #[test]
    fn what_is_wrong_in_a_variable_names_the_variable() {
        for (name, value, parts) in [
            ("ZHONGKONG__REFRESH__LEASE", "8", ["refresh.lease", "\"8s\""]),
            ("ZHONGKONG__REFRESH__LEESE", "8s", ["did you mean", "`ZHONGKONG__REFRESH__LEASE`"]),
            ("ZHONGKONG__UPSTREAM__MAX_CONCURRENT", "many", ["whole number", "1 to 10000"]),
            ("ZHONGKONG__CREDENTIALS__0__SECRET", "s3cret", ["lists cannot be", "{ env = … }"]),
            ("ZHONGKONG__HTTP__TOKENS", "s3cret", ["lists cannot be", "the file"]),
        ] {
            refused_with(ACCOUNT, [(name, value)], &[&[name][..], &parts].concat());
        }
    }

    #[test]
    fn debug_shows_names_alone() {
        let environment = super::Environment::from_iter([("A", "s3cret")]);
        assert_eq!(format!("{environment:?}"), "{\"A\"}");
    }
}
