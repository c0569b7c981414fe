//! Taking the terminal and giving it back, whatever happens.
//!
//! Raw mode, the alternate screen, mouse and focus reports, the kitty keyboard
//! protocol and the cursor are all process-wide, so one [`Guard`] exists at a
//! time and one flag says whether the terminal is taken. It is given back when
//! the guard is dropped, and before the message of a panic of the thread that
//! draws. Panics of other threads must not scribble on the screen: their
//! messages are kept and printed when the terminal is given back.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};

use crossterm::event::{
    DisableFocusChange, DisableMouseCapture, EnableFocusChange, EnableMouseCapture,
    KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// The terminal as this crate draws on it: a whole screen is one write.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// Bytes a full redraw of a large screen may take before it becomes two writes.
const WRITE_BUFFER: usize = 256 * 1024;

static TAKEN: AtomicBool = AtomicBool::new(false);
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
static KEPT_PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// The taken terminal. Belongs to the thread that draws.
pub struct Guard {
    /// What to draw on.
    pub screen: Screen,
}

/// Whether standard input and output are a terminal that is still there. After
/// a hang-up they no longer are.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Guard {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Whatever the terminal says; it is given back then.
    pub fn take() -> io::Result<Self> {
        HOOK.call_once(install_hook);
        *lock(&OWNER) = Some(thread::current().id());
        TAKEN.store(true, Ordering::SeqCst);
        let taken = enter().and_then(|()| {
            let writer = BufWriter::with_capacity(WRITE_BUFFER, io::stdout());
            Terminal::new(CrosstermBackend::new(writer))
        });
        match taken {
            Ok(screen) => Ok(Self { screen }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    // Terminals without the keyboard protocol ignore its sequence. Asking
    // first would cost a round trip, two seconds where nobody answers.
    let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
        | KeyboardEnhancementFlags::REPORT_EVENT_TYPES;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableMouseCapture,
        EnableFocusChange,
        PushKeyboardEnhancementFlags(flags),
        cursor::Hide
    )
}

/// Gives the terminal back, once. Errors are of no use here: a terminal that is
/// gone needs nothing.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        PopKeyboardEnhancementFlags,
        DisableFocusChange,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
    for message in lock(&KEPT_PANICS).drain(..) {
        let _ = writeln!(io::stderr(), "{message}");
    }
}

/// The first line of a panic of another thread since the last call.
pub fn take_trouble(seen: &mut usize) -> Option<String> {
    let kept = lock(&KEPT_PANICS);
    let message = kept.get(*seen)?;
    *seen += 1;
    Some(message.replace('\n', " "))
}

fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_owner = *lock(&OWNER) == Some(thread::current().id());
        if TAKEN.load(Ordering::SeqCst) && !is_owner {
            lock(&KEPT_PANICS).push(format!(
                "thread '{}' {info}",
                thread::current().name().unwrap_or("unnamed")
            ));
            return;
        }
        give_back();
        previous(info);
    }));
}

/// A poisoned lock still holds what it held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
