//! The configuration, `assets/engine.ron`.
//!
//! ```ron
//! (
//!     // Frames, and steps of the simulation, per second.
//!     frame_rate: 60,
//!     modules: [
//!         // `path` is the crate's folder, from the project's root.
//!         (name: "game_logic", kind: native, path: "game_logic"),
//!         // Or a Lua source below this folder.
//!         (name: "enemies", kind: lua, path: "assets/scripts/enemies.lua"),
//!         // Scripts of another domain share no globals, memory or limits with the others.
//!         (name: "mod_pets", kind: lua, path: "assets/mods/pets.lua", domain: "mods"),
//!     ],
//!     // What the engine does by itself; seconds, 0 for never.
//!     policies: (
//!         rollback_within: 3.0,
//!         on_panic: Pause, // or RollBack, or Stop
//!         on_crash: Restart, // or Wait
//!         on_engine_change: Offer, // or Restart, or Ignore
//!         drain: WarnAfter(10.0), // or Wait, or CancelAfter(10.0)
//!         stalled_after: 1.0,
//!         on_stall: Wait, // or Restart
//!         checkpoint_every: 5.0,
//!         checkpoints_kept: 10,
//!         unload: Proven, // or Known, Checked, Never
//!     ),
//!     // What differs by profile; `--profile NAME` chooses one.
//!     profiles: {
//!         "dev": (),
//!         "release": (frame_rate: 120),
//!     },
//! )
//! ```

mod changes;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine_runtime::host::DrainPolicy;
use engine_runtime::unload::UnloadPolicy;
use miette::{Diagnostic, NamedSource, SourceSpan};
use serde::Deserialize;
use strsim::levenshtein;

use crate::project::NoPackage;

/// Profile that is used unless another is named.
const DEFAULT_PROFILE: &str = "dev";

/// The whole file, with one profile chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// What the engine does by itself.
    pub(crate) policies: Policies,
    /// Name of the profile in use.
    pub(crate) profile: String,
    /// Frames per second, 1 to 1000.
    pub(crate) frame_rate: u32,
    /// Modules, in the order they run.
    pub(crate) modules: Vec<ModuleConfig>,
    /// What was read, for errors that show later.
    text: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename = "Config")]
struct File {
    #[serde(default)]
    frame_rate: FrameRate,
    modules: Vec<ModuleConfig>,
    #[serde(default)]
    policies: Policies,
    #[serde(default)]
    profiles: BTreeMap<String, ProfileConfig>,
}

/// What the engine does by itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policies {
    /// A version that panics or crashes within so many seconds after it replaced another one
    /// is rolled back; 0 for never.
    rollback_within: Seconds,
    /// What becomes of a version whose system panicked.
    pub(crate) on_panic: OnPanic,
    /// What becomes of a game whose host died.
    pub(crate) on_crash: OnCrash,
    /// What follows a change outside of the modules.
    pub(crate) on_engine_change: OnEngineChange,
    /// What becomes of the calls of versions that drain; modules may have their own.
    drain: Drain,
    /// What keeps the game for so many seconds stalls it; 0 for never.
    stalled_after: Seconds,
    /// What becomes of a game that is stalled.
    pub(crate) on_stall: OnStall,
    /// Seconds between two checkpoints; 0 for none but at swaps.
    checkpoint_every: Seconds,
    /// How many checkpoints are kept.
    pub(crate) checkpoints_kept: usize,
    /// What has to be known of an old version before it is unloaded.
    pub(crate) unload: UnloadPolicy,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            rollback_within: Seconds(3.0),
            on_panic: OnPanic::Pause,
            on_crash: OnCrash::Restart,
            on_engine_change: OnEngineChange::Offer,
            drain: Drain::WarnAfter(Seconds(10.0)),
            stalled_after: Seconds(1.0),
            on_stall: OnStall::Wait,
            checkpoint_every: Seconds(5.0),
            checkpoints_kept: 10,
            unload: UnloadPolicy::Proven,
        }
    }
}

impl Policies {
    pub(crate) fn rollback_within(&self) -> Duration {
        Duration::from_millis(self.rollback_within.ms())
    }

