//! The upstream: which token it issued last, which it still honours, and the requests that it has not seen yet.

use zhongkong_core::nature::Nature;

use crate::bounds::Bounds;

/// What the upstream knows. Ages are in ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// The token issued last; 0 if there was none yet.
    pub newest: u8,
    /// Its age; not counted where tokens live for ever.
    pub newest_age: u8,
    /// The token before it, as long as that is honoured.
    pub previous: Option<Previous>,
    /// Requests that have left a worker, and that the upstream may still process.
    pub requests: Vec<Request>,
}

/// A token that was replaced, and is still honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// The token.
    pub token: u8,
    /// Its age; not counted where tokens live for ever.
    pub age: u8,
    /// How long ago the next one was issued.
    pub replaced: u8,
}

/// A request under way. An upstream that never sees it lets it grow older than the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How long ago it was sent.
    pub age: u8,
    /// The worker that waits for the reply; none if it gave up, or crashed.
    pub waiter: Option<u8>,
    /// The name of the worker that sent it, for stories only.
    pub sender: u8,
}

impl Upstream {
    /// Whether it honours `token`.
    pub fn honours(&self, token: u8) -> bool {
        token > 0
            && (token == self.newest || self.previous.is_some_and(|before| before.token == token))
    }

    /// Processes one request: issues `fresh`, or answers with the newest token where that is the upstream's nature.
    /// Returns the token, and the ticks that it still lives.
    pub fn process(&mut self, bounds: &Bounds, fresh: u8) -> (u8, u8) {
        let life = bounds.life.and_then(|life| u8::try_from(life).ok()).unwrap_or(0);
        let lasts =
            bounds.life.is_none_or(|life| u64::from(self.newest_age) + bounds.overlap < life);
        if bounds.nature == Nature::Idempotent && self.newest > 0 && lasts {
            return (self.newest, life - self.newest_age);
        }
        self.issue(fresh);
        (fresh, life)
    }

    /// Issues `fresh`. Of two tokens, the one before the last dies at once.
    pub fn issue(&mut self, fresh: u8) {
        self.previous = (self.newest > 0).then_some(Previous {
            token: self.newest,
            age: self.newest_age,
            replaced: 0,
        });
        self.newest = fresh;
        self.newest_age = 0;
    }

    /// One tick passes. Requests past the hold are dropped.
    pub fn pass(&mut self, bounds: &Bounds) {
        for request in &mut self.requests {
            request.age += 1;
        }
        self.requests.retain(|request| u64::from(request.age) <= bounds.hold);
        if let Some(before) = &mut self.previous {
            before.replaced += 1;
        }
        if let Some(life) = bounds.life {
            self.newest_age += 1;
            if u64::from(self.newest_age) >= life {
                self.newest = 0;
                self.newest_age = 0;
            }
            if let Some(before) = &mut self.previous {
                before.age += 1;
            }
        }
        let rotates = bounds.nature != Nature::Idempotent;
        self.previous = self.previous.filter(|before| {
            let replaced = rotates && u64::from(before.replaced) >= bounds.overlap;
            let expired = bounds.life.is_some_and(|life| u64::from(before.age) >= life);
            !replaced && !expired
        });
    }
}
