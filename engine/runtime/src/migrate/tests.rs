use std::fmt::Debug;
use std::mem::MaybeUninit;

use engine_api::bevy_reflect::{FromReflect, GetTypeRegistration, Typed};
use engine_api::prelude::*;
use proptest::prelude::*;

use super::*;

fn side<T: Reflect + FromReflect + Typed + GetTypeRegistration>() -> Side {
    Side {
        schema: Schema::of::<T>(),
        values: ValueFunctions::of::<T>(),
        reflect: TypeRegistry::register::<T>,
    }
}

fn entity(index: usize) -> Entity {
    Entity::from_raw_u32(u32::try_from(index).unwrap() + 1).unwrap()
}

struct Outcome<B> {
    values: Result<Vec<B>, String>,
    limbo: Limbo,
    planned: bool,
}

fn migrate_with<A, B>(old: &[A], limbo: &Limbo, may_plan: bool) -> Outcome<B>
where
    A: Reflect + FromReflect + Typed + GetTypeRegistration,
    B: Reflect + FromReflect + Typed + GetTypeRegistration,
{
    let entities: Vec<Entity> = (0..old.len()).map(entity).collect();
    let mut migration = Migration::by_rules(side::<A>(), side::<B>(), limbo);
    if !may_plan {
        migration.plan = None;
    }
    let planned = migration.plan.is_some();
    let mut room: Vec<MaybeUninit<B>> = (0..old.len()).map(|_| MaybeUninit::uninit()).collect();
    let (from, to) = (old.as_ptr().cast(), room.as_mut_ptr().cast());
    // SAFETY: one value of A and room for one B per entity.
    let done = unsafe { migration.column(&entities, from, to) };
    let mut after = limbo.clone();
    let values = match done {
        Ok(()) => {
            assert_eq!(migration.report().values, old.len());
            after.apply(migration.into_changes().0);
            // SAFETY: all were made.
            let made = room.into_iter().map(|made| unsafe { made.assume_init() });
            Ok(made.collect())
        }
        Err(refusal) => Err(format!("{}: {}", refusal.entity, refusal.message)),
    };
    Outcome {
        values,
        limbo: after,
        planned,
    }
}

/// Migrates both ways; they must agree.
fn migrate<A, B>(old: &[A]) -> Outcome<B>
where
    A: Reflect + FromReflect + Typed + GetTypeRegistration,
    B: Reflect + FromReflect + Typed + GetTypeRegistration + PartialEq + Debug,
{
    let slow = migrate_with::<A, B>(old, &Limbo::default(), false);
    let any = migrate_with::<A, B>(old, &Limbo::default(), true);
    assert_eq!(slow.values, any.values);
    assert_eq!(slow.limbo, any.limbo);
    any
}

