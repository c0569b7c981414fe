use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn only_the_output_folder_is_replaced() {
    let line = "--crate-name mini mini/src/lib.rs --error-format=json --crate-type rlib \
                --crate-type dylib --emit=dep-info,link --out-dir /t/debug/deps \
                -C incremental=/t/debug/incremental --extern types=/t/libtypes.rlib";
    let expected = line.replace("/t/debug/deps", "/out");
    assert_eq!(
        rewritten(&words(line), Path::new("/out")),
        Some(words(&expected))
    );
    let joined = line.replace("--out-dir /t", "--out-dir=/t");
    let expected = joined.replace("/t/debug/deps", "/out");
    assert_eq!(
        rewritten(&words(&joined), Path::new("/out")),
        Some(words(&expected))
    );
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    for line in [
        "--error-format=json --emit=link",
        "--out-dir /t --emit=link",
        "--error-format=human --out-dir /t",
        "@/tmp/args",
        "--error-format=json --out-dir /t @/tmp/args",
    ] {
        assert_eq!(rewritten(&words(line), Path::new("/out")), None, "{line}");
    }
}

fn captured(dir: &Path) -> CapturedCommand {
    let library = dir.join("libtypes.rlib");
    fs::write(&library, "rlib").unwrap();
    fs::write(dir.join("rustc"), "").unwrap();
    CapturedCommand {
        program: dir.join("rustc").to_str().unwrap().to_owned(),
        args: words(&format!(
            "--error-format=json --out-dir /t --extern alloc --extern priv:types={}",
            library.display()
        )),
        folder: dir.to_owned(),
        environment: BTreeMap::new(),
    }
}

#[test]
fn a_command_is_valid_while_key_compiler_and_dependencies_stay() {
    let dir = tempfile::tempdir().unwrap();
    let replay = Replay::new(captured(dir.path()), 7).unwrap();
    assert!(replay.is_valid(7));
    assert!(!replay.is_valid(8));

    let file = dir.path().join("saved.json");
    replay.save(&file).unwrap();
    assert_eq!(Replay::load(&file).as_ref(), Some(&replay));
    fs::write(&file, "{").unwrap();
    assert_eq!(Replay::load(&file), None);

    fs::write(dir.path().join("libtypes.rlib"), "another").unwrap();
    assert!(!replay.is_valid(7));

    let replay = Replay::new(captured(dir.path()), 7).unwrap();
    fs::remove_file(dir.path().join("rustc")).unwrap();
    assert!(!replay.is_valid(7));
}

#[test]
fn the_library_cargo_compiled_last_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        "mini-0123456789abcdef",
        "mini-1123456789abcdef",
        "mini-extra-0123456789abcdef",
    ];
    for (age, name) in names.iter().enumerate() {
        let folder = dir.path().join(".fingerprint").join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = fs::File::create(folder.join("dep-lib-mini")).unwrap();
        let time = SystemTime::now() - std::time::Duration::from_secs(100 * age as u64);
        file.set_modified(time).unwrap();
    }
    let before = compiled_at(dir.path(), "mini", "mini").unwrap();
    assert!(mark_stale(dir.path(), "mini", "mini"));
    let after = compiled_at(dir.path(), "mini", "mini").unwrap();
    assert!(
        after < before && after > UNIX_EPOCH,
        "the other one is left alone"
    );
    assert!(!mark_stale(dir.path(), "absent", "absent"));
}
