//! Tests of [`super`].

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine_api::prelude::*;
use engine_api::shared::{self, Primitive, SharedLayoutField, SharedState};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use tempfile::TempDir;

use super::*;

/// Versions of one struct, which all go by the name of the first.
mod versions {
    use super::*;

    #[shared_state(version = 1)]
    #[derive(Debug, Clone, Copy, PartialEq)]
    #[repr(C)]
    pub struct Totals {
        pub small: u8,
        pub frames: u64,
        pub path: [Point; 2],
    }
    impl Default for Totals {
        fn default() -> Self {
            let path = [Point { x: 0.5, y: -2 }; 2];
            Self {
                small: 3,
                frames: 100,
                path,
            }
        }
    }

    #[shared_state(version = 1)]
    #[derive(Debug, Clone, Copy, PartialEq, Default)]
    #[repr(C)]
    pub struct Point {
        pub x: f32,
        pub y: i32,
    }

    #[shared_state(version = 2)]
    #[derive(Debug, Clone, Copy, PartialEq)]
    #[repr(C)]
    pub struct Grown {
        pub small: u8,
        pub frames: u64,
        pub path: [Point; 2],
        pub hits: u64,
    }
    impl Default for Grown {
        fn default() -> Self {
            Self {
                small: 0,
                frames: 0,
                path: [Point::default(); 2],
                hits: 42,
            }
        }
    }

    #[shared_state(version = 2)]
    #[derive(Debug, Clone, Copy, Default)]
    #[repr(C)]
    pub struct Broken {
        pub small: u8,
        pub frames: f64,
        pub path: [Point; 2],
    }
}
use versions::{Broken, Grown, Point, Totals};

fn renamed<T: SharedState>() -> SharedRegistration {
    let mut registration = SharedRegistration::of::<T>();
    Totals::NAME.clone_into(&mut registration.layout.name);
    registration
}
fn totals() -> SharedRegistration {
    SharedRegistration::of::<Totals>()
}
fn point() -> SharedRegistration {
    SharedRegistration::of::<Point>()
}

struct Host {
    dir: TempDir,
    region: SharedRegion,
    world: World,
}

impl Host {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let region = SharedRegion::open_or_create(&dir.path().join("region")).unwrap();
        Self {
            dir,
            region,
            world: World::new(),
        }
    }
    fn adopt(&mut self, registrations: &[SharedRegistration]) -> Result<SharedUndo, SharedError> {
        self.region.adopt(&mut self.world, registrations)
    }
    fn totals(&mut self) -> &mut Totals {
        shared::get_mut(&mut self.world).unwrap()
    }
    fn read(&self) -> Vec<String> {
        let structs = read(self.region.path()).unwrap();
        structs
            .into_iter()
            .map(|found| {
                let fields: Vec<_> = found
                    .fields
                    .iter()
                    .map(|(name, _, value)| format!("{name}={value}"))
                    .collect();
                let name = found.name.rsplit("::").next().unwrap_or_default();
                format!("{name} v{}: {}", found.version, fields.join(" "))
            })
            .collect()
    }
}

#[test]
fn new_structs_get_their_defaults_and_are_read_outside() {
    let mut host = Host::new();
    assert!(host.read().is_empty());
    let _ = host.adopt(&[totals(), point()]).unwrap();
    assert_eq!(*host.totals(), Totals::default());
    host.totals().frames += 1;
    let expected = [
        "Totals v1: small=3 frames=101 path=[{x: 0.5, y: -2}, {x: 0.5, y: -2}]",
        "Point v1: x=0 y=0",
    ];
    assert_eq!(host.read(), expected);
    let types: Vec<_> = read(host.region.path()).unwrap()[0]
        .fields
        .iter()
        .map(|(_, type_name, _)| type_name.clone())
        .collect();
    assert_eq!(types, ["u8", "u64", "[Point; 2]"]);
    // The host dies; the next one goes on.
    let Host { dir, region, world } = host;
    drop((region, world));
    let path = dir.path().join("region");
    let region = SharedRegion::open_or_create(&path).unwrap();
    let mut host = Host {
        dir,
        region,
        world: World::new(),
    };
    assert_eq!(host.region.layouts().count(), 2);
    let _ = host.adopt(&[totals()]).unwrap();
    assert_eq!(host.totals().frames, 101);
    assert_eq!(host.read(), expected);
}

#[test]
fn appended_fields_get_the_default_and_others_keep_their_values() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    host.totals().path[1].y = 8;
    let _ = host.adopt(&[renamed::<Grown>()]).unwrap();
    let grown = "Totals v2: small=3 frames=100 path=[{x: 0.5, y: -2}, {x: 0.5, y: 8}] hits=42";
    assert_eq!(host.read(), [grown]);
    // A rollback loses nothing.
    let _ = host.adopt(&[totals()]).unwrap();
    assert_eq!(host.read(), [grown]);
    host.totals().small = 4;
    assert_eq!(host.read(), [grown.replace("small=3", "small=4")]);
}

