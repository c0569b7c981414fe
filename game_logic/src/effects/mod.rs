//! What is only there to look good. Nothing in here changes the game.

mod banner;
mod popup;
mod sparks;

pub use banner::{Banner, fade_banner};
pub use popup::{Popup, popup};
pub use sparks::{Spark, burst, explode, slow_sparks};
