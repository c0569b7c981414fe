//! Tests of [`super`].

use bevy_ecs::system::{IntoSystem, RunSystemError, System};

use super::*;
use crate::prelude::*;

#[shared_state(version = 3)]
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C)]
struct Inner {
    small: u8,
    large: u32,
}

#[shared_state(version = 1)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
struct Totals {
    frames: u64,
    path: [Inner; 2],
    position: [f32; 2],
}

impl Default for Totals {
    fn default() -> Self {
        let inner = Inner {
            small: 255,
            large: 7,
        };
        Self {
            frames: 9,
            path: [inner; 2],
            position: [0.5, -1.0],
        }
    }
}

#[shared_state(version = 1)]
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Other {
    a: u32,
}

/// A world with room for one `Totals`, like an engine makes it.
fn world() -> World {
    #[repr(align(64))]
    struct Room([u8; 64]);
    let room = Arc::new(std::sync::Mutex::new(Room([0xAA; 64])));
    let pointer = NonNull::new(room.lock().unwrap().0.as_mut_ptr()).unwrap();
    // SAFETY: the room is larger than `Totals`.
    unsafe { (SharedRegistration::of::<Totals>().write_default)(pointer.as_ptr()) };
    let mut regions = SharedRegions::new(room.clone());
    assert!(regions.is_owned_by(&room));
    assert!(!regions.is_owned_by(&Arc::new(())));
    // SAFETY: the room lives as long as `regions`, and nobody else uses it.
    unsafe { regions.insert(Totals::NAME, pointer, size_of::<Totals>()) };
    let mut world = World::new();
    declare(&mut world);
    world.insert_resource(regions);
    world
}

fn run<M, Out: 'static>(
    world: &mut World,
    system: impl IntoSystem<(), Out, M>,
) -> Result<Out, RunSystemError> {
    let mut system = IntoSystem::into_system(system);
    system.initialize(world);
    system.run((), world)
}

#[test]
fn the_macro_describes_the_struct() {
    let layout = SharedLayout::of::<Totals>();
    assert_eq!(layout.name, "engine_api::shared::tests::Totals");
    assert_eq!((layout.version, layout.size, layout.align), (1, 32, 8));
    let field = &layout.fields[1];
    assert_eq!(
        (
            field.name.as_str(),
            field.type_name.as_str(),
            field.offset,
            field.size,
            field.align
        ),
        ("path", "[Inner; 2]", 8, 16, 4)
    );
    assert_eq!(
        field.kind.to_string(),
        "[engine_api::shared::tests::Inner; 2]"
    );
    assert_eq!(field.kind.size(), Some(16));
    assert_eq!(
        FieldKind::from(&<[[u16; 3]; 2]>::KIND).to_string(),
        "[[u16; 3]; 2]"
    );
}

#[test]
fn a_default_is_written_with_zeroes_between_its_fields() {
    let mut bytes = [0xAA_u8; 33];
    // SAFETY: 32 bytes are there, if not aligned.
    unsafe { (SharedRegistration::of::<Totals>().write_default)(bytes.as_mut_ptr().add(1)) };
    let mut expected = vec![0xAA];
    expected.extend(9_u64.to_ne_bytes());
    for _ in 0..2 {
        expected.extend([255, 0, 0, 0]);
        expected.extend(7_u32.to_ne_bytes());
    }
    expected.extend(0.5_f32.to_ne_bytes());
    expected.extend((-1.0_f32).to_ne_bytes());
    assert_eq!(bytes.as_slice(), expected);
}

#[test]
fn systems_and_world_see_one_value() {
    let mut world = world();
    run(&mut world, |mut totals: SharedMut<Totals>| {
        totals.frames += 1;
    })
    .unwrap();
    assert_eq!(
        run(&mut world, |totals: Shared<Totals>| totals.frames).unwrap(),
        10
    );
    get_mut::<Totals>(&mut world).unwrap().path[1].large = 8;
    let read = |a: Shared<Totals>, b: Shared<Totals>, _: &World| a.path[1].large + b.path[0].large;
    assert_eq!(run(&mut world, read).unwrap(), 15);
    assert_eq!(get::<Totals>(&world).unwrap().frames, 10);
}

#[test]
fn what_is_not_there_is_an_error() {
    let failed = run(&mut World::new(), |_: Shared<Totals>| {}).unwrap_err();
    assert!(failed.to_string().contains("m.shared_state"), "{failed}");
    assert_eq!(get::<Other>(&world()).err(), Some(SharedProblem::Missing));
}

#[test]
fn a_struct_inside_of_a_function_is_refused() {
    #[shared_state(version = 1)]
    #[derive(Clone, Copy, Default)]
    #[repr(C)]
    struct Totals {
        a: u32,
    }
    assert_eq!(
        get_mut::<Totals>(&mut world()).err(),
        Some(SharedProblem::Local)
    );
    assert!(run(&mut world(), |_: SharedMut<Totals>| {}).is_err());
    let mut m = ModuleBuilder::new();
    m.shared_state::<Totals>();
    let description = m.finish();
    assert!(description.shared.is_empty());
    assert!(
        description.errors[0].contains("inside of a function"),
        "{:?}",
        description.errors
    );
}

