//! `assets/levels.ron`.

use engine_api::prelude::*;

use crate::tuning::in_range;

/// A round obstacle.
#[derive(Reflect, Default, Clone, Debug, PartialEq)]
#[reflect(Default)]
pub struct Pillar {
    /// Right of the middle, in units.
    pub x: f32,
    /// Below the middle, in units.
    pub y: f32,
    /// In units.
    pub radius: f32,
}

/// One level.
#[derive(Reflect, Clone, Debug, PartialEq)]
#[reflect(Default)]
pub struct Level {
    /// Its name, for `waves.ron`.
    pub name: String,
    /// In units.
    pub width: f32,
    /// In units.
    pub height: f32,
    /// Colour of walls and pillars: red, green, blue.
    pub wall: (u8, u8, u8),
    /// Colour of the dust on the ground.
    pub dust: (u8, u8, u8),
    /// Obstacles.
    pub pillars: Vec<Pillar>,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            name: "open".to_owned(),
            width: 320.0,
            height: 200.0,
            wall: (70, 110, 190),
            dust: (50, 58, 78),
            pillars: Vec::new(),
        }
    }
}

/// All levels.
#[derive(Resource, Reflect, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct LevelPlan {
    /// In any order; waves name them.
    pub levels: Vec<Level>,
}

impl Default for LevelPlan {
    fn default() -> Self {
        Self {
            levels: vec![Level::default()],
        }
    }
}

impl LevelPlan {
    /// The level of this name, or the first one if there is none.
    pub fn named(&self, name: &str) -> Option<&Level> {
        self.levels
            .iter()
            .find(|level| level.name == name)
            .or_else(|| self.levels.first())
    }
}

/// Checks a whole [`LevelPlan`].
///
/// # Errors
/// The first thing that makes no sense, and what would.
pub fn check_levels(plan: &LevelPlan) -> Result<(), String> {
    if plan.levels.is_empty() {
        return Err("`levels` is empty; write at least one level, for example \
                    (name: \"open\", width: 320, height: 200)"
            .to_owned());
    }
    for (index, level) in plan.levels.iter().enumerate() {
        let name = &level.name;
        if name.is_empty() {
            return Err(format!(
                "level {} has no name; waves find it by name",
                index + 1
            ));
        }
        if plan.levels[..index].iter().any(|other| other.name == *name) {
            return Err(format!(
                "two levels are called \"{name}\"; give one another name"
            ));
        }
        let field = |field: &str| format!("{field} of level \"{name}\"");
        in_range(&field("width"), level.width, 60.0..=1_000.0, "units")?;
        in_range(&field("height"), level.height, 60.0..=1_000.0, "units")?;
        if level.pillars.len() > 12 {
            return Err(format!(
                "level \"{name}\" has {} pillars; 12 are the most",
                level.pillars.len()
            ));
        }
        for pillar in &level.pillars {
            let (x, y) = (level.width / 2.0, level.height / 2.0);
            in_range(&field("x of a pillar"), pillar.x, -x..=x, "units")?;
            in_range(&field("y of a pillar"), pillar.y, -y..=y, "units")?;
            let most = level.width.min(level.height) / 4.0;
            in_range(
                &field("radius of a pillar"),
                pillar.radius,
                1.0..=most,
                "units",
            )?;
            if pillar.x.hypot(pillar.y) < pillar.radius + 12.0 {
                return Err(format!(
                    "a pillar of level \"{name}\" stands where the ship begins; keep the middle \
                     free for 12 units"
                ));
            }
        }
    }
    Ok(())
}
