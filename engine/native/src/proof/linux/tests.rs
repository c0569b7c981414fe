//! The proof on this program itself. The images are mere numbers: addresses where nothing is
//! mapped, so that nothing refers to them but what a test makes.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine_runtime::backend::Look;
use engine_runtime::wipe;

use crate::proof::footprint::{Area, Footprint};
use crate::proof::prover::{Prover, Verdict};

/// It may stop a test for long.
const LOOK: Look = Look {
    pause: Duration::from_secs(5),
    heap: true,
};

/// A process has one tracer.
static TURN: Mutex<()> = Mutex::new(());

fn this_program(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments);
    command
}

fn prover() -> (Prover, MutexGuard<'static, ()>) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let helper = ["--exact", "proof::linux::tests::helper", "--ignored"];
    (Prover::new(this_program(&helper)), turn)
}

/// What the other tests start as their helper.
#[test]
#[ignore = "only as a process of its own"]
fn helper() {
    super::run().unwrap();
}

/// Complemented addresses of images: no word of this program is one before a test makes it.
const fn not_address(number: u64) -> u64 {
    !(0x1234_5678_0000 + number * 0x10_0000)
}

#[inline(never)]
fn image(number: u64) -> Footprint {
    let start = !not_address(number);
    Footprint {
        image: Area::new("image", start, start + 0x9000),
        aside: None,
        areas: vec![
            Area::new(".text", start + 0x1000, start + 0x2000),
            Area::new(".rodata", start + 0x3000, start + 0x4000),
        ],
        thread_locals: None,
    }
}

/// An address in the code of an image.
#[inline]
fn in_code(number: u64) -> u64 {
    !black_box(not_address(number)) + 0x1abc
}

/// What is found of one image: place and section.
fn ask(prover: &mut Prover, number: u64) -> Result<Vec<String>, String> {
    let image = image(number);
    wipe::stack();
    let answer = prover.ask(&[image], LOOK);
    match answer.verdicts.into_iter().next() {
        Some(Verdict::Free { .. }) => {
            assert!(
                answer.stopped.is_some(),
                "a proof needs a look at what stands still"
            );
            Ok(Vec::new())
        }
        Some(Verdict::Referenced { found, .. }) => Ok(found
            .into_iter()
            .map(|found| format!("{} ({})", found.place, found.target))
            .collect()),
        Some(Verdict::Unknown(why)) => Err(why),
        None => panic!("no verdict"),
    }
}

/// A word on the heap until it is dropped, when it is overwritten.
struct Word(Box<[u64; 4]>);

impl Word {
    /// With another one before it.
    #[inline(never)]
    fn new(before: u64, make: impl Fn() -> u64) -> Self {
        let mut word = Self(Box::new([0, before, 0, 0]));
        word.0[2] = make();
        word
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        *self.0 = [0; 4];
        black_box(&mut self.0);
    }
}

#[test]
fn what_refers_is_found_and_what_does_not_any_more_is_not() {
    let (mut prover, _turn) = prover();
    assert_eq!(ask(&mut prover, 1), Ok(vec![]));
    let word = Word::new(0, || in_code(1));
    let found = ask(&mut prover, 1).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("heap, held by "), "{found:?}");
    // Other images are not concerned.
    let images = [image(1), image(2)];
    wipe::stack();
    let answer = prover.ask(&images, LOOK);
    assert!(matches!(&answer.verdicts[0], Verdict::Referenced { .. }));
    assert!(answer.verdicts[1].is_free());
    drop(word);
    assert_eq!(ask(&mut prover, 1), Ok(vec![]));
}

