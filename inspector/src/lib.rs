//! The terminal inspector: a user interface and scripting commands over the
//! protocol.
//!
//! The engine's own terminal, a second terminal and scripts are all clients of
//! one hub; this crate is what they have in common.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | [`Link`]: the two ends of a connection, and the socket client |
//! | [`cli`] | the commands: `dump`, `call`, `logs`, `reload`, `rollback` |
//! | [`ui`] | the event loop that joins terminal, link and state |
//! | [`state`] | what is known and what is selected: a pure model |
//! | [`rows`] | the rows of each panel, derived from the model |
//! | [`update`] | `update(state, message) -> effects`, pure |
//! | [`keys`] | one table of keys: dispatch, hint line and help come from it |
//! | [`input`] | terminal keys and mouse as input for the game |
//! | [`layout`] | where everything is at a size, pure |
//! | [`view`] | drawing, one file per panel; never changes the state |
//! | [`theme`] | glyphs and colours, and doing without them |
//! | [`text`] | foreign text made safe, widths, durations |
//! | [`ansi`] | the colours of compiler messages |
//! | [`terminal`] | taking the terminal and giving it back |
//!
//! Reading order: [`state`], [`update`], [`view`], [`ui`].

pub mod ansi;
pub mod cli;
pub mod connection;
pub mod input;
pub mod keys;
pub mod layout;
pub mod rows;
pub mod state;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod ui;
pub mod update;
pub mod view;

#[cfg(test)]
mod fixture;

pub use connection::{ConnectError, Link, Welcome};
