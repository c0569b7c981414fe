use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use engine_api::bevy_reflect::{GetTypeRegistration, Typed};
use engine_api::prelude::*;
use engine_api::schema::Schema;

use super::*;

fn registry<T: GetTypeRegistration>() -> TypeRegistry {
    let mut registry = TypeRegistry::new();
    registry.register::<T>();
    registry
}

/// Takes a value apart and fits it to another type.
fn carry<A, B>(value: &A) -> Result<(B, Vec<(String, Data)>), String>
where
    A: Reflect + GetTypeRegistration,
    B: FromReflect + Typed + GetTypeRegistration,
{
    let data = Data::of(value, &registry::<A>()).map_err(|error| error.to_string())?;
    fit::<B>(&data, &|_| None)
}

fn fit<B: FromReflect + Typed + GetTypeRegistration>(
    data: &Data,
    limbo: &dyn Fn(&str) -> Option<Data>,
) -> Result<(B, Vec<(String, Data)>), String> {
    let registry = registry::<B>();
    let fitter = Fitter {
        registry: &registry,
        limbo,
    };
    let made = fitter
        .fit(data, &Schema::of::<B>())
        .map_err(|error| error.to_string())?;
    let value = B::from_reflect(&*made.value).ok_or("no value can be made")?;
    Ok((value, made.removed))
}

#[derive(Reflect, Debug, PartialEq, Clone, Default)]
enum Mood {
    #[default]
    Calm,
    Angry(u8),
    Afraid {
        of: String,
    },
}
#[derive(Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Default)]
struct Everything {
    flag: bool,
    letter: char,
    small: i8,
    large: u128,
    single: f32,
    double: f64,
    name: String,
    mood: Mood,
    maybe: Option<u32>,
    list: Vec<Mood>,
    array: [u16; 3],
    pair: (u8, String),
    map: HashMap<String, Vec<u32>>,
    tree: BTreeMap<u32, Mood>,
    set: HashSet<u32>,
    time: Duration,
    nested: Nested,
}
#[derive(Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Default)]
struct Nested {
    children: Vec<Nested>,
    weight: i64,
}

fn everything() -> Everything {
    Everything {
        flag: true,
        letter: 'ß',
        small: -5,
        large: u128::MAX,
        single: 0.1,
        double: -1e300,
        name: "Ann".into(),
        mood: Mood::Afraid { of: "dogs".into() },
        maybe: Some(7),
        list: vec![Mood::Calm, Mood::Angry(3)],
        array: [1, 2, 3],
        pair: (9, "nine".into()),
        map: HashMap::from([("a".into(), vec![1, 2]), ("b".into(), vec![])]),
        tree: BTreeMap::from([(4, Mood::Angry(1))]),
        set: HashSet::from([5, 6]),
        time: Duration::from_millis(1500),
        nested: Nested {
            weight: 1,
            children: vec![Nested {
                weight: i64::MIN,
                children: vec![],
            }],
        },
    }
}

#[test]
fn a_value_survives_being_taken_apart() {
    let value = everything();
    let (back, removed) = carry::<_, Everything>(&value).unwrap();
    assert_eq!(back, value);
    assert_eq!(removed, []);
}

mod fields {
    use super::*;
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    pub(super) struct Old {
        pub(super) current: u32,
        pub(super) spare: String,
    }
    /// Another default than that of the field's type.
    #[derive(Reflect, Debug, PartialEq)]
    #[reflect(Default)]
    pub(super) struct New {
        pub(super) max: f32,
        pub(super) current: f32,
    }
    impl Default for New {
        fn default() -> Self {
            Self {
                max: 100.0,
                current: 0.0,
            }
        }
    }
    #[derive(Reflect, Debug, PartialEq, Default)]
    #[reflect(Default)]
    pub(super) struct Renamed {
        #[reflect(@RenamedFrom("hp current"))]
        pub(super) life: Option<u64>,
        pub(super) spare: String,
    }
    #[derive(Reflect, Debug)]
    pub(super) struct Hard {
        pub(super) current: u32,
        pub(super) spare: String,
        pub(super) more: u8,
    }
}

