//! The demo game: a small ship, thousands of drones, and rules that change
//! while you play.
//!
//! It is meant to be read. Everything is ordinary bevy_ecs: components are data
//! of entities, resources are data there is one of, systems are functions over
//! them. What is special is that you may change any of it *while the game runs*:
//! edit a file, save, and the next frame runs the new code with the old world.
//!
//! A good way through:
//!
//! | folder | holds |
//! |---|---|
//! | this file | the one function that tells the engine what there is |
//! | [`motion`] | the smallest systems: moving, bouncing, ending |
//! | [`player`] | keys, flight, being hit |
//! | [`weapons`] | guns and the nova |
//! | [`swarm`] | what drones want; the event of their end |
//! | [`collision`] | the grid, and a message for every hit |
//! | [`waves`], [`tuning`] | data from `assets/*.ron`, checked and reloaded live |
//! | [`game`] | playing, paused, over; points |
//! | [`pickups`], [`effects`] | what drops, what glows |
//! | [`render`] | drawing with braille dots |
//! | [`calls`] | functions to call by name |
//!
//! Two modules in Lua play along: `assets/scripts/hunters.lua` leads the hunters
//! ([`swarm::Hunter`]), and `assets/scripts/waves.lua` tells what happens within the
//! waves. They use the types that are registered here, by reflection; nothing here
//! knows them, and without them the game goes on with its own rules.
//!
//! Things to try while it runs: the constants marked "try changing this", any
//! number in `assets/tuning.ron`, a second [`Spark`](effects::Spark) colour, a
//! typing error (the old code keeps running, the error is shown), the values at the
//! top of `hunters.lua`.
//!
//! Controls: arrows or WASD fly, the guns fire by themselves, space fires the
//! nova, `p` pauses, `n` begins a new game after the end.

use std::time::Duration;

use engine_api::prelude::*;

pub mod calls;
pub mod collision;
pub mod effects;
pub mod game;
pub mod math;
pub mod motion;
pub mod pickups;
pub mod player;
pub mod random;
pub mod render;
pub mod swarm;
pub mod tuning;
pub mod waves;
pub mod weapons;

#[cfg(test)]
mod tests;

use collision::{apply_hits, blasts_hit_drones, bullets_hit_drones, drones_hit_ship, rebuild_grid};
use game::{begin_game, cool_combo, deserted, fighting, keep_clock, over, playing, toggle_pause};
use motion::{confine_drones, confine_ship, expire, integrate, stop_bullets};
use render::{
    draw_arena, draw_blasts, draw_bullets, draw_drones, draw_hud, draw_overlay, draw_pickups,
    draw_popups, draw_ship, draw_sparks, follow_ship,
};

/// Tells the engine what this module consists of. It runs once for every version
/// of the code; what is registered here goes with that version, what lives in the
/// world stays.
#[module]
pub fn game_logic(m: &mut ModuleBuilder) {
    register_types(m);

    // Data from files, each with a check.
    m.asset_checked::<tuning::Tuning>("tuning.ron", tuning::check)
        .asset_checked::<waves::WavePlan>("waves.ron", waves::check_waves)
        .asset_checked::<waves::LevelPlan>("levels.ron", waves::check_levels);

    // Once, and when the player wants it again.
    m.systems(Startup, begin_game)
        .on_key(Key::Char('n'), begin_game.run_if(over))
        .on_key(Key::Char('p'), toggle_pause)
        .on_key(Key::Char(' '), weapons::fire_nova.run_if(playing))
        .every(
            Duration::from_secs(15),
            pickups::send_supply.run_if(playing),
        );

    // Sixty times a second: decide, move, collide.
    m.systems(PreUpdate, (waves::choose_arena, player::read_helm));
    m.systems(
        Update,
        (
            (
                keep_clock,
                waves::run_waves,
                player::fly,
                swarm::enlist_hunters,
                swarm::steer_drones,
            ),
            (
                pickups::attract_pickups,
                weapons::aim,
                weapons::fire,
                weapons::grow_blasts,
            ),
            (integrate, confine_ship, confine_drones, stop_bullets),
            rebuild_grid,
            (
                bullets_hit_drones,
                blasts_hit_drones,
                apply_hits,
                drones_hit_ship,
                pickups::collect_pickups,
            )
                .run_if(fighting),
            expire,
        )
            .run_if(playing),
    );
    m.systems(
        PostUpdate,
        (
            cool_combo,
            effects::slow_sparks,
            effects::fade_banner,
            follow_ship,
        )
            .run_if(playing),
    );
    // Whoever comes back to the terminal finds a game.
    m.systems(PostUpdate, begin_game.run_if(deserted));

    // Back to front.
    m.systems(
        Render,
        (
            (draw_arena, draw_sparks, draw_drones, draw_blasts),
            (draw_bullets, draw_pickups, draw_ship, draw_popups),
            (draw_hud, draw_overlay),
        ),
    );

    // What follows from what.
    m.observe(game::count_score)
        .observe(swarm::split)
        .observe(effects::burst)
        .observe(pickups::drop_pickup)
        .observe(player::end_game)
        .observe(effects::explode)
        .observe(waves::announce_wave)
        .entity_observer(player::take_hit);

    // By name, from the inspector: `call game_logic spawn_drones 500`.
    m.function("damage", calls::damage)
        .function("score", calls::score)
        .function("spawn_drones", calls::spawn_drones)
        .function("drone_count", calls::drone_count)
        .function("set_shields", calls::set_shields)
        .function("set_wave", calls::set_wave)
        .function("pause", calls::pause)
        .function("path_length", calls::path_length);
}

/// Every type that lives in the world. The engine has to know them: only then
/// can it tell whether new code still understands the values that are there.
fn register_types(m: &mut ModuleBuilder) {
    m.component::<motion::Position>()
        .component::<motion::Velocity>()
        .component::<motion::Lifetime>()
        .component::<player::Ship>()
        .component::<player::Helm>()
        .component::<weapons::Gun>()
        .component::<weapons::Bullet>()
        .component::<weapons::Blast>()
        .component::<swarm::Drone>()
        .component::<swarm::Hunter>()
        .component::<pickups::Pickup>()
        .component::<effects::Spark>()
        .component::<effects::Popup>();
    m.resource::<game::Game>()
        .resource::<game::Score>()
        .resource::<random::Rng>()
        .resource::<collision::Grid>()
        .resource::<waves::Arena>()
        .resource::<waves::WaveProgress>()
        .resource::<render::Camera>()
        .resource::<effects::Banner>();
    m.message::<collision::Hit>()
        .event::<swarm::DroneDestroyed>()
        .event::<player::ShipHit>()
        .event::<player::ShipLost>()
        .event::<waves::WaveStarted>();
}