#[test]
fn both_versions_in_one_adoption_work() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals(), renamed::<Grown>()]).unwrap();
    assert!(host.read()[0].contains("frames=100"), "{:?}", host.read());
    assert!(host.read()[0].ends_with("hits=42"));
}

#[test]
fn one_that_does_not_fit_refuses_all() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    let before = host.read();
    let error = host
        .adopt(&[point(), renamed::<Broken>()])
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("field `frames`") && error.contains("from `u64` to `f64`"),
        "{error}"
    );
    assert_eq!(host.read(), before);
    assert_eq!(*host.totals(), Totals::default());

    let mut large = point();
    large.layout.align = 128;
    assert!(host.adopt(&[large]).is_err());
    let mut huge = point();
    huge.layout.size = CAPACITY;
    huge.layout.name.push('2');
    assert!(matches!(host.adopt(&[huge]), Err(SharedError::Full { .. })));
    assert_eq!(host.read(), before);
}

thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

#[shared_state(version = 1)]
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Moody {
    a: u32,
}
impl Default for Moody {
    fn default() -> Self {
        assert!(!PANICS.get(), "not today");
        Self { a: 1 }
    }
}

#[test]
fn a_default_that_panics_changes_nothing() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    let before = host.read();
    let moody = [point(), SharedRegistration::of::<Moody>()];
    PANICS.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| host.adopt(&moody))).is_err());
    assert_eq!(host.read(), before);
    host.totals().frames = 5;
    PANICS.set(false);
    let _ = host.adopt(&moody).unwrap();
    assert_eq!(host.read().len(), 3);
    assert_eq!(host.totals().frames, 5);
}

#[test]
fn undo_restores_layouts_and_bytes() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    host.totals().frames = 7;
    let before = host.read();
    for registrations in [vec![renamed::<Grown>(), point()], vec![totals()], vec![]] {
        let undo = host.adopt(&registrations).unwrap();
        host.totals().frames = 8;
        host.region.undo(&mut host.world, undo).unwrap();
        assert_eq!(host.read(), before);
        assert_eq!(host.totals().frames, 7);
        assert!(shared::get::<Point>(&host.world).is_err());
    }
    let early = host.adopt(&[]).unwrap();
    let late = host.adopt(&[]).unwrap();
    let refused = host.region.undo(&mut host.world, early);
    assert!(matches!(refused, Err(SharedError::TooLate)));
    host.region.undo(&mut host.world, late).unwrap();
}

#[test]
fn one_world_at_a_time() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    let mut other = World::new();
    let refused = host.region.adopt(&mut other, &[]);
    assert!(matches!(refused, Err(SharedError::Elsewhere)));
    // Access moves with the resource.
    let regions = host.world.remove_resource::<SharedRegions>().unwrap();
    other.insert_resource(regions);
    let _ = host.region.adopt(&mut other, &[]).unwrap();
    assert!(host.adopt(&[]).is_err());
    drop(other);
    let _ = host.adopt(&[]).unwrap();
    // The memory lives as long as a world that refers to it.
    let Host {
        dir,
        region,
        mut world,
    } = host;
    drop(region);
    shared::get_mut::<Totals>(&mut world).unwrap().frames = 1;
    drop(dir);
}

#[test]
fn a_region_grows_and_nothing_moves() {
    const SIZE: usize = 40_000;
    unsafe fn fill(to: *mut u8) {
        // SAFETY: the layout below has that size.
        unsafe { to.write_bytes(1, SIZE) };
    }
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    let address = std::ptr::from_ref(host.totals()).addr();
    for index in 0..20 {
        let kind = FieldKind::Array(Box::new(FieldKind::Primitive(Primitive::U8)), SIZE);
        let field = SharedLayoutField {
            name: "bytes".to_owned(),
            type_name: "[u8; 40000]".to_owned(),
            offset: 0,
            size: SIZE,
            align: 1,
            kind,
        };
        let layout = SharedLayout {
            name: format!("game::Large{index}"),
            version: 1,
            size: SIZE,
            align: 1,
            fields: vec![field],
        };
        let _ = host
            .adopt(&[SharedRegistration {
                layout,
                write_default: fill,
                ..totals()
            }])
            .unwrap();
    }
    assert_eq!(std::ptr::from_ref(host.totals()).addr(), address);
    let structs = host.read();
    assert_eq!(structs.len(), 21);
    assert!(
        structs[20].ends_with("1, 1, ... 40000 in all]"),
        "{}",
        structs[20]
    );
    assert!(std::fs::metadata(host.region.path()).unwrap().len() > 800_000);
}

