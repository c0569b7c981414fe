//! Lua modules whose running state follows every edit.
//!
//! *Functions are replaced, data is kept, identity is kept.* A [`Domain`] is one Lua state with
//! its modules; [`Domain::reload`] replaces the sources of some of them in one transaction and
//! says what became of every function and variable.
//!
//! ```
//! use engine_lua::{Domain, Limits, NoSources, Source};
//!
//! let mut domain = Domain::new(Limits::default(), Box::new(NoSources))?;
//! let old = "local hits = 0
//!     return { hit = function() hits = hits + 1 return 'ouch ' .. hits end }";
//! domain.load("enemy", Source::new("enemy.lua", old))?;
//! domain.call("enemy", "hit", ())?;
//!
//! let new = old.replace("ouch", "argh");
//! let report = domain.reload(vec![("enemy".into(), Source::new("enemy.lua", new))])?;
//! let said = domain.call("enemy", "hit", ())?;
//! assert_eq!(said.to_string()?, "argh 2");
//! assert!(report.module("enemy").is_some_and(|enemy| enemy.changed_anything()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a reload does
//!
//! For every slot (field of a table, global, captured local) three values count: what the
//! running source declared, what is there now, and what the new source says. Fields that are
//! functions become the new ones, data stays, tables are merged in place; `merge` has all
//! of it. Then one walk over everything reachable makes references to old functions references
//! to new ones, also those in closures, tables of others, coroutines and the engine. A
//! coroutine that is inside of an old function finishes it.
//!
//! A reload that fails gives everything back by identity. What it cannot give back is what
//! scripts did outside of Lua's heap (the engine keeps a journal for that, see [`Host`]), so
//! coroutines from before wait while it may fail.
//!
//! # What scripts may say
//!
//! - Functions of a module that the reload calls: `__on_unload__()` in the old version, which
//!   returns a string or nothing and changes nothing; `__on_load__(bytes)` in the new one after
//!   the merge, with that string, or nil at first; then `__hotfix(module, replaced)`, with the
//!   values that made way for others by their names.
//! - `M.__reload`: see `policy`.
//! - `local hot = require "hot"`: `hot.dispose(function(data) end)` is called in the old version
//!   beside `__on_unload__`, and what it puts into `data` is `hot.data` of the new one once
//!   that runs; `hot.accept(deps, function(module) end)` is called when one of the modules
//!   was reloaded; without it a module is reloaded too when plain values changed that it may
//!   have copied, and then takes what it had not changed itself from its source;
//!   `hot.invalidate()` asks for that. `hot.on(event, callback)`: `before_update` and
//!   `after_update` with the names of the modules, `error` with the message.
//!
//! What a source does at its outermost level to tables of other modules happens again with every
//! reload; `dispose` is the place to undo it.
//!
//! Beside each other, and beside what native modules have for the same, these are in the README
//! under "Lua modules".
//!
//! # Where what is
//!
//! | module | holds |
//! |---|---|
//! | `backend` | the modules of a game: bundles become versions of the engine's registry |
//! | `bundle` | the sources of a module as one artifact |
//! | `domain` | what the engine uses: load, reload, call, hold functions |
//! | `host` | functions that the engine holds, and its journal |
//! | `transaction` | the steps of a reload, and undoing them |
//! | `chunk` | running sources on an overlay, `require`, `hot` |
//! | `snapshot` | the heap before, and giving it back |
//! | `objects` | all objects, by Lua's own lists |
//! | `heap` | the walk over everything reachable |
//! | `layout`, `entries` | prototypes and tables in place: what Lua's API does not tell |
//! | `outline` | names and texts of functions in a source |
//! | `declared` | what a version declared (A0), and who is who in it |
//! | `pairing`, `align` | which old function, variable and table is which new one |
//! | `merge` | deciding every slot |
//! | `plan`, `redirect` | new bodies for old closures, in one walk |
//! | `drain` | which old versions are still there |
//! | `patch` | sources that touch some functions alone |
//! | `policy` | what a module says in `__reload` |
//! | `report`, `error` | what happened, and what went wrong |
//! | `sandbox` | what scripts may use, and what stops them |
//! | `call` | calling a function of a module, fast |
//! | `coroutines`, `watchdog` | coroutines that wait for a reload, calls that take too long |
//! | [`world`] | what scripts see of the game: entities, components, resources, input |
//! | `cells`, `raw` | captured variables and small helpers over the C API |
//! | `fault` | failures on demand, for tests |

mod align;
pub mod backend;
mod bundle;
mod call;
mod cells;
mod chunk;
mod coroutines;
mod declared;
mod domain;
mod drain;
mod entries;
mod error;
mod fault;
mod heap;
mod host;
mod layout;
mod merge;
mod modules;
mod objects;
mod outline;
mod pairing;
mod patch;
mod plan;
mod policy;
mod raw;
mod redirect;
mod report;
mod sandbox;
mod snapshot;
#[cfg(test)]
mod tests;
mod transaction;
mod watchdog;
pub mod world;

pub use bundle::{
    Bundle, BundleProblem, BundledFile, LARGEST_SOURCE, check_source, read_source, too_large,
};
pub use chunk::{NoSources, Source, Sources};
pub use domain::{Domain, PreparedReload};
pub use drain::DrainingVersion;
pub use error::{Phase, Position, ReloadError, ScriptError};
pub use host::{CallbackId, Callbacks, Host};
pub use modules::Limits;
pub use patch::patched;
pub use report::{Change, Cost, Entry, ModuleReport, Report};
