use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use engine_api::bevy_reflect::{GetTypeRegistration, Typed};
use engine_api::prelude::*;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::unpack;

#[derive(Reflect, Debug, Clone)]
struct Everything {
    name: String,
    borrowed: (&'static str, Cow<'static, str>),
    /// Without gaps, and with.
    places: Vec<Place>,
    gaps: Vec<(u8, u64)>,
    queue: VecDeque<Place>,
    texts: Vec<String>,
    rows: Vec<Vec<u16>>,
    pairs: [(String, bool); 2],
    maybe: Option<String>,
    what: What,
    moods: Vec<Mood>,
    by_name: HashMap<String, Vec<u32>>,
    ordered: BTreeMap<u8, What>,
    set: HashSet<u64>,
    /// Serialised by its own code.
    time: Duration,
    tree: Tree,
    nothing: Vec<()>,
}
#[derive(Reflect, Debug, Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
    of: Entity,
}
#[derive(Reflect, Debug, Clone)]
enum What {
    Nothing,
    Text(String, u8),
    Place { at: Place, note: Option<u128> },
}
#[derive(Reflect, Debug, Clone, Copy)]
enum Mood {
    Calm = 3,
    Angry = 200,
}
#[derive(Reflect, Debug, Clone)]
struct Tree {
    label: char,
    branches: Vec<Tree>,
    by_name: BTreeMap<i8, Tree>,
}

fn place() -> BoxedStrategy<Place> {
    (any::<(f32, f32)>(), 0..9_u32)
        .prop_map(|((x, y), index)| Place {
            x,
            y,
            of: Entity::from_raw_u32(index).unwrap(),
        })
        .boxed()
}

fn what() -> BoxedStrategy<What> {
    prop_oneof![
        Just(What::Nothing),
        any::<(String, u8)>().prop_map(|(text, number)| What::Text(text, number)),
        (place(), any::<Option<u128>>()).prop_map(|(at, note)| What::Place { at, note }),
    ]
    .boxed()
}

fn tree() -> BoxedStrategy<Tree> {
    let leaf = any::<char>().prop_map(|label| Tree {
        label,
        branches: Vec::new(),
        by_name: BTreeMap::new(),
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let branches = prop::collection::vec(inner.clone(), 0..3);
        let by_name = prop::collection::btree_map(any::<i8>(), inner, 0..3);
        (any::<char>(), branches, by_name).prop_map(|(label, branches, by_name)| Tree {
            label,
            branches,
            by_name,
        })
    })
    .boxed()
}

fn everything() -> BoxedStrategy<Everything> {
    let lists = (
        prop::collection::vec(place(), 0..5),
        any::<Vec<(u8, u64)>>(),
        prop::collection::vec_deque(place(), 0..5),
        any::<Vec<String>>(),
        any::<Vec<Vec<u16>>>(),
        prop::collection::vec(prop_oneof![Just(Mood::Calm), Just(Mood::Angry)], 0..5),
    )
        .boxed();
    let keyed = (
        any::<HashMap<String, Vec<u32>>>(),
        prop::collection::btree_map(any::<u8>(), what(), 0..4),
        any::<HashSet<u64>>(),
    )
        .boxed();
    let rest = (
        any::<(String, String)>(),
        any::<[(String, bool); 2]>(),
        any::<Option<String>>(),
        what(),
        any::<u32>(),
        tree(),
    )
        .boxed();
    (lists, keyed, rest)
        .prop_map(
            |(
                (places, gaps, queue, texts, rows, moods),
                (by_name, ordered, set),
                ((name, cow), pairs, maybe, what, seconds, tree),
            )| Everything {
                name,
                borrowed: ("still", cow.into()),
                places,
                gaps,
                queue,
                texts,
                rows,
                pairs,
                maybe,
                what,
                moods,
                by_name,
                ordered,
                set,
                time: Duration::new(seconds.into(), seconds % 999),
                tree,
                nothing: vec![(); 3],
            },
        )
        .boxed()
}

/// Packs values of a type one after the other, and reads each.
fn packed<T: Reflect + Typed + GetTypeRegistration>(values: &[T]) -> (Schema, Vec<Vec<u8>>) {
    let mut registry = TypeRegistry::new();
    registry.register::<T>();
    let schema = Schema::of::<T>();
    let packer = Packer::of(&schema);
    let pack = |value: &T| {
        let mut to = Vec::new();
        packer.pack(value, &|| &registry, &mut to).map(|()| to)
    };
    let all = values.iter().map(|value| pack(value).unwrap()).collect();
    (schema, all)
}

proptest! {
    /// Packing and reading tell the same as taking apart, whatever the value before was.
    #[test]
    fn packed_values_are_read_as_they_were(values in prop::collection::vec(everything(), 1..4)) {
        let mut registry = TypeRegistry::new();
        registry.register::<Everything>();
        let (schema, packed) = packed(&values);
        for (value, packed) in values.iter().zip(packed) {
            let expected = Data::of(value, &registry).unwrap();
            // Texts, since not every number is equal to itself.
            let read = unpack::read(&schema, &packed).unwrap();
            prop_assert_eq!(format!("{:?}", read), format!("{:?}", expected));
            prop_assert!(unpack::read(&schema, &packed[..packed.len() - 1]).is_none());
        }
    }

    /// Changed bytes are no value or another one, nothing worse.
    #[test]
    fn packed_bytes_may_be_anything(
        value in everything(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (schema, mut packed) = packed(&[value]);
        let at = at.index(packed[0].len());
        packed[0][at] = byte;
        let _ = unpack::read(&schema, &packed[0]);
        let _ = unpack::read(&schema, &garbage);
    }
}

#[test]
fn elements_without_gaps_are_copied_as_they_lie() {
    #[derive(Reflect)]
    struct Many(Vec<Place>);
    let of = Entity::from_raw_u32(5).unwrap();
    let places: Vec<Place> = (0..100)
        .map(|index| index as f32)
        .map(|x| Place { x, y: -x, of })
        .collect();
    let mut expected = 100_u32.to_ne_bytes().to_vec();
    for place in &places {
        expected.extend(place.x.to_ne_bytes());
        expected.extend(place.y.to_ne_bytes());
        expected.extend(of.to_bits().to_ne_bytes());
    }
    let (_, packed) = packed(&[Many(places)]);
    assert_eq!(packed[0], expected);
}

#[test]
fn what_only_its_own_code_knows_is_not_packed() {
    #[derive(Reflect, Clone)]
    #[reflect(opaque, Clone)]
    struct Secret;
    #[derive(Reflect)]
    struct Holder {
        first: u8,
        secrets: Vec<Secret>,
    }
    let schema = Schema::of::<Holder>();
    let packer = Packer::of(&schema);
    let registry = TypeRegistry::new();
    let mut to = Vec::new();
    let mut pack = |secrets| {
        let value = Holder { first: 1, secrets };
        packer.pack(&value, &|| &registry, &mut to)
    };
    assert_eq!(pack(Vec::new()), Some(()));
    assert_eq!(pack(vec![Secret]), None);
}