    pub(crate) fn stalled_after_ms(&self) -> u64 {
        self.stalled_after.ms()
    }

    pub(crate) fn checkpoint_every_ms(&self) -> u64 {
        self.checkpoint_every.ms()
    }
}

/// What becomes of a version whose system panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum OnPanic {
    /// The system is paused until the next version; one that has just got in is rolled back.
    Pause,
    /// The version is rolled back, if there is one before it; else the system is paused.
    RollBack,
    /// The game ends, and has failed.
    Stop,
}

/// What becomes of a game whose host died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum OnCrash {
    /// A new host goes on from the last checkpoint.
    Restart,
    /// It waits until a person asks for a new host.
    Wait,
}

/// What becomes of the calls of a version that drains.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
enum Drain {
    /// They take the time they need.
    Wait,
    /// They are named in the log when the version drains for so many seconds.
    WarnAfter(Seconds),
    /// Jobs are cancelled then, and what cannot be cancelled is named.
    CancelAfter(Seconds),
}

impl From<Drain> for DrainPolicy {
    fn from(drain: Drain) -> Self {
        match drain {
            Drain::Wait => Self::Wait,
            Drain::WarnAfter(limit) => Self::WarnAfter(Duration::from_millis(limit.ms())),
            Drain::CancelAfter(limit) => Self::CancelAfter(Duration::from_millis(limit.ms())),
        }
    }
}

/// What becomes of a game that is stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum OnStall {
    /// A person decides.
    Wait,
    /// As after a crash: a new host goes on from the last checkpoint.
    Restart,
}

/// What follows a change outside of the modules: in the engine, its dependencies, manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum OnEngineChange {
    /// The engine is built in the background, and a person restarts it.
    Offer,
    /// It is built and takes over by itself.
    Restart,
    /// Nothing is built.
    Ignore,
}

/// A time of at most a day.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(f64);

impl Seconds {
    fn ms(self) -> u64 {
        (self.0 * 1000.0) as u64
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        if (0.0..=86_400.0).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(format!("{seconds} seconds; it must be 0 to 86400"))
        }
    }
}

/// Frames per second. Checked while it is read, so that the error has the place.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct FrameRate(u32);

impl Default for FrameRate {
    fn default() -> Self {
        Self(60)
    }
}

impl TryFrom<u32> for FrameRate {
    type Error = String;

    fn try_from(rate: u32) -> Result<Self, String> {
        match rate {
            1..=1000 => Ok(Self(rate)),
            _ => Err(format!("frame_rate is {rate}, it must be 1 to 1000")),
        }
    }
}

fn module_name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let mut characters = name.chars();
    let good = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_');
    if good {
        return Ok(name);
    }
    Err(serde::de::Error::custom(format!(
        "`{name}` cannot name a module: use letters, digits and underscores"
    )))
}

/// One module.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModuleConfig {
    /// Its name; of a native one also that of the function marked `#[module]`.
    #[serde(deserialize_with = "module_name")]
    pub(crate) name: String,
    /// What it is made of.
    pub(crate) kind: ModuleKind,
    /// Where its source is, from the project's root: a crate's folder, or a Lua file below the
    /// assets.
    pub(crate) path: PathBuf,
    /// What becomes of the calls of its versions that drain, if not what the policies say.
    #[serde(default)]
    drain: Option<Drain>,
    /// Trust domain of a Lua module: modules of one share a state, with its globals and limits.
    #[serde(default)]
    pub(crate) domain: String,
    /// The package there, found by [`Config::find_packages`]; empty for kinds without.
    #[serde(skip)]
    pub(crate) package: String,
}

impl ModuleConfig {
    /// Name of the library that cargo makes of the package.
    pub(crate) fn library(&self) -> String {
        self.package.replace('-', "_")
    }
}

/// What a module is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModuleKind {
    /// A Rust crate, built as a dylib.
    Native,
    /// A Lua source, and those that it requires.
    Lua,
}