#[test]
fn what_the_c_library_encodes_is_found() {
    let (mut prover, _turn) = prover();
    let mangled = || (in_code(3) ^ crate::proof::prover::pointer_guard()).rotate_left(17);
    let word = Word::new(0x31, mangled);
    let destructor = "the destructor of a thread-local (.text)";
    assert_eq!(ask(&mut prover, 3), Ok(vec![destructor.to_owned()]));
    drop(word);
    let word = Word::new(4, mangled);
    let at_exit = "a function registered with `atexit` (.text)";
    assert_eq!(ask(&mut prover, 3), Ok(vec![at_exit.to_owned()]));
    drop(word);
    assert_eq!(ask(&mut prover, 3), Ok(vec![]));
}

/// Runs `body` in a thread until the test has asked.
fn in_thread(name: &str, number: u64, body: fn(&AtomicBool)) -> Result<Vec<String>, String> {
    let (mut prover, _turn) = prover();
    let state = Arc::new((AtomicBool::new(false), AtomicBool::new(false)));
    let shared = state.clone();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(move || {
        shared.0.store(true, Ordering::Release);
        body(&shared.1);
    });
    while !state.0.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    let found = ask(&mut prover, number);
    state.1.store(true, Ordering::Release);
    thread.unwrap().join().unwrap();
    found
}

#[test]
fn a_thread_that_waits_is_named_by_its_stack() {
    let found = in_thread("sleeper", 4, |end| {
        let kept = [in_code(4); 2];
        let kept = black_box(&kept);
        while !end.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        black_box(kept);
    });
    let places = found.unwrap();
    assert!(
        places
            .iter()
            .all(|place| place == "thread `sleeper`, stack (.text)"),
        "{places:?}"
    );
    assert!(!places.is_empty());
}

#[test]
fn a_thread_that_runs_is_named_by_its_registers() {
    let found = in_thread("spinner", 5, |end| {
        let end = std::ptr::from_ref(end);
        // SAFETY: a loop that reads a flag which outlives it; the address is in a register and
        // nowhere else.
        unsafe {
            std::arch::asm!(
                "mov {kept}, {kept}",
                "not {kept}",
                "add {kept}, 0x1abc",
                "2:",
                "pause",
                "cmp byte ptr [{end}], 0",
                "je 2b",
                "xor {kept}, {kept}",
                kept = inout(reg) not_address(5) => _,
                end = in(reg) end,
                options(nostack)
            );
        }
    });
    assert_eq!(
        found,
        Ok(vec!["thread `spinner`, registers (.text)".to_owned()])
    );
}

#[test]
fn stacks_of_threads_that_ended_do_not_count() {
    let (mut prover, _turn) = prover();
    // Nobody waits for it, so that its stack is kept for the next thread.
    let thread = std::thread::Builder::new().name("gone".to_owned());
    let thread = thread.spawn(|| {
        let kept = [in_code(8); 64];
        black_box(&kept);
    });
    let id = thread.unwrap().thread().id();
    let mut found = ask(&mut prover, 8);
    // It may not have ended yet.
    for _ in 0..200 {
        if found == Ok(vec![]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
        found = ask(&mut prover, 8);
    }
    panic!("{id:?} is still found: {found:?}");
}

/// Two pages of anonymous memory, gone when this is dropped.
struct TwoPages(*mut u64);

impl TwoPages {
    const WORDS: usize = 2 * 4096 / 8;

    fn new() -> Self {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new private mapping.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), Self::WORDS * 8, rights, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Self(start.cast())
    }

    #[inline(never)]
    fn write(&self, index: usize, word: impl Fn() -> u64) {
        assert!(index < Self::WORDS);
        // SAFETY: it lies in the mapping.
        unsafe { self.0.add(index).write_volatile(word()) };
    }

    fn protect(&self, rights: i32) {
        // SAFETY: nobody else uses the mapping.
        let done = unsafe { libc::mprotect(self.0.cast(), Self::WORDS * 8, rights) };
        assert_eq!(done, 0);
    }
}

impl Drop for TwoPages {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        unsafe { libc::munmap(self.0.cast(), Self::WORDS * 8) };
    }
}

