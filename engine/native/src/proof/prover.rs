//! The host's side of the proof: starts the helper and asks it.

use std::time::Duration;

use engine_runtime::backend::{Hidden, Look, Proof, Reference};
use serde::{Deserialize, Serialize};

use super::footprint::Footprint;

/// What the helper is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// The host.
    pub pid: i32,
    /// What is looked for.
    pub images: Vec<Footprint>,
    /// glibc's pointer guard, complemented.
    pub not_guard: u64,
    /// How it is looked for.
    pub look: Look,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// One for each image.
    pub verdicts: Vec<Verdict>,
    /// How long it took.
    pub took: Duration,
    /// How long the host was stopped for it.
    pub stopped: Option<Duration>,
}

/// What is known of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing refers to it.
    Free {
        /// Nor to what it has left aside.
        aside: bool,
    },
    /// Something may.
    Referenced {
        /// What.
        found: Vec<Found>,
        /// How many more there are.
        more: usize,
    },
    /// It cannot be proven, for this reason.
    Unknown(String),
}

/// A word that may refer to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Where it is, in words.
    pub place: String,
    /// Where it is; `None` for what is not in memory.
    pub address: Option<Hidden>,
    /// The words that lead to it from a stack or a static, last one first.
    pub held_by: Vec<Hidden>,
    /// Section that it refers to.
    pub target: String,
}

impl Verdict {
    /// Whether nothing refers to the image.
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Free { .. })
    }
}

