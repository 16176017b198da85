//! The language of a receiver.

use zhongkong_core::codes::Text;

/// In which language a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese.
    Chinese,
}

impl Language {
    /// The text in this language.
    pub const fn pick(self, text: Text) -> &'static str {
        match self {
            Self::English => text.en,
            Self::Chinese => text.zh,
        }
    }

    /// Picks between two texts.
    pub const fn say(self, en: &'static str, zh: &'static str) -> &'static str {
        self.pick(Text { en, zh })
    }
}
