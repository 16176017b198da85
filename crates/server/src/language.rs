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
    fn the_first_variable_that_is_set_decides() {
        let language =
            |variables: &[(&str, &str)]| Language::of(&variables.iter().copied().collect());
        assert_eq!(language(&[("LANG", "zh_CN.UTF-8")]), Language::Chinese);
        assert_eq!(language(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Language::English);
        assert_eq!(language(&[]), Language::English);
    }
}
