//! The parts of the proof that know what the kernel, the C library and this kind of processor
//! put into memory: Linux and glibc on x86-64.
//!
//! | module | holds |
//! |---|---|
//! | `helper` | what the helper does with a question |
//! | `memory` | what is mapped in the host, and which of it can hold pointers |
//! | `pages` | which pages of that there are |
//! | `threads` | stopping the host's threads; their registers |
//! | `stacks` | which parts of their stacks are dead |
//! | `snapshot` | all of that memory as it was at one time |
//! | `heap` | the blocks that the heap consists of |
//! | `targets` | which words refer to an image |
//! | `reach` | which images can be reached from what is not garbage |
//! | `places` | what a place in memory is called |

mod heap;
mod helper;
mod memory;
mod pages;
mod places;
mod reach;
mod snapshot;
mod stacks;
mod targets;
#[cfg(test)]
mod tests;
mod threads;

pub(super) use helper::run;
