//! How messages fare: mostly well, and badly while a storm lasts.

use std::time::Duration;

use zhongkong_core::clock::millis;

use crate::dice::Dice;

/// What becomes of one command to Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It is there after a while, and its answer back after another.
    Fine { out: Duration, back: Duration },
    /// It never arrives.
    Lost,
    /// It arrives, and its answer does not.
    Unanswered { out: Duration },
    /// It arrives when nobody waits for its answer any more.
    Late { after: Duration },
}

/// The weather between workers and Redis, and between workers and the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// A storm between workers and Redis.
    pub(crate) redis: bool,
    /// A storm between workers and the upstream.
    pub(crate) upstream: bool,
}

/// The longest that a command stays under way: longer than anybody waits for its answer.
const COMMAND_LATE_MS: u64 = 9_000;

impl Weather {
    /// The fate of a command.
    pub(crate) fn of_command(self, dice: &Dice) -> Fate {
        if !self.redis {
            // Most commands take less than the millisecond that a timer can tell.
            let slow =
                |dice: &Dice| if dice.happens(150) { dice.ms(1..=3) } else { Duration::ZERO };
            return Fate::Fine { out: slow(dice), back: slow(dice) };
        }
        match dice.of(0..=9) {
            0 => Fate::Lost,
            1 => Fate::Unanswered { out: dice.ms(0..=1_500) },
            2 => Fate::Late { after: dice.ms(500..=COMMAND_LATE_MS) },
            3..=5 => Fate::Fine { out: dice.ms(0..=900), back: dice.ms(0..=900) },
            _ => Fate::Fine { out: dice.ms(0..=5), back: dice.ms(0..=5) },
        }
    }

    /// The fate of a request to the upstream, which processes it within `hold` or never.
    pub(crate) fn of_request(self, dice: &Dice, hold: Duration) -> Fate {
        if !self.upstream {
            return Fate::Fine { out: dice.ms(5..=40), back: dice.ms(5..=40) };
        }
        let hold_ms = millis(hold);
        match dice.of(0..=9) {
            0 => Fate::Lost,
            1..=2 => Fate::Unanswered { out: dice.ms(5..=2_000) },
            3 => Fate::Late { after: dice.ms(1_000..=hold_ms) },
            4..=5 => Fate::Fine { out: dice.ms(5..=1_500), back: dice.ms(5..=1_500) },
            _ => Fate::Fine { out: dice.ms(5..=60), back: dice.ms(5..=60) },
        }
    }
}
