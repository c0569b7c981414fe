//! Tests of whole reloads: cases from `tests/cases`, generated edits, and failures at every
//! step of each.

mod cases;
mod generated;
mod harness;
mod limits;