macro_rules! plain_type {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty = $default:expr),* $(,)? }) => {
        #[derive(Reflect, Debug, Clone, PartialEq)]
        #[reflect(Default)]
        struct $name { $($(#[$attribute])* $field: $type),* }
        impl Default for $name {
            fn default() -> Self { Self { $($field: $default),* } }
        }
    };
}

plain_type!(Health {
    current: u32 = 1,
    armor: u8 = 2,
    at: At = At::default()
});
plain_type!(At {
    x: f32 = 0.5,
    y: f32 = 0.5
});
plain_type!(Wide {
    max: f64 = 100.0,
    current: f32 = 1.0,
    armor: i64 = 0,
    at: At = At::default()
});
plain_type!(Renamed {
    #[reflect(@RenamedFrom("current"))]
    life: u64 = 9,
    at: Moved = Moved::default()
});
plain_type!(Moved {
    y: f32 = 0.0,
    #[reflect(@RenamedFrom("x"))]
    horizontal: f64 = 0.0
});
plain_type!(Tiny {
    current: u8 = 0,
    armor: u8 = 0,
    at: At = At::default()
});
plain_type!(Deep {
    current: u32 = 1,
    armor: u8 = 2,
    at: At3 = At3 {
        x: 7.0,
        y: 7.0,
        z: 8.0
    }
});
plain_type!(At3 {
    x: f32 = 1.0,
    y: f32 = 1.0,
    z: f32 = 9.0
});

fn healths() -> Vec<Health> {
    (0..5_u8)
        .map(|i| Health {
            current: u32::from(i) * 100,
            armor: i,
            at: At {
                x: f32::from(i),
                y: -f32::from(i),
            },
        })
        .collect()
}

#[test]
fn plain_values_are_migrated_by_plan_and_by_parts_alike() {
    let wide = migrate::<Health, Wide>(&healths());
    assert!(wide.planned);
    assert!(wide.limbo.is_empty());
    let expected: Vec<Wide> = healths()
        .into_iter()
        .map(|old| Wide {
            max: 100.0,
            current: old.current as f32,
            armor: old.armor.into(),
            at: old.at,
        })
        .collect();
    assert_eq!(wide.values, Ok(expected));

    let renamed = migrate::<Health, Renamed>(&healths());
    assert!(renamed.planned);
    let values = renamed.values.unwrap();
    assert_eq!((values[3].life, values[3].at.horizontal), (300, 3.0));
    let armor = renamed
        .limbo
        .get(&Schema::of::<Renamed>().path, entity(3), "armor");
    assert_eq!(armor, Some(&Data::Int(3)));
}

#[test]
fn a_field_added_deep_down_takes_the_default_of_the_struct_around_it() {
    let deep = migrate::<Health, Deep>(&healths());
    assert!(!deep.planned);
    assert_eq!(
        deep.values.unwrap()[2].at,
        At3 {
            x: 2.0,
            y: -2.0,
            z: 9.0
        }
    );
}

#[test]
fn a_value_that_does_not_fit_is_named_and_nothing_is_left() {
    let tiny = migrate::<Health, Tiny>(&healths());
    let error = tiny.values.unwrap_err();
    assert!(
        error.starts_with(&format!(
            "{}: field `current`: `300` does not fit `u8` without loss",
            entity(3)
        )),
        "{error}"
    );
    assert!(tiny.limbo.is_empty());
}

#[derive(Reflect, Debug, Clone, PartialEq, Default)]
#[reflect(Default)]
struct Named {
    name: String,
    tags: Vec<String>,
    count: u32,
}
#[derive(Reflect, Debug, Clone, PartialEq, Default)]
#[reflect(Default)]
struct Counted {
    count: i8,
    name: Option<String>,
}

#[test]
fn values_with_heap_are_migrated_and_come_back_from_limbo() {
    let old: Vec<Named> = (0..4)
        .map(|i| Named {
            name: format!("n{i}"),
            tags: vec!["a".into(); i],
            count: 1,
        })
        .collect();
    let forth = migrate::<Named, Counted>(&old);
    assert!(!forth.planned);
    let values = forth.values.unwrap();
    assert_eq!(values[2].name.as_deref(), Some("n2"));
    let path = &Schema::of::<Counted>().path;
    let mut limbo = Limbo::default();
    let mut changes = LimboChanges::default();
    for index in 0..4 {
        let kept = forth.limbo.get(path, entity(index), "tags").unwrap();
        changes.add(path, entity(index), "tags".into(), kept.clone());
    }
    limbo.apply(changes);
    let back = migrate_with::<Counted, Named>(&values, &limbo, true);
    assert_eq!(back.values, Ok(old));
    assert!(back.limbo.is_empty(), "what came back is not kept twice");
}

#[test]
fn a_failure_at_the_last_value_drops_what_was_made() {
    use std::sync::Arc;
    #[derive(Reflect, Clone)]
    #[reflect(opaque, Clone)]
    struct Token(#[expect(dead_code, reason = "counted")] Arc<()>);
    #[derive(Reflect)]
    struct Old {
        token: Token,
        number: u32,
    }
    #[derive(Reflect)]
    struct New {
        token: Token,
        number: u8,
    }
    let count = Arc::new(());
    let old: Vec<Old> = (0..100)
        .map(|i| Old {
            token: Token(count.clone()),
            number: if i == 99 { 1000 } else { 1 },
        })
        .collect();
    let outcome = migrate_with::<Old, New>(&old, &Limbo::default(), true);
    assert!(outcome.values.is_err());
    assert_eq!(Arc::strong_count(&count), 101);
    drop(old);
    assert_eq!(Arc::strong_count(&count), 1);
}

plain_type!(Numbers {
    a: f32 = 0.0,
    b: f64 = 0.0,
    c: i64 = 0,
    d: u64 = 0,
    e: u16 = 0,
    f: i8 = 0
});
plain_type!(Whole {
    a: u32 = 0,
    b: i64 = 0,
    c: i32 = 0,
    d: i64 = 0,
    e: i8 = 0,
    f: u64 = 0
});
plain_type!(Real {
    f: f32 = 0.0,
    e: f32 = 0.0,
    d: f64 = 0.0,
    c: f32 = 0.0,
    b: f32 = 0.0,
    a: f64 = 0.0
});

/// A number that is often at an edge.
fn real() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        (-300_i32..300).prop_map(f64::from),
        (0..70_i32, -1..2_i8).prop_map(|(power, more)| 2_f64.powi(power) + f64::from(more)),
        any::<f32>().prop_map(f64::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_numbers_are_migrated_by_plan_and_by_parts_alike(
        (a, b) in (real(), real()),
        (c, d, e, f) in (any::<i64>(), any::<u64>(), any::<u16>(), any::<i8>()),
        shift in 0..64_u32,
    ) {
        let old = [Numbers { a: a as f32, b, c: c >> shift, d: d >> shift, e, f }];
        // `Debug`, since no number is equal to NaN.
        macro_rules! check {
            ($to:ty) => {
                let slow = migrate_with::<Numbers, $to>(&old, &Limbo::default(), false);
                let any = migrate_with::<Numbers, $to>(&old, &Limbo::default(), true);
                prop_assert!(any.planned);
                prop_assert_eq!(format!("{:?}", slow.values), format!("{:?}", any.values));
            };
        }
        check!(Numbers);
        check!(Whole);
        check!(Real);
    }
}

plain_type!(Again {
    current: u32 = 1,
    at: Back = Back::default()
});
plain_type!(Back {
    y: f32 = 0.0,
    x: f64 = 0.0
});

#[test]
fn a_rename_that_is_taken_back_takes_the_value_back() {
    // `Renamed` calls `current` `life`, and `at.x` `at.horizontal`.
    let renamed = migrate::<Health, Renamed>(&healths()).values.unwrap();
    let again = migrate::<Renamed, Again>(&renamed);
    assert!(again.planned);
    assert!(again.limbo.is_empty());
    let values = again.values.unwrap();
    assert_eq!((values[3].current, values[3].at.x), (300, 3.0));
}