impl From<Verdict> for Proof {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Free { .. } => Self::Free,
            Verdict::Unknown(why) => Self::Unknown(why),
            Verdict::Referenced { found, more } => {
                let by = found.into_iter().map(|found| Reference {
                    address: found.address,
                    held_by: found.held_by,
                    place: found.place,
                    target: found.target,
                });
                Self::Referenced {
                    by: by.collect(),
                    more,
                }
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod platform {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use inspector_protocol::wire::{self, WireError};

    use super::{Answer, Found, Look, Question, Verdict};
    use crate::proof::footprint::Footprint;

    /// How long a helper may take before it counts as hung. What waits for it waits as long.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// Asks a helper whether anything refers to images. Blocks for as long as that takes.
    #[derive(Debug)]
    pub struct Prover {
        /// Starts a helper.
        command: Command,
        helper: Option<(Child, UnixStream)>,
    }

    impl Prover {
        /// A prover whose helper is what `command` starts, when it is first needed and again
        /// when it is gone: this executable in the very build that runs.
        pub fn new(command: Command) -> Self {
            Self {
                command,
                helper: None,
            }
        }

        /// Process id of the helper, if there is one.
        pub fn helper(&self) -> Option<u32> {
            self.helper.as_ref().map(|(child, _)| child.id())
        }

        /// Looks for references to `images`.
        pub fn ask(&mut self, images: &[Footprint], look: Look) -> Answer {
            let question = Question {
                pid: std::process::id() as i32,
                images: images.to_vec(),
                not_guard: !pointer_guard(),
                look,
            };
            // Before and after: the helper cannot see them, and what is there both times was
            // there all the time.
            let before = handlers(images);
            let mut answer = self.exchange(&question);
            if answer.as_ref().is_err_and(is_gone) {
                // Somebody has ended it.
                self.stop();
                answer = self.exchange(&question);
            }
            let mut answer = answer.unwrap_or_else(|error| {
                self.stop();
                let why = format!("the helper of the proof failed ({error})");
                Answer {
                    verdicts: vec![Verdict::Unknown(why); images.len()],
                    took: Duration::ZERO,
                    stopped: None,
                }
            });
            for (image, found) in before.into_iter().chain(handlers(images)) {
                match &mut answer.verdicts[image] {
                    Verdict::Referenced { found: others, .. } if others.contains(&found) => {}
                    Verdict::Referenced { found: others, .. } => others.push(found),
                    verdict => {
                        let found = vec![found];
                        *verdict = Verdict::Referenced { found, more: 0 };
                    }
                }
            }
            answer
        }

        fn exchange(&mut self, question: &Question) -> Result<Answer, WireError> {
            if self.helper.is_none() {
                self.helper = Some(self.start().map_err(WireError::Io)?);
            }
            let Some((_, stream)) = &mut self.helper else {
                return Err(WireError::Closed);
            };
            wire::write(stream, question)?;
            let answer: Answer = wire::read(stream)?;
            if answer.verdicts.len() == question.images.len() {
                Ok(answer)
            } else {
                let other = io::Error::other("it answered another question");
                Err(WireError::Io(other))
            }
        }

        fn start(&mut self) -> io::Result<(Child, UnixStream)> {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_read_timeout(Some(PATIENCE))?;
            ours.set_write_timeout(Some(PATIENCE))?;
            let child = self
                .command
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                // It holds nothing of the host's open, which others watch for its end.
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            // What it was started with is its end of the socket, which nobody else may hold.
            self.command.stdin(Stdio::null());
            // Where processes may trace their children alone, this one may trace its parent.
            // SAFETY: names a process; touches no memory.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::from(child.id())) };
            Ok((child, ours))
        }

        fn stop(&mut self) {
            if let Some((mut child, _)) = self.helper.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    /// Whether the helper has ended, as opposed to one that says nothing.
    fn is_gone(error: &WireError) -> bool {
        match error {
            WireError::Closed => true,
            WireError::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::UnexpectedEof
            ),
            WireError::TooLong(_) | WireError::Malformed(_) => false,
        }
    }

    impl Drop for Prover {
        fn drop(&mut self) {
            self.stop();
        }
    }

    /// glibc's pointer guard: a word of each thread's block, the same in all of them
    /// (`tcbhead_t` in sysdeps/x86_64/nptl/tls.h).
    pub(crate) fn pointer_guard() -> u64 {
        let guard: u64;
        // SAFETY: reads a word that every thread of glibc has.
        unsafe {
            std::arch::asm!(
                "mov {guard}, fs:[0x30]",
                guard = out(reg) guard,
                options(nostack, readonly, preserves_flags)
            );
        }
        guard
    }

    /// Handlers of signals that lie in an image, by image.
    fn handlers(images: &[Footprint]) -> Vec<(usize, Found)> {
        let mut found = Vec::new();
        for signal in 1..=libc::SIGRTMAX() {
            // SAFETY: all zeros are an action.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: only asks; the answer goes to a local. The signals that the C library
            // keeps for itself are refused.
            let known = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
            if known != 0 {
                continue;
            }
            for (index, footprint) in images.iter().enumerate() {
                let handler = action.sa_sigaction as u64;
                let area = footprint.areas.iter().find(|area| area.contains(handler));
                if let Some(area) = area {
                    let reference = Found {
                        place: format!("the handler of signal {signal}"),
                        address: None,
                        held_by: Vec::new(),
                        target: area.name.clone(),
                    };
                    found.push((index, reference));
                }
            }
        }
        found
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
mod platform {
    use std::process::Command;
    use std::time::Duration;

    use super::{Answer, Look, Verdict};
    use crate::proof::footprint::Footprint;

    /// There is no proof on this platform.
    #[derive(Debug)]
    pub struct Prover;

    impl Prover {
        /// A prover that proves nothing.
        pub fn new(_command: Command) -> Self {
            Self
        }

        /// There is no helper.
        pub fn helper(&self) -> Option<u32> {
            None
        }

        /// Nothing is known of any image.
        pub fn ask(&mut self, images: &[Footprint], _look: Look) -> Answer {
            let why = "this platform has no proof that nothing refers to it".to_owned();
            Answer {
                verdicts: vec![Verdict::Unknown(why); images.len()],
                took: Duration::ZERO,
                stopped: None,
            }
        }
    }
}

pub use platform::Prover;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub(crate) use platform::pointer_guard;