#[test]
fn memory_that_cannot_be_read_now_counts() {
    let (mut prover, _turn) = prover();
    let pages = TwoPages::new();
    pages.protect(libc::PROT_NONE);
    assert_eq!(ask(&mut prover, 9), Ok(vec![]));
    pages.protect(libc::PROT_READ | libc::PROT_WRITE);
    pages.write(513, || in_code(9));
    for rights in [libc::PROT_NONE, libc::PROT_READ] {
        pages.protect(rights);
        let found = ask(&mut prover, 9).unwrap();
        assert_eq!(found.len(), 1, "{rights}: {found:?}");
    }
}

/// The kernel makes one mapping of an image's zero-initialised data and of what it maps right
/// behind.
#[test]
fn memory_behind_an_image_counts() {
    let (mut prover, _turn) = prover();
    let pages = TwoPages::new();
    let start = pages.0.addr() as u64;
    let before = Footprint {
        image: Area::new("image", start, start + 4096),
        aside: None,
        areas: vec![Area::new(".bss", start, start + 4096)],
        thread_locals: None,
    };
    let mut ask = || {
        wipe::stack();
        let mut answer = prover.ask(&[image(10), before.clone()], LOOK);
        answer.verdicts.swap_remove(0)
    };
    pages.write(511, || in_code(10));
    let verdict = ask();
    // The test itself refers to the other one.
    assert!(
        matches!(&verdict, Verdict::Referenced { found, .. } if found.len() == 1),
        "{verdict:?}"
    );
    pages.write(511, || 0);
    assert!(ask().is_free());
    pages.write(512, || in_code(10));
    let verdict = ask();
    assert!(
        matches!(&verdict, Verdict::Referenced { found, .. } if found.len() == 1),
        "{verdict:?}"
    );
}

extern "C" fn on_signal(_: i32) {}

#[test]
fn handlers_of_signals_are_found() {
    let (mut prover, _turn) = prover();
    let start = on_signal as extern "C" fn(i32) as usize as u64;
    let area = Area::new(".text", start, start + 1);
    let footprint = Footprint {
        image: area.clone(),
        aside: None,
        areas: vec![area],
        thread_locals: None,
    };
    let mut ask = || match prover
        .ask(std::slice::from_ref(&footprint), LOOK)
        .verdicts
        .remove(0)
    {
        Verdict::Referenced { found, .. } => found
            .into_iter()
            .map(|found| found.place)
            .collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let signal = "the handler of signal 10".to_owned();
    assert!(!ask().contains(&signal));
    let handler = start as libc::sighandler_t;
    // SAFETY: a function that does nothing handles a signal that nobody sends.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler) };
    let found = ask();
    // SAFETY: as it was.
    unsafe { libc::signal(libc::SIGUSR1, before) };
    assert!(found.contains(&signal), "{found:?}");
}

#[test]
fn a_pause_that_is_too_long_is_not_made() {
    let (mut prover, _turn) = prover();
    let answer = prover.ask(
        &[image(6)],
        Look {
            pause: Duration::from_nanos(1),
            ..LOOK
        },
    );
    let Verdict::Unknown(why) = &answer.verdicts[0] else {
        panic!("{answer:?}");
    };
    assert!(why.starts_with("the game would stand still for "), "{why}");
    assert_eq!(answer.stopped, None);
}

#[test]
fn a_helper_that_is_no_helper_proves_nothing() {
    let mut prover = Prover::new(this_program(&["--exact", "there is no such test"]));
    let answer = prover.ask(&[image(7)], LOOK);
    let Verdict::Unknown(why) = &answer.verdicts[0] else {
        panic!("{answer:?}");
    };
    assert!(why.starts_with("the helper of the proof failed"), "{why}");
}

fn send(prover: &Prover, signal: i32) {
    let helper = prover.helper().expect("it was asked before");
    // SAFETY: a signal to a child that nobody has waited for.
    assert_eq!(unsafe { libc::kill(helper as i32, signal) }, 0);
}

#[test]
fn a_helper_that_was_killed_is_replaced_at_once() {
    let (mut prover, _turn) = prover();
    assert_eq!(ask(&mut prover, 11), Ok(vec![]));
    let first = prover.helper();
    send(&prover, libc::SIGKILL);
    assert_eq!(ask(&mut prover, 11), Ok(vec![]));
    assert_ne!(prover.helper(), first);
}

#[test]
fn a_helper_that_says_nothing_proves_nothing_and_the_next_one_does() {
    let (mut prover, _turn) = prover();
    assert_eq!(ask(&mut prover, 12), Ok(vec![]));
    send(&prover, libc::SIGSTOP);
    // One that stops while it looks would leave this process stopped.
    let helper = prover.helper().unwrap();
    let is_stopped = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
        status.contains("T (stopped)")
    };
    let threads = || std::fs::read_dir(format!("/proc/{helper}/task")).unwrap();
    while !threads().all(|thread| is_stopped(thread.unwrap())) {
        std::thread::yield_now();
    }
    let why = ask(&mut prover, 12).unwrap_err();
    assert!(why.starts_with("the helper of the proof failed"), "{why}");
    assert_eq!(prover.helper(), None, "it is gone");
    assert_eq!(ask(&mut prover, 12), Ok(vec![]));
}

