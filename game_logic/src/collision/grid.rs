//! A uniform grid: which drones are near a point?
//!
//! Built anew every frame by counting sort: count the drones of each cell, turn
//! counts into starts, put each drone into its place. The three `Vec`s are kept,
//! so that after the first frames nothing is allocated.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::swarm::Drone;
use crate::tuning::Tuning;
use crate::waves::Arena;

/// Edge of a cell in units: about the reach of what looks for neighbours.
pub const CELL: f32 = 6.0;

/// A drone as the grid knows it.
#[derive(Reflect, Clone, Copy, Debug)]
pub struct Occupant {
    /// Which one.
    pub entity: Entity,
    /// Where it is.
    pub at: Vec2,
    /// Its size.
    pub radius: f32,
}

/// The drones of one cell, summed up.
#[derive(Reflect, Default, Clone, Copy, Debug)]
#[reflect(Default)]
pub struct Crowd {
    /// Where its drones begin among all occupants.
    pub start: u32,
    /// How many there are.
    pub count: u32,
    /// Mean of their positions.
    pub center: Vec2,
    /// Mean of their velocities.
    pub velocity: Vec2,
}

/// All drones by place.
#[derive(Resource, Reflect, Default, Debug)]
#[reflect(Resource, Default)]
pub struct Grid {
    columns: u32,
    rows: u32,
    half: Vec2,
    cells: Vec<Crowd>,
    occupants: Vec<Occupant>,
}

impl Grid {
    fn column_row(&self, at: Vec2) -> (u32, u32) {
        // `as` turns what is outside into the nearest cell, and NaN into 0.
        let column = ((at.x + self.half.x) / CELL) as u32;
        let row = ((at.y + self.half.y) / CELL) as u32;
        (
            column.min(self.columns.saturating_sub(1)),
            row.min(self.rows.saturating_sub(1)),
        )
    }

    fn index(&self, at: Vec2) -> usize {
        let (column, row) = self.column_row(at);
        row as usize * self.columns as usize + column as usize
    }

    /// The neighbours at a place; `None` if there is at most one drone.
    pub fn crowd(&self, at: Vec2) -> Option<&Crowd> {
        self.cells
            .get(self.index(at))
            .filter(|crowd| crowd.count > 1)
    }

    /// Hands every drone that touches a disc to `visit`, until that returns `false`.
    pub fn touching(&self, center: Vec2, radius: f32, mut visit: impl FnMut(&Occupant) -> bool) {
        // A drone in a neighbouring cell may reach into this one.
        let margin = Vec2::new(radius + CELL, radius + CELL);
        let (left, top) = self.column_row(center - margin);
        let (right, bottom) = self.column_row(center + margin);
        for row in top..=bottom {
            let first = (row * self.columns + left) as usize;
            let last = (row * self.columns + right) as usize;
            // The cells of one row lie side by side, and so do their drones.
            let (Some(first), Some(last)) = (self.cells.get(first), self.cells.get(last)) else {
                return;
            };
            let range = first.start as usize..(last.start + last.count) as usize;
            for occupant in self.occupants.get(range).unwrap_or_default() {
                let reach = radius + occupant.radius;
                let touches = (occupant.at - center).length_squared() <= reach * reach;
                if touches && !visit(occupant) {
                    return;
                }
            }
        }
    }

    /// Place of the drone nearest to `center`, if one is within `range`.
    pub fn nearest(&self, center: Vec2, range: f32) -> Option<Vec2> {
        let mut radius = CELL;
        loop {
            let radius_now = radius.min(range);
            let mut best: Option<(f32, Vec2)> = None;
            self.touching(center, radius_now, |occupant| {
                let distance = (occupant.at - center).length_squared();
                if best.is_none_or(|(least, _)| distance < least) {
                    best = Some((distance, occupant.at));
                }
                true
            });
            if best.is_some() || radius >= range {
                return best.map(|(_, at)| at);
            }
            radius *= 2.5;
        }
    }

    /// All drones.
    pub fn occupants(&self) -> &[Occupant] {
        &self.occupants
    }
}

/// Sorts all drones into the [`Grid`].
pub fn rebuild_grid(
    arena: Res<Arena>,
    tuning: Res<Tuning>,
    mut grid: ResMut<Grid>,
    drones: Query<(Entity, &Drone, &Position, &Velocity)>,
) {
    let grid = &mut *grid;
    grid.half = arena.half();
    grid.columns = (grid.half.x * 2.0 / CELL).ceil() as u32;
    grid.rows = (grid.half.y * 2.0 / CELL).ceil() as u32;
    grid.cells.clear();
    grid.cells
        .resize(grid.columns as usize * grid.rows as usize, Crowd::default());
    if grid.cells.is_empty() {
        grid.occupants.clear();
        return;
    }
    for (_, _, position, velocity) in &drones {
        let index = grid.index(position.0);
        let cell = &mut grid.cells[index];
        cell.count += 1;
        cell.center += position.0;
        cell.velocity += velocity.0;
    }
    let mut start = 0;
    for cell in &mut grid.cells {
        cell.start = start;
        if cell.count > 0 {
            let share = 1.0 / cell.count as f32;
            cell.center = cell.center * share;
            cell.velocity = cell.velocity * share;
            start += cell.count;
            // From here on `count` says how many are in place.
            cell.count = 0;
        }
    }
    let nobody = Occupant {
        entity: Entity::PLACEHOLDER,
        at: Vec2::ZERO,
        radius: 0.0,
    };
    grid.occupants.resize(start as usize, nobody);
    for (entity, drone, position, _) in &drones {
        let index = grid.index(position.0);
        let cell = &mut grid.cells[index];
        let place = (cell.start + cell.count) as usize;
        cell.count += 1;
        let radius = tuning.drones.of(drone.kind).radius;
        grid.occupants[place] = Occupant {
            entity,
            at: position.0,
            radius,
        };
    }
}
