//! Stories: a path through a model as one line that can be read.

use stateright::Path;

use crate::action::Action;
use crate::bounds::Protocol;
use crate::happened::Happened;
use crate::pack::Packed;
use crate::world::World;

/// Tells `path` with workers called A, B, C, and tokens numbered in the order in which they were issued; T1 is the one
/// that is published in the beginning. A trailing `late` is a request that nobody waits for any more.
pub fn tell(path: Path<Packed, Action>, protocol: &Protocol) -> String {
    let mut teller = Teller { issued: 1, answers: [1; 3], words: Vec::new(), ticks: 0 };
    for (packed, action) in path.into_vec() {
        let Some(action) = action else { break };
        let world = packed.unpack(protocol);
        if let Some(after) = world.after(protocol, action) {
            teller.hear(&world, &after, action);
        }
    }
    teller.end_ticks();
    teller.words.join(" ")
}

struct Teller {
    /// How many tokens were issued.
    issued: u32,
    /// The token that each worker was answered with last.
    answers: [u32; 3],
    words: Vec<String>,
    /// Ticks since the last word.
    ticks: u32,
}

impl Teller {
    fn end_ticks(&mut self) {
        match std::mem::take(&mut self.ticks) {
            0 => {}
            1 => self.words.push("Tick".to_owned()),
            many => self.words.push(format!("Tick×{many}")),
        }
    }

    fn hear(&mut self, before: &World, after: &World, action: Action) {
        if action == Action::Tick {
            self.ticks += 1;
            return;
        }
        self.end_ticks();
        let word = self.word(before, after, action);
        self.words.push(word);
    }

    fn word(&mut self, before: &World, after: &World, action: Action) -> String {
        let name = |w: usize| char::from(before.called[w]);
        let place = |letter: u8| usize::from(letter - b'A');
        let issued = after.upstream.newest != before.upstream.newest;
        self.issued += u32::from(issued);
        let token = self.issued;
        match action {
            Action::Process(i) => {
                let request = before.upstream.requests[i];
                let sender = char::from(request.sender);
                let late = if request.waiter.is_some() { "" } else { ", late" };
                if let Some(w) = request.waiter {
                    self.answers[place(before.called[usize::from(w)])] = token;
                }
                format!("Process({sender}{late})=T{token}")
            }
            Action::Refuse(i) => {
                format!("Refuse({})", char::from(before.upstream.requests[i].sender))
            }
            Action::Foreign => format!("Foreign=T{token}"),
            Action::Commit(w) | Action::CommitUnheard(w) => {
                let verb =
                    if matches!(action, Action::Commit(_)) { "Commit" } else { "CommitUnheard" };
                let token = self.answers[place(before.called[w])];
                format!("{verb}({})=T{token}{}", name(w), found(after.happened))
            }
            Action::Claim(w) => format!("Claim({}){}", name(w), found(after.happened)),
            Action::ClaimUnheard(w) => {
                format!("ClaimUnheard({}){}", name(w), found(after.happened))
            }
            Action::Repeat(w) => format!("Repeat({}){}", name(w), found(after.happened)),
            Action::Replay(w) => format!("Replay({}){}", name(w), found(after.happened)),
            Action::GiveUp(w)
            | Action::Check(w)
            | Action::Send(w)
            | Action::NotSent(w)
            | Action::Timeout(w)
            | Action::Hear(w)
            | Action::Crash(w)
            | Action::Meet(w)
            | Action::Keep(w)
            | Action::Adopt(w) => {
                let text = format!("{action:?}");
                let verb = text.split('(').next().unwrap_or_default();
                format!("{verb}({})", name(w))
            }
            other => format!("{other:?}"),
        }
    }
}

/// What a claim found, or how a commit ended, in brackets.
fn found(happened: Happened) -> String {
    let words = [
        (Happened::TAKEOVER, "takeover"),
        (Happened::EPOCH, "epoch"),
        (Happened::COLD_START, "cold start"),
        (Happened::LOST_CLAIM, "lost claim"),
        (Happened::REWOUND, "rewound"),
        (Happened::CLOCK, "clock"),
        (Happened::PROVISIONAL, "provisional"),
        (Happened::FENCED, "late"),
        (Happened::CLEARED, "clears doubt"),
    ];
    let found: Vec<_> =
        words.iter().filter(|(bit, _)| happened.0 & bit > 0).map(|(_, word)| *word).collect();
    if found.is_empty() { String::new() } else { format!("[{}]", found.join(", ")) }
}
