//! Who touches whom.
//!
//! Every frame: sort the drones into a [`Grid`], let bullets, waves and the ship
//! look only into the cells they touch, write a [`Hit`] for each touch, and
//! apply all hits in one place.

mod blasts;
mod bullets;
mod grid;
mod hits;
mod ship;

pub use blasts::blasts_hit_drones;
pub use bullets::bullets_hit_drones;
pub use grid::{Crowd, Grid, Occupant, rebuild_grid};
pub use hits::{Hit, apply_hits};
pub use ship::drones_hit_ship;
