//! Chance: jitter and nonces are drawn from it, so that a run can be repeated exactly.

use std::fmt;

use crate::policy::Random;

/// Draws numbers that nobody foresees; only its implementation knows where they come from.
pub trait Chance: fmt::Debug + Send + Sync {
    /// A number, uniformly distributed.
    fn draw(&self) -> u64;

    /// A number in `[0, 1)`.
    fn random(&self) -> Random {
        // 53 bits: as many as a float of 64 bits has.
        Random::new((self.draw() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// What tells a claim's repetition from another claim: 96 bits, in hex digits.
    fn nonce(&self) -> String {
        let (high, low) = (self.draw(), self.draw());
        format!("{high:016x}{:08x}", low >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Loaded(u64);

    impl Chance for Loaded {
        fn draw(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn every_draw_is_a_number_from_zero_to_just_below_one() {
        let limit = Duration::from_secs(1 << 24);
        assert_eq!(Loaded(0).random().below(limit), Duration::ZERO);
        assert_eq!(Loaded(1 << 63).random().below(limit), limit / 2);
        assert!(Loaded(u64::MAX).random().below(limit) < limit);
    }

    #[test]
    fn a_nonce_is_24_hex_digits() {
        assert_eq!(Loaded(1).nonce(), "000000000000000100000000");
        assert_eq!(Loaded(u64::MAX).nonce(), "f".repeat(24));
    }
}
