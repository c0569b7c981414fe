//! What the system knows of a process: proc(5), `pidfd_open(2)`.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::PATIENCE;

/// Sends a signal.
pub fn signal(pid: u32, signal: libc::c_int) {
    // SAFETY: `kill` has no preconditions.
    let done = unsafe { libc::kill(pid as libc::pid_t, signal) };
    assert_eq!(done, 0, "process {pid} cannot be sent signal {signal}");
}

/// A process to wait for; made while it lives.
#[derive(Debug)]
pub struct Watched {
    pid: u32,
    /// `None` if it was gone already.
    handle: Option<OwnedFd>,
}

impl Watched {
    /// Watches a process that need not be a child of this one.
    pub fn new(pid: u32) -> Self {
        // SAFETY: `pidfd_open` takes a process id and flags and touches no memory.
        let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        // SAFETY: a result that is not negative is a descriptor that nobody else has.
        let handle = (handle >= 0).then(|| unsafe { OwnedFd::from_raw_fd(handle as i32) });
        Self { pid, handle }
    }

    /// Waits until it has ended (a parent may still have to take note).
    pub fn wait_for_end(&self) {
        let Some(handle) = &self.handle else { return };
        let mut poll = libc::pollfd {
            fd: handle.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid `pollfd`, which outlives the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, PATIENCE.as_millis() as i32) };
        assert_eq!(ready, 1, "process {} still runs", self.pid);
    }
}

/// Files of the game's versions that are mapped into a process.
pub fn mapped_versions(pid: u32) -> BTreeSet<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    maps.lines()
        .filter_map(|line| line.split_once('/'))
        .filter_map(|(_, path)| path.rsplit('/').next())
        .filter(|name| name.starts_with("libgame_logic"))
        .map(|name| name.trim_end_matches(" (deleted)").to_owned())
        .collect()
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    entries(pid, "fd")
}

/// How many threads a process has.
pub fn threads(pid: u32) -> usize {
    entries(pid, "task")
}

fn entries(pid: u32, folder: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{folder}"))
        .expect("the process runs")
        .count()
}

/// Processes whose executable is `file`, with their arguments.
pub fn running(file: &std::path::Path) -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|executable| executable == file)
    })
    .map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " "))
    })
    .collect()
}

/// Memory of a process that is in use and lies in memory, in bytes (`VmRSS`).
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.expect("the system counts memory") << 10
}
