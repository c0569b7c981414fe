//! The threads of another process: their names and stacks, and stopping them all at once.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// Room for all registers for vectors and matrices (`NT_X86_XSTATE`).
const VECTORS: usize = 16 << 10;
/// Parts of the notes that the kernel makes of registers, from `elf.h`.
const NT_PRSTATUS: usize = 1;
const NT_X86_XSTATE: usize = 0x202;

/// A thread as it was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Thread {
    pub(crate) id: i32,
    pub(crate) name: String,
    /// End of its stack, if it is known: what lies below is dead.
    pub(crate) stack: Option<u64>,
    /// Where its thread-locals are, if it is known.
    pub(crate) block: Option<u64>,
    /// All its registers, if it was stopped.
    pub(crate) registers: Vec<u64>,
}

/// The threads of a process as they can be seen while they run: a stack's end is known of
/// those that wait in the kernel.
pub(crate) fn running(pid: i32) -> io::Result<Vec<Thread>> {
    let threads = ids(pid)?.into_iter().map(|id| {
        let path = format!("/proc/{pid}/task/{id}/syscall");
        let text = fs::read_to_string(path).unwrap_or_default();
        Thread {
            id,
            name: name(pid, id),
            stack: stack_of(&text),
            ..Thread::default()
        }
    });
    Ok(threads.collect())
}

/// The end of the stack in `/proc/PID/task/TID/syscall`: number, arguments, stack, program.
fn stack_of(text: &str) -> Option<u64> {
    let stack = text.split_whitespace().rev().nth(1)?;
    u64::from_str_radix(stack.strip_prefix("0x")?, 16).ok()
}

fn ids(pid: i32) -> io::Result<BTreeSet<i32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))?;
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.collect())
}

