//! Written by the tests, see `liveloop_tests::cases`.

use super::*;

/// Registers nothing yet.
pub fn register(_: &mut ModuleBuilder) {}