#[test]
fn fields_are_added_from_the_default_and_removed_ones_are_handed_back() {
    let old = fields::Old {
        current: 7,
        spare: "x".into(),
    };
    let (new, removed) = carry::<_, fields::New>(&old).unwrap();
    assert_eq!(
        new,
        fields::New {
            max: 100.0,
            current: 7.0
        }
    );
    assert_eq!(removed, [("spare".into(), Data::Text("x".into()))]);

    let (new, removed) = carry::<_, fields::Renamed>(&old).unwrap();
    assert_eq!((new.life, new.spare.as_str()), (Some(7), "x"));
    assert_eq!(removed, []);

    let error = carry::<_, fields::Hard>(&old).unwrap_err();
    assert!(error.starts_with("field `more`: it was added"), "{error}");
    assert!(error.contains("#[reflect(Default)]"), "{error}");
}

#[test]
fn a_field_that_comes_back_is_found_in_limbo() {
    let data = Data::of(
        &fields::New {
            max: 1.0,
            current: 2.0,
        },
        &registry::<fields::New>(),
    )
    .unwrap();
    let limbo = |path: &str| (path == "spare").then(|| Data::Text("kept".into()));
    let (back, removed) = fit::<fields::Old>(&data, &limbo).unwrap();
    assert_eq!((back.current, back.spare.as_str()), (2, "kept"));
    assert_eq!(removed, [("max".into(), Data::F32(1.0))]);
    // What does not fit any more is as if it had never been there.
    let limbo = |path: &str| (path == "spare").then_some(Data::Bool(true));
    let (back, _) = fit::<fields::Old>(&data, &limbo).unwrap();
    assert_eq!(back.spare, "");
}

#[test]
fn numbers_change_their_type_only_without_loss() {
    macro_rules! check {
        ($from:expr => $to:ty, $expected:expr) => {
            let expected: Option<$to> = $expected;
            let data = Data::of(&$from, &TypeRegistry::new()).unwrap();
            let result = fit::<$to>(&data, &|_| None).ok().map(|(value, _)| value);
            assert_eq!(
                result,
                expected,
                "{} to {}",
                stringify!($from),
                stringify!($to)
            );
        };
    }
    check!(7_u32 => f32, Some(7.0));
    check!(16_777_217_u32 => f32, None);
    check!(16_777_217_u32 => f64, Some(16_777_217.0));
    check!(7_u32 => u64, Some(7));
    check!(i64::from(i32::MAX) => i32, Some(i32::MAX));
    check!(i64::from(i32::MAX) + 1 => i32, None);
    check!(-1_i32 => u32, None);
    check!(300_u16 => u8, None);
    check!(u128::MAX => i128, None);
    check!(u128::MAX => u128, Some(u128::MAX));
    check!(u64::MAX => f64, None);
    check!(i128::MAX => f64, None);
    check!(2.0_f32 => u8, Some(2));
    check!(2.5_f32 => u8, None);
    check!(f32::NAN => u8, None);
    check!(1e30_f32 => i64, None);
    check!(0.1_f32 => f64, Some(f64::from(0.1_f32)));
    check!(0.1_f64 => f32, None);
    check!(0.5_f64 => f32, Some(0.5));
    check!(f64::INFINITY => f32, Some(f32::INFINITY));
    check!(true => u8, None);
    check!(1_u8 => bool, None);
    check!('x' => String, Some("x".to_owned()));
    check!("text".to_owned() => u32, None);
    check!(5_u32 => Option<u8>, Some(Some(5)));
    check!(Some(5_u32) => u8, Some(5));
    check!(None::<u32> => u8, None);
    check!(vec![1_u8, 2] => [u32; 2], Some([1, 2]));
    check!(vec![1_u8, 2] => [u32; 3], None);
    check!([1_u8, 2] => Vec<i64>, Some(vec![1, 2]));
    check!(vec![1_u8, 1, 2] => HashSet<u32>, Some(HashSet::from([1, 2])));
    check!(HashMap::from([(1_u8, 2_u8)]) => BTreeMap<u64, f32>, Some(BTreeMap::from([(1, 2.0)])));
}