/// A thread's name; the first thread has that of the program, which says nothing.
fn name(pid: i32, id: i32) -> String {
    if pid == id {
        return "main".to_owned();
    }
    let name = fs::read_to_string(format!("/proc/{pid}/task/{id}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// All threads of a process, stopped until this is dropped.
pub(crate) struct Stopped {
    /// In no order.
    pub(crate) threads: Vec<Thread>,
    traced: Vec<Traced>,
    /// When the first one was stopped.
    pub(crate) since: Instant,
}

/// A thread that was asked to stop.
struct Traced {
    id: i32,
    state: State,
}

enum State {
    /// It has not answered yet.
    Asked,
    /// It stands still, and goes on with this signal if that is not 0.
    Still(i32),
    /// It has ended, or was let go.
    Gone,
}

/// After so many seconds with stopped threads the system ends the helper, which lets them go. The
/// host cannot: it stands still.
const WATCHDOG: u32 = 1;

impl Stopped {
    /// Stops all threads of a process, within `limit`.
    ///
    /// # Errors
    /// The system does not allow it (a debugger is attached, or security settings), or a thread
    /// does not stop in time.
    pub(crate) fn all(pid: i32, limit: Duration) -> io::Result<Self> {
        // SAFETY: sets a timer; its signal ends this process.
        unsafe { libc::alarm(WATCHDOG) };
        let mut stopped = Self {
            threads: Vec::new(),
            traced: Vec::new(),
            since: Instant::now(),
        };
        let mut seen = BTreeSet::new();
        loop {
            // Threads that were started meanwhile; those that are stopped start no more.
            let new: Vec<i32> = ids(pid)?.difference(&seen).copied().collect();
            if new.is_empty() {
                break;
            }
            for id in new {
                seen.insert(id);
                match request(libc::PTRACE_SEIZE, id, 0) {
                    Ok(()) => {
                        let state = State::Asked;
                        stopped.traced.push(Traced { id, state });
                        request(libc::PTRACE_INTERRUPT, id, 0)?;
                    }
                    // It ended.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    Err(error) => return Err(error),
                }
            }
            let since = stopped.since;
            for traced in &mut stopped.traced {
                while traced.is_asked() {
                    traced.look(libc::WNOHANG)?;
                    if since.elapsed() > limit {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::yield_now();
                }
            }
        }
        for Traced { id, state } in &stopped.traced {
            if matches!(state, State::Gone) {
                continue;
            }
            let registers = general_registers(*id)?;
            let mut thread = Thread {
                id: *id,
                name: name(pid, *id),
                stack: Some(registers.rsp),
                block: Some(registers.fs_base),
                registers: words_of(&registers),
            };
            thread.registers.extend(vector_registers(*id)?);
            stopped.threads.push(thread);
        }
        Ok(stopped)
    }
}

impl Traced {
    fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked)
    }

    fn let_go(&mut self) {
        if let State::Still(signal) = self.state {
            let _ = request(libc::PTRACE_DETACH, self.id, signal as usize);
            self.state = State::Gone;
        }
    }

    /// Looks whether it has stopped; waits for that unless `options` say otherwise.
    fn look(&mut self, options: i32) -> io::Result<()> {
        let mut status = 0;
        // SAFETY: waits for a thread that this process traces; `status` is a local.
        let waited = unsafe { libc::waitpid(self.id, &raw mut status, libc::__WALL | options) };
        if waited < 0 {
            return Err(io::Error::last_os_error());
        }
        if waited == self.id {
            self.state = if !libc::WIFSTOPPED(status) {
                State::Gone
            } else if status >> 16 == libc::PTRACE_EVENT_STOP {
                State::Still(0)
            } else {
                // A signal was on its way to it, and still has to arrive.
                State::Still(libc::WSTOPSIG(status))
            };
        }
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.traced.iter_mut().for_each(Traced::let_go);
        // Only what stands still can be let go: the rest as soon as it does, while the others go
        // on.
        while let Some(traced) = self.traced.iter_mut().find(|traced| traced.is_asked()) {
            if traced.look(libc::WNOHANG).is_err() {
                traced.state = State::Gone;
            }
            traced.let_go();
            // The next one may be sooner.
            self.traced.rotate_left(1);
            std::thread::yield_now();
        }
        // SAFETY: takes the timer back.
        unsafe { libc::alarm(0) };
    }
}

fn request(request: libc::c_uint, id: i32, data: usize) -> io::Result<()> {
    // SAFETY: requests that read and write no memory of this process.
    let done = unsafe {
        libc::ptrace(
            request,
            id,
            std::ptr::null_mut::<u8>(),
            std::ptr::without_provenance_mut::<u8>(data),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn general_registers(id: i32) -> io::Result<libc::user_regs_struct> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let length = size_of::<libc::user_regs_struct>();
    register_set(id, NT_PRSTATUS, registers.as_mut_ptr().cast(), length)?;
    // SAFETY: plain numbers, of which every value is one.
    Ok(unsafe { registers.assume_init() })
}

/// What is in the registers for vectors. Compilers move pointers through them in pairs.
fn vector_registers(id: i32) -> io::Result<Vec<u64>> {
    let mut words = vec![0_u64; VECTORS / 8];
    let filled = register_set(id, NT_X86_XSTATE, words.as_mut_ptr().cast(), VECTORS)?;
    words.truncate(filled / 8);
    Ok(words)
}

/// Reads registers of a stopped thread into a buffer; how many bytes.
fn register_set(
    id: i32,
    set: usize,
    buffer: *mut libc::c_void,
    length: usize,
) -> io::Result<usize> {
    let mut into = libc::iovec {
        iov_base: buffer,
        iov_len: length,
    };
    // SAFETY: the system writes at most `length` bytes to `buffer`, both of the caller, and the
    // number of them to `into`.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGSET,
            id,
            std::ptr::without_provenance_mut::<u8>(set),
            &raw mut into,
        )
    };
    if done == 0 {
        Ok(into.iov_len)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn words_of(registers: &libc::user_regs_struct) -> Vec<u64> {
    let count = size_of::<libc::user_regs_struct>() / 8;
    // SAFETY: the struct is made of 64-bit numbers alone.
    let words = unsafe { std::slice::from_raw_parts((&raw const *registers).cast::<u64>(), count) };
    words.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_of_a_waiting_thread_is_known() {
        let waiting = "202 0x7f 0x80 0x0 0x0 0x0 0xffffffff 0x7f3e0c7eeb60 0x7f3e0c8d72ad\n";
        assert_eq!(stack_of(waiting), Some(0x7f3e_0c7e_eb60));
        assert_eq!(stack_of("running\n"), None);
        assert_eq!(stack_of(""), None);
    }
}