impl ModuleKind {
    /// What its backend is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Lua => engine_lua::backend::KIND,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProfileConfig {
    frame_rate: Option<FrameRate>,
}

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The text does not fit.
    #[error("{path}:{line}:{column}: {message}")]
    Wrong {
        path: String,
        line: usize,
        column: usize,
        message: String,
        #[source_code]
        text: NamedSource<String>,
        #[label("here")]
        span: SourceSpan,
        #[help]
        help: Option<String>,
    },
    /// The chosen profile does not exist.
    #[error("there is no profile `{name}`; profiles are: {known}")]
    NoProfile { name: String, known: String },
}

impl Config {
    /// Reads a file and chooses a profile (`None` for `dev`, which need not be
    /// written down).
    pub(crate) fn read(path: &Path, profile: Option<&str>) -> Result<Self, Box<ConfigError>> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            Box::new(ConfigError::Unreadable {
                path: path.display().to_string(),
                source,
            })
        })?;
        Self::parse(&path.display().to_string(), text, profile)
    }

    fn parse(path: &str, text: String, profile: Option<&str>) -> Result<Self, Box<ConfigError>> {
        let options = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        let file: File = options.from_str(&text).map_err(|error| {
            wrong(
                path,
                &text,
                error.span.start,
                error.code.to_string(),
                help(&error.code),
            )
        })?;
        let name = profile.unwrap_or(DEFAULT_PROFILE);
        let chosen = match file.profiles.get(name) {
            Some(chosen) => chosen.clone(),
            None if name == DEFAULT_PROFILE => ProfileConfig::default(),
            None => {
                let known: Vec<_> = file.profiles.keys().map(String::as_str).collect();
                let (name, known) = (name.to_owned(), known.join(", "));
                return Err(Box::new(ConfigError::NoProfile { name, known }));
            }
        };
        for (index, module) in file.modules.iter().enumerate() {
            let twice = file.modules[..index]
                .iter()
                .any(|other| other.name == module.name);
            if twice {
                let message = format!("module `{}` is listed twice", module.name);
                let place = position_of(&text, &format!("\"{}\"", module.name));
                return Err(wrong(path, &text, place, message, None));
            }
            if !module.domain.is_empty() && module.kind != ModuleKind::Lua {
                let message = format!(
                    "module `{}` is no Lua module, so it has no domain",
                    module.name
                );
                let place = position_of(&text, &format!("\"{}\"", module.domain));
                let help = Some("take `domain` away".to_owned());
                return Err(wrong(path, &text, place, message, help));
            }
        }
        Ok(Self {
            profile: name.to_owned(),
            frame_rate: chosen.frame_rate.unwrap_or(file.frame_rate).0,
            modules: file.modules,
            policies: file.policies,
            text,
        })
    }

    /// What becomes of the calls of versions that drain, by module.
    pub(crate) fn drain_policies(&self) -> HashMap<String, DrainPolicy> {
        let of = |module: &ModuleConfig| module.drain.unwrap_or(self.policies.drain).into();
        let modules = self.modules.iter();
        modules
            .map(|module| (module.name.clone(), of(module)))
            .collect()
    }

    /// Finds the source of each module, and the package of those that are crates.
    ///
    /// # Errors
    /// The first path that holds none, with its place in `file`.
    pub(crate) fn find_packages(
        &mut self,
        file: &Path,
        package_of: impl Fn(&ModuleConfig) -> Result<String, NoPackage>,
    ) -> Result<(), Box<ConfigError>> {
        let first = self.take_missing(file, package_of).into_iter().next();
        first.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// As [`Config::find_packages`]. Takes modules out that have no source, and says why.
    pub(crate) fn take_missing(
        &mut self,
        file: &Path,
        package_of: impl Fn(&ModuleConfig) -> Result<String, NoPackage>,
    ) -> Vec<(ModuleConfig, Box<ConfigError>)> {
        let mut missing = Vec::new();
        let modules = std::mem::take(&mut self.modules);
        for mut module in modules {
            match package_of(&module) {
                Ok(package) => {
                    module.package = package;
                    self.modules.push(module);
                }
                Err(error) => {
                    let place = path_position(&self.text, &module.path);
                    let path = file.display().to_string();
                    let help = Some(error.help.to_owned());
                    let message = format!("module `{}`: {}", module.name, error.message);
                    missing.push((module, wrong(&path, &self.text, place, message, help)));
                }
            }
        }
        missing
    }
}

