//! What the game consists of.

use engine_api::prelude::*;

/// Half the width and height of the arena.
pub const HALF: f32 = 1000.0;
/// Cells of [`Grid`] along each side.
pub const CELLS: usize = 64;

/// Where it is.
#[derive(Component, Reflect, Default, Clone, Copy)]
pub struct Position {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// Where it goes, per second.
#[derive(Component, Reflect, Default, Clone, Copy)]
pub struct Velocity {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// Flies towards the middle of things.
#[derive(Component, Reflect, Default)]
pub struct Seeker {
    /// How fast it turns.
    pub agility: f32,
}

/// Is drawn by gravity.
#[derive(Component, Reflect, Default)]
pub struct Rock {
    /// Mass.
    pub mass: f32,
}

/// Turns.
#[derive(Component, Reflect, Default)]
pub struct Spin {
    /// Radians.
    pub angle: f32,
    /// Radians per second.
    pub speed: f32,
}

/// Fires now and then.
#[derive(Component, Reflect, Default)]
pub struct Gun {
    /// Seconds until it may fire.
    pub cooldown: f32,
    /// Seconds between shots.
    pub period: f32,
}

/// Hits what it meets.
#[derive(Component, Reflect, Default)]
pub struct Bullet {
    /// What it takes off.
    pub damage: f32,
}

/// Ends some time.
#[derive(Component, Reflect, Default)]
pub struct Lifetime {
    /// Seconds left.
    pub left: f32,
}

/// Can be hurt.
#[derive(Component, Reflect, Default)]
pub struct Health {
    /// Now.
    pub current: f32,
    /// At most.
    pub max: f32,
}

/// Glows.
#[derive(Component, Reflect, Default)]
pub struct Spark {
    /// 0 to 1.
    pub glow: f32,
}

/// Grows warm by flying fast.
#[derive(Component, Reflect, Default)]
pub struct Heat {
    /// Degrees.
    pub degrees: f32,
}

/// Time as the systems use it.
#[derive(Resource, Reflect, Default)]
pub struct Clock {
    /// Seconds of this step.
    pub delta: f32,
    /// Seconds since the start.
    pub now: f32,
}

/// Who is where, for collisions.
#[derive(Resource, Reflect, Default)]
pub struct Grid {
    /// Row by row.
    pub cells: Vec<Vec<Entity>>,
}

/// Points.
#[derive(Resource, Reflect, Default)]
pub struct Score {
    /// Destroyed so far.
    pub destroyed: u64,
    /// Alive now.
    pub alive: u64,
    /// Hurt in this frame.
    pub hurt: u64,
}

/// What the picture shows.
#[derive(Resource, Reflect, Default)]
pub struct Camera {
    /// Its middle.
    pub x: f32,
    /// Its middle.
    pub y: f32,
}

/// Whether the systems of [`module_at_rest`](super::module_at_rest) run.
#[derive(Resource, Reflect, Default)]
pub struct Running(pub bool);

/// A bullet met something.
#[derive(Message, Reflect)]
pub struct Hit {
    /// What it met.
    pub target: Entity,
    /// The bullet.
    pub bullet: Entity,
    /// What it takes off.
    pub damage: f32,
}

/// Something has no health left.
#[derive(Event, TypePath)]
pub struct Destroyed {
    /// Points for it.
    pub points: u64,
}

/// Puts `count` entities of five kinds into a world.
pub fn populate(world: &mut World, count: usize) {
    let mut random = 0x9e37_79b9_u32;
    let mut next = move |range: f32| {
        // Xorshift (G. Marsaglia, "Xorshift RNGs", 2003).
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        (random as f32 / u32::MAX as f32 - 0.5) * 2.0 * range
    };
    let mut place = || {
        let position = Position {
            x: next(HALF),
            y: next(HALF),
        };
        (
            position,
            Velocity {
                x: next(60.0),
                y: next(60.0),
            },
            next(1.0),
        )
    };
    for index in 0..count {
        let (position, velocity, chance) = place();
        let body = (position, velocity);
        match index % 10 {
            0..3 => world.spawn((
                body,
                Rock { mass: 2.0 + chance },
                Spin {
                    angle: 0.0,
                    speed: chance,
                },
            )),
            3..6 => world.spawn((
                body,
                Seeker {
                    agility: 1.5 + chance,
                },
                Health {
                    current: 50.0,
                    max: 60.0,
                },
                Heat::default(),
            )),
            6 => world.spawn((
                body,
                Gun {
                    cooldown: 2.0 + chance,
                    period: 4.0,
                },
                Health {
                    current: 90.0,
                    max: 100.0,
                },
            )),
            7 => world.spawn((
                body,
                Health {
                    current: 20.0,
                    max: 20.0,
                },
                Heat::default(),
            )),
            _ => world.spawn((body, Spark { glow: 1.0 })),
        };
    }
}
