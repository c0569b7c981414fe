//! The messages between a running game and whatever looks at it.
//!
//! One protocol serves the user interface in the engine's own terminal, an
//! inspector in a second terminal and scripts. It knows no terminal, no ECS and
//! no compiler.
//!
//! | module | holds |
//! |---|---|
//! | [`status`] | the status document that `dump` prints |
//! | [`message`] | requests to the hub and events from it |
//! | [`input`] | keys and mouse as they travel to the game |
//! | [`viewport`] | a drawn frame of the game's cell grid |
//! | [`wire`] | framing: length-prefixed postcard |
//! | [`endpoint`] | where hubs listen, how clients find them |

pub mod endpoint;
pub mod input;
pub mod message;
pub mod status;
pub mod viewport;
pub mod wire;

/// Version of this protocol. A hub refuses clients that speak another one.
pub const PROTOCOL_VERSION: u32 = 6;

/// Content hash of an artifact (xxHash64, seed 0): the `hash` of a version in the
/// status document. About 10 GB/s.
pub fn content_hash(bytes: &[u8]) -> u64 {
    twox_hash::XxHash64::oneshot(0, bytes)
}
