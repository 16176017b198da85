//! What the looks for one token came to.

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A token that works, by its fingerprint.
    Good { fingerprint: String },
    /// A token that the upstream rejects as such.
    Dead { fingerprint: String, code: i64 },
    /// No token.
    Absent,
    /// Nothing was learnt: Redis or the upstream did not answer.
    Unanswered { by: &'static str, why: String },
}

/// The counts of one credential, from its first token that works on: before it there was nothing to miss.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    reads: u64,
    dead: u64,
    absent: u64,
    unanswered: u64,
    /// Of the last token that worked.
    fingerprint: Option<String>,
    /// The last look brought a token that works.
    works: bool,
}

impl Counts {
    /// Counts a look, and says what is new with it: ten lines a second would drown the rest.
    pub(crate) fn add(&mut self, found: &Found) -> Option<String> {
        let begun = self.reads > 0;
        if !begun && !matches!(found, Found::Good { .. }) {
            return None;
        }
        self.reads += 1;
        let worked = std::mem::replace(&mut self.works, matches!(found, Found::Good { .. }));
        match found {
            Found::Good { fingerprint } => {
                let last = self.fingerprint.replace(fingerprint.clone());
                if last.as_ref() != Some(fingerprint) {
                    let which = if begun { "another" } else { "the first" };
                    return Some(format!("{which} token: {fingerprint}"));
                }
                (!worked).then(|| format!("all is well again with {fingerprint}"))
            }
            Found::Dead { fingerprint, code } => {
                self.dead += 1;
                worked.then(|| format!("TOKEN {fingerprint} IS DEAD: the upstream answers {code}"))
            }
            Found::Absent => {
                self.absent += 1;
                worked.then(|| "THERE IS NO TOKEN".to_owned())
            }
            Found::Unanswered { by, why } => {
                self.unanswered += 1;
                worked.then(|| format!("no answer from {by}: {why}"))
            }
        }
    }

    /// All of them on a line, for people and for programs.
    pub(crate) fn line(&self, id: &str) -> String {
        let Self { reads, dead, absent, unanswered, works, .. } = self;
        let works = if *works { "yes" } else { "no" };
        format!(
            "id={id} reads={reads} dead={dead} absent={absent} unanswered={unanswered} works={works}"
        )
    }

    /// Whether a line says that the last look brought a token that works.
    pub(crate) fn line_is_good(line: &str) -> bool {
        line.ends_with(" works=yes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(fingerprint: &str) -> Found {
        Found::Good { fingerprint: fingerprint.to_owned() }
    }

    #[test]
    fn nothing_is_missed_before_the_first_token_and_everything_after_it() {
        let mut counts = Counts::default();
        let down = Found::Unanswered { by: "Redis", why: "refused".to_owned() };
        assert_eq!((counts.add(&Found::Absent), counts.add(&down)), (None, None));
        assert_eq!(counts.line("wx1"), "id=wx1 reads=0 dead=0 absent=0 unanswered=0 works=no");
        assert!(!Counts::line_is_good(&counts.line("wx1")));

        assert_eq!(counts.add(&good("a")).as_deref(), Some("the first token: a"));
        assert_eq!(counts.add(&good("a")), None);
        assert!(Counts::line_is_good(&counts.line("wx1")));
        assert_eq!(counts.add(&Found::Absent).as_deref(), Some("THERE IS NO TOKEN"));
        assert_eq!(counts.add(&Found::Absent), None);
        assert_eq!(counts.add(&good("a")).as_deref(), Some("all is well again with a"));
        assert_eq!(counts.add(&good("b")).as_deref(), Some("another token: b"));
        let dead = Found::Dead { fingerprint: "b".to_owned(), code: 40001 };
        let said = counts.add(&dead).unwrap();
        assert_eq!(said, "TOKEN b IS DEAD: the upstream answers 40001");
        assert_eq!(counts.add(&down), None);
        assert_eq!(counts.line("wx1"), "id=wx1 reads=8 dead=1 absent=2 unanswered=1 works=no");
    }
}
