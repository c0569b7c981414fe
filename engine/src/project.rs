//! Where things are: the project's root, cargo's target folder, the profile.

use std::path::{Path, PathBuf};

use crate::config::{ModuleConfig, ModuleKind};
use miette::{IntoDiagnostic as _, Result, WrapErr as _, miette};

/// The configuration's place within a project.
const CONFIG: &str = "assets/engine.ron";

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Folder of the assets.
    pub(crate) assets: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// Folder that cargo puts this build's libraries into: `target/debug`.
    pub(crate) libraries: PathBuf,
    /// Cargo profile that built this engine.
    pub(crate) cargo_profile: String,
}

impl Project {
    /// Folder of what runs of the engine keep.
    pub(crate) fn runs(&self) -> PathBuf {
        self.target
            .join("liveloop")
            .join(&self.cargo_profile)
            .join("runs")
    }
}

/// The configuration to use: the one given, else `assets/engine.ron` here or in the
/// nearest folder above, else in the project this engine was built from.
pub(crate) fn find_config(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    let here = std::env::current_dir()
        .into_diagnostic()
        .wrap_err("there is no current folder")?;
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    here.ancestors()
        .chain(built_from)
        .map(|folder| folder.join(CONFIG))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            miette!(
                help = "start the engine inside a project, or name the file with --config",
                "there is no {CONFIG} in {} or above",
                here.display()
            )
        })
}

impl Project {
    /// The project that a configuration file belongs to.
    pub(crate) fn around(config: &Path) -> Result<Self> {
        let config = config
            .canonicalize()
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be found", config.display()))?;
        let assets = config.parent().unwrap_or(Path::new("/")).to_path_buf();
        let root = assets
            .ancestors()
            .find(|folder| folder.join("Cargo.toml").is_file())
            .or(Path::new(env!("CARGO_MANIFEST_DIR")).parent())
            .unwrap_or(&assets)
            .to_path_buf();
        let engine = std::env::current_exe()
            .into_diagnostic()
            .wrap_err("this program has no path")?;
        let libraries = engine.parent().unwrap_or(Path::new("/")).to_path_buf();
        let directory = libraries
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("debug");
        let cargo_profile = if directory == "debug" {
            "dev"
        } else {
            directory
        }
        .to_owned();
        let target = libraries.parent().unwrap_or(&libraries).to_path_buf();
        // Built for a named target: target/TRIPLE/debug.
        let target = if target
            .file_name()
            .is_some_and(|name| name == env!("LIVELOOP_TARGET"))
        {
            target.parent().unwrap_or(&target).to_path_buf()
        } else {
            target
        };
        Ok(Self {
            root,
            assets,
            target,
            libraries,
            cargo_profile,
        })
    }
}

/// The packages of the workspace, by folder.
pub(crate) struct Packages {
    root: PathBuf,
    assets: PathBuf,
    /// `None` if cargo cannot tell: a shipped game has no manifests.
    known: Option<Vec<(PathBuf, String)>>,
}

impl Packages {
    /// Asks cargo, once.
    pub(crate) fn of(root: &Path, assets: &Path) -> Self {
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec();
        let known = metadata.ok().map(|metadata| {
            let folder = |manifest: &Path| manifest.parent()?.canonicalize().ok();
            metadata
                .packages
                .iter()
                .filter_map(|package| {
                    let folder = folder(package.manifest_path.as_std_path())?;
                    Some((folder, package.name.to_string()))
                })
                .collect()
        });
        Self {
            root: root.to_path_buf(),
            assets: assets.to_path_buf(),
            known,
        }
    }

    /// The package of a module; empty for kinds without.
    ///
    /// # Errors
    /// Why there is no such source, and what to do.
    pub(crate) fn package_of(&self, module: &ModuleConfig) -> Result<String, NoPackage> {
        match module.kind {
            ModuleKind::Native => self.package_in(&module.path),
            ModuleKind::Lua => self.find_script(&module.path).map(|()| String::new()),
        }
    }

    /// Whether there is a script that is watched.
    fn find_script(&self, file: &Path) -> Result<(), NoPackage> {
        let shown = file.display();
        let help = "`path` is a `.lua` file below the assets, from the project's root";
        let found = self.root.join(file).canonicalize();
        match found.ok().filter(|found| found.is_file()) {
            None => Err(NoPackage {
                message: format!("there is no file `{shown}` in {}", self.root.display()),
                help,
            }),
            Some(found) if !found.starts_with(&self.assets) => Err(NoPackage {
                message: format!(
                    "`{shown}` does not lie below {}, where changes are noticed",
                    self.assets.display()
                ),
                help,
            }),
            Some(_) => Ok(()),
        }
    }

    /// The package whose manifest lies in `folder`; the folder's own name if cargo cannot
    /// tell.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(crate) fn package_in(&self, folder: &Path) -> Result<String, NoPackage> {
        let shown = folder.display();
        let root = self.root.display();
        let wanted = self
            .root
            .join(folder)
            .canonicalize()
            .map_err(|_| NoPackage {
                message: format!("there is no folder `{shown}` in {root}"),
                help: "`path` is the crate's folder, from the project's root",
            })?;
        let Some(known) = &self.known else {
            let name = folder.file_name();
            return Ok(name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()));
        };
        let found = known.iter().find(|(place, _)| *place == wanted);
        match found {
            Some((_, name)) => Ok(name.clone()),
            None if wanted.join("Cargo.toml").is_file() => Err(NoPackage {
                message: format!("the crate in `{shown}` is no package of the workspace in {root}"),
                help: "add it to `members` and `default-members` in the workspace's Cargo.toml",
            }),
            None => Err(NoPackage {
                message: format!("`{shown}` is no crate: it holds no Cargo.toml"),
                help: "`path` is the crate's folder, from the project's root",
            }),
        }
    }
}

/// Why a folder holds no module.
#[derive(Debug)]
pub(crate) struct NoPackage {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: &'static str,
}
