//! Which values of `tuning.ron` make sense.
//!
//! A check says what is wrong *and what would be right*: its text is all that
//! the person at the keyboard gets to see. Missing commas and misspelt names
//! never come this far, the parser reports those with line and column.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::swarm::DroneKind;
use crate::tuning::Tuning;

/// `Ok` if `value` lies in `range`, otherwise what would be right.
///
/// # Errors
/// The message names the field, the value, the range and the unit.
pub fn in_range<T: PartialOrd + Display>(
    field: &str,
    value: T,
    range: RangeInclusive<T>,
    unit: &str,
) -> Result<(), String> {
    // Written this way round so that NaN is refused too.
    if range.contains(&value) {
        return Ok(());
    }
    let space = if unit.is_empty() { "" } else { " " };
    Err(format!(
        "`{field}` is {value}; write a number from {} to {}{space}{unit}",
        range.start(),
        range.end(),
    ))
}

/// Checks a whole [`Tuning`].
///
/// # Errors
/// The first value that makes no sense.
pub fn check(tuning: &Tuning) -> Result<(), String> {
    let Tuning {
        ship,
        gun,
        nova,
        drones,
        pickups,
        effects,
        view,
        ..
    } = tuning;
    in_range("ship.thrust", ship.thrust, 1.0..=5_000.0, "units/s²")?;
    in_range("ship.drag", ship.drag, 0.0..=50.0, "per second")?;
    in_range("ship.top_speed", ship.top_speed, 1.0..=1_000.0, "units/s")?;
    in_range("ship.latch", ship.latch, 0.0..=2.0, "seconds")?;
    in_range("ship.radius", ship.radius, 0.5..=20.0, "units")?;
    in_range("ship.shields", ship.shields, 0..=99, "shields")?;
    in_range("ship.grace", ship.grace, 0.0..=60.0, "seconds")?;

    in_range("gun.rate", gun.rate, 0.1..=60.0, "volleys/s")?;
    in_range("gun.speed", gun.speed, 1.0..=600.0, "units/s")?;
    in_range("gun.range", gun.range, 5.0..=500.0, "units")?;
    in_range("gun.spread", gun.spread, 0.0..=180.0, "degrees")?;
    in_range("gun.attack", gun.attack, 0..=1_000, "")?;
    in_range("gun.pierce", gun.pierce, 1..=100, "drones")?;
    in_range("gun.radius", gun.radius, 0.1..=10.0, "units")?;
    in_range("gun.most_level", gun.most_level, 1..=32, "bullets")?;

    in_range("nova.kills", nova.kills, 1..=10_000, "drones")?;
    in_range("nova.radius", nova.radius, 1.0..=500.0, "units")?;
    in_range("nova.speed", nova.speed, 1.0..=2_000.0, "units/s")?;
    in_range("nova.attack", nova.attack, 0..=1_000, "")?;
    in_range(
        "nova.rescue_radius",
        nova.rescue_radius,
        0.0..=500.0,
        "units",
    )?;

    in_range("drones.most", drones.most, 1..=20_000, "drones")?;
    in_range("drones.clearance", drones.clearance, 0.0..=500.0, "units")?;
    in_range(
        "drones.flock.alignment",
        drones.flock.alignment,
        0.0..=20.0,
        "per second",
    )?;
    in_range(
        "drones.flock.separation",
        drones.flock.separation,
        0.0..=500.0,
        "per second²",
    )?;
    in_range("drones.flock.weave", drones.flock.weave, 0.0..=1.0, "")?;
    for kind in DroneKind::ALL {
        let stats = drones.of(kind);
        let field = |name: &str| format!("drones.{}.{name}", kind.name());
        in_range(&field("speed"), stats.speed, 0.0..=300.0, "units/s")?;
        in_range(&field("agility"), stats.agility, 0.0..=30.0, "per second")?;
        in_range(&field("homing"), stats.homing, 0.0..=1.0, "")?;
        in_range(&field("radius"), stats.radius, 0.1..=6.0, "units")?;
        in_range(&field("hull"), stats.hull, 1..=10_000, "")?;
        in_range(&field("armor"), stats.armor, 0..=1_000, "")?;
    }

    in_range("pickups.chance", pickups.chance, 0.0..=1.0, "")?;
    in_range("pickups.magnet", pickups.magnet, 0.0..=500.0, "units")?;
    in_range("pickups.life", pickups.life, 0.1..=600.0, "seconds")?;
    in_range("effects.sparks", effects.sparks, 0..=100, "sparks")?;
    in_range(
        "effects.most_sparks",
        effects.most_sparks,
        0..=10_000,
        "sparks",
    )?;
    in_range(
        "effects.spark_speed",
        effects.spark_speed,
        0.0..=1_000.0,
        "units/s",
    )?;
    in_range("effects.shake", effects.shake, 0.0..=50.0, "units")?;
    in_range("view.width", view.width, 20.0..=2_000.0, "units")?;
    in_range("view.height", view.height, 20.0..=2_000.0, "units")
}
