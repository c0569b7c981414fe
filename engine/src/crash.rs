//! The host's last words: after a fatal signal, or when game code ends the process, one line on
//! standard error names the call that was running, then the signal takes its usual course.
//!
//! Only async-signal-safe functions are used (signal-safety(7)): the handler reads
//! numbers, formats them into a buffer on its stack and calls `write`.

/// Start of the line; the supervisor looks for it.
pub(crate) const MARK: &str = "liveloop-crash ";

/// Signals by which a process ends because of what its code did.
pub(crate) const SIGNALS: [libc::c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];

/// What a host wrote before it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastWords {
    /// Registry-wide id of the version.
    pub(crate) version: u32,
    /// Number of the function within it.
    pub(crate) function: u32,
    /// Number of the last frame that had run.
    pub(crate) frame: u64,
}

/// Reads the line that the handler wrote.
pub(crate) fn parse(line: &str) -> Option<LastWords> {
    let mut numbers = line.strip_prefix(MARK)?.split_whitespace();
    Some(LastWords {
        version: numbers.next()?.parse().ok()?,
        function: numbers.next()?.parse().ok()?,
        frame: numbers.next()?.parse().ok()?,
    })
}

#[cfg(unix)]
pub(crate) use unix::install;

#[cfg(not(unix))]
pub(crate) fn install() {}

#[cfg(unix)]
mod unix {
    use engine_runtime::{call, host};

    use super::{MARK, SIGNALS};

    /// Installs the handler for this process.
    pub(crate) fn install() {
        for signal in SIGNALS {
            // SAFETY: the struct is plain data for which zero is a valid value; the
            // handler has the signature that no SA_SIGINFO asks for. SA_ONSTACK uses
            // the alternate stack that the standard library gave each thread, so a
            // stack overflow can be reported too. SA_RESETHAND restores the default
            // action, so the second signal ends the process.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handle as *const () as usize;
                action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
                libc::sigemptyset(&raw mut action.sa_mask);
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
        // SAFETY: the function is of this executable, which is there until the process ends.
        // It runs on the thread that ends it. Without room in the list, nothing is written.
        let _ = unsafe { libc::atexit(handle_exit) };
    }

    extern "C" fn handle(signal: libc::c_int) {
        write_last_words();
        // SAFETY: `raise` is async-signal-safe; the action is the default one again.
        unsafe { libc::raise(signal) };
    }

    /// Game code that ends the process (`std::process::exit`) is named as well: the host itself
    /// never does while a call runs.
    extern "C" fn handle_exit() {
        write_last_words();
    }

    fn write_last_words() {
        let mut line = Line::default();
        if let Some(id) = call::current() {
            line.text(MARK.as_bytes());
            line.number(u64::from(id.version()));
            line.text(b" ");
            line.number(u64::from(id.function()));
            line.text(b" ");
            line.number(host::last_frame());
            line.text(b"\n");
            // SAFETY: `write` is async-signal-safe and gets a buffer that lives here.
            unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.length) };
        }
    }

    struct Line {
        bytes: [u8; 64],
        length: usize,
    }

    impl Default for Line {
        fn default() -> Self {
            Self {
                bytes: [0; 64],
                length: 0,
            }
        }
    }

    impl Line {
        fn text(&mut self, text: &[u8]) {
            for byte in text {
                if let Some(place) = self.bytes.get_mut(self.length) {
                    *place = *byte;
                    self.length += 1;
                }
            }
        }

        fn number(&mut self, number: u64) {
            let mut divisor = 10_000_000_000_000_000_000;
            let mut leading = true;
            while divisor > 0 {
                let digit = (number / divisor % 10) as u8;
                leading &= digit == 0 && divisor > 1;
                if !leading {
                    self.text(&[b'0' + digit]);
                }
                divisor /= 10;
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::super::{LastWords, parse};
        use super::*;

        #[test]
        fn the_line_can_be_read_back() {
            for (version, function, frame) in [
                (0, 0, 0),
                (12, 340, 7200),
                (u32::MAX, 1_000_000_000, u64::MAX),
            ] {
                let mut line = Line::default();
                line.text(MARK.as_bytes());
                line.number(u64::from(version));
                line.text(b" ");
                line.number(u64::from(function));
                line.text(b" ");
                line.number(frame);
                let text = std::str::from_utf8(&line.bytes[..line.length]).unwrap();
                let words = LastWords {
                    version,
                    function,
                    frame,
                };
                assert_eq!(parse(text), Some(words), "{text}");
            }
        }
    }
}
