//! Tests of whole reloads: cases from `tests/cases`, generated edits, damaged sources, and
//! failures at every step of each.

mod attack;
mod cases;
mod fuzz;
mod generated;
mod harness;
mod limits;
mod mutate;
