//! Which part of the arena is on screen.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::player::Ship;
use crate::tuning::ViewTuning;
use crate::waves::Arena;

/// What the player looks at.
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Camera {
    /// The middle of the screen, in units.
    pub center: Vec2,
    /// How far it shakes, in units.
    pub shake: f32,
}

/// Lets the camera follow the ship, looking a little ahead.
pub fn follow_ship(
    time: Res<Time>,
    mut camera: ResMut<Camera>,
    ship: Query<(&Position, &Velocity), With<Ship>>,
) {
    if let Some((position, velocity)) = ship.iter().next() {
        let wanted = position.0 + velocity.0 * 0.25;
        let center = camera.center;
        camera.center = center + (wanted - center) * (time.delta() * 5.0).min(1.0);
    }
    camera.shake *= (1.0 - 6.0 * time.delta()).max(0.0);
}

/// Turns units into braille dots, for one frame.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Dots per unit.
    pub scale: f32,
    /// Dots from the left edge and the top to the middle of the arena.
    pub offset: Vec2,
}

impl View {
    /// The view of a camera on a viewport.
    ///
    /// A cell is about twice as high as wide and holds 2 by 4 dots, so dots are
    /// square and one scale fits both directions.
    pub fn new(
        camera: &Camera,
        viewport: &Viewport,
        arena: &Arena,
        tuning: &ViewTuning,
        seconds: f32,
    ) -> Self {
        let size = Vec2::new(viewport.dot_width() as f32, viewport.dot_height() as f32);
        // Small terminals show less of the arena rather than everything tiny.
        let scale = (size.x / tuning.width)
            .max(size.y / tuning.height)
            .clamp(0.4, 3.0);
        let half = arena.half();
        // Nothing to see beyond the walls: stop there, or show all of it centered.
        // Above and below, a row of text lies over the picture.
        let margin = Vec2::new(3.0, 3.0 + 4.0 / scale);
        let room = half + margin - size * (0.5 / scale);
        let shake = Vec2::new((seconds * 61.0).sin(), (seconds * 47.0).cos()) * camera.shake;
        let center = camera.center.clamped(room) + shake;
        Self {
            scale,
            offset: size * 0.5 - center * scale,
        }
    }

    /// The dot of a place.
    pub fn dot(&self, at: Vec2) -> (i32, i32) {
        let x = at.x * self.scale + self.offset.x;
        let y = at.y * self.scale + self.offset.y;
        (x.floor() as i32, y.floor() as i32)
    }

    /// The character cell of a place.
    pub fn cell(&self, at: Vec2) -> (i32, i32) {
        let (x, y) = self.dot(at);
        (x.div_euclid(2), y.div_euclid(4))
    }

    /// A length in dots.
    pub fn length(&self, units: f32) -> i32 {
        (units * self.scale).round() as i32
    }
}