#[test]
fn a_misfit_names_its_path() {
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    struct Small {
        children: Vec<Small>,
        weight: i8,
    }
    let value = Nested {
        weight: 1,
        children: vec![
            Nested::default(),
            Nested {
                weight: 300,
                children: vec![],
            },
        ],
    };
    let error = carry::<_, Small>(&value).map(|_| ()).unwrap_err();
    assert!(
        error.starts_with("field `children[1].weight`: `300` does not fit `i8`"),
        "{error}"
    );
}

mod variants {
    use super::*;
    #[derive(Reflect, Debug, PartialEq)]
    pub(super) enum Renamed {
        Calm,
        #[reflect(@RenamedFrom("Angry"))]
        Furious(u32),
    }
}

#[test]
fn variants_are_found_by_name() {
    use variants::Renamed;
    assert_eq!(carry::<_, Renamed>(&Mood::Calm).unwrap().0, Renamed::Calm);
    assert_eq!(
        carry::<_, Renamed>(&Mood::Angry(4)).unwrap().0,
        Renamed::Furious(4)
    );
    let error = carry::<_, Renamed>(&Mood::Afraid { of: String::new() }).unwrap_err();
    assert!(error.contains("no variant `Afraid` any more"), "{error}");
}

#[test]
fn data_is_found_by_path_and_goes_through_a_file() {
    let data = Data::of(&everything(), &registry::<Everything>()).unwrap();
    let weight = data.at("nested.children[0].weight");
    assert_eq!(weight, Some(&Data::Int(i64::MIN.into())));
    assert_eq!(data.at("list[1].0"), Some(&Data::Int(3)));
    for path in ["nested.nothing", "list[7]", "list[", "flag.x", "list[x]"] {
        assert_eq!(data.at(path), None, "{path}");
    }
    let bytes = postcard::to_allocvec(&data).unwrap();
    let back: Data = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(back, data);
    assert_eq!(fit::<Everything>(&back, &|_| None).unwrap().0, everything());
}

mod returning {
    use super::*;
    macro_rules! types {
        ($module:ident, $weight:ty) => {
            pub mod $module {
                use super::*;
                #[derive(Reflect, Debug, PartialEq, Default)]
                #[reflect(Default)]
                pub struct Tree {
                    pub branches: Vec<Branch>,
                }
                #[derive(Reflect, Debug, PartialEq, Default)]
                #[reflect(Default)]
                pub struct Branch {
                    pub weight: $weight,
                    pub next: Vec<Branch>,
                    pub trees: Vec<Tree>,
                }
            }
        };
    }
    types!(old, u32);
    types!(new, f64);
}

#[test]
fn types_that_contain_each_other_are_followed_all_the_way() {
    macro_rules! tree {
        ($module:ident, $one:expr) => {{
            use returning::$module::{Branch, Tree};
            let leaf = || Branch {
                weight: $one,
                ..Branch::default()
            };
            let tree = |branch| Tree {
                branches: vec![branch],
            };
            let deep = Branch {
                trees: vec![tree(leaf())],
                ..leaf()
            };
            let deeper = Branch {
                next: vec![deep, leaf()],
                trees: vec![tree(leaf())],
                ..leaf()
            };
            tree(Branch {
                next: vec![deeper],
                ..leaf()
            })
        }};
    }
    let (made, removed) = carry::<_, returning::new::Tree>(&tree!(old, 1)).unwrap();
    assert_eq!(made, tree!(new, 1.0));
    assert_eq!(removed, []);
}

