//! Tuning of what the player feels: flying, collecting, looking.

use engine_api::prelude::*;

/// How the ship flies and what it survives.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct ShipTuning {
    /// Acceleration while a key is down, in units/s².
    pub thrust: f32,
    /// Part of the speed lost per second when gliding.
    pub drag: f32,
    /// Top speed in units/s.
    pub top_speed: f32,
    /// Seconds for which a key goes on counting after it went up.
    pub latch: f32,
    /// Size for collisions, in units.
    pub radius: f32,
    /// Shields at the start; a hit without any is the end.
    pub shields: i32,
    /// Seconds without harm after a hit.
    pub grace: f32,
}

impl Default for ShipTuning {
    fn default() -> Self {
        Self {
            thrust: 210.0,
            drag: 1.8,
            top_speed: 85.0,
            latch: 0.12,
            radius: 2.2,
            shields: 4,
            grace: 1.2,
        }
    }
}

/// What drones leave behind.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct PickupTuning {
    /// Chance that a destroyed drone leaves something, from 0 to 1.
    pub chance: f32,
    /// Distance in units from which the ship pulls them in.
    pub magnet: f32,
    /// Seconds until one fades.
    pub life: f32,
    /// Points for a gem.
    pub gem: u64,
}

impl Default for PickupTuning {
    fn default() -> Self {
        Self {
            chance: 0.035,
            magnet: 34.0,
            life: 14.0,
            gem: 250,
        }
    }
}

/// Sparks and shaking.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct EffectTuning {
    /// Sparks of one destroyed drone.
    pub sparks: u32,
    /// Sparks in the arena at most.
    pub most_sparks: u32,
    /// Speed of the fastest sparks, in units/s.
    pub spark_speed: f32,
    /// How far a hit shakes the view, in units.
    pub shake: f32,
}

impl Default for EffectTuning {
    fn default() -> Self {
        Self {
            sparks: 5,
            most_sparks: 900,
            spark_speed: 55.0,
            shake: 5.0,
        }
    }
}

/// How much of the arena is on screen.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct ViewTuning {
    /// Units to see from left to right on a wide terminal.
    pub width: f32,
    /// Units to see from top to bottom on a tall terminal.
    pub height: f32,
}

impl Default for ViewTuning {
    fn default() -> Self {
        Self {
            width: 190.0,
            height: 115.0,
        }
    }
}
