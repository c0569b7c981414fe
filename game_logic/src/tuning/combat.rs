//! Tuning of the fight: guns, nova, drones.

use engine_api::prelude::*;

use crate::swarm::DroneKind;

/// The guns, which fire by themselves.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct GunTuning {
    /// Volleys per second.
    pub rate: f32,
    /// Speed of a bullet in units/s.
    pub speed: f32,
    /// How far a bullet flies, and how far the guns see, in units.
    pub range: f32,
    /// Angle between the bullets of one volley, in degrees.
    pub spread: f32,
    /// Attack of one bullet, see the function `damage`.
    pub attack: i32,
    /// Drones that one bullet goes through.
    pub pierce: u32,
    /// Size of a bullet for collisions, in units.
    pub radius: f32,
    /// Bullets per volley at most.
    pub most_level: u32,
}

impl Default for GunTuning {
    fn default() -> Self {
        Self {
            rate: 9.0,
            speed: 150.0,
            range: 75.0,
            spread: 6.0,
            attack: 3,
            pierce: 2,
            radius: 1.4,
            most_level: 6,
        }
    }
}

/// The shock wave on the space bar.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct NovaTuning {
    /// Drones to destroy for one full charge.
    pub kills: u32,
    /// Reach in units.
    pub radius: f32,
    /// Speed in units/s.
    pub speed: f32,
    /// Attack, see the function `damage`.
    pub attack: i32,
    /// Reach in units of the small wave that saves a hit ship.
    pub rescue_radius: f32,
}

impl Default for NovaTuning {
    fn default() -> Self {
        Self {
            kills: 130,
            radius: 70.0,
            speed: 150.0,
            attack: 12,
            rescue_radius: 28.0,
        }
    }
}

/// The swarm.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct DroneTuning {
    /// Drones in the arena at most.
    pub most: u32,
    /// Drones come in no nearer to the ship than this, in units.
    pub clearance: f32,
    /// What all have in common.
    pub flock: FlockTuning,
    /// Slow and many.
    pub drifter: DroneStats,
    /// Straight at the ship.
    pub seeker: DroneStats,
    /// Big, falls into drifters.
    pub splitter: DroneStats,
    /// Few, fast, tough.
    pub hunter: DroneStats,
}

impl DroneTuning {
    /// The numbers of one kind.
    pub fn of(&self, kind: DroneKind) -> &DroneStats {
        match kind {
            DroneKind::Drifter => &self.drifter,
            DroneKind::Seeker => &self.seeker,
            DroneKind::Splitter => &self.splitter,
            DroneKind::Hunter => &self.hunter,
        }
    }
}

impl Default for DroneTuning {
    fn default() -> Self {
        let stats = |speed, agility, homing, radius, hull, armor, points| DroneStats {
            speed,
            agility,
            homing,
            radius,
            hull,
            armor,
            points,
        };
        Self {
            most: 4_000,
            clearance: 55.0,
            flock: FlockTuning::default(),
            drifter: stats(17.0, 1.4, 0.4, 1.0, 1, 0, 10),
            seeker: stats(32.0, 2.0, 0.9, 1.1, 3, 0, 25),
            splitter: stats(20.0, 1.0, 0.7, 2.2, 10, 1, 80),
            hunter: stats(62.0, 1.6, 1.0, 1.5, 8, 1, 120),
        }
    }
}

/// How drones of all kinds keep together and apart.
#[derive(Reflect, Clone, Debug)]
#[reflect(Default)]
pub struct FlockTuning {
    /// How strongly they fly with their neighbours, per second.
    pub alignment: f32,
    /// How strongly they keep away from their neighbours, per second².
    pub separation: f32,
    /// How far they weave from side to side, from 0 to 1.
    pub weave: f32,
}

impl Default for FlockTuning {
    fn default() -> Self {
        Self {
            alignment: 1.1,
            separation: 26.0,
            weave: 0.55,
        }
    }
}

/// The numbers of one kind of drone.
#[derive(Reflect, Clone, Debug, Default)]
#[reflect(Default)]
pub struct DroneStats {
    /// Speed in units/s.
    pub speed: f32,
    /// How quickly it turns to where it wants to go, per second.
    pub agility: f32,
    /// How much it wants the ship: 0 wanders, 1 comes straight.
    pub homing: f32,
    /// Size for collisions, in units.
    pub radius: f32,
    /// Damage it takes to destroy it.
    pub hull: i32,
    /// Defense, see the function `damage`.
    pub armor: i32,
    /// Points for destroying it.
    pub points: u64,
}
