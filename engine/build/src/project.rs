//! What the workspace consists of, and which change concerns which module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{
    CrateType, DependencyKind, Metadata, MetadataCommand, Package, PackageId, TargetKind,
};

use crate::config::{BuilderConfig, EngineSource, ModuleSource};
use crate::depinfo;
use crate::environment;
use crate::error::BuildError;
use crate::snapshot::Area;

/// What a changed file means for a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Only the module's own crate must be compiled.
    Source,
    /// Cargo must decide.
    Cargo,
}

/// One native module of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) package: String,
    /// Name of the library target as rustc knows it.
    pub(crate) crate_name: String,
    pub(crate) package_id: String,
    pub(crate) dir: PathBuf,
    /// Folders of the path packages it is built from, itself excluded.
    pub(crate) dependency_dirs: BTreeSet<PathBuf>,
    /// Package ids it is built from, itself included.
    pub(crate) closure: BTreeSet<String>,
    build_script: Option<PathBuf>,
    /// Files the compiler read for the module's crate.
    own_inputs: BTreeSet<PathBuf>,
    /// Files the compiler read for path dependencies.
    dependency_inputs: BTreeSet<PathBuf>,
    /// What the build script asked to be run again for; `None` if it did not
    /// say, so that any file of the package counts.
    rerun_if_changed: Option<Vec<PathBuf>>,
    /// The last build failed, perhaps for want of a file, so any file may help.
    pub(crate) is_broken: bool,
}

/// The workspace as cargo sees it.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) modules: Vec<Module>,
    /// The engine, as far as it can be built here.
    pub(crate) engine: Option<Module>,
    /// Folder of every path package, with its name.
    packages: BTreeMap<PathBuf, String>,
    /// Files that concern every module: manifests, lock file, toolchain, config.
    workspace_files: BTreeSet<PathBuf>,
    assets: BTreeSet<PathBuf>,
}

impl Project {
    /// Asks cargo. `config.root` must be canonical.
    pub(crate) fn load(config: &BuilderConfig) -> Result<Self, BuildError> {
        Self::from_metadata(config, &read_metadata(&config.root)?)
    }

    fn from_metadata(config: &BuilderConfig, metadata: &Metadata) -> Result<Self, BuildError> {
        let root = config.root.clone();
        let mut packages = BTreeMap::new();
        let mut workspace_files = fixed_files(&root);
        for package in metadata
            .packages
            .iter()
            .filter(|package| package.source.is_none())
        {
            packages.insert(folder(package), package.name.to_string());
            workspace_files.insert(package.manifest_path.clone().into_std_path_buf());
        }
        let modules = config
            .modules
            .iter()
            .map(|module| Module::find(module, metadata))
            .collect::<Result<_, _>>()?;
        let engine = config.engine.as_ref();
        let engine = engine.and_then(|engine| Module::engine(engine, config, metadata));
        let assets = config
            .extra_watch
            .iter()
            .map(|path| root.join(path))
            .collect();
        Ok(Self {
            root,
            modules,
            engine,
            packages,
            workspace_files,
            assets,
        })
    }

    /// What must be watched.
    pub(crate) fn areas(&self) -> BTreeSet<Area> {
        let mut areas: BTreeSet<Area> = self
            .workspace_files
            .iter()
            .cloned()
            .map(Area::File)
            .collect();
        areas.extend(self.assets.iter().cloned().map(Area::Assets));
        for module in self.modules.iter().chain(&self.engine) {
            areas.insert(Area::Crate(module.dir.clone()));
            areas.extend(module.dependency_dirs.iter().cloned().map(Area::Crate));
            // Also those inside the crate: a hidden file can be included too.
            areas.extend(module.inputs().cloned().map(Area::File));
        }
        areas
    }

    /// What a change of `path` means for module `index`.
    pub(crate) fn effect(&self, index: usize, path: &Path) -> Effect {
        let module = self.modules.get(index);
        module.map_or(Effect::None, |module| self.effect_on(module, path))
    }

    /// Whether a change of `path` concerns the engine.
    pub(crate) fn concerns_engine(&self, path: &Path) -> bool {
        let engine = self.engine.as_ref();
        engine.is_some_and(|engine| self.effect_on(engine, path) != Effect::None)
    }

    fn effect_on(&self, module: &Module, path: &Path) -> Effect {
        if self.workspace_files.contains(path) {
            return Effect::Cargo;
        }
        if module.dependency_inputs.contains(path) {
            return Effect::Cargo;
        }
        let owner = self.owner(path);
        if let Some(owner) = owner
            && module.dependency_dirs.contains(owner)
        {
            return if is_library_source(path, owner) {
                Effect::Cargo
            } else {
                Effect::None
            };
        }
        let is_own = owner == Some(module.dir.as_path());
        if is_own && module.reruns_build_script(path) {
            return Effect::Cargo;
        }
        if module.own_inputs.contains(path)
            || (is_own && (module.is_broken || is_library_source(path, &module.dir)))
        {
            return Effect::Source;
        }
        Effect::None
    }

