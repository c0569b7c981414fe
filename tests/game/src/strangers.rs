//! What game code may do behind the engine's back: threads, hooks, handlers and destructors that
//! lie in a version and that nobody has registered.

use std::hint::black_box;
use std::ptr;

use engine_api::prelude::*;

use crate::{ANSWER, wait_for};

/// Starts a thread that nobody knows of and that waits for a file.
fn start_thread(name: String, file: String) {
    let thread = std::thread::Builder::new().name(name);
    let _ = thread.spawn(move || wait_for(file));
}

fn set_panic_hook() {
    std::panic::set_hook(Box::new(|_| {
        black_box(ANSWER);
    }));
}

fn take_panic_hook() {
    drop(std::panic::take_hook());
}

unsafe extern "C" {
    fn signal(number: i32, handler: *const ()) -> *const ();
    fn atexit(function: extern "C" fn()) -> i32;
}

/// `SIGUSR2` on Linux.
const SIGNAL: i32 = 12;

extern "C" fn handle(_: i32) {
    black_box(ANSWER);
}

extern "C" fn at_exit() {
    black_box(ANSWER);
}

fn handle_signal() {
    let handler: extern "C" fn(i32) = handle;
    // SAFETY: the handler does nothing.
    unsafe { signal(SIGNAL, handler as *const ()) };
}

fn ignore_signal() {
    // SAFETY: null is the default.
    unsafe { signal(SIGNAL, ptr::null()) };
}

fn register_at_exit() {
    // SAFETY: the function does nothing, and takes nothing.
    unsafe { atexit(at_exit) };
}

struct Ends(u64);

impl Drop for Ends {
    fn drop(&mut self) {
        black_box(self.0);
    }
}

thread_local! {
    static ENDS: Ends = const { Ends(7) };
}

/// Leaves a thread-local of the frame thread that is dropped when that ends.
fn touch_thread_local(_: &mut World) -> u64 {
    ENDS.with(|ends| ends.0)
}

/// Everything.
pub fn register(m: &mut ModuleBuilder) {
    m.function("start_thread", start_thread)
        .function("set_panic_hook", set_panic_hook)
        .function("take_panic_hook", take_panic_hook)
        .function("handle_signal", handle_signal)
        .function("ignore_signal", ignore_signal)
        .function("register_at_exit", register_at_exit)
        .function("touch_thread_local", touch_thread_local);
}
