//! The copy of the workspace that tests edit.
//!
//! It lies at a fixed place, `e2e` in the target folder, and is kept between runs, so
//! that later runs build incrementally. A lock makes tests take turns, also those of
//! different processes. Every test begins with pristine sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mirror::Files;

/// Which game stands in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Game {
    /// The crate in `tests/game`.
    Tiny,
    /// The crate in `tests/cases`.
    Cases,
    /// The crates in `tests/pair`: two modules that share a crate of types, and one more.
    Pair,
    /// The real one.
    Demo,
}

impl Game {
    /// Where its crates and assets lie, if that is elsewhere than in the workspace, and which
    /// folder of the copy each is.
    fn folders(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Tiny => &[
                ("tests/game", "game_logic"),
                ("tests/game/assets", "assets"),
            ],
            Self::Cases => &[
                ("tests/cases", "game_logic"),
                ("tests/cases/assets", "assets"),
            ],
            Self::Pair => &[
                ("tests/pair/game_logic", "game_logic"),
                ("tests/pair/ai", "ai"),
                ("tests/pair/meter", "meter"),
                ("tests/pair/types", "types"),
                ("tests/pair/assets", "assets"),
            ],
            Self::Demo => &[],
        }
    }

    /// Packages beside `game_logic`.
    fn further_packages(self) -> &'static [&'static str] {
        match self {
            Self::Pair => &["ai", "meter", "types"],
            Self::Tiny | Self::Cases | Self::Demo => &[],
        }
    }
}

/// The copy, for as long as this test has its turn.
#[derive(Debug)]
pub struct Scratch {
    /// The workspace.
    pub root: PathBuf,
    /// Its target folder.
    pub target: PathBuf,
    /// A folder of this turn, for sockets and marks; short, since sockets need that.
    pub temporary: PathBuf,
    _turn: File,
}

/// Variables by which cargo tells a test about itself; they are not the engine's.
const FOREIGN: [&str; 4] = ["LD_LIBRARY_PATH", "CARGO", "OUT_DIR", "RUST_BACKTRACE"];

/// Whether this process has built the engine as it stands in the copy.
static BUILT: AtomicBool = AtomicBool::new(false);

impl Scratch {
    /// Waits for this test's turn; then the copy holds the tiny game and is built.
    pub fn take() -> Self {
        Self::with(Game::Tiny)
    }

    /// The same with a game of choice.
    pub fn with(game: Game) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let original = tests.parent().expect("the package lies in the workspace");
        let own_target = own_target();
        let base = own_target.join("e2e");
        fs::create_dir_all(&base).expect("the scratch folder can be made");
        let turn = File::create(base.join("lock")).expect("the lock file can be made");
        turn.lock().expect("the lock can be waited for");

        let root = base.join("workspace");
        let changed = wanted(original, game)
            .write_to(&root)
            .expect("the copy can be written");
        let temporary = std::env::temp_dir().join(format!("liveloop-e2e-{}", std::process::id()));
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir_all(&temporary).expect("a temporary folder can be made");
        let scratch = Self {
            root,
            target: base.join("target"),
            temporary,
            _turn: turn,
        };
        if !scratch.target.is_dir() {
            seed(&own_target, &scratch.target, original);
        }
        let is_of_the_game =
            |path: &PathBuf| path.starts_with("game_logic") || path.starts_with("assets");
        if !changed.iter().all(is_of_the_game) || !BUILT.load(Ordering::Relaxed) {
            scratch.cargo(&["build"]);
        }
        scratch
    }

    /// The engine's executable.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// A command in the copy, without what cargo says about the test to the test.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            if is_foreign(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.root);
        command
    }

    /// Runs cargo in the copy; it must succeed. Anything but a plain `build` may
    /// leave another engine behind: the next test builds it again.
    pub fn cargo(&self, arguments: &[&str]) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = self
            .command(Path::new(&cargo))
            .args(arguments)
            .env("CARGO_TARGET_DIR", &self.target)
            .output()
            .expect("cargo can be run");
        assert!(
            output.status.success(),
            "cargo {arguments:?} in the copy failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        BUILT.store(arguments == ["build"], Ordering::Relaxed);
    }

    /// Text of a file of the copy.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Saves a file of the copy as most editors do: a whole new file takes its place.
    pub fn save(&self, file: &str, text: &str) {
        let next = self.target.with_file_name("next");
        fs::write(&next, text).expect("a file can be written");
        fs::rename(&next, self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Replaces the one place where `from` stands and saves.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert_eq!(
            text.matches(from).count(),
            1,
            "`{from}` must stand in {file} once"
        );
        self.save(file, &text.replacen(from, to, 1));
    }

    /// Lists Lua modules in the configuration, beside those that are there: names and files.
    pub fn add_lua(&self, modules: &[(&str, &str)]) {
        let config = self.read("assets/engine.ron");
        let lines = modules
            .iter()
            .map(|(name, path)| format!("        (name: {name:?}, kind: lua, path: {path:?}),\n"));
        let lines: String = lines.collect();
        let at = config.find("    ],").expect("the list of modules ends");
        let config = format!("{}{lines}{}", &config[..at], &config[at..]);
        self.save("assets/engine.ron", &config);
    }

    /// A configuration with these policies; its path.
    pub fn policies(&self, policies: &str) -> String {
        let config = self.read("assets/engine.ron");
        let at = config.rfind(')').expect("the configuration is a struct");
        let text = format!("{} policies: ({policies})\n)", &config[..at]);
        // Relative paths in it are those of the project.
        let inside = "assets/policies.ron";
        self.save(inside, &text);
        inside.to_owned()
    }

    /// Puts bytes where cargo puts the game's library: a new file, as a linker makes
    /// it (the old one is cargo's, too).
    pub fn replace_library(&self, bytes: &[u8]) {
        let library = self.library();
        let _ = fs::remove_file(&library);
        fs::write(&library, bytes).expect("the library can be written");
    }

    /// Where cargo puts the game's library.
    pub fn library(&self) -> PathBuf {
        self.target.join("debug/libgame_logic.so")
    }

    /// Checkpoints of the last run, oldest first.
    pub fn checkpoints(&self) -> Vec<PathBuf> {
        let list = |folder: PathBuf| -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).expect("the folder is there");
            let paths = entries.map(|entry| entry.expect("it can be listed").path());
            let mut paths: Vec<PathBuf> = paths.collect();
            paths.sort();
            paths
        };
        let runs = list(self.target.join("liveloop/dev/runs"));
        let last = runs.last().expect("there was a run");
        let mut files = list(last.join("checkpoints"));
        files.sort_by_key(|file| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let number = name.rsplit('-').next().unwrap_or_default();
            number.parse::<u64>().unwrap_or_default()
        });
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name)
        || [
            "CARGO_PKG_",
            "CARGO_BIN_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The target folder that this test was built into: `target` of `target/debug/deps/x`.
fn own_target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its file");
    test.ancestors()
        .nth(3)
        .expect("tests lie in target/PROFILE/deps")
        .to_path_buf()
}

