//! Where things are: the project's root, cargo's target folder, the profile.

use std::path::{Path, PathBuf};

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

/// The package whose manifest lies in `folder`, by asking cargo; the folder's own
/// name if cargo cannot tell (a shipped game has no manifests).
pub(crate) fn package_in(root: &Path, folder: &Path) -> String {
    let manifest = root.join(folder).join("Cargo.toml");
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec();
    let package = metadata.ok().and_then(|metadata| {
        let same = |path: &cargo_metadata::camino::Utf8PathBuf| {
            path.as_std_path().canonicalize().ok() == manifest.canonicalize().ok()
        };
        let package = metadata
            .packages
            .iter()
            .find(|package| same(&package.manifest_path))?;
        Some(package.name.to_string())
    });
    package.unwrap_or_else(|| {
        folder
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    })
}