    /// The modules that a change of `path` concerns. More than one share what changed, so that
    /// what is built of them belongs together.
    pub(crate) fn concerned(&self, path: &Path) -> Vec<(usize, Effect)> {
        let effects = (0..self.modules.len()).map(|index| (index, self.effect(index, path)));
        effects
            .filter(|(_, effect)| *effect != Effect::None)
            .collect()
    }

    /// Package that owns the file, for those inside the workspace.
    pub(crate) fn package_of(&self, path: &Path) -> Option<&str> {
        self.owner(path)
            .and_then(|dir| self.packages.get(dir))
            .map(String::as_str)
    }

    /// Whether the file says what the workspace consists of.
    pub(crate) fn is_manifest(&self, path: &Path) -> bool {
        self.workspace_files.contains(path)
    }

    /// The lock file, which cargo itself may rewrite during a build.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("Cargo.lock")
    }

    /// The files every module depends on, for the key of captured commands.
    pub(crate) fn workspace_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.workspace_files.iter()
    }

    fn owner(&self, path: &Path) -> Option<&Path> {
        path.ancestors()
            .skip(1)
            .find_map(|folder| self.packages.get_key_value(folder))
            .map(|(dir, _)| dir.as_path())
    }
}

impl Module {
    fn find(source: &ModuleSource, metadata: &Metadata) -> Result<Self, BuildError> {
        let package = metadata
            .packages
            .iter()
            .filter(|package| package.source.is_none())
            .find(|package| package.name.as_str() == source.package)
            .ok_or_else(|| BuildError::UnknownPackage {
                module: source.name.clone(),
                package: source.package.clone(),
            })?;
        let library = package
            .targets
            .iter()
            .find(|target| {
                target.crate_types.contains(&CrateType::DyLib)
                    || target.crate_types.contains(&CrateType::CDyLib)
            })
            .ok_or_else(|| BuildError::NoDylib {
                module: source.name.clone(),
                package: source.package.clone(),
            })?;
        Ok(Self::of(&source.name, package, &library.name, metadata))
    }

    /// The engine, in the form of a module. `None` if it is no package of the workspace.
    fn engine(engine: &EngineSource, config: &BuilderConfig, metadata: &Metadata) -> Option<Self> {
        let mut packages = metadata.packages.iter();
        let package = packages
            .find(|package| package.source.is_none() && package.name.as_str() == engine.package)?;
        let folder_of_output = match config.profile.as_str() {
            "dev" => "debug",
            other => other,
        };
        let dep_info = config.target_dir.join(folder_of_output);
        let dep_info = dep_info.join(&engine.binary).with_extension("d");
        Some(Self {
            dependency_inputs: depinfo::read(&dep_info, &config.root).into_iter().collect(),
            ..Self::of(&engine.package, package, &engine.binary, metadata)
        })
    }

    /// What the metadata say of the target of a package.
    fn of(name: &str, package: &Package, target: &str, metadata: &Metadata) -> Self {
        let closure = closure_of(&package.id, metadata);
        Self {
            name: name.to_owned(),
            package: package.name.to_string(),
            crate_name: target.replace('-', "_"),
            package_id: package.id.repr.clone(),
            dir: folder(package),
            dependency_dirs: dependency_dirs(package, &closure, metadata),
            closure,
            build_script: build_script(package),
            own_inputs: BTreeSet::new(),
            dependency_inputs: BTreeSet::new(),
            rerun_if_changed: None,
            is_broken: false,
        }
    }

    /// A module that exists in a test alone.
    #[cfg(test)]
    pub(crate) fn for_test(name: &str, package_id: &str, closure: &[&str]) -> Self {
        Self {
            name: name.into(),
            package: name.into(),
            crate_name: name.into(),
            package_id: package_id.into(),
            dir: Path::new("/w").join(name),
            dependency_dirs: BTreeSet::new(),
            closure: closure.iter().map(|id| (*id).to_owned()).collect(),
            build_script: None,
            own_inputs: BTreeSet::new(),
            dependency_inputs: BTreeSet::new(),
            rerun_if_changed: None,
            is_broken: false,
        }
    }

    /// Remembers what the compiler read. `all` may name files of dependencies
    /// as well; those of `own` are the module's.
    pub(crate) fn set_inputs(&mut self, own: Vec<PathBuf>, all: Option<Vec<PathBuf>>) {
        self.own_inputs = own.into_iter().collect();
        if let Some(all) = all {
            self.dependency_inputs = all
                .into_iter()
                .filter(|path| !self.own_inputs.contains(path))
                .collect();
        }
    }

