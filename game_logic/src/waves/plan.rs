//! `assets/waves.ron`.

use engine_api::prelude::*;

use crate::swarm::{DroneKind, Formation};
use crate::tuning::in_range;

/// Drones of one kind that come in one after the other.
#[derive(Reflect, Clone, Debug, PartialEq)]
#[reflect(Default)]
pub struct Group {
    /// Which.
    pub kind: DroneKind,
    /// How many.
    pub count: u32,
    /// How many per second.
    pub rate: f32,
    /// From where.
    pub formation: Formation,
}

impl Default for Group {
    fn default() -> Self {
        let (kind, formation) = (DroneKind::default(), Formation::default());
        Self {
            kind,
            count: 200,
            rate: 60.0,
            formation,
        }
    }
}

/// One wave: its groups come one after the other.
#[derive(Reflect, Clone, Debug, PartialEq)]
#[reflect(Default)]
pub struct Wave {
    /// Shown when it begins.
    pub name: String,
    /// Name of a level in `levels.ron`.
    pub level: String,
    /// Who comes.
    pub groups: Vec<Group>,
}

impl Default for Wave {
    fn default() -> Self {
        let name = "Swarm".to_owned();
        Self {
            name,
            level: "open".to_owned(),
            groups: vec![Group::default()],
        }
    }
}

/// All waves.
#[derive(Resource, Reflect, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct WavePlan {
    /// Seconds before a wave begins.
    pub pause: f32,
    /// A wave is over when no more drones than this are left.
    pub leftover: u32,
    /// After the last wave they begin anew, each time with so many more (1 is double).
    pub growth: f32,
    /// Points for a wave, times its number.
    pub bonus: u64,
    /// The waves, in order.
    pub waves: Vec<Wave>,
}

impl Default for WavePlan {
    fn default() -> Self {
        Self {
            pause: 2.5,
            leftover: 12,
            growth: 0.5,
            bonus: 500,
            waves: vec![Wave::default()],
        }
    }
}

impl WavePlan {
    /// The wave of a number that counts from 0 and never ends.
    pub fn wave(&self, number: u32) -> Option<&Wave> {
        self.waves.get(number as usize % self.waves.len().max(1))
    }

    /// How many drones a group of wave `number` has.
    pub fn size(&self, group: &Group, number: u32) -> u32 {
        let rounds = number as usize / self.waves.len().max(1);
        (group.count as f32 * (1.0 + self.growth * rounds as f32)) as u32
    }
}

/// Checks a whole [`WavePlan`].
///
/// # Errors
/// The first thing that makes no sense, and what would.
pub fn check_waves(plan: &WavePlan) -> Result<(), String> {
    in_range("pause", plan.pause, 0.0..=60.0, "seconds")?;
    in_range("leftover", plan.leftover, 0..=1_000, "drones")?;
    in_range("growth", plan.growth, 0.0..=10.0, "")?;
    if plan.waves.is_empty() {
        return Err("`waves` is empty; write at least one wave, for example \
                    (name: \"Swarm\", level: \"open\", groups: [(kind: Drifter, count: 200)])"
            .to_owned());
    }
    for (index, wave) in plan.waves.iter().enumerate() {
        let number = index + 1;
        if wave.groups.is_empty() {
            return Err(format!(
                "wave {number} \"{}\" has no `groups`; write at least one, for example \
                 (kind: Seeker, count: 100, rate: 20, formation: Ring)",
                wave.name
            ));
        }
        for group in &wave.groups {
            in_range(
                &format!("count in wave {number}"),
                group.count,
                1..=10_000,
                "drones",
            )?;
            in_range(
                &format!("rate in wave {number}"),
                group.rate,
                0.1..=5_000.0,
                "drones/s",
            )?;
        }
    }
    Ok(())
}