/// What `/proc` says of a thread of this process under a name.
fn said(thread: i32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.unwrap_or_default();
    let mut lines = status.lines();
    let said = lines.find_map(|line| line.strip_prefix(name));
    said.unwrap_or_default().trim().to_owned()
}

/// Whether a thread of this process is traced.
fn is_traced(thread: i32) -> bool {
    said(thread, "TracerPid:") != "0"
}

/// A thread that waits for a child that has to begin another program stops for nobody.
#[test]
fn the_others_go_on_while_a_thread_does_not_stop() {
    let (mut prover, _turn) = prover();
    let mut ends = [0; 2];
    // SAFETY: makes two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [read, write] = ends;
    let (tell, told) = std::sync::mpsc::channel();
    let stuck = std::thread::spawn(move || {
        // SAFETY: asks for a number.
        tell.send(unsafe { libc::gettid() }).unwrap();
        let flags = libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: a copy of this process, which waits for a byte and ends, without anything
        // that a copy of one thread could miss.
        unsafe {
            let child = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
            if child == 0 {
                let mut byte = 0_u8;
                libc::read(read, (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(child as i32, &raw mut status, 0);
        }
    });
    let stuck_id: i32 = told.recv().unwrap();
    // It waits in a way that nothing interrupts.
    while !said(stuck_id, "State:").starts_with('D') {
        std::thread::yield_now();
    }
    // Threads are stopped in the order of their numbers, the first one first: when that goes on
    // while this one is traced, the others were let go.
    let first = std::process::id() as i32;
    let has_answered = Arc::new(AtomicBool::new(false));
    let is_over = has_answered.clone();
    let watcher = std::thread::spawn(move || {
        while (!is_traced(stuck_id) || is_traced(first)) && !is_over.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: one byte of a local, into a pipe that is open.
        let written = unsafe { libc::write(write, [1_u8].as_ptr().cast(), 1) };
        assert_eq!(written, 1);
    });
    let look = Look {
        // Longer than looking takes on a slow machine, and short enough that the threads are given
        // up before the helper is.
        pause: Duration::from_millis(450),
        ..LOOK
    };
    let answer = prover.ask(&[image(13)], look);
    has_answered.store(true, Ordering::Release);
    watcher.join().unwrap();
    stuck.join().unwrap();
    // SAFETY: nobody uses them any more.
    unsafe { libc::close(read) };
    // SAFETY: as above.
    unsafe { libc::close(write) };
    let why = "its threads did not stop in time".to_owned();
    assert_eq!(answer.verdicts, [Verdict::Unknown(why)]);
}
