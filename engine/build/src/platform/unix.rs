//! Unix: a compiler and everything it starts form one process group.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the command the leader of a new process group.
pub(crate) fn into_own_group(command: &mut Command) {
    command.process_group(0);
}

/// Ends every process of the group that `leader` leads.
///
/// The caller must not have reaped `leader` yet: until then its id, and so the
/// id of its group, cannot be given to another process.
pub(crate) fn kill_group(leader: u32) {
    let Ok(group) = libc::pid_t::try_from(leader) else {
        return;
    };
    if group > 1 {
        // SAFETY: `kill` takes plain integers and touches no memory. `group` is
        // a child of ours that was made a group leader and is not yet reaped
        // (kept by `Compiler`), so the id still names our group.
        unsafe {
            libc::kill(-group, libc::SIGKILL);
        }
    }
}

/// Number that tells two files apart that had the same path at different times.
pub(crate) fn inode(metadata: &Metadata) -> u64 {
    metadata.ino()
}
