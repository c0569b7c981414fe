//! The peer: the same functions in a bevy_ecs `Schedule`, run by its
//! single-threaded executor. One chain, so that the order is the engine's.

use std::time::Duration;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::message::Messages;
use engine_api::bevy_ecs::schedule::{IntoScheduleConfigs, Schedule, SingleThreadedExecutor};
use engine_api::bevy_ecs::world::World;
use engine_api::input::Input;
use engine_api::time::Time;
use engine_api::viewport::Viewport;

use super::{rules as r, state as t, systems as s};

/// A world with the resources that the engine and the module make.
pub fn world(step: Duration) -> World {
    let mut world = World::new();
    world.insert_resource(Time::new(step));
    world.init_resource::<Input>();
    world.init_resource::<Viewport>();
    world.init_resource::<t::Clock>();
    world.init_resource::<t::Grid>();
    world.init_resource::<t::Score>();
    world.init_resource::<t::Camera>();
    world.init_resource::<t::Running>();
    world.init_resource::<Messages<t::Hit>>();
    world
}

fn empty() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule
}

/// The systems of [`super::module`].
pub fn schedule() -> Schedule {
    let mut schedule = empty();
    schedule.add_systems(
        (
            (s::read_clock, s::steer_seekers).chain(),
            (s::attract_rocks, s::integrate, s::confine, s::spin).chain(),
            (s::cool_guns, s::fire, s::age, s::rebuild_grid).chain(),
            (
                s::find_hits,
                s::apply_hits,
                s::regenerate,
                s::slow_sparks,
                s::heat,
            )
                .chain(),
            (s::count_alive, s::follow, s::blink_hurt).chain(),
            (s::draw_dots, s::draw_hud).chain(),
        )
            .chain(),
    );
    schedule
}

/// The systems of [`super::module_at_rest`].
pub fn schedule_at_rest() -> Schedule {
    let mut schedule = empty();
    schedule.add_systems(
        (
            (s::read_clock, s::steer_seekers).chain(),
            (s::attract_rocks, s::integrate, s::confine, s::spin).chain(),
            (s::cool_guns, s::fire, s::age, s::rebuild_grid).chain(),
            (
                s::find_hits,
                s::apply_hits,
                s::regenerate,
                s::slow_sparks,
                s::heat,
            )
                .chain(),
            (s::count_alive, s::follow, s::blink_hurt).chain(),
            (s::draw_dots, s::draw_hud).chain(),
            (r::split_rocks, r::reload_guns, r::flee, r::flock, r::drag).chain(),
            (
                r::leak_heat,
                r::heal_fully,
                r::limit_speed,
                r::dim_sparks,
                r::end_round,
            )
                .chain(),
        )
            .chain()
            .distributive_run_if(r::running),
    );
    schedule
}

/// The observers of [`super::module_at_rest`].
pub fn observers_at_rest(world: &mut World) -> Vec<Entity> {
    vec![
        world.add_observer(s::score_destroyed).id(),
        world.add_observer(r::rock_added).id(),
        world.add_observer(r::rock_removed).id(),
        world.add_observer(r::gun_added).id(),
        world.add_observer(r::gun_removed).id(),
        world.add_observer(r::spark_added).id(),
        world.add_observer(r::spark_removed).id(),
        world.add_observer(r::count_destroyed).id(),
    ]
}

/// One frame as a game without the engine would run it.
pub fn frame(world: &mut World, schedule: &mut Schedule, frame_time: Duration) {
    world.resource_mut::<Time>().advance(frame_time);
    world.resource_mut::<Viewport>().resize(80, 24);
    schedule.run(world);
    world.resource_mut::<Messages<t::Hit>>().update();
    world.resource_mut::<Input>().end_frame();
    world.clear_trackers();
}
