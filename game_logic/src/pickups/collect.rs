//! The ship takes what it flies over.

use engine_api::prelude::*;

use crate::effects::popup;
use crate::game::Score;
use crate::motion::{Position, Velocity};
use crate::pickups::{Pickup, PickupKind};
use crate::player::Ship;
use crate::tuning::Tuning;
use crate::weapons::Gun;

/// How fast pickups come to the ship, in units/s.
const PULL: f32 = 70.0;

/// Near pickups fly to the ship.
pub fn attract_pickups(
    tuning: Res<Tuning>,
    ship: Single<&Position, With<Ship>>,
    mut pickups: Query<(&Position, &mut Velocity), With<Pickup>>,
) {
    for (position, mut velocity) in &mut pickups {
        let to_ship = ship.0 - position.0;
        if to_ship.length() < tuning.pickups.magnet {
            velocity.0 = velocity.0 * 0.8 + to_ship.normalized() * (PULL * 0.2);
        }
    }
}

/// Pickups that reached the ship have their effect.
pub fn collect_pickups(
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut score: ResMut<Score>,
    ship: Single<(&mut Ship, &mut Gun, &Position)>,
    pickups: Query<(Entity, &Pickup, &Position)>,
) {
    let (mut ship, mut gun, ship_position) = ship.into_inner();
    let reach = tuning.ship.radius + 2.5;
    for (entity, pickup, position) in &pickups {
        if (position.0 - ship_position.0).length_squared() > reach * reach {
            continue;
        }
        let text = match pickup.kind {
            PickupKind::Gem => format!("+{}", score.add(tuning.pickups.gem)),
            PickupKind::Gun if gun.level < tuning.gun.most_level => {
                gun.level += 1;
                format!("guns {}", gun.level)
            }
            PickupKind::Shield if ship.shields < 9 => {
                ship.shields += 1;
                "shield".to_owned()
            }
            PickupKind::Nova if score.charge < tuning.nova.kills => {
                score.charge = tuning.nova.kills;
                "nova".to_owned()
            }
            // What is no use any more is worth points.
            _ => format!("+{}", score.add(tuning.pickups.gem * 2)),
        };
        commands.spawn(popup(text, position.0));
        commands.entity(entity).despawn();
    }
}