impl ConfigError {
    /// Line and column, 0 if there are none, and what is wrong there.
    pub(crate) fn place(&self) -> (usize, usize, String) {
        match self {
            Self::Wrong {
                line,
                column,
                message,
                ..
            } => (*line, *column, message.clone()),
            Self::Unreadable { source, .. } => (0, 0, format!("{self}: {source}")),
            Self::NoProfile { .. } => (0, 0, self.to_string()),
        }
    }

    /// What to do.
    pub(crate) fn advice(&self) -> Option<&str> {
        match self {
            Self::Wrong { help, .. } => help.as_deref(),
            Self::Unreadable { .. } | Self::NoProfile { .. } => None,
        }
    }
}

/// Where a module's `path` stands: its text after `path:`, not the same text as a name.
fn path_position(text: &str, path: &Path) -> ron::error::Position {
    let needle = format!("{:?}", path.display().to_string());
    let is_value = |(offset, _): &(usize, &str)| {
        let before = text[..*offset].trim_end();
        let field = before.strip_suffix(':').map(str::trim_end);
        field.is_some_and(|before| before.ends_with("path"))
    };
    let found = text.match_indices(&needle).find(is_value);
    position_at(text, found.map_or(0, |(offset, _)| offset))
}

/// The last place where `needle` stands, else the beginning.
fn position_of(text: &str, needle: &str) -> ron::error::Position {
    position_at(text, text.rfind(needle).unwrap_or(0))
}

fn position_at(text: &str, offset: usize) -> ron::error::Position {
    let before = &text[..offset];
    ron::error::Position {
        line: before.matches('\n').count() + 1,
        col: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
    }
}

