//! The host's last words: after a fatal signal, or when game code ends the process, one line on
//! standard error names the call that was running, and one the addresses of the game code that
//! led there. Then the signal takes its usual course.
//!
//! Only async-signal-safe functions are used (signal-safety(7)): the handler reads
//! numbers, formats them into a buffer on its stack and calls `write`. Walking the stack is not
//! in that list, though it takes no lock and no memory with today's unwinders; so it comes last,
//! when the line that matters is written.

use engine_runtime::link::{CallPath, CodeAddress};

/// Start of the line; the supervisor looks for it.
const MARK: &str = "liveloop-crash ";
/// Start of the line with the addresses.
const FRAMES_MARK: &str = "liveloop-frames";

/// Signals by which a process ends because of what its code did.
pub(crate) const SIGNALS: [libc::c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];

/// What a host wrote before it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastWords {
    /// Registry-wide id of the version.
    pub(crate) version: u32,
    /// Number of the function within it.
    pub(crate) function: u32,
    /// Number of the last frame that had run.
    pub(crate) frame: u64,
    /// The job that the thread was at; empty for none.
    pub(crate) job: String,
}

/// Reads the line that the handler wrote.
pub(crate) fn parse(line: &str) -> Option<LastWords> {
    let mut words = line.strip_prefix(MARK)?.splitn(4, ' ');
    Some(LastWords {
        version: words.next()?.parse().ok()?,
        function: words.next()?.parse().ok()?,
        frame: words.next()?.parse().ok()?,
        job: words.next().unwrap_or_default().to_owned(),
    })
}

/// Whether a line is one of those that the handler writes.
pub(crate) fn is_last_words(line: &str) -> bool {
    line.starts_with(MARK) || line.starts_with(FRAMES_MARK)
}

/// Reads the line with the addresses.
pub(crate) fn parse_frames(line: &str) -> Option<CallPath> {
    let mut words = line.strip_prefix(FRAMES_MARK)?.split_whitespace();
    let left_out = words.next()?.parse().ok()?;
    let frames = words.map_while(|frame| {
        let (content, offset) = frame.split_once('+')?;
        Some(CodeAddress {
            content: u64::from_str_radix(content, 16).ok()?,
            offset: u64::from_str_radix(offset, 16).ok()?,
        })
    });
    Some(CallPath {
        frames: frames.collect(),
        left_out,
    })
}

#[cfg(unix)]
pub(crate) use unix::install;

#[cfg(not(unix))]
pub(crate) fn install() {}

#[cfg(unix)]
mod unix {
    use std::sync::atomic::{AtomicBool, Ordering};

    use engine_runtime::link::CodeAddress;
    use engine_runtime::stack::GameFrames;
    use engine_runtime::{call, host};

    use super::{FRAMES_MARK, MARK, SIGNALS};

    /// Whether last words were begun: what fails while they are written has none of its own.
    static BEGUN: AtomicBool = AtomicBool::new(false);

    /// Installs the handler for this process.
    pub(crate) fn install() {
        // What is bound at its first call is bound now, and not in the handler.
        GameFrames::take();
        for signal in SIGNALS {
            // SAFETY: the struct is plain data for which zero is a valid value; the
            // handler has the signature that no SA_SIGINFO asks for. SA_ONSTACK uses
            // the signal stack that each thread has which calls game code, so a
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
        let Some(id) = call::current() else { return };
        if BEGUN.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut line = Line::<LONGEST_WORDS>::new();
        line.words(id.version(), id.function(), host::last_frame());
        call::with_label(|job| line.job(job));
        line.write();

        let taken = GameFrames::take();
        let mut line = Line::<LONGEST_FRAMES>::new();
        line.frames(taken.left_out(), taken.frames());
        line.write();
    }

    /// Room for the last words; the name of a job may be cut.
    const LONGEST_WORDS: usize = 256;
    /// Less than what a pipe takes at once (PIPE_BUF), so no other line gets between.
    const LONGEST_FRAMES: usize = 3072;

    struct Line<const N: usize> {
        bytes: [u8; N],
        length: usize,
    }

    impl<const N: usize> Line<N> {
        fn new() -> Self {
            Self {
                bytes: [0; N],
                length: 0,
            }
        }

        /// Writes it, with its end, to standard error.
        fn write(&mut self) {
            self.length = self.length.min(N - 1);
            self.text(b"\n");
            // SAFETY: `write` is async-signal-safe and gets a buffer that lives here.
            unsafe { libc::write(2, self.bytes.as_ptr().cast(), self.length) };
        }

        fn words(&mut self, version: u32, function: u32, frame: u64) {
            self.text(MARK.as_bytes());
            self.number(u64::from(version));
            self.text(b" ");
            self.number(u64::from(function));
            self.text(b" ");
            self.number(frame);
        }

        /// On one line, whatever it is called.
        fn job(&mut self, name: &str) {
            self.text(b" ");
            for byte in name.bytes() {
                self.text(&[if byte.is_ascii_control() { b' ' } else { byte }]);
            }
        }

        fn frames(&mut self, left_out: u64, frames: &[CodeAddress]) {
            self.text(FRAMES_MARK.as_bytes());
            self.text(b" ");
            self.number(left_out);
            for frame in frames {
                self.text(b" ");
                self.hexadecimal(frame.content);
                self.text(b"+");
                self.hexadecimal(frame.offset);
            }
        }

        fn hexadecimal(&mut self, number: u64) {
            let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
            for digit in (0..digits).rev() {
                let digit = (number >> (digit * 4) & 15) as usize;
                self.text(&b"0123456789abcdef"[digit..=digit]);
            }
        }

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
        use engine_runtime::stack::FRAMES;

        use super::super::{CallPath, LastWords, parse, parse_frames};
        use super::*;

        #[test]
        fn the_line_can_be_read_back() {
            for (version, function, frame, job) in [
                (0, 0, 0, ""),
                (12, 340, 7200, "level 3 of `game::plan`"),
                (u32::MAX, 1_000_000_000, u64::MAX, "two\nlines"),
            ] {
                let mut line = Line::<LONGEST_WORDS>::new();
                line.words(version, function, frame);
                if !job.is_empty() {
                    line.job(job);
                }
                let text = std::str::from_utf8(&line.bytes[..line.length]).unwrap();
                let words = LastWords {
                    version,
                    function,
                    frame,
                    job: job.replace('\n', " "),
                };
                assert_eq!(parse(text), Some(words), "{text}");
            }
            let mut long = Line::<LONGEST_WORDS>::new();
            long.words(1, 2, 3);
            long.job(&"x".repeat(1000));
            let text = std::str::from_utf8(&long.bytes[..long.length]).unwrap();
            let words = parse(text).unwrap();
            assert!(words.frame == 3 && words.job.starts_with("xxx"), "{text}");
        }

        #[test]
        fn the_line_with_the_addresses_can_be_read_back() {
            let frame = |content, offset| CodeAddress { content, offset };
            let longest = [frame(u64::MAX, u64::from(u32::MAX)); FRAMES];
            for (left_out, frames) in [
                (0, &[][..]),
                (0, &[frame(0, 0)]),
                (7, &[frame(0x10, 0x0ff0), frame(1 << 63, 1)]),
                (u64::MAX, &longest),
            ] {
                let mut line = Line::<LONGEST_FRAMES>::new();
                line.frames(left_out, frames);
                let text = std::str::from_utf8(&line.bytes[..line.length]).unwrap();
                let path = CallPath {
                    frames: frames.to_vec(),
                    left_out,
                };
                assert_eq!(parse_frames(text), Some(path), "{text}");
            }
        }
    }
}
