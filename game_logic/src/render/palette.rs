//! Colours. Try changing them while the game runs.

use engine_api::prelude::*;

use crate::pickups::PickupKind;
use crate::swarm::DroneKind;

/// The ship.
pub const SHIP: Color = Color(150, 235, 255);
/// Its flame.
pub const FLAME: Color = Color::ORANGE;
/// Bullets.
pub const BULLET: Color = Color(255, 240, 170);
/// Shock waves.
pub const BLAST: Color = Color(150, 235, 255);
/// Ordinary words.
pub const TEXT: Color = Color(222, 228, 240);
/// Unimportant words.
pub const FAINT: Color = Color(120, 130, 150);
/// What glows in the head line.
pub const ACCENT: Color = Color(255, 205, 90);
/// Behind the head line.
pub const PANEL: Color = Color(18, 22, 34);

/// A colour from a file.
pub fn color((red, green, blue): (u8, u8, u8)) -> Color {
    Color(red, green, blue)
}

/// The colour of a kind of drone.
pub fn drone(kind: DroneKind) -> Color {
    match kind {
        DroneKind::Drifter => Color(96, 196, 128),
        DroneKind::Seeker => Color(240, 150, 60),
        DroneKind::Splitter => Color(196, 110, 240),
        DroneKind::Hunter => Color(255, 78, 92),
    }
}

/// The colour and the sign of a pickup.
pub fn pickup(kind: PickupKind) -> (Color, char) {
    match kind {
        PickupKind::Gem => (Color(255, 215, 95), '◆'),
        PickupKind::Gun => (Color(255, 240, 170), '▲'),
        PickupKind::Shield => (Color(110, 200, 255), '●'),
        PickupKind::Nova => (Color(255, 130, 220), '✶'),
    }
}
