use std::fs::File;

use super::*;

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> (Self, Sources) {
        let folder = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        folder.write("c/src/lib.rs", "one");
        folder.write("c/notes.txt", "n");
        let mut sources = Sources::new(folder.path(""), folder.path("target"));
        sources.set_areas(BTreeSet::from([
            Area::Crate(folder.path("c")),
            Area::File(folder.path("Cargo.lock")),
            Area::Assets(folder.path("assets")),
        ]));
        sources.rescan(true, &mut |_| {});
        (folder, sources)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn set_time(&self, name: &str, age: Duration) {
        let file = File::options().append(true).open(self.path(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn what_becomes_of_a_file() {
    type Edit = fn(&Folder);
    let table: [(&str, Edit, Observed); 9] = [
        ("c/src/lib.rs", |_| {}, Observed::Same),
        (
            "c/src/lib.rs",
            |f| f.write("c/src/lib.rs", "two"),
            Observed::Changed,
        ),
        (
            "c/src/lib.rs",
            |f| f.set_time("c/src/lib.rs", HOUR),
            Observed::Touched,
        ),
        (
            "c/src/lib.rs",
            |f| fs::remove_file(f.path("c/src/lib.rs")).unwrap(),
            Observed::Changed,
        ),
        (
            "c/src/new.rs",
            |f| f.write("c/src/new.rs", ""),
            Observed::Changed,
        ),
        ("c/src/none.rs", |_| {}, Observed::Same),
        // A new file of the same content took its place.
        (
            "c/src/lib.rs",
            |f| {
                f.write("aside", "one");
                f.set_time("aside", HOUR);
                fs::rename(f.path("aside"), f.path("c/src/lib.rs")).unwrap();
            },
            Observed::Touched,
        ),
        // Content of these is never read.
        (
            "c/notes.txt",
            |f| f.set_time("c/notes.txt", HOUR),
            Observed::Changed,
        ),
        (
            "Cargo.lock",
            |f| f.write("Cargo.lock", "x"),
            Observed::Changed,
        ),
    ];
    for (number, (path, edit, expected)) in table.into_iter().enumerate() {
        let (folder, mut sources) = Folder::new();
        edit(&folder);
        assert_eq!(
            sources.observe(&folder.path(path)),
            expected,
            "case {number}, {path}"
        );
        assert_eq!(
            sources.check(&folder.path(path)),
            Observed::Same,
            "case {number} again"
        );
    }
}

#[test]
fn two_writes_in_one_step_of_the_clock_are_told_apart() {
    let (folder, mut sources) = Folder::new();
    let path = folder.path("c/src/lib.rs");
    let stamp = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two").unwrap();
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(stamp)
        .unwrap();
    // Same time, length and inode; read so soon after it was written that this
    // proves nothing.
    assert_eq!(sources.check(&path), Observed::Changed);
}

#[test]
fn a_rescan_finds_everything_and_watches_folders_first() {
    let (folder, mut sources) = Folder::new();
    folder.write("c/src/lib.rs", "two!");
    folder.write("c/src/deep/er/new.rs", "x");
    folder.write("c/.git/index", "x");
    folder.write("c/out/CACHEDIR.TAG", "x");
    folder.write("c/out/generated.rs", "x");
    folder.write("target/debug/x.rs", "x");
    folder.write("assets/level.ron", "x");
    folder.write("Cargo.lock", "x");
    fs::remove_file(folder.path("c/notes.txt")).unwrap();
    let mut folders = Vec::new();
    let mut differing: Vec<_> = sources
        .rescan(false, &mut |dir| folders.push(dir.to_owned()))
        .into_iter()
        .map(|(path, observed)| {
            assert_eq!(observed, Observed::Changed);
            path.strip_prefix(folder.dir.path())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    differing.sort();
    assert_eq!(
        differing,
        [
            "Cargo.lock",
            "assets/level.ron",
            "c/notes.txt",
            "c/src/deep/er/new.rs",
            "c/src/lib.rs"
        ]
    );
    for name in ["", "c", "c/src", "c/src/deep", "c/src/deep/er", "assets"] {
        // Without the trailing separator that joining "" leaves.
        let path: PathBuf = folder.path(name).components().collect();
        assert!(folders.contains(&path), "{name} in {folders:?}");
    }
    assert!(
        !folders
            .iter()
            .any(|dir| dir.ends_with("target") || dir.ends_with(".git"))
    );
    assert!(sources.rescan(false, &mut |_| {}).is_empty());
}

#[test]
fn the_fingerprint_is_that_of_the_content() {
    let (folder, mut sources) = Folder::new();
    let path = folder.path("c/src/lib.rs");
    let of = |sources: &Sources| sources.fingerprint([&path].into_iter());
    let before = of(&sources);
    folder.set_time("c/src/lib.rs", HOUR);
    sources.observe(&path);
    assert_eq!(of(&sources), before);
    folder.write("c/src/lib.rs", "two");
    sources.observe(&path);
    assert_ne!(of(&sources), before);
    folder.write("c/src/lib.rs", "one");
    sources.observe(&path);
    assert_eq!(of(&sources), before);
    fs::remove_file(&path).unwrap();
    sources.observe(&path);
    assert_ne!(of(&sources), before);
}

#[test]
fn an_input_written_after_the_compiler_started_is_late() {
    let (folder, mut sources) = Folder::new();
    folder.write("words.txt", "a");
    let path = folder.path("words.txt");
    folder.set_time("words.txt", HOUR);
    assert!(
        sources
            .add_inputs([path.clone()], SystemTime::now())
            .is_empty()
    );
    assert!(sources.is_watched(&path));
    folder.write("more.txt", "a");
    let more = folder.path("more.txt");
    assert_eq!(
        sources.add_inputs([more.clone()], SystemTime::now() - HOUR),
        [more]
    );
}