fn wrong(
    path: &str,
    text: &str,
    at: ron::error::Position,
    message: String,
    help: Option<String>,
) -> Box<ConfigError> {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(at.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let column: usize = text[line_start..]
        .chars()
        .take(at.col.saturating_sub(1))
        .map(char::len_utf8)
        .sum();
    Box::new(ConfigError::Wrong {
        path: path.to_owned(),
        line: at.line,
        column: at.col,
        message,
        text: NamedSource::new(path, text.to_owned()),
        span: SourceSpan::from((line_start + column).min(text.len())),
        help,
    })
}

/// The nearest valid name for a name that is not.
fn help(error: &ron::Error) -> Option<String> {
    let (found, expected): (&str, &[&str]) = match error {
        ron::Error::NoSuchStructField {
            found, expected, ..
        }
        | ron::Error::NoSuchEnumVariant {
            found, expected, ..
        } => (found, expected),
        _ => return None,
    };
    let nearest = expected
        .iter()
        .min_by_key(|name| levenshtein(found, name))?;
    Some(format!("did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, profile: Option<&str>) -> Result<Config, String> {
        Config::parse("engine.ron", text.to_owned(), profile).map_err(|error| match &*error {
            ConfigError::Wrong {
                help: Some(help), ..
            } => format!("{error} {help}"),
            _ => error.to_string(),
        })
    }

    const GOOD: &str = r#"(
    frame_rate: 30,
    modules: [(name: "game_logic", kind: native, path: "game_logic")],
    profiles: { "fast": (frame_rate: 120) },
)"#;

    #[test]
    fn a_crash_restarts_unless_the_file_says_wait() {
        let on_crash = |text: &str| parse(text, None).unwrap().policies.on_crash;
        assert_eq!(on_crash(GOOD), OnCrash::Restart);
        let waits = GOOD.replace("frame_rate: 30", "policies: (on_crash: Wait)");
        assert_eq!(on_crash(&waits), OnCrash::Wait);
    }

    #[test]
    fn modules_may_drain_in_their_own_way() {
        let of = |text: &str| {
            let config = parse(text, None).unwrap();
            config.drain_policies()["game_logic"]
        };
        let ten = Duration::from_secs(10);
        assert_eq!(of(GOOD), DrainPolicy::WarnAfter(ten));
        let all = GOOD.replace("frame_rate: 30", "policies: (drain: Wait)");
        assert_eq!(of(&all), DrainPolicy::Wait);
        let own = all.replacen("kind: native", "kind: native, drain: CancelAfter(0.5)", 1);
        let half = Duration::from_millis(500);
        assert_eq!(of(&own), DrainPolicy::CancelAfter(half));
        let wrong = all.replace("drain: Wait", "drain: CancelAfter(-1)");
        let error = parse(&wrong, None).unwrap_err();
        assert!(
            error.contains("-1 seconds; it must be 0 to 86400"),
            "{error}"
        );
    }

    #[test]
    fn a_new_engine_is_offered_unless_the_file_says_otherwise() {
        let policy = |text: &str| parse(text, None).unwrap().policies.on_engine_change;
        assert_eq!(policy(GOOD), OnEngineChange::Offer);
        let restarts = GOOD.replace("frame_rate: 30", "policies: (on_engine_change: Restart)");
        assert_eq!(policy(&restarts), OnEngineChange::Restart);
    }

    #[test]
    fn a_profile_overrides_what_it_names() {
        assert_eq!(parse(GOOD, None).unwrap().frame_rate, 30);
        assert_eq!(parse(GOOD, Some("fast")).unwrap().frame_rate, 120);
        assert_eq!(
            parse(GOOD, Some("slow")).unwrap_err(),
            "there is no profile `slow`; profiles are: fast"
        );
    }

    #[test]
    fn mistakes_are_named_with_place_and_remedy() {
        let check = |from: &str, to: &str, parts: &[&str]| {
            let error = parse(&GOOD.replace(from, to), None).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{to}: {error}");
            }
        };
        check(
            "frame_rate: 30",
            "frame_rat: 30",
            &["engine.ron:2:", "did you mean `frame_rate`?"],
        );
        check(
            "kind: native",
            "kind: nativ",
            &["engine.ron:3:", "did you mean `native`?"],
        );
        check("frame_rate: 30", "frame_rate: \"x\"", &["engine.ron:2:"]);
        check(
            "frame_rate: 30",
            "policies: (on_crash: Wayt)",
            &["engine.ron:2:", "did you mean `Wait`?"],
        );
        check(
            "frame_rate: 30",
            "frame_rate: 0",
            &["engine.ron:2:", "1 to 1000"],
        );
        check(
            "frame_rate: 120",
            "frame_rate: 1001",
            &["engine.ron:4:", "1 to 1000"],
        );
        check(
            "path: \"game_logic\")",
            "path: \"game_logic\"), (name: \"game_logic\", kind: native, path: \"b\")",
            &["engine.ron:3:", "listed twice"],
        );
        check(
            "\"game_logic\", kind",
            "\"game logic\", kind",
            &["engine.ron:3:", "underscores"],
        );
        check(
            "kind: native",
            "kind: native, domain: \"mods\"",
            &["engine.ron:3:", "no Lua module", "take `domain` away"],
        );
        check("modules: [", "modules: [[", &["engine.ron:3:"]);
        check(GOOD, "", &["engine.ron:1:"]);
    }

    #[test]
    fn a_path_without_a_package_is_named_with_its_place() {
        let mut config = Config::parse("engine.ron", GOOD.to_owned(), None).unwrap();
        config
            .find_packages(Path::new("engine.ron"), |_| Ok("game-logic".to_owned()))
            .unwrap();
        assert_eq!(config.modules[0].library(), "game_logic");
        let error = config
            .find_packages(Path::new("engine.ron"), |module| {
                let folder = module.path.as_path();
                Err(NoPackage {
                    message: format!("nothing in {}", folder.display()),
                    help: "look again",
                })
            })
            .unwrap_err();
        // The path, not the name, which is the same text.
        assert_eq!(
            error.to_string(),
            "engine.ron:3:56: module `game_logic`: nothing in game_logic"
        );
    }

    #[test]
    fn the_shipped_configuration_is_good() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/engine.ron");
        let config = Config::read(&path, None).unwrap();
        assert_eq!(config.modules[0].name, "game_logic");
    }
}
