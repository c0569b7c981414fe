//! Keys become a direction.
//!
//! Many terminals never say that a key went up: the engine lets go of it some
//! time after its last repeat. So steering must not depend on exact releases.
//! Three things make it feel right: a key counts a moment longer than it is
//! down (`latch`), of two opposite keys the later one wins, and the ship glides.

use engine_api::prelude::*;

use crate::tuning::Tuning;

/// Where the player wants to go: -1, 0 or 1 on each axis.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Helm {
    /// Left or right.
    pub x: f32,
    /// Up or down.
    pub y: f32,
    /// Seconds since a steering key was last seen down.
    pub idle: f32,
}

const LEFT: [Key; 2] = [Key::Left, Key::Char('a')];
const RIGHT: [Key; 2] = [Key::Right, Key::Char('d')];
const UP: [Key; 2] = [Key::Up, Key::Char('w')];
const DOWN: [Key; 2] = [Key::Down, Key::Char('s')];

/// What two opposite sets of keys say; `None` if neither is down.
fn axis(input: &Input, less: &[Key], more: &[Key], before: f32) -> Option<f32> {
    let pressed = |keys: &[Key]| keys.iter().any(|key| input.pressed(*key));
    match (input.any_held(less), input.any_held(more)) {
        (false, false) => None,
        (true, false) => Some(-1.0),
        (false, true) => Some(1.0),
        // Both: the one that just went down, or the one that won before.
        (true, true) if pressed(less) => Some(-1.0),
        (true, true) if pressed(more) => Some(1.0),
        (true, true) => Some(before),
    }
}

/// Reads the keys into the [`Helm`].
pub fn read_helm(
    input: Res<Input>,
    time: Res<Time>,
    tuning: Res<Tuning>,
    mut helm: Single<&mut Helm>,
) {
    let x = axis(&input, &LEFT, &RIGHT, helm.x);
    let y = axis(&input, &UP, &DOWN, helm.y);
    if x.is_some() || y.is_some() {
        helm.idle = 0.0;
        helm.x = x.unwrap_or(0.0);
        helm.y = y.unwrap_or(0.0);
        return;
    }
    helm.idle += time.delta();
    if helm.idle > tuning.ship.latch {
        helm.x = 0.0;
        helm.y = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_opposite_keys_wins() {
        let mut input = Input::default();
        assert_eq!(axis(&input, &LEFT, &RIGHT, 0.0), None);
        input.key_down(Key::Left);
        assert_eq!(axis(&input, &LEFT, &RIGHT, 0.0), Some(-1.0));
        input.end_frame();
        input.key_down(Key::Char('d'));
        assert_eq!(axis(&input, &LEFT, &RIGHT, -1.0), Some(1.0));
        input.end_frame();
        assert_eq!(axis(&input, &LEFT, &RIGHT, 1.0), Some(1.0));
        input.key_up(Key::Char('d'));
        assert_eq!(axis(&input, &LEFT, &RIGHT, 1.0), Some(-1.0));
    }
}
