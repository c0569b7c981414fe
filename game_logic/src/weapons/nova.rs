//! The shock wave on the space bar.

use engine_api::prelude::*;

use crate::game::Score;
use crate::motion::Position;
use crate::player::Ship;
use crate::render::Camera;
use crate::tuning::Tuning;
use crate::weapons::Blast;

/// Key handler: spends a full charge on a wave around the ship.
pub fn fire_nova(
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut score: ResMut<Score>,
    mut camera: ResMut<Camera>,
    ship: Single<&Position, With<Ship>>,
) {
    if score.charge >= tuning.nova.kills {
        score.charge = 0;
        camera.shake = tuning.effects.shake * 0.6;
        commands.spawn((Blast::nova(&tuning.nova), **ship));
    }
}

/// Lets waves run outwards until they end.
pub fn grow_blasts(
    mut commands: Commands,
    time: Res<Time>,
    tuning: Res<Tuning>,
    mut blasts: Query<(Entity, &mut Blast)>,
) {
    for (entity, mut blast) in &mut blasts {
        if blast.outer >= blast.reach {
            commands.entity(entity).despawn();
            continue;
        }
        blast.inner = blast.outer;
        blast.outer = (blast.outer + tuning.nova.speed * time.delta()).min(blast.reach);
    }
}
