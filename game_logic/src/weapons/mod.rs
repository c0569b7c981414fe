//! The guns that fire by themselves, and the nova on the space bar.

mod aim;
mod fire;
mod nova;

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::tuning::NovaTuning;

pub use aim::aim;
pub use fire::fire;
pub use nova::{fire_nova, grow_blasts};

/// The ship's guns.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Gun {
    /// Bullets per volley.
    pub level: u32,
    /// Seconds until the next volley.
    pub cooldown: f32,
    /// Direction of the nearest drone; zero if none is in range.
    pub aim: Vec2,
}

/// A bullet on its way.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Bullet {
    /// Attack, see the function `damage`.
    pub attack: i32,
    /// Drones it can still go through.
    pub pierce: u32,
}

/// A wave that runs outwards and hits every drone it passes.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Blast {
    /// Where it was one frame ago, in units from its middle.
    pub inner: f32,
    /// Where it is now.
    pub outer: f32,
    /// Where it ends.
    pub reach: f32,
    /// Attack, see the function `damage`.
    pub attack: i32,
}

impl Blast {
    /// The wave on the space bar.
    pub fn nova(tuning: &NovaTuning) -> Self {
        Self {
            reach: tuning.radius,
            attack: tuning.attack,
            ..Self::default()
        }
    }

    /// The wave that saves a hit ship.
    pub fn rescue(tuning: &NovaTuning) -> Self {
        Self {
            reach: tuning.rescue_radius,
            attack: tuning.attack,
            ..Self::default()
        }
    }
}
