//! Big words in the middle of the screen.

use engine_api::prelude::*;

/// Words that are shown for a while.
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Banner {
    /// What it says.
    pub text: String,
    /// A second line.
    pub detail: String,
    /// Seconds left.
    pub left: f32,
}

impl Banner {
    /// Words for a few seconds.
    pub fn new(text: &str, detail: &str) -> Self {
        Self {
            text: text.to_owned(),
            detail: detail.to_owned(),
            left: 3.5,
        }
    }
}

/// Lets the banner fade.
pub fn fade_banner(time: Res<Time>, mut banner: ResMut<Banner>) {
    banner.left = (banner.left - time.delta()).max(0.0);
}
