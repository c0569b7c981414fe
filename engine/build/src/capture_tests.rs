use super::*;

fn request() -> Request {
    Request {
        crates: BTreeMap::from([("enemy_ai".to_owned(), "enemy-ai".to_owned())]),
        folder: PathBuf::new(),
        environment: Request::hashes(&[
            ("HOME".into(), "/home/me".into()),
            ("CARGO_HOME".into(), "/c".into()),
        ]),
        chained: None,
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn only_the_loadable_library_of_a_wanted_package_is_recorded() {
    let table = [
        (
            "--crate-name enemy_ai --crate-type rlib --crate-type dylib --emit=dep-info,link",
            true,
        ),
        (
            "--crate-name enemy_ai --crate-type cdylib --emit=dep-info,metadata,link",
            true,
        ),
        (
            "--crate-name enemy_ai --crate-type rlib --emit=dep-info,metadata,link",
            false,
        ),
        (
            "--crate-name enemy_ai --crate-type dylib --emit=dep-info,metadata",
            false,
        ),
        (
            "--crate-name enemy_ai --crate-type dylib --emit=link --test",
            false,
        ),
        ("--crate-name other --crate-type dylib --emit=link", false),
        (
            "--crate-name ___ --print=file-names --crate-type dylib",
            false,
        ),
        ("-vV", false),
    ];
    for (line, wanted) in table {
        let found = wanted_crate(&request(), &words(line), "enemy-ai").is_some();
        assert_eq!(found, wanted, "{line}");
    }
    assert!(wanted_crate(&request(), &words(table[0].0), "another").is_none());
}

#[test]
fn only_what_cargo_added_is_recorded_of_the_environment() {
    let now = [
        ("HOME", "/home/me"),
        ("CARGO_HOME", "/changed"),
        ("CARGO_PKG_NAME", "enemy-ai"),
        ("WORD_OF_BUILD_SCRIPT", "x"),
        ("CARGO_MAKEFLAGS", "--jobserver-fds=6,7"),
        ("RUSTC_WRAPPER", "/engine"),
        (REQUEST_VARIABLE, "/r"),
    ];
    let now = now.map(|(name, value)| (name.into(), value.into()));
    let added = added_variables(&request(), now.into_iter());
    let names: Vec<_> = added.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["CARGO_HOME", "CARGO_PKG_NAME", "WORD_OF_BUILD_SCRIPT"]
    );
}

#[test]
fn options_are_found_in_both_spellings() {
    let args = words("--emit=a --emit b -C x=1 --emitter=c -C y=2 --emit");
    assert_eq!(value_of(&args, "--emit").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(value_of(&args, "-C").collect::<Vec<_>>(), ["x=1", "y=2"]);
}
