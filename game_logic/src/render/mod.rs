//! Drawing. Systems in here read the world and write the
//! [`Viewport`](engine_api::viewport::Viewport), nothing else.
//!
//! The engine hands over an empty viewport of the terminal's size before every
//! `Render` stage, so everything is drawn anew each frame, back to front.

mod arena;
mod camera;
mod effects;
mod hud;
mod overlay;
mod palette;
mod ship;
mod swarm;

pub use arena::draw_arena;
pub use camera::{Camera, View, follow_ship};
pub use effects::{draw_blasts, draw_pickups, draw_popups, draw_sparks};
pub use hud::draw_hud;
pub use overlay::draw_overlay;
pub use ship::{draw_bullets, draw_ship};
pub use swarm::draw_drones;
