//! The proof that nothing refers to an image: all memory of the process is read, and every
//! word that could be a pointer into the image counts as one.
//!
//! | module | holds |
//! |---|---|
//! | [`aside`] | memory for what code leaves behind on the heap |
//! | [`footprint`] | which addresses of an image something may refer to |
//! | [`prover`] | the host's side: asks the helper, and looks at the handlers of signals itself |
//! | `linux` | the helper's side: a process of its own that reads the host's memory |
//!
//! # Two looks
//!
//! The first look runs beside the game. It finds nearly everything, but a pointer that moves
//! while it is looked for may be missed: it can say "no", and not "yes". Only when it has found
//! nothing and a pause as long as that look took fits into a frame are all threads stopped, and
//! everything is read once more, with their registers. What is found nowhere then can never be
//! found again, for nobody could make it.
//!
//! # Why a helper
//!
//! A thread cannot stop the others of its process safely (signals hang in threads of the C
//! library), another process can, with ptrace(2). The helper is started by the host from the
//! same build, when it is first needed, and kept: it is a common child that does nothing
//! but this, so it can allocate, fail and be killed without harm, its own memory is not part of
//! what is searched, and if it dies the system lets the threads go on. The supervisor, who is
//! the host's parent, would get the stops mixed up with the end of its child. A fork of the host
//! would copy its page tables while the game runs, and could not call anything.
//!
//! # What counts
//!
//! Aligned words of all mappings, also of those that cannot be read just now, except the image's
//! own and pages that nobody wrote to (they are as they are in their file); registers, with those
//! for vectors; handlers of signals; blocks of the image's thread-locals. Words are also looked at
//! the way the C library encodes the functions of `atexit` and the destructors of thread-locals.
//! What lies below the end of a stack is dead and does not count, nor do stacks of threads that
//! have ended, if the C library says so itself of both.
//!
//! # What it cannot see
//!
//! Pointers that are encoded in other ways, tagged in their upper bits or not aligned to eight
//! bytes; pointers that only the kernel or another process holds (in a pipe, as the user data
//! of epoll or io_uring, in memory of a device). Rust code without packed structs and `unsafe`
//! makes none of these.

pub mod aside;
pub mod footprint;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod linux;
pub mod prover;

/// Runs the helper of a host: answers questions on standard input until the host is gone.
///
/// # Errors
/// Standard input is no socket, or there is no proof on this platform.
pub fn help() -> std::io::Result<()> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
    return linux::run();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
    Err(std::io::ErrorKind::Unsupported.into())
}