    /// All files the compiler read.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.own_inputs.iter().chain(&self.dependency_inputs)
    }

    /// Takes over what was learned about the module before the workspace was
    /// read again.
    pub(crate) fn inherit(&mut self, old: &Self) {
        self.own_inputs.clone_from(&old.own_inputs);
        self.dependency_inputs.clone_from(&old.dependency_inputs);
        self.rerun_if_changed.clone_from(&old.rerun_if_changed);
        self.is_broken = old.is_broken;
    }

    /// Whether it has a build script.
    pub(crate) fn has_build_script(&self) -> bool {
        self.build_script.is_some()
    }

    /// Remembers what the build script printed.
    pub(crate) fn set_build_script_output(&mut self, output: &str) {
        let directives: Vec<&str> = output
            .lines()
            .filter_map(|line| line.strip_prefix("cargo::").or(line.strip_prefix("cargo:")))
            .filter(|line| line.starts_with("rerun-if-"))
            .collect();
        self.rerun_if_changed = (!directives.is_empty()).then(|| {
            directives
                .iter()
                .filter_map(|line| line.strip_prefix("rerun-if-changed="))
                .map(|path| self.dir.join(path))
                .collect()
        });
    }

    fn reruns_build_script(&self, path: &Path) -> bool {
        let Some(script) = &self.build_script else {
            return false;
        };
        script == path
            || match &self.rerun_if_changed {
                None => true,
                Some(paths) => paths.iter().any(|watched| path.starts_with(watched)),
            }
    }
}

/// Whether a file in the folder of a package may be part of its library.
fn is_library_source(path: &Path, dir: &Path) -> bool {
    let Ok(inner) = path.strip_prefix(dir) else {
        return false;
    };
    let top = inner.iter().next();
    path.extension().is_some_and(|extension| extension == "rs")
        && !["tests", "benches", "examples"]
            .iter()
            .any(|name| top == Some(name.as_ref()))
}

fn build_script(package: &Package) -> Option<PathBuf> {
    let mut targets = package.targets.iter();
    let script = targets.find(|target| target.kind.contains(&TargetKind::CustomBuild))?;
    Some(script.src_path.clone().into_std_path_buf())
}

/// Folders of the path packages that a package is built from, itself excluded.
fn dependency_dirs(
    package: &Package,
    closure: &BTreeSet<String>,
    metadata: &Metadata,
) -> BTreeSet<PathBuf> {
    let others = metadata.packages.iter();
    others
        .filter(|other| other.source.is_none() && other.id != package.id)
        .filter(|other| closure.contains(&other.id.repr))
        .map(folder)
        .collect()
}

fn folder(package: &Package) -> PathBuf {
    let manifest = package.manifest_path.as_std_path();
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Files of the root that concern every build, present or not.
fn fixed_files(root: &Path) -> BTreeSet<PathBuf> {
    [
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain",
        "rust-toolchain.toml",
        ".cargo/config.toml",
        ".cargo/config",
    ]
    .iter()
    .map(|name| root.join(name))
    .collect()
}

/// Ids of everything that is compiled for a package, tests excluded.
fn closure_of(package: &PackageId, metadata: &Metadata) -> BTreeSet<String> {
    let mut closure = BTreeSet::new();
    let mut open = vec![package];
    let nodes = metadata
        .resolve
        .as_ref()
        .map_or(&[][..], |resolve| &resolve.nodes);
    while let Some(id) = open.pop() {
        if !closure.insert(id.repr.clone()) {
            continue;
        }
        let Some(node) = nodes.iter().find(|node| node.id == *id) else {
            continue;
        };
        open.extend(
            node.deps
                .iter()
                .filter(|dependency| {
                    dependency.dep_kinds.is_empty()
                        || dependency
                            .dep_kinds
                            .iter()
                            .any(|kind| kind.kind != DependencyKind::Development)
                })
                .map(|dependency| &dependency.pkg),
        );
    }
    closure
}

fn read_metadata(root: &Path) -> Result<Metadata, BuildError> {
    let manifest = root.join("Cargo.toml");
    let program = environment::cargo_program();
    let mut query = MetadataCommand::new();
    query
        .cargo_path(&program)
        .manifest_path(&manifest)
        .current_dir(root);
    let mut command: Command = query.cargo_command();
    command
        .env_clear()
        .envs(environment::inherited())
        .stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|source| BuildError::CargoMissing {
            program: program.to_string_lossy().into_owned(),
            source,
        })?;
    let failure = |message: String| BuildError::Metadata {
        manifest: manifest.clone(),
        message,
    };
    if !output.status.success() {
        return Err(failure(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
        .map_err(|error| failure(error.to_string()))
}

#[cfg(test)]
#[path = "project_tests.rs"]
mod tests;
