//! What differs between operating systems: process groups.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{inode, into_own_group, kill_group};

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::{inode, into_own_group, kill_group};