#[test]
fn two_writers_in_one_system_are_refused() {
    fn accepted<M>(system: impl IntoSystem<(), (), M>) -> bool {
        let run = || run(&mut world(), system).is_ok();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_ok()
    }
    assert!(!accepted(|_: SharedMut<Totals>, _: SharedMut<Totals>| {}));
    assert!(!accepted(|_: SharedMut<Totals>, _: Shared<Totals>| {}));
    assert!(!accepted(|_: &World, _: SharedMut<Totals>| {}));
    assert!(!accepted(|_: ResMut<SharedRegions>, _: Shared<Totals>| {}));
    assert!(accepted(|_: SharedMut<Totals>, _: SharedMut<Other>| {}));
    assert!(accepted(
        |_: SharedMut<Totals>, _: Query<EntityMut, Without<bevy_ecs::resource::IsResource>>| {}
    ));
}

#[test]
fn a_builder_takes_a_struct_once() {
    let mut m = ModuleBuilder::new();
    m.shared_state::<Totals>()
        .shared_state::<Other>()
        .shared_state::<Totals>();
    let description = m.finish();
    assert_eq!(description.shared.len(), 2);
    assert!(description.errors.is_empty());
}

fn layout(version: u32, fields: &[(&str, Primitive)]) -> SharedLayout {
    let mut offset = 0;
    let fields = fields.iter().map(|(name, primitive)| {
        let size = primitive.size();
        offset = usize::next_multiple_of(offset, size) + size;
        SharedLayoutField {
            name: (*name).to_owned(),
            type_name: primitive.name().to_owned(),
            offset: offset - size,
            size,
            align: size,
            kind: FieldKind::Primitive(*primitive),
        }
    });
    let fields = fields.collect();
    SharedLayout {
        name: "game::A".to_owned(),
        version,
        size: offset,
        align: 4,
        fields,
    }
}

#[test]
fn structs_only_grow_at_their_end() {
    use Primitive::{F32, U8, U32};
    let old = layout(2, &[("a", U32), ("b", U32)]);
    let check = |version, fields: &[(&str, Primitive)], expected: &str| match fits(
        &old,
        &layout(version, fields),
    ) {
        Ok(()) => assert_eq!(expected, ""),
        Err(error) => {
            assert!(
                !expected.is_empty() && error.contains(expected),
                "{expected}: {error}"
            );
        }
    };
    check(2, &[("a", U32), ("b", U32)], "");
    check(3, &[("a", U32), ("b", U32)], "");
    check(3, &[("a", U32), ("b", U32), ("c", F32)], "");
    check(
        2,
        &[("a", U32), ("b", U32), ("c", F32)],
        "field `c` of shared struct `game::A` was added; write `version = 3`",
    );
    check(
        1,
        &[("a", U32), ("b", U32)],
        "went back from version 2 to 1",
    );
    check(
        3,
        &[("a", U32)],
        "field `b` of shared struct `game::A` was removed",
    );
    check(
        3,
        &[("b", U32)],
        "field `a` of shared struct `game::A` was removed",
    );
    check(
        3,
        &[("a", U32), ("n", U32)],
        "field `b` of shared struct `game::A` was renamed to `n`",
    );
    check(
        3,
        &[("b", U32), ("a", U32)],
        "field `a` of shared struct `game::A` moved",
    );
    check(
        3,
        &[("a", U32), ("c", U32), ("b", U32)],
        "field `c` of shared struct `game::A` was added before `b`",
    );
    check(
        3,
        &[("a", F32), ("b", U32)],
        "field `a` of shared struct `game::A` changed from `u32` to `f32`",
    );
    check(
        3,
        &[("a", U32), ("b", U8)],
        "field `b` of shared struct `game::A` changed from `u32` to `u8`",
    );
    let other = SharedLayout {
        name: "game::B".to_owned(),
        ..old.clone()
    };
    assert!(fits(&old, &other).is_err());
    let padded = SharedLayout {
        size: 64,
        ..old.clone()
    };
    assert!(
        fits(&old, &padded)
            .unwrap_err()
            .contains("from 8 to 64 bytes")
    );
}

#[test]
fn an_older_version_has_the_first_fields_and_a_lower_number() {
    use Primitive::U32;
    let current = layout(2, &[("a", U32), ("b", U32)]);
    assert!(is_older_version(&current, &layout(1, &[("a", U32)])));
    assert!(!is_older_version(&current, &layout(2, &[("a", U32)])));
    assert!(!is_older_version(&current, &layout(1, &[("b", U32)])));
    assert!(!is_older_version(&current, &current));
}
