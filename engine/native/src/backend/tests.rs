use std::fmt;

use super::*;

const NAME: &str = "game_logic";

fn module() -> NativeModule {
    NativeModule {
        name: NAME.to_owned(),
        library: NAME.to_owned(),
    }
}

fn backend(dir: &Path, load_existing: bool) -> NativeBackend {
    NativeBackend::new(dir, vec![module()], load_existing)
}

fn watched(backend: &mut NativeBackend) -> &mut Watched {
    &mut backend.modules[0]
}

/// Files in a folder, by name.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn built(path: &Path, hash: Option<u64>) -> Artifact {
    Artifact {
        path: path.to_path_buf(),
        hash,
    }
}

fn refusal(result: Result<LoadedCode, LoadError>) -> String {
    match result {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

/// A process that certainly has ended.
fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    pid
}

#[test]
fn only_copies_of_ended_processes_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, dead) = (std::process::id(), dead_pid());
    let kept = [
        library_file(NAME),
        format!("lib{NAME}_{mine}_0.so"),
        format!("lib{NAME}_1_0.so"),
        format!("lib{NAME}_more.so"),
        format!("libother_{dead}_0.so"),
        format!("{NAME}.d"),
    ];
    let stale = [
        format!("lib{NAME}_{dead}_0.so"),
        format!("lib{NAME}_{dead}_again3.so"),
    ];
    for name in kept.iter().chain(&stale) {
        fs::write(dir.path().join(name), "").unwrap();
    }
    drop(backend(dir.path(), false));
    let mut expected = kept.to_vec();
    expected.sort();
    assert_eq!(files(dir.path()), expected);
}

#[test]
fn what_cannot_be_loaded_is_refused_and_changes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let artifact = dir.path().join(library_file(NAME));
    fs::write(&artifact, "what runs").unwrap();
    let staged = dir.path().join("staged");
    let mut backend = backend(dir.path(), false);
    let mut check = |module: &str, content: &[u8], hash: Option<u64>, expected: &str| {
        fs::write(&staged, content).unwrap();
        let text = refusal(backend.load(module, &built(&staged, hash), None));
        assert!(text.contains(expected), "`{text}` lacks `{expected}`");
        assert_eq!(fs::read(&artifact).unwrap(), b"what runs");
        assert_eq!(files(dir.path()), [library_file(NAME), "staged".to_owned()]);
        assert!(backend.load_again(NAME).is_none(), "nothing was loaded");
    };
    let this = fs::read(std::env::current_exe().unwrap()).unwrap();
    check("nobody", b"", None, "`nobody` is no native module");
    check(NAME, b"", None, "the artifact is empty; build it again");
    check(NAME, b"text", None, "the artifact is no library");
    check(
        NAME,
        b"text",
        Some(1),
        "is not what was built (something wrote to it); build it again",
    );
    check(NAME, &this[..this.len() / 2], None, "build it again");
    check(
        NAME,
        &this,
        Some(content_hash(&this)),
        "no module at all, not `game_logic`",
    );
    let missing = dir.path().join("missing");
    let text = refusal(backend.load(NAME, &built(&missing, None), None));
    assert!(text.contains("missing cannot be read: "), "{text}");
}

#[test]
fn content_that_runs_is_verified_too() {
    let dir = tempfile::tempdir().unwrap();
    let staged = dir.path().join("staged");
    fs::write(&staged, "content").unwrap();
    let mut backend = backend(dir.path(), false);
    // It was opened last, but did it get in? Only the caller knows. And where it runs, its module
    // may have got another name.
    watched(&mut backend).loaded_hash = Some(content_hash(b"content"));
    let artifact = built(&staged, None);
    let hashes = [b"content".as_slice(), b"other"].map(content_hash);
    for running in [None, Some(hashes[0]), Some(hashes[1])] {
        assert!(refusal(backend.load(NAME, &artifact, running)).contains("no library"));
    }
}

#[test]
fn publishing_replaces_the_artifact_in_one_step_and_is_no_external_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(library_file(NAME));
    let staged = built(&dir.path().join("staged"), None);
    let mut backend = backend(dir.path(), true);
    let watched = watched(&mut backend);
    for content in [b"first".as_slice(), b"second", b"second"] {
        watched.publish(&staged, content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
        assert_eq!(
            files(dir.path()),
            [library_file(NAME)],
            "nothing is left over"
        );
        assert_eq!(watched.handled, Identity::of(&path));
        assert_eq!(watched.external_change(), None);
    }
    // What lies there already is not written again: that would be news to others.
    let before = Identity::of(&path);
    watched.publish(&staged, b"second").unwrap();
    assert_eq!(Identity::of(&path), before);
    watched
        .publish(&built(&path, None), b"ignored: it is the artifact itself")
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
}

#[test]
fn a_replaced_artifact_is_reported_once_when_it_has_settled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(library_file(NAME));
    let mut backend = backend(dir.path(), false);
    let watched = watched(&mut backend);
    let settle = |watched: &mut Watched| {
        let (_, since) = watched.changing.as_mut().expect("a change was seen");
        *since = since.checked_sub(SETTLE).unwrap();
    };
    assert_eq!(watched.external_change(), None, "there is no artifact");
    fs::write(&path, "half").unwrap();
    assert_eq!(watched.external_change(), None, "seen for the first time");
    assert_eq!(watched.external_change(), None, "not settled yet");
    settle(watched);
    fs::write(&path, "half and half").unwrap();
    assert_eq!(watched.external_change(), None, "it changed again");
    settle(watched);
    let expected = (NAME.to_owned(), built(&path, None));
    assert_eq!(watched.external_change(), Some(expected));
    assert_eq!(watched.external_change(), None, "once is enough");
}

