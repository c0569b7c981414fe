//! Ways to end the process, each in a function of its own that a backtrace can name, and a way
//! not to get on.

use std::path::Path;
use std::time::Duration;

/// Does nothing else until a file exists: a stall whose end the test decides.
pub fn hold(file: &str) {
    while !Path::new(file).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Does it.
pub fn run(kind: &str) {
    match kind {
        "" => {}
        "segfault" => segfault(),
        "bus" => bus(),
        "illegal" => illegal(),
        "divide" => divide(),
        "abort" => abort(),
        "exhaust" => exhaust(),
        "overflow" => drop(overflow(0)),
        "exit" => exit(),
        other => panic!("there is no fault `{other}`"),
    }
}

#[inline(never)]
fn segfault() {
    // SAFETY: none; this is how the tests make a host die.
    unsafe { std::ptr::null_mut::<u64>().write_volatile(1) };
}

unsafe extern "C" {
    fn raise(signal: i32) -> i32;
}

#[inline(never)]
fn bus() {
    const SIGBUS: i32 = if cfg!(target_os = "linux") { 7 } else { 10 };
    // SAFETY: the function takes a number.
    unsafe { raise(SIGBUS) };
}

#[inline(never)]
fn illegal() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an instruction that is none, and so does nothing but raise a signal.
    unsafe {
        std::arch::asm!("ud2")
    };
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the function takes a number.
    unsafe {
        raise(4)
    };
}

#[inline(never)]
fn divide() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a division by zero, which the processor answers with a signal.
    unsafe {
        std::arch::asm!("xor ecx, ecx", "mov eax, 1", "cdq", "idiv ecx", out("eax") _, out("ecx") _, out("edx") _)
    };
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the function takes a number.
    unsafe {
        raise(8)
    };
}

#[inline(never)]
fn abort() {
    std::process::abort();
}

#[inline(never)]
fn exhaust() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX as usize)));
}

#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if here[0] == u64::MAX { 0 } else { here[0] + overflow(depth + 1) }
}

#[inline(never)]
fn exit() {
    std::process::exit(3);
}