#[test]
fn a_file_belongs_to_one_host_and_to_one_user() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::new();
    let second = SharedRegion::open_or_create(host.region.path());
    assert!(matches!(second, Err(SharedError::InUse { .. })));
    let mode = std::fs::metadata(host.region.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(
        read(&host.dir.path().join("none")),
        Err(SharedError::Io { .. })
    ));
}

#[test]
fn a_torn_head_leads_to_the_directory_before() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    let before = host.read();
    let _ = host.adopt(&[point()]).unwrap();
    let mut bytes = std::fs::read(host.region.path()).unwrap();
    let (_, head) = format::decode(&bytes).unwrap();
    bytes[head.position() + 20] ^= 1;
    let path = host.dir.path().join("torn");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&path).unwrap().len(), before.len());
}

#[test]
fn a_torn_head_of_an_undo_leads_to_what_was_undone() {
    let mut host = Host::new();
    let _ = host.adopt(&[totals()]).unwrap();
    let undo = host.adopt(&[point()]).unwrap();
    host.region.undo(&mut host.world, undo).unwrap();
    assert_eq!(host.read().len(), 1);
    let mut bytes = std::fs::read(host.region.path()).unwrap();
    let (_, head) = format::decode(&bytes).unwrap();
    bytes[head.position()] ^= 1;
    let path = host.dir.path().join("torn");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&path).unwrap().len(), 2);
}

#[test]
fn a_struct_outside_of_the_file_is_damage() {
    let (dir, bytes, _) = sample();
    let (directory, mut head) = format::decode(&bytes).unwrap();
    for place in [0, 129, bytes.len() / 64 * 64, usize::MAX / 64 * 64] {
        let mut entries = directory.entries.clone();
        entries[0].place = place;
        let encoded = format::encode(&entries);
        let mut bytes = bytes.clone();
        bytes[head.place as usize..][..encoded.len()].copy_from_slice(&encoded);
        head.checksum = format::checksum(&encoded);
        bytes[head.position()..][..48].copy_from_slice(&head.bytes());
        let error = read_bytes(&dir, &bytes).unwrap_err().to_string();
        assert!(error.contains("is not inside of it"), "{place}: {error}");
    }
}

/// A file of a host with two structs, and how much of it is used.
fn sample() -> (TempDir, Vec<u8>, usize) {
    let mut host = Host::new();
    let _ = host.adopt(&[totals(), point()]).unwrap();
    let bytes = std::fs::read(host.region.path()).unwrap();
    let end = host.region.directory.end;
    (host.dir, bytes, end)
}

fn read_bytes(dir: &TempDir, bytes: &[u8]) -> Result<Vec<SharedStruct>, SharedError> {
    let path = dir.path().join("copy");
    std::fs::write(&path, bytes).unwrap();
    let outside = read(&path);
    // Who opens it comes to the same opinion.
    assert_eq!(
        SharedRegion::open_or_create(&path).is_ok(),
        outside.is_ok() || bytes.is_empty()
    );
    outside
}

#[test]
fn every_cut_is_an_error() {
    let (dir, bytes, end) = sample();
    for length in (0..end).step_by(7).chain([end - 1]) {
        let found = read_bytes(&dir, &bytes[..length]);
        // The directory before was empty, and lies at the beginning.
        assert!(found.is_err(), "{length}");
    }
    assert_eq!(read_bytes(&dir, &bytes[..end]).unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let (dir, mut bytes, end) = sample();
        for (at, bits) in flips {
            bytes[usize::from(at) % end] ^= bits;
        }
        if let Ok(structs) = read_bytes(&dir, &bytes) {
            // Values may be anything, names not.
            prop_assert!(structs.iter().all(|found| found.name.starts_with("engine_runtime::")));
        }
    }

    #[test]
    fn damaged_directories_with_a_right_checksum_never_panic(
        flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
    ) {
        let (dir, mut bytes, end) = sample();
        let (_, mut head) = format::decode(&bytes).unwrap();
        let place = head.place as usize;
        for (at, bits) in flips {
            bytes[place + usize::from(at) % (end - place)] ^= bits;
        }
        head.checksum = format::checksum(&bytes[place..end]);
        bytes[head.position()..][..48].copy_from_slice(&head.bytes());
        let _ = read_bytes(&dir, &bytes);
    }

    #[test]
    fn garbage_is_an_error(garbage in proptest::collection::vec(any::<u8>(), 1..512)) {
        let dir = TempDir::new().unwrap();
        prop_assert!(read_bytes(&dir, &garbage).is_err());
        let mut begun = format::header();
        begun.extend(&garbage);
        prop_assert!(read_bytes(&dir, &begun).is_err());
    }
}
