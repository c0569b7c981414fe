//! A second file.

/// What `drive` adds.
pub const STEP: u32 = 0;

/// Twice the number.
pub fn twice(number: i64) -> i64 {
    number * 2
}
