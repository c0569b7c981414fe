//! Ends calls that run too long, at no cost for those that do not.
//!
//! A hook that is always there makes Lua two to four times slower. So there is none: a call
//! counts up a number when it begins and when it ends, and a thread (`lua-watchdog`) looks at
//! the number now and then. If it is the same for too long, the thread sends a signal to the
//! one that is in the call, and the signal's handler sets a hook, which Lua allows in
//! handlers. The hook raises an error, and goes on doing so until the call has ended.
//!
//! On systems other than Linux calls are not watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mlua::Lua;

use crate::raw::State;

/// How often the watchdog looks.
const PERIOD: Duration = Duration::from_millis(10);

/// What a domain and its watchdog share.
#[derive(Default)]
struct Shared {
    /// Odd while a call runs.
    serial: AtomicU64,
    /// The call that is to be ended, by its serial.
    wanted: AtomicU64,
    /// The system's number of the thread that is in the call.
    thread: AtomicU64,
}

/// Watches the calls of one domain.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Calls may take so long; a limit of zero is none.
    pub(crate) fn new(limit: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut watchdog = Self {
            shared: Arc::clone(&shared),
            thread: None,
        };
        if limit > Duration::ZERO && system::install()? {
            let thread = thread::Builder::new()
                .name("lua-watchdog".into())
                .spawn(move || watch(shared, limit))?;
            watchdog.thread = Some(thread);
        }
        Ok(watchdog)
    }

    /// Runs a call that is ended when it takes too long. A call within a call is part of it.
    pub(crate) fn watch<R>(&self, lua: &Lua, call: impl FnOnce() -> R) -> R {
        let state = lua.exec_raw_lua(mlua::state::RawLua::state);
        let _call = self.begin(state);
        call()
    }

    /// Watches a call of this coroutine until that is dropped; `None` if it need not be, as part
    /// of another call.
    pub(crate) fn begin(&self, state: State) -> Option<impl Sized> {
        let is_watched = self.thread.is_some() && system::running().is_none();
        is_watched.then(|| system::Call::begin(&self.shared, state))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // The thread ends when it is the only one that has it.
        self.shared = Arc::default();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn watch(mut shared: Arc<Shared>, limit: Duration) {
    let mut seen = (0, Instant::now());
    while Arc::get_mut(&mut shared).is_none() {
        let serial = shared.serial.load(Ordering::Acquire);
        if seen.0 != serial {
            seen = (serial, Instant::now());
        } else if serial % 2 == 1 && seen.1.elapsed() >= limit {
            shared.wanted.store(serial, Ordering::Release);
            system::interrupt(shared.thread.load(Ordering::Acquire));
        }
        thread::park_timeout(PERIOD);
    }
}

/// Says which coroutine runs, for `coroutine.resume` and its like: gives the one before. In a
/// call that is to be ended, that one is ended too: new coroutines would let it go on.
pub(crate) fn enter(coroutine: State) -> State {
    system::enter(coroutine)
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::c_int;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

    use mlua::ffi;

    use super::Shared;
    use crate::raw::State;

    /// Ignored by default and used for nothing else here; what other runtimes interrupt with.
    const SIGNAL: c_int = libc::SIGURG;

    thread_local! {
        /// The coroutine that runs in a watched call of this thread. Read by the signal's
        /// handler, so both are atomic and have nothing to drop.
        static RUNNING: AtomicPtr<ffi::lua_State> = const { AtomicPtr::new(ptr::null_mut()) };
        static SHARED: AtomicPtr<Shared> = const { AtomicPtr::new(ptr::null_mut()) };
        /// The system's number of this thread.
        // SAFETY: asking for it has no preconditions.
        static THREAD: u64 = unsafe { libc::gettid() } as u64;
    }

    /// Sets the handler. Returns whether calls can be watched.
    pub(super) fn install() -> std::io::Result<bool> {
        // SAFETY: the handler does what handlers may: it reads atomics of its thread and
        // calls `lua_sethook`.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            if libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(true)
    }

    /// The coroutine that runs in a watched call of this thread.
    pub(super) fn running() -> Option<State> {
        let running = RUNNING.with(|running| running.load(Ordering::Relaxed));
        (!running.is_null()).then_some(running)
    }

    pub(super) fn enter(coroutine: State) -> State {
        RUNNING.with(|running| {
            let before = running.load(Ordering::Relaxed);
            // Outside of watched calls nothing is said.
            if !before.is_null() {
                running.store(coroutine, Ordering::Release);
                if is_wanted() {
                    arm(coroutine);
                }
            }
            before
        })
    }

    /// A watched call, until dropped.
    pub(super) struct Call<'a> {
        shared: &'a Shared,
        state: State,
    }

    impl<'a> Call<'a> {
        pub(super) fn begin(shared: &'a Shared, state: State) -> Self {
            shared
                .thread
                .store(THREAD.with(|thread| *thread), Ordering::Relaxed);
            SHARED
                .with(|current| current.store(ptr::from_ref(shared).cast_mut(), Ordering::Release));
            RUNNING.with(|running| running.store(state, Ordering::Release));
            // Only the thread that is in the call counts.
            let serial = shared.serial.load(Ordering::Relaxed) + 1;
            shared.serial.store(serial, Ordering::Release);
            Self { shared, state }
        }
    }

    impl Drop for Call<'_> {
        fn drop(&mut self) {
            let serial = self.shared.serial.load(Ordering::Relaxed);
            self.shared.serial.store(serial + 1, Ordering::Release);
            RUNNING.with(|running| running.store(ptr::null_mut(), Ordering::Release));
            SHARED.with(|current| current.store(ptr::null_mut(), Ordering::Release));
            if self.shared.wanted.load(Ordering::Acquire) == serial {
                // SAFETY: the state outlives its calls. Coroutines drop the hook themselves.
                unsafe { ffi::lua_sethook(self.state, None, 0, 0) };
            }
        }
    }

    /// Sends the signal to a thread of this process.
    pub(super) fn interrupt(thread: u64) {
        // SAFETY: a thread that is gone is an error that does no harm.
        unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                libc::c_long::from(libc::getpid()),
                thread as libc::c_long,
                libc::c_long::from(SIGNAL),
            );
        }
    }

    /// Whether the call that this thread is in is to be ended.
    fn is_wanted() -> bool {
        let shared = SHARED.with(|current| current.load(Ordering::Acquire));
        // SAFETY: set for the time of a call, which borrows it.
        let Some(shared) = (unsafe { shared.as_ref() }) else {
            return false;
        };
        let load = |number: &AtomicU64| number.load(Ordering::Acquire);
        load(&shared.wanted) == load(&shared.serial)
    }

    extern "C" fn on_signal(_: c_int) {
        if let Some(running) = running()
            && is_wanted()
        {
            arm(running);
        }
    }

    /// Has the next instruction of a coroutine raise an error, and each one after that.
    fn arm(coroutine: State) {
        // SAFETY: Lua says that this may be called in a signal's handler; the coroutine is
        // the one that this thread runs.
        // Setting it walks over all calls of the coroutine, of which there may be a million: done at
        // each signal, that leaves the call no time to end.
        unsafe {
            let is_armed = ffi::lua_gethook(coroutine)
                .is_some_and(|hook| std::ptr::fn_addr_eq(hook, raise as ffi::lua_Hook));
            if !is_armed {
                ffi::lua_sethook(coroutine, Some(raise), ffi::LUA_MASKCOUNT, 1);
            }
        }
    }

    unsafe extern "C-unwind" fn raise(lua: State, _: *mut ffi::lua_Debug) {
        // SAFETY: Lua calls hooks with the thread that runs; nothing here is to be dropped.
        unsafe {
            if is_wanted() {
                ffi::luaL_error(
                    lua,
                    c"ran for too long and was ended; is there a loop that does not end?".as_ptr(),
                );
            }
            ffi::lua_sethook(lua, None, 0, 0);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Shared;
    use crate::raw::State;

    pub(super) fn install() -> std::io::Result<bool> {
        Ok(false)
    }

    pub(super) fn running() -> Option<State> {
        None
    }

    pub(super) fn enter(_: State) -> State {
        std::ptr::null_mut()
    }

    pub(super) struct Call<'a>(std::marker::PhantomData<&'a Shared>);

    impl<'a> Call<'a> {
        pub(super) fn begin(_: &'a Shared, _: State) -> Self {
            Self(std::marker::PhantomData)
        }
    }

    pub(super) fn interrupt(_: u64) {}
}
