//! Points and directions in the plane.
//!
//! World units are as big as you like: the arena is a few hundred across, a
//! drone about two. `x` grows to the right, `y` grows *down*, as on screen.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

use engine_api::prelude::*;

/// A point, a velocity or a direction.
///
/// It derives `Reflect` and `Default` like everything that is stored in a
/// component: the engine looks inside when it carries values to new code.
#[derive(Reflect, Default, Clone, Copy, Debug, PartialEq)]
#[reflect(Default)]
pub struct Vec2 {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

impl Vec2 {
    /// No distance, no speed.
    pub const ZERO: Self = Self { x: 0.0, y: 0.0 };

    /// The vector of two coordinates.
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// The unit vector at `angle` radians, clockwise from the right.
    pub fn from_angle(angle: f32) -> Self {
        Self::new(angle.cos(), angle.sin())
    }

    /// Angle in radians, clockwise from the right.
    pub fn angle(self) -> f32 {
        self.y.atan2(self.x)
    }

    /// Length, squared: enough to compare distances, and cheaper.
    pub fn length_squared(self) -> f32 {
        self.x * self.x + self.y * self.y
    }

    /// Length.
    pub fn length(self) -> f32 {
        self.length_squared().sqrt()
    }

    /// The same direction with length 1; zero stays zero.
    pub fn normalized(self) -> Self {
        let length = self.length();
        if length > 1e-6 {
            self * (1.0 / length)
        } else {
            Self::ZERO
        }
    }

    /// The same direction, but no longer than `most`.
    pub fn at_most(self, most: f32) -> Self {
        let squared = self.length_squared();
        if squared > most * most {
            self * (most / squared.sqrt())
        } else {
            self
        }
    }

    /// Both coordinates kept within `-half` and `half`.
    pub fn clamped(self, half: Self) -> Self {
        let (x, y) = (half.x.max(0.0), half.y.max(0.0));
        Self::new(self.x.clamp(-x, x), self.y.clamp(-y, y))
    }
}

impl Add for Vec2 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl AddAssign for Vec2 {
    fn add_assign(&mut self, other: Self) {
        self.x += other.x;
        self.y += other.y;
    }
}

impl Sub for Vec2 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Vec2 {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self::new(self.x * factor, self.y * factor)
    }
}

impl Neg for Vec2 {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.x, -self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_directions() {
        assert!((Vec2::new(3.0, 4.0).length() - 5.0).abs() < 1e-6);
        assert_eq!(Vec2::ZERO.normalized(), Vec2::ZERO);
        assert!((Vec2::new(30.0, 40.0).at_most(5.0).length() - 5.0).abs() < 1e-5);
        assert!((Vec2::from_angle(1.25).angle() - 1.25).abs() < 1e-5);
        assert_eq!(
            Vec2::new(9.0, -9.0).clamped(Vec2::new(5.0, -1.0)),
            Vec2::new(5.0, 0.0)
        );
    }
}