mod keyed {
    use super::*;
    #[derive(Reflect, Debug, PartialEq, Eq, Hash)]
    #[reflect(Hash, PartialEq)]
    pub(super) struct Fine(pub(super) u8, pub(super) u8);
    #[derive(Reflect, Debug, PartialEq, Eq, Hash)]
    #[reflect(Hash, PartialEq)]
    pub(super) struct Coarse(pub(super) u8);
}

#[test]
fn keys_that_would_fall_together_are_refused() {
    use keyed::{Coarse, Fine};
    let apart = HashMap::from([(Fine(1, 1), 1_u8), (Fine(2, 2), 2)]);
    let made = carry::<_, HashMap<Coarse, u8>>(&apart).unwrap().0;
    assert_eq!(made, HashMap::from([(Coarse(1), 1), (Coarse(2), 2)]));
    let together = HashMap::from([(Fine(1, 1), 1_u8), (Fine(1, 2), 2)]);
    let error = carry::<_, HashMap<Coarse, u8>>(&together).unwrap_err();
    assert!(error.contains("the same"), "{error}");
}

mod grown {
    use super::*;
    #[derive(Reflect, Debug, PartialEq, Default)]
    pub(super) enum Mood {
        #[default]
        Calm,
        Afraid {
            of: String,
            since: u32,
        },
    }
    #[derive(Reflect, Debug, PartialEq, Default)]
    pub(super) enum Forgiving {
        #[default]
        Calm,
        Afraid {
            of: String,
            #[reflect(default)]
            since: u32,
        },
    }
    #[derive(Reflect, Debug, PartialEq, Default)]
    #[reflect(Default)]
    pub(super) struct Held<M: Reflect + Default> {
        pub(super) mood: M,
    }
}

#[test]
fn a_variant_that_grew_is_refused_and_never_replaced_by_a_default() {
    use grown::{Forgiving, Held};
    #[derive(Reflect)]
    struct Old {
        mood: Mood,
    }
    let afraid = || Old {
        mood: Mood::Afraid { of: "dogs".into() },
    };
    let error =
        fit::<Held<grown::Mood>>(&Data::of(&afraid(), &registry::<Old>()).unwrap(), &|_| None)
            .unwrap_err();
    assert!(
        error.starts_with("field `mood.since`: it was added"),
        "{error}"
    );
    let made = carry::<_, Held<Forgiving>>(&afraid()).unwrap().0;
    assert_eq!(
        made.mood,
        Forgiving::Afraid {
            of: "dogs".into(),
            since: 0
        }
    );
}

#[test]
fn an_option_of_an_enum_is_unwrapped() {
    assert_eq!(
        carry::<_, Mood>(&Some(Mood::Angry(3))).unwrap().0,
        Mood::Angry(3)
    );
    assert_eq!(
        carry::<_, Option<Mood>>(&Mood::Calm).unwrap().0,
        Some(Mood::Calm)
    );
    assert!(carry::<_, Mood>(&None::<Mood>).is_err());
}

#[test]
fn a_foreign_type_that_is_another_under_the_same_path_is_refused() {
    mod old {
        use super::*;
        #[derive(Reflect, Clone, Debug, Default)]
        #[reflect(opaque, Clone, Default)]
        #[type_path = "game"]
        pub(super) struct Seed(pub(super) u32);
    }
    mod new {
        use super::*;
        #[derive(Reflect, Clone, Debug, Default)]
        #[reflect(opaque, Clone, Default)]
        #[type_path = "game"]
        pub(super) struct Seed;
    }
    #[derive(Reflect, Default, Debug)]
    #[reflect(Default)]
    struct Held<S: Reflect + Default> {
        seed: S,
    }
    let value = Held { seed: old::Seed(5) };
    let same = carry::<_, Held<old::Seed>>(&value).unwrap().0;
    assert_eq!(same.seed.0, 5);
    let error = carry::<_, Held<new::Seed>>(&value).unwrap_err();
    assert!(error.starts_with("field `seed`"), "{error}");
}