#[test]
fn artifacts_that_are_there_count_as_changes_only_if_wanted() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(library_file(NAME)), "there").unwrap();
    for wanted in [false, true] {
        let mut backend = backend(dir.path(), wanted);
        assert!(backend.external_changes().is_empty(), "nothing has settled");
        assert_eq!(watched(&mut backend).changing.is_some(), wanted);
    }
}

#[test]
fn copies_aside_are_never_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut backend = backend(dir.path(), false);
    let watched = watched(&mut backend);
    let copies = [
        watched.copy_aside(b"a").unwrap(),
        watched.copy_aside(b"b").unwrap(),
    ];
    assert_ne!(copies[0], copies[1]);
    assert_eq!(copies.map(|copy| fs::read(copy).unwrap()), [b"a", b"b"]);
}

#[derive(Debug)]
struct Failure(&'static str, Option<Box<Failure>>);
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

#[test]
fn an_undefined_symbol_is_explained_and_every_cause_is_told() {
    let undefined = Failure("/x.so: undefined symbol: _ZN9bevy_ecs", None);
    let text = open_error(&Failure("could not load", Some(Box::new(undefined))));
    assert!(
        text.contains("other features than the running engine"),
        "{text}"
    );
    assert!(
        text.contains("could not load: /x.so: undefined symbol: _ZN9bevy_ecs"),
        "{text}"
    );
    assert!(
        text.ends_with(&advice()) && text.contains(crate::verify::BUILD_COMMAND),
        "{text}"
    );
    let text = open_error(&Failure("no space left", None));
    assert_eq!(text, "the library cannot be opened: no space left");
}

#[test]
fn a_file_that_changed_or_cannot_be_opened_is_no_code() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.so");
    fs::write(&copy, "content").unwrap();
    assert!(refusal(open(&copy, NAME, 1)).contains("changed while it was loaded"));
    let text = refusal(open(&copy, NAME, content_hash(b"content")));
    assert!(text.starts_with("the library cannot be opened: "), "{text}");
}

#[test]
fn thread_locals_are_seen_and_what_cannot_be_read_counts_as_having_them() {
    // The standard library, linked in statically, has some.
    assert!(has_thread_locals(
        &fs::read(std::env::current_exe().unwrap()).unwrap()
    ));
    assert!(has_thread_locals(b"no library"));
}

#[test]
fn a_module_that_comes_back_gets_no_second_reloader_and_no_name_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut backend = backend(dir.path(), false);
    let spec = ModuleSpec {
        name: NAME.to_owned(),
        kind: "native".to_owned(),
        library: NAME.to_owned(),
        renamed_from: None,
    };
    let first = watched(&mut backend).copy_aside(b"one").unwrap();
    backend.set_modules(std::slice::from_ref(&spec));
    assert!(!watched(&mut backend).has_no_reloader, "it was there");
    for number in 2..4 {
        backend.set_modules(&[]);
        backend.set_modules(std::slice::from_ref(&spec));
        let again = watched(&mut backend);
        assert!(again.reload().is_none());
        let copy = again.copy_aside(b"two").unwrap();
        let name = format!("lib{NAME}_{}_again{number}.so", std::process::id());
        assert_eq!(copy, dir.path().join(name));
    }
    assert_eq!(fs::read(first).unwrap(), b"one");
}

/// What the system says of the mapping at an address: its rights, and the file if it has one.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn mapping_at(address: usize) -> Option<(String, String)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let is_it = (number(start)?..number(end)?).contains(&address);
        let rights = words.next()?.to_owned();
        is_it.then(|| (rights, words.nth(3).unwrap_or_default().to_owned()))
    })
}

/// Code of a library that this process has opened, from a copy of its own.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn some_code(dir: &Path) -> NativeCode {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut files = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let known = files.find(|file| file.contains("libgcc_s")).unwrap();
    let copy = dir.join("lib.so");
    fs::copy(known, &copy).unwrap();
    // SAFETY: a library that is open as it is.
    let library = unsafe { Library::new(&copy) }.unwrap();
    let image = Image::find(&copy).unwrap();
    let footprint = Footprint::of(&fs::read(&copy).unwrap(), &image, &copy);
    NativeCode {
        library: Some(library),
        image: Some(image),
        known: Known::new(footprint),
        aside: OnceLock::new(),
        thread_locals: false,
        copy,
    }
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn what_was_kept_for_code_goes_when_its_image_goes_and_not_before() {
    for is_proven in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut code = some_code(dir.path());
        // SAFETY: as above. As the reloader does, somebody else keeps it.
        let other = unsafe { Library::new(&code.copy) }.unwrap();
        code.put_aside(&mut || {});
        let (image, aside) = (code.range().unwrap(), {
            let aside = code.aside.get().unwrap();
            aside.as_ref().unwrap().range()
        });
        let rights = |address: usize| mapping_at(address).map_or(String::new(), |found| found.0);
        code.close(is_proven);
        assert!(!code.is_gone(), "somebody else has it open");
        assert_eq!(rights(aside.start), "rw-p");
        drop(other);
        assert!(code.is_gone());
        let kept = mapping_at(image.start);
        assert_eq!(kept, Some(("---p".to_owned(), String::new())));
        let expected = if is_proven { "---p" } else { "rw-p" };
        assert_eq!(rights(aside.start), expected, "{is_proven}");
    }
}
