//! The two languages of our users.

use zhongkong_core::codes::Text;

use crate::config::Environment;

/// In which language people are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// By the usual variables, the first that is set deciding.
    pub(crate) fn of(environment: &Environment) -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|n| environment.get(n));
        if set.is_some_and(|locale| locale.starts_with("zh")) {
            Self::Chinese
        } else {
            Self::English
        }
    }

    /// By the value of `Accept-Language`: the one that is wanted most, and of two that are wanted alike the first.
    pub(crate) fn preferred(accepted: &str) -> Self {
        let mut best = (Self::English, 0.0);
        for range in accepted.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight: f32 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            let primary = tag.split('-').next().unwrap_or_default();
            let language = match primary {
                _ if primary.eq_ignore_ascii_case("zh") => Self::Chinese,
                _ if primary.eq_ignore_ascii_case("en") => Self::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    pub(crate) const fn pick(self, text: Text) -> &'static str {
        match self {
            Self::English => text.en,
            Self::Chinese => text.zh,
        }
    }

    /// What stands between a name and what is said of it.
    pub(crate) const fn colon(self) -> &'static str {
        self.say(": ", "：")
    }

    /// What stands between what is and what to do about it.
    pub(crate) const fn semicolon(self) -> &'static str {
        self.say("; ", "；")
    }

    /// Picks between two texts.
    pub(crate) const fn say(self, en: &'static str, zh: &'static str) -> &'static str {
        self.pick(Text { en, zh })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_gets_the_language_that_it_prefers() {
        for (accepted, language) in [
            ("", Language::English),
            ("de", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-US,en;q=0.9,zh;q=0.8", Language::English),
            ("de, en;q=0.2, ZH-hant;q=0.5", Language::Chinese),
            ("zh;q=0, en;q=0.1", Language::English),
            ("zh;q=by-mistake", Language::English),
        ] {
            assert_eq!(Language::preferred(accepted), language, "{accepted}");
        }
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let language =
            |variables: &[(&str, &str)]| Language::of(&variables.iter().copied().collect());
        assert_eq!(language(&[("LANG", "zh_CN.UTF-8")]), Language::Chinese);
        assert_eq!(language(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Language::English);
        assert_eq!(language(&[]), Language::English);
    }
}
