//! Chance that can be repeated.
//!
//! The generator is a resource like any other: it lives in the world, so it
//! goes on where it was when the code is replaced, and the same seed with the
//! same keys gives the same game.

use engine_api::prelude::*;

use crate::math::Vec2;

/// A SplitMix64 generator (Steele, Lea and Flood, 2014).
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator that gives the numbers of `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 (included) to 1 (not included).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Whether something of this chance (0 never, 1 always) happens.
    pub fn happens(&mut self, chance: f32) -> bool {
        self.unit() < chance
    }

    /// A unit vector in any direction.
    pub fn direction(&mut self) -> Vec2 {
        Vec2::from_angle(self.between(0.0, std::f32::consts::TAU))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_within_bounds() {
        let (mut a, mut b) = (Rng::seeded(7), Rng::seeded(7));
        let mut sum = 0.0;
        for _ in 0..10_000 {
            let number = a.unit();
            assert!((0.0..1.0).contains(&number));
            assert!(number.to_bits() == b.unit().to_bits());
            sum += number;
        }
        assert!((4_800.0..5_200.0).contains(&sum), "{sum}");
    }
}
