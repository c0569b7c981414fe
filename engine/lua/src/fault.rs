//! Failures on demand, for the tests: every step that changes something passes here first.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// From now on the step after `steps` others fails, once.
#[cfg(test)]
pub(crate) fn arm(steps: Option<u32>) {
    LEFT.set(steps);
}

/// Whether the failure that was armed has not happened yet.
#[cfg(test)]
pub(crate) fn is_armed() -> bool {
    LEFT.get().is_some()
}

/// A step that may be made to fail.
#[cfg(test)]
pub(crate) fn point() -> mlua::Result<()> {
    match LEFT.get() {
        Some(0) => {
            LEFT.set(None);
            Err(mlua::Error::runtime("failed on demand"))
        }
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Nothing, outside of tests.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "fails in tests")]
pub(crate) fn point() -> mlua::Result<()> {
    Ok(())
}
