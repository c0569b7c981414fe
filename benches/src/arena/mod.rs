//! The game that is run and swapped: what a small action game does in a frame,
//! without terminal or files.
//!
//! [`module`] hands it to the engine, [`bare`] puts the same functions into a
//! bevy_ecs `Schedule`. Both begin with [`populate`] and compute the same values.
//!
//! | module | holds |
//! |---|---|
//! | [`state`] | components, resources, messages, events; the first population |
//! | [`systems`] | twenty systems of a frame, one observer |
//! | [`rules`] | ten more systems and seven observers, so that a swap has more to do |
//! | [`bare`] | the peer |

pub mod bare;
pub mod rules;
pub mod state;
pub mod systems;

use engine_api::prelude::*;

pub use state::populate;

/// Name under which the engine knows it.
pub const NAME: &str = "arena";

/// The game as a module: twenty systems and one observer.
pub fn module(m: &mut ModuleBuilder) {
    use systems as s;
    register_types(m);
    m.systems(PreUpdate, (s::read_clock, s::steer_seekers))
        .systems(
            Update,
            (
                (s::attract_rocks, s::integrate, s::confine, s::spin),
                (s::cool_guns, s::fire, s::age, s::rebuild_grid),
                (
                    s::find_hits,
                    s::apply_hits,
                    s::regenerate,
                    s::slow_sparks,
                    s::heat,
                ),
            ),
        )
        .systems(PostUpdate, (s::count_alive, s::follow, s::blink_hurt))
        .systems(Render, (s::draw_dots, s::draw_hud))
        .observe(s::score_destroyed)
        .function("damage", damage);
}

/// [`module`] with [`rules`]: thirty systems, each with a condition that does not
/// hold, so that a frame takes no time but the swap's own; eight observers.
pub fn module_at_rest(m: &mut ModuleBuilder) {
    use {rules as r, systems as s};
    register_types(m);
    m.systems(
        Update,
        (
            (s::read_clock, s::steer_seekers),
            (s::attract_rocks, s::integrate, s::confine, s::spin),
            (s::cool_guns, s::fire, s::age, s::rebuild_grid),
            (
                s::find_hits,
                s::apply_hits,
                s::regenerate,
                s::slow_sparks,
                s::heat,
            ),
            (s::count_alive, s::follow, s::blink_hurt),
            (s::draw_dots, s::draw_hud),
            (r::split_rocks, r::reload_guns, r::flee, r::flock, r::drag),
            (
                r::leak_heat,
                r::heal_fully,
                r::limit_speed,
                r::dim_sparks,
                r::end_round,
            ),
        )
            .run_if(r::running),
    );
    m.observe(s::score_destroyed)
        .observe(r::rock_added)
        .observe(r::rock_removed)
        .observe(r::gun_added)
        .observe(r::gun_removed)
        .observe(r::spark_added)
        .observe(r::spark_removed)
        .observe(r::count_destroyed)
        .function("damage", damage);
}

/// A function to be called by name: short, so that the call is what is measured.
#[inline(never)]
pub fn damage(attack: i32, defense: i32) -> i32 {
    attack.saturating_sub(defense).max(0)
}

fn register_types(m: &mut ModuleBuilder) {
    use state as t;
    m.component::<t::Position>()
        .component::<t::Velocity>()
        .component::<t::Seeker>()
        .component::<t::Rock>()
        .component::<t::Spin>()
        .component::<t::Gun>()
        .component::<t::Bullet>()
        .component::<t::Lifetime>()
        .component::<t::Health>()
        .component::<t::Spark>()
        .component::<t::Heat>()
        .resource::<t::Clock>()
        .resource::<t::Grid>()
        .resource::<t::Score>()
        .resource::<t::Camera>()
        .resource::<t::Running>()
        .message::<t::Hit>()
        .event::<t::Destroyed>();
}
