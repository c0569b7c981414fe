use super::*;

fn module(build_script: Option<&str>) -> Module {
    Module {
        name: "game".into(),
        package: "game".into(),
        crate_name: "game".into(),
        package_id: "game".into(),
        dir: "/w/game".into(),
        dependency_dirs: BTreeSet::from(["/w/engine/api".into()]),
        closure: BTreeSet::new(),
        build_script: build_script.map(PathBuf::from),
        own_inputs: BTreeSet::from(["/w/game/src/lib.rs".into(), "/w/assets/words.txt".into()]),
        dependency_inputs: BTreeSet::from(["/w/engine/api/words.txt".into()]),
        rerun_if_changed: None,
        is_broken: false,
    }
}

fn project(module: Module) -> Project {
    project_of(vec![module])
}

fn project_of(modules: Vec<Module>) -> Project {
    let packages = [
        ("/w/game", "game"),
        ("/w/engine", "engine"),
        ("/w/engine/api", "engine_api"),
        ("/w/game/nested", "nested"),
    ];
    let mut workspace_files = fixed_files(Path::new("/w"));
    workspace_files.extend(
        packages
            .iter()
            .map(|(dir, _)| Path::new(dir).join("Cargo.toml")),
    );
    Project {
        root: "/w".into(),
        modules,
        engine: None,
        packages: packages
            .iter()
            .map(|(dir, name)| (dir.into(), (*name).into()))
            .collect(),
        workspace_files,
        assets: BTreeSet::new(),
    }
}

#[test]
fn what_a_changed_file_means() {
    let project = project(module(None));
    let table = [
        ("/w/game/src/lib.rs", Effect::Source),
        ("/w/game/src/new.rs", Effect::Source),
        ("/w/assets/words.txt", Effect::Source),
        ("/w/game/README.md", Effect::None),
        ("/w/game/tests/it.rs", Effect::None),
        ("/w/game/examples/demo.rs", Effect::None),
        ("/w/game/nested/src/lib.rs", Effect::None),
        ("/w/engine/api/src/lib.rs", Effect::Cargo),
        ("/w/engine/api/words.txt", Effect::Cargo),
        ("/w/engine/api/README.md", Effect::None),
        ("/w/engine/api/tests/it.rs", Effect::None),
        ("/w/engine/src/main.rs", Effect::None),
        ("/w/Cargo.toml", Effect::Cargo),
        ("/w/Cargo.lock", Effect::Cargo),
        ("/w/game/Cargo.toml", Effect::Cargo),
        ("/w/engine/Cargo.toml", Effect::Cargo),
        ("/w/rust-toolchain.toml", Effect::Cargo),
        ("/w/.cargo/config.toml", Effect::Cargo),
        ("/w/assets/level.ron", Effect::None),
        ("/elsewhere/x.rs", Effect::None),
    ];
    for (path, expected) in table {
        assert_eq!(project.effect(0, Path::new(path)), expected, "{path}");
    }
    assert_eq!(project.effect(1, Path::new("/w/Cargo.toml")), Effect::None);
}

#[test]
fn after_a_failure_any_file_of_the_crate_may_help() {
    let mut module = module(None);
    module.is_broken = true;
    let project = project(module);
    assert_eq!(
        project.effect(0, Path::new("/w/game/words.txt")),
        Effect::Source
    );
}

#[test]
fn a_build_script_decides_what_concerns_it() {
    let script = "/w/game/build.rs";
    let silent = project(module(Some(script)));
    assert_eq!(
        silent.effect(0, Path::new("/w/game/src/lib.rs")),
        Effect::Cargo
    );

    let mut module = module(Some(script));
    module.set_build_script_output(
        "cargo:rerun-if-changed=words\ncargo::rerun-if-changed=src/gen.rs\nnoise\n",
    );
    let explicit = project(module);
    let table = [
        ("/w/game/build.rs", Effect::Cargo),
        ("/w/game/words/a.txt", Effect::Cargo),
        ("/w/game/src/gen.rs", Effect::Cargo),
        ("/w/game/src/lib.rs", Effect::Source),
    ];
    for (path, expected) in table {
        assert_eq!(explicit.effect(0, Path::new(path)), expected, "{path}");
    }
}

#[test]
fn a_change_of_what_modules_share_concerns_all_of_them() {
    let named = |name: &str, dependencies: &[&str]| Module {
        dependency_dirs: dependencies.iter().map(PathBuf::from).collect(),
        own_inputs: BTreeSet::from([format!("/w/{name}/src/lib.rs").into()]),
        ..Module::for_test(name, name, &[])
    };
    let mut project = project_of(vec![
        named("core", &["/w/types", "/w/engine/api"]),
        named("ai", &["/w/types", "/w/core", "/w/engine/api"]),
        named("ui", &["/w/engine/api"]),
    ]);
    for name in ["types", "core", "ai", "ui"] {
        let dir = Path::new("/w").join(name);
        project.packages.insert(dir, name.to_owned());
    }
    for (path, concerned) in [
        ("/w/types/src/lib.rs", &["core", "ai"][..]),
        ("/w/ai/src/lib.rs", &["ai"]),
        // A module that another one depends on is itself shared code.
        ("/w/core/src/lib.rs", &["core", "ai"]),
        ("/w/engine/api/src/lib.rs", &["core", "ai", "ui"]),
        ("/w/Cargo.lock", &["core", "ai", "ui"]),
        ("/w/types/README.md", &[]),
    ] {
        let found = project.concerned(Path::new(path)).into_iter();
        let found: Vec<_> = found
            .map(|(index, _)| project.modules[index].name.as_str())
            .collect();
        assert_eq!(found, concerned, "{path}");
    }
}

#[test]
fn the_engine_is_built_from_its_own_crates_and_what_manifests_say() {
    let mut project = project(module(None));
    assert!(!project.concerns_engine(Path::new("/w/engine/src/main.rs")));
    project.engine = Some(Module {
        dir: "/w/engine".into(),
        dependency_dirs: BTreeSet::from(["/w/engine/api".into()]),
        ..Module::for_test("engine", "engine", &[])
    });
    for (path, concerned) in [
        ("/w/engine/src/main.rs", true),
        ("/w/engine/api/src/lib.rs", true),
        ("/w/Cargo.lock", true),
        ("/w/rust-toolchain.toml", true),
        ("/w/engine/Cargo.toml", true),
        ("/w/engine/tests/it.rs", false),
        ("/w/game/src/lib.rs", false),
        ("/w/assets/words.txt", false),
    ] {
        assert_eq!(
            project.concerns_engine(Path::new(path)),
            concerned,
            "{path}"
        );
    }
}