fn wanted(original: &Path, game: Game) -> Files {
    let mut files = Files::default();
    let is_left_out = |path: &Path| {
        let replaced = ["game_logic", "assets"].map(Path::new).contains(&path);
        [
            "tests/game",
            "tests/cases",
            "tests/pair",
            "tests/tests",
            "tests/src",
        ]
        .map(Path::new)
        .contains(&path)
            || (replaced && !game.folders().is_empty())
    };
    let read = "the workspace can be read";
    files
        .add(original, Path::new(""), &is_left_out)
        .expect(read);
    // The tests themselves need not be built there.
    files.put("tests/src/lib.rs", "//! Empty.\n");
    for (folder, place) in game.folders() {
        let assets = |path: &Path| path == Path::new("assets");
        files
            .add(&original.join(folder), Path::new(place), &assets)
            .expect(read);
    }
    if !game.further_packages().is_empty() {
        let manifest = fs::read_to_string(original.join("Cargo.toml")).expect(read);
        let packages = game.further_packages().join("\", \"");
        let members = format!("\"game_logic\", \"{packages}\",");
        files.put("Cargo.toml", &manifest.replace("\"game_logic\",", &members));
    }
    files
}

/// Gives a new target folder what cargo has built from registry packages already: it
/// does not depend on where the workspace lies. Whatever goes wrong here only costs
/// time later.
fn seed(from: &Path, to: &Path, original: &Path) {
    let own = own_crates(original);
    for folder in ["deps", ".fingerprint", "build"] {
        let entries = fs::read_dir(from.join("debug").join(folder))
            .into_iter()
            .flatten()
            .flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let bare = name.strip_prefix("lib").unwrap_or(&name);
            if own.iter().any(|own| bare.starts_with(own.as_str())) {
                continue;
            }
            let to = to.join("debug").join(folder).join(&name);
            // Libraries are never written in place, so they can be shared.
            let _ = copy(
                &entry.path(),
                &to,
                folder == "deps" && !name.ends_with(".d"),
            );
        }
    }
}

fn own_crates(original: &Path) -> Vec<String> {
    let mut own = vec!["engine".to_owned()];
    for folder in ["inspector", "game_logic", "tests", "benches"] {
        let manifest =
            fs::read_to_string(original.join(folder).join("Cargo.toml")).unwrap_or_default();
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \""));
        own.extend(name.map(|name| name.trim_end_matches('"').replace('-', "_")));
    }
    own
}

/// Copies a file or folder with its times, which cargo compares.
fn copy(from: &Path, to: &Path, may_link: bool) -> std::io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), may_link)?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if may_link && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    let modified = fs::metadata(from)?.modified()?;
    File::options()
        .append(true)
        .open(to)?
        .set_modified(modified)
}
