//! Edits that every value survives.

use liveloop_tests::cases::{Case, case};

/// All of them, in one edit.
#[rustfmt::skip]
pub const ACCEPTED: &[Case] = &[
    // Numbers, plain types: bytes are converted by plan.
    case("u8_to_u32", "struct T { a: u8, b: u8 }", "T { a: 7, b: 255 }, T { a: 0, b: 1 }",
        "struct T { a: u32, b: u8 }", "T { a: 7, b: 255 }; T { a: 0, b: 1 }").and_back("T { a: 7, b: 255 }; T { a: 0, b: 1 }"),
    case("u32_to_u8", "struct T { a: u32, b: u32 }", "T { a: 255, b: 70_000 }",
        "struct T { a: u8, b: u32 }", "T { a: 255, b: 70000 }").and_back("T { a: 255, b: 70000 }"),
    case("i8_to_i64", "struct T { a: i8, b: i8 }", "T { a: -128, b: 127 }",
        "struct T { a: i64, b: i16 }", "T { a: -128, b: 127 }").and_back("T { a: -128, b: 127 }"),
    case("i64_to_i16", "struct T { a: i64, b: i64 }", "T { a: -32_768, b: i64::MIN }",
        "struct T { a: i16, b: i64 }", "T { a: -32768, b: -9223372036854775808 }"),
    case("unsigned_to_signed", "struct T { a: u16, b: u64 }", "T { a: 32_767, b: 5 }",
        "struct T { a: i16, b: i32 }", "T { a: 32767, b: 5 }").and_back("T { a: 32767, b: 5 }"),
    case("signed_to_unsigned", "struct T { a: i32, b: i8 }", "T { a: 2_147_483_647, b: 0 }",
        "struct T { a: u64, b: u8 }", "T { a: 2147483647, b: 0 }"),
    case("u32_to_f32", "struct T { value: u32 }", "T { value: 7 }, T { value: 16_777_216 }",
        "struct T { value: f32 }", "T { value: 7.0 }; T { value: 16777216.0 }").and_back("T { value: 7 }; T { value: 16777216 }"),
    case("i64_to_f64", "struct T { a: i64 }", "T { a: -9_007_199_254_740_992 }",
        "struct T { a: f64 }", "T { a: -9007199254740992.0 }").and_back("T { a: -9007199254740992 }"),
    case("f32_to_integer", "struct T { a: f32, b: f32 }", "T { a: 65_535.0, b: -3.0 }",
        "struct T { a: u16, b: i8 }", "T { a: 65535, b: -3 }"),
    case("f64_to_integer", "struct T { a: f64, b: f64 }", "T { a: -2e9, b: 4e9 }",
        "struct T { a: i32, b: u32 }", "T { a: -2000000000, b: 4000000000 }"),
    case("f32_to_f64", "struct T { a: f32, b: f32 }", "T { a: 0.5, b: -1e30 }",
        "struct T { a: f64, b: f32 }", "T { a: 0.5, b: -1e30 }").and_back("T { a: 0.5, b: -1e30 }"),
    case("f64_to_f32", "struct T { a: f64, b: f64 }", "T { a: 0.1_f32.into(), b: f64::INFINITY }",
        "struct T { a: f32, b: f32 }", "T { a: 0.1, b: inf }"),
    case("not_a_number", "struct T { a: f32, b: f64 }", "T { a: f32::NAN, b: f64::NAN }",
        "struct T { a: f64, b: f32 }", "T { a: NaN, b: NaN }"),
    case("u64_to_u128", "struct T { a: u64, b: u128 }", "T { a: u64::MAX, b: u128::MAX }",
        "struct T { a: u128, b: u128 }", "T { a: 18446744073709551615, b: 340282366920938463463374607431768211455 }"),
    case("u128_to_usize", "struct T { a: u128, b: i128 }", "T { a: 9, b: -9 }",
        "struct T { a: usize, b: isize }", "T { a: 9, b: -9 }").and_back("T { a: 9, b: -9 }"),
    case("isize_to_i8", "struct T { a: isize, b: usize }", "T { a: -128, b: 255 }",
        "struct T { a: i8, b: u8 }", "T { a: -128, b: 255 }"),

    // Fields.
    case("beside_heap", "struct T { name: String, n: u32, tags: Vec<String> }",
        "T { name: \"Ann\".into(), n: 7, tags: vec![\"a\".into(), \"b\".into()] }, T { name: \"x\".repeat(50), n: 0, tags: vec![] }",
        "struct T { n: f32, tags: Vec<String>, name: String }",
        "T { n: 7.0, tags: [\"a\", \"b\"], name: \"Ann\" }; T { n: 0.0, tags: [], name: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" }"),
    case("field_added", "struct T { a: u32 }", "T { a: 7 }",
        "struct T { name: String, a: u32, b: u8 }", "T { name: \"\", a: 7, b: 0 }"),
    case("field_added_with_default", "struct T { a: u32 }", "T { a: 7 }",
        "own struct T { max: f32, a: u32, name: String } impl Default for T { fn default() -> Self { T { max: 99.5, a: 1, name: \"new\".into() } } }",
        "T { max: 99.5, a: 7, name: \"new\" }"),
    case("field_added_to_plain", "struct T { a: u32, b: u8 }", "T { a: 7, b: 3 }",
        "own struct T { b: u8, max: f32, a: u32 } impl Default for T { fn default() -> Self { T { b: 9, max: -4.5, a: 9 } } }",
        "T { b: 3, max: -4.5, a: 7 }"),
    case("field_removed", "struct T { name: String, a: u32 }", "T { name: \"Ann\".into(), a: 7 }, T { name: \"Bob\".into(), a: 8 }",
        "struct T { a: u32 }", "T { a: 7 }; T { a: 8 }").and_back("T { name: \"Ann\", a: 7 }; T { name: \"Bob\", a: 8 }"),
    case("plain_field_removed", "struct T { a: u32, b: f32, c: u8 }", "T { a: 7, b: 0.5, c: 1 }, T { a: 8, b: 1.5, c: 2 }",
        "struct T { a: u32, c: u16 }", "T { a: 7, c: 1 }; T { a: 8, c: 2 }").and_back("T { a: 7, b: 0.5, c: 1 }; T { a: 8, b: 1.5, c: 2 }"),
    case("nested_field_removed", "struct In { x: u8, y: String } struct T { at: In }", "T { at: In { x: 1, y: \"deep\".into() } }",
        "struct In { x: u8 } struct T { at: In }", "T { at: In { x: 1 } }").and_back("T { at: In { x: 1, y: \"deep\" } }"),
    case("all_fields_replaced", "struct T { a: u32 }", "T { a: 7 }",
        "struct T { b: i8 }", "T { b: 0 }").and_back("T { a: 7 }"),
    case("fields_reordered", "struct T { a: u32, b: u32, c: f32 }", "T { a: 1, b: 2, c: 3.0 }",
        "struct T { c: f32, b: u32, a: u32 }", "T { c: 3.0, b: 2, a: 1 }").and_back("T { a: 1, b: 2, c: 3.0 }"),
    case("field_renamed", "struct T { current: f32, other: f32 }", "T { current: 7.0, other: 1.0 }",
        "struct T { other: f32, #[reflect(@RenamedFrom(\"current\"))] life: f32 }", "T { other: 1.0, life: 7.0 }"),
    case("field_renamed_and_retyped", "struct T { points: u32, name: String }", "T { points: 7, name: \"Ann\".into() }",
        "struct T { #[reflect(@RenamedFrom(\"hp points\"))] life: Option<f64>, #[reflect(@RenamedFrom(\"name\"))] title: String }",
        "T { life: Some(7.0), title: \"Ann\" }"),
    case("fields_swap_names", "struct T { a: u32, b: u32 }", "T { a: 1, b: 2 }",
        "struct T { #[reflect(@RenamedFrom(\"b\"))] a: u32, #[reflect(@RenamedFrom(\"a\"))] b: u32 }", "T { a: 1, b: 2 }"),
    case("private_fields", "mod inner { use super::*; pub struct P { x: u8, y: u8 } impl P { pub fn new() -> P { P { x: 3, y: 4 } } } } use inner::P; struct T { p: P, n: u8 }",
        "T { p: P::new(), n: 5 }",
        "mod inner { use super::*; pub struct P { y: u64, x: f32 } } use inner::P; struct T { p: P, n: u8 }", "T { p: P { y: 4, x: 3.0 }, n: 5 }"),
    case("tuple_struct", "struct T(u8, String);", "T(7, \"x\".into())",
        "struct T(u32, String, bool);", "T(7, \"x\", false)").and_back("T(7, \"x\")"),
    case("newtype", "struct T(u32);", "T(7)",
        "struct T(f32);", "T(7.0)").and_back("T(7)"),
    case("named_to_newtype", "struct T { value: u32 }", "T { value: 7 }",
        "struct T(#[reflect(@RenamedFrom(\"value\"))] u32);", "T(7)"),
    case("newtype_retyped_inside", "struct Points(u32); struct T { p: Points, q: u8 }", "T { p: Points(7), q: 1 }",
        "struct Points(i64); struct T { p: Points, q: u8 }", "T { p: Points(7), q: 1 }"),
    case("type_renamed", "struct T { a: u32, b: String }", "T { a: 7, b: \"x\".into() }",
        "component #[reflect(@RenamedFrom(\"T\"))] struct Life { b: String, a: u32 }
         pub fn register(m: &mut ModuleBuilder) { m.component::<Life>(); } pub fn show(world: &mut World) -> String { all::<Life>(world) }",
        "Life { b: \"x\", a: 7 }"),
    case("type_renamed_alone", "struct T { a: u32, b: String }", "T { a: 7, b: \"x\".into() }",
        "component #[reflect(@RenamedFrom(\"T\"))] struct Life { a: u32, b: String }
         pub fn register(m: &mut ModuleBuilder) { m.component::<Life>(); } pub fn show(world: &mut World) -> String { all::<Life>(world) }",
        "Life { a: 7, b: \"x\" }"),
    case("type_moved", "mod a { use super::*; pub struct T { pub x: u32, pub s: String } } use a::T; pub fn register(m: &mut ModuleBuilder) { m.component::<T>(); }
         pub fn make(world: &mut World) { world.spawn(T { x: 7, s: \"x\".into() }); } pub fn show(world: &mut World) -> String { all::<T>(world) }", "",
        "mod b { use super::*; #[reflect(@RenamedFrom(\"game_logic::cases::type_moved::a::T\"))] pub struct T { pub x: f32, pub s: String } } use b::T;
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>(); } pub fn show(world: &mut World) -> String { all::<T>(world) }",
        "T { x: 7.0, s: \"x\" }"),

    // Types within types: reflection's own descriptions are those of the first version.
    case("nested", "struct In { x: u32, y: u32 } struct T { at: In, n: u8 }", "T { at: In { x: 7, y: 8 }, n: 1 }",
        "struct In { x: f32, y: u32 } struct T { at: In, n: u8 }", "T { at: In { x: 7.0, y: 8 }, n: 1 }").and_back("T { at: In { x: 7, y: 8 }, n: 1 }"),
    case("nested_renamed", "struct In { x: u32 } struct T { at: In }", "T { at: In { x: 7 } }",
        "mod deep { use super::*; pub struct Place { pub x: u64 } } struct T { at: deep::Place }", "T { at: Place { x: 7 } }"),
    case("in_vec", "struct In { x: u32 } struct T { all: Vec<In> }", "T { all: vec![In { x: 7 }, In { x: 8 }] }, T { all: vec![] }",
        "struct In { x: f32 } struct T { all: Vec<In> }", "T { all: [In { x: 7.0 }, In { x: 8.0 }] }; T { all: [] }").and_back("T { all: [In { x: 7 }, In { x: 8 }] }; T { all: [] }"),
    case("in_vec_grown", "struct In { x: u32 } struct T { all: Vec<In> }", "T { all: vec![In { x: 7 }, In { x: 8 }] }",
        "own struct In { y: u64, x: u32 } impl Default for In { fn default() -> Self { In { y: 44, x: 1 } } } struct T { all: Vec<In> }",
        "T { all: [In { y: 44, x: 7 }, In { y: 44, x: 8 }] }"),
    case("in_vec_shrunk", "struct In { x: u32, s: String } struct T { all: Vec<In> }", "T { all: vec![In { x: 7, s: \"a\".into() }, In { x: 8, s: \"b\".into() }] }",
        "struct In { x: u32 } struct T { all: Vec<In> }", "T { all: [In { x: 7 }, In { x: 8 }] }").and_back("T { all: [In { x: 7, s: \"a\" }, In { x: 8, s: \"b\" }] }"),
    case("in_option", "struct In { x: u32 } struct T { a: Option<In>, b: Option<In> }", "T { a: Some(In { x: 7 }), b: None }",
        "struct In { x: f32 } struct T { a: Option<In>, b: Option<In> }", "T { a: Some(In { x: 7.0 }), b: None }"),
    case("in_hash_map", "struct In { x: u32 } struct T { by: HashMap<String, In> }", "T { by: HashMap::from([(\"a\".into(), In { x: 7 })]) }",
        "struct In { x: f32 } struct T { by: HashMap<String, In> }", "T { by: {\"a\": In { x: 7.0 }} }"),
    case("in_btree_map", "struct In { x: u32 } struct T { by: BTreeMap<u8, In> }", "T { by: BTreeMap::from([(1, In { x: 7 }), (2, In { x: 8 })]) }",
        "struct In { x: f32 } struct T { by: BTreeMap<u8, In> }", "T { by: {1: In { x: 7.0 }, 2: In { x: 8.0 }} }"),
    case("in_array", "struct In { x: u32 } struct T { all: [In; 2] }", "T { all: [In { x: 7 }, In { x: 8 }] }",
        "struct In { x: f32 } struct T { all: [In; 2] }", "T { all: [In { x: 7.0 }, In { x: 8.0 }] }"),
    case("in_tuple", "struct In { x: u32 } struct T { pair: (In, u8) }", "T { pair: (In { x: 7 }, 9) }",
        "struct In { x: f32 } struct T { pair: (In, u8) }", "T { pair: (In { x: 7.0 }, 9) }"),
    case("in_everything", "struct In { x: u32 } struct T { all: Vec<Option<HashMap<u8, [(In, u8); 1]>>> }", "T { all: vec![None, Some(HashMap::from([(3, [(In { x: 7 }, 2)])]))] }",
        "struct In { x: i64 } struct T { all: Vec<Option<HashMap<u8, [(In, u8); 1]>>> }", "T { all: [None, Some({3: [(In { x: 7 }, 2)]})] }"),
    case("without_default", "bare struct In { x: u32 } bare struct T { at: In, all: Vec<In> }", "T { at: In { x: 7 }, all: vec![In { x: 8 }] }",
        "bare struct In { x: f32 } bare struct T { at: In, all: Vec<In> }", "T { at: In { x: 7.0 }, all: [In { x: 8.0 }] }"),
    case("recursive", "struct T { weight: u32, parts: Vec<T> }", "T { weight: 1, parts: vec![T { weight: 2, parts: vec![T { weight: 3, parts: vec![] }] }] }",
        "struct T { parts: Vec<T>, weight: f64 }", "T { parts: [T { parts: [T { parts: [], weight: 3.0 }], weight: 2.0 }], weight: 1.0 }"),
    case("recursive_both_ways", "struct In { x: u32, up: Vec<T>, next: Vec<In> } struct T { all: Vec<In> }",
        "T { all: vec![In { x: 1, up: vec![], next: vec![In { x: 2, next: vec![], up: vec![T { all: vec![In { x: 3, up: vec![], next: vec![] }] }] }] }] }",
        "struct In { x: f32, up: Vec<T>, next: Vec<In> } struct T { all: Vec<In> }",
        "T { all: [In { x: 1.0, up: [], next: [In { x: 2.0, up: [T { all: [In { x: 3.0, up: [], next: [] }] }], next: [] }] }] }"),

    // Enums.
    case("variant_added", "enum T { #[default] Calm, Angry(u8) }", "T::Calm, T::Angry(3)",
        "enum T { Afraid { of: String }, #[default] Calm, Angry(u8) }", "Calm; Angry(3)").and_back("Calm; Angry(3)"),
    case("variants_reordered", "enum E { #[default] A, B, C } struct T { e: E, all: Vec<E> }", "T { e: E::A, all: vec![E::A, E::B, E::C] }",
        "enum E { C, B, #[default] A } struct T { e: E, all: Vec<E> }", "T { e: A, all: [A, B, C] }").and_back("T { e: A, all: [A, B, C] }"),
    case("discriminants_changed", "enum T { #[default] Idle = 1, Run = 7 }", "T::Idle, T::Run",
        "enum T { #[default] Idle = 7, Run = 1 }", "Idle; Run"),
    case("discriminants_of_variants_with_fields", "#[repr(u8)] enum T { #[default] None = 0, A(u32) = 1, B(u32) = 2 }", "T::A(7), T::B(8)",
        "#[repr(u8)] enum T { #[default] None = 0, A(u32) = 2, B(u32) = 1 }", "A(7); B(8)"),
    case("variant_renamed", "enum E { #[default] Calm, Angry(u8) } struct T { e: E }", "T { e: E::Angry(3) }, T { e: E::Calm }",
        "enum E { #[default] Calm, #[reflect(@RenamedFrom(\"Angry\"))] Furious(u32) } struct T { e: E }", "T { e: Furious(3) }; T { e: Calm }"),
    case("variant_fields", "enum T { #[default] Calm, Angry { at: u8, why: String } }", "T::Angry { at: 3, why: \"rain\".into() }",
        "enum T { #[default] Calm, Angry { why: String, #[reflect(@RenamedFrom(\"at\"))] level: f32 } }", "Angry { why: \"rain\", level: 3.0 }"),
    case("unused_variant_removed", "enum T { #[default] Calm, Angry(u8), Gone(String) }", "T::Angry(3), T::Calm",
        "enum T { #[default] Calm, Angry(u8) }", "Angry(3); Calm"),
    case("option_wraps", "struct T { a: u32, b: String, c: u32 }", "T { a: 7, b: \"x\".into(), c: 1 }",
        "struct T { a: Option<u32>, b: Option<String>, c: Option<f64> }", "T { a: Some(7), b: Some(\"x\"), c: Some(1.0) }").and_back("T { a: 7, b: \"x\", c: 1 }"),
    case("option_wraps_struct", "struct In { x: u32 } struct T { at: In }", "T { at: In { x: 7 } }",
        "struct In { x: u32 } struct T { at: Option<In> }", "T { at: Some(In { x: 7 }) }").and_back("T { at: In { x: 7 } }"),
    case("option_wraps_enum", "enum E { #[default] A, B(u8) } struct T { e: E }", "T { e: E::B(3) }, T { e: E::A }",
        "enum E { #[default] A, B(u8) } struct T { e: Option<E> }", "T { e: Some(B(3)) }; T { e: Some(A) }").and_back("T { e: B(3) }; T { e: A }"),
    case("option_retyped", "struct T { a: Option<u8>, b: Option<u8> }", "T { a: Some(7), b: None }",
        "struct T { a: Option<f64>, b: Option<f64> }", "T { a: Some(7.0), b: None }").and_back("T { a: Some(7), b: None }"),

    // Collections and texts.
    case("vec_to_array", "struct T { all: Vec<u8> }", "T { all: vec![1, 2, 3] }",
        "struct T { all: [u32; 3] }", "T { all: [1, 2, 3] }").and_back("T { all: [1, 2, 3] }"),
    case("vec_to_deque", "struct T { all: Vec<u8> }", "T { all: vec![1, 2, 3] }",
        "struct T { all: VecDeque<f32> }", "T { all: [1.0, 2.0, 3.0] }").and_back("T { all: [1, 2, 3] }"),
    case("vec_to_set", "struct T { all: Vec<String> }", "T { all: vec![\"a\".into()] }",
        "struct T { all: HashSet<String> }", "T { all: {\"a\"} }").and_back("T { all: [\"a\"] }"),
    case("map_kind", "struct T { by: HashMap<String, u32> }", "T { by: HashMap::from([(\"b\".into(), 2), (\"a\".into(), 1)]) }",
        "struct T { by: BTreeMap<String, f32> }", "T { by: {\"a\": 1.0, \"b\": 2.0} }"),
    case("map_keys", "key struct Key { x: u8, y: u8 } struct T { by: BTreeMap<u8, u8>, at: HashMap<Key, u8> }",
        "T { by: BTreeMap::from([(1, 2), (3, 4)]), at: HashMap::from([(Key { x: 1, y: 2 }, 3)]) }",
        "key struct Key { y: u32, x: u64 } struct T { by: BTreeMap<i64, u8>, at: HashMap<Key, u32> }", "T { by: {1: 2, 3: 4}, at: {Key { y: 2, x: 1 }: 3} }"),
    case("enum_keys", "key enum Key { #[default] A, B } struct T { by: BTreeMap<Key, u8> }", "T { by: BTreeMap::from([(Key::A, 1), (Key::B, 2)]) }",
        "key enum Key { B, C, #[default] A } struct T { by: BTreeMap<Key, u32> }", "T { by: {B: 2, A: 1} }"),
    case("set_of_numbers", "struct T { all: HashSet<u8> }", "T { all: HashSet::from([5]) }",
        "struct T { all: HashSet<i64> }", "T { all: {5} }"),
    case("char_to_string", "struct T { a: char, b: char }", "T { a: 'ß', b: 'x' }",
        "struct T { a: String, b: char }", "T { a: \"ß\", b: 'x' }"),
    case("text_kinds", "struct T { a: String, b: std::borrow::Cow<'static, str> }", "T { a: \"one\".into(), b: String::from(\"two\").into() }",
        "struct T { a: std::borrow::Cow<'static, str>, b: String }", "T { a: \"one\", b: \"two\" }").and_back("T { a: \"one\", b: \"two\" }"),
    case("foreign_types", "struct T { time: std::time::Duration, path: std::path::PathBuf, n: u8 }",
        "T { time: std::time::Duration::from_millis(1500), path: \"a/b\".into(), n: 1 }",
        "struct T { n: u16, path: std::path::PathBuf, time: std::time::Duration }", "T { n: 1, path: \"a/b\", time: 1.5s }"),
    case("opaque_type", "bare #[reflect(opaque)] #[reflect(Clone)] struct Seed(u32); bare struct T { seed: Seed, n: u8 }", "T { seed: Seed(77), n: 1 }",
        "bare #[reflect(opaque)] #[reflect(Clone)] struct Seed(u32); bare struct T { n: f32, seed: Seed }", "T { n: 1.0, seed: Seed(77) }"),

    // The world.
    case("resource", "struct R { level: u32, names: Vec<String> }", "R { level: 7, names: vec![\"Ann\".into()] }",
        "own struct R { names: Vec<String>, level: f32, lives: u8 } impl Default for R { fn default() -> Self { R { names: vec![], level: 0.0, lives: 3 } } }",
        "R { names: [\"Ann\"], level: 7.0, lives: 3 }").and_back("R { level: 7, names: [\"Ann\"] }"),
    case("entity_references", "bare struct T { target: Option<Entity>, all: Vec<Entity>, n: u8 }
         pub fn make(world: &mut World) { let a = world.spawn(T { target: None, all: vec![], n: 1 }).id(); let b = world.spawn(T { target: Some(a), all: vec![a, a], n: 2 }).id();
            world.get_mut::<T>(a).unwrap().target = Some(b); }", "",
        "bare struct T { n: u32, all: Vec<Entity>, target: Entity }
         pub fn show(world: &mut World) -> String { let found: Vec<(Entity, T)> = world.query::<(Entity, &T)>().iter(world).map(|(e, t)| (e, t.clone())).collect();
            found.iter().map(|(e, t)| { let to = found.iter().find(|(e, _)| *e == t.target).unwrap(); format!(\"{} to {} and back {} and {}\", t.n, to.1.n, to.1.target == *e, t.all.len()) }).collect::<Vec<_>>().join(\"; \") }",
        "1 to 2 and back true and 0; 2 to 1 and back true and 2"),
    case("hierarchy", "struct T { n: u8 } pub fn make(world: &mut World) { let up = world.spawn((T { n: 1 }, Name::new(\"up\".to_owned()))).id();
            for n in 2..4 { world.spawn((T { n }, ChildOf(up), Name::new(format!(\"child {n}\")))); } }", "",
        "struct T { n: f32 } pub fn show(world: &mut World) -> String { let (up, children) = world.query::<(Entity, &Children)>().iter(world).find(|(e, _)| world.get::<T>(*e).is_some()).unwrap();
            children.iter().map(|&c| format!(\"{} {} {}\", world.get::<Name>(c).unwrap(), world.get::<T>(c).unwrap().n, world.get::<ChildOf>(c).unwrap().0 == up)).collect::<Vec<_>>().join(\"; \") }",
        "child 2 2 true; child 3 3 true"),
    case("relations", "component bare #[relationship(relationship_target = Liked)] struct Likes(pub Entity); component bare #[relationship_target(relationship = Likes)] struct Liked(Vec<Entity>); struct T { n: u8 }
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Likes>().component::<Liked>(); }
         pub fn make(world: &mut World) { let up = world.spawn(T { n: 1 }).id(); for n in 2..4 { world.spawn((T { n }, Likes(up))); } }", "",
        "component bare #[relationship(relationship_target = Liked)] struct Likes(pub Entity); component bare #[relationship_target(relationship = Likes)] struct Liked(Vec<Entity>); struct T { n: f32 }
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Likes>().component::<Liked>(); }
         pub fn show(world: &mut World) -> String { let liked = world.query::<&Liked>().single(world).unwrap(); liked.0.iter().map(|e| world.get::<T>(*e).unwrap().n.to_string()).collect::<Vec<_>>().join(\"; \") }",
        "2; 3"),
    case("messages_in_flight", "struct M { n: u32 } struct R { written: u32, heard: Vec<u32> }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { for m in m.read() { r.heard.push(m.n); } }
         fn write(mut m: MessageWriter<M>, mut r: ResMut<R>) { r.written += 1; let n = r.written; m.write(M { n }); }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, (hear, write)); }", "R::default()",
        "own struct M { bonus: u8, n: f64 } impl Default for M { fn default() -> Self { M { bonus: 9, n: 0.0 } } } struct R { written: u32, heard: Vec<u32>, bonus: u32 }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { for m in m.read() { r.heard.push(m.n as u32); r.bonus = m.bonus as u32; } }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, hear); }
         pub fn show(world: &mut World) -> String { let r = world.resource::<R>(); let lost = (1..=r.written).filter(|n| !r.heard.contains(n)).count(); format!(\"{lost} lost, the last with {}\", r.bonus) }",
        "0 lost, the last with 9"),
    case("messages_are_heard_once", "struct M { n: u32 } struct R { written: u32, heard: u32 }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { r.heard += m.read().count() as u32; }
         fn write(mut m: MessageWriter<M>, mut r: ResMut<R>) { r.written += 1; m.write(M { n: 1 }); }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, (hear, write)); }", "",
        "struct M { n: f64 } struct R { written: u32, heard: u32 }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { r.heard += m.read().count() as u32; }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, hear); }
         pub fn show(world: &mut World) -> String { let r = world.resource::<R>(); format!(\"{} more heard than written\", i64::from(r.heard) - i64::from(r.written)) }",
        "0 more heard than written"),
    case("messages_of_a_renamed_type", "struct M { n: u32 } struct R { written: u32, heard: Vec<u32> }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { for m in m.read() { r.heard.push(m.n); } }
         fn write(mut m: MessageWriter<M>, mut r: ResMut<R>) { r.written += 1; let n = r.written; m.write(M { n }); }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, (hear, write)); }", "",
        "#[derive(Message)] #[reflect(@RenamedFrom(\"M\"))] struct Said { n: u32 } struct R { written: u32, heard: Vec<u32> }
         fn hear(mut m: MessageReader<Said>, mut r: ResMut<R>) { for m in m.read() { r.heard.push(m.n); } }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<Said>().systems(Update, hear); }
         pub fn show(world: &mut World) -> String { let r = world.resource::<R>(); format!(\"each once: {}\", r.written > 0 && r.heard == Vec::from_iter(1..=r.written)) }",
        "each once: true"),
    case("messages_of_a_type_that_stays", "struct M { n: u32 } struct R { written: u32, heard: Vec<u32> }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { for m in m.read() { r.heard.push(m.n); } }
         fn write(mut m: MessageWriter<M>, mut r: ResMut<R>) { r.written += 1; let n = r.written; m.write(M { n }); }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, (hear, write)); }", "",
        "struct M { n: u32 } struct R { written: u32, heard: Vec<u32> }
         fn hear(mut m: MessageReader<M>, mut r: ResMut<R>) { for m in m.read() { r.heard.push(m.n); } }
         pub fn register(m: &mut ModuleBuilder) { m.resource::<R>().message::<M>().systems(Update, hear); }
         pub fn show(world: &mut World) -> String { let r = world.resource::<R>(); format!(\"each once: {}\", r.written > 0 && r.heard == Vec::from_iter(1..=r.written)) }",
        "each once: true"),
    case("changes_are_seen_once", "struct T { n: u32 } struct R { made: u32, seen: u32, added: u32 }
         fn watch(c: Query<&T, Changed<T>>, a: Query<&T, Added<T>>, mut r: ResMut<R>) { r.seen += c.iter().count() as u32; r.added += a.iter().count() as u32; }
         fn change(mut t: Query<&mut T>, mut r: ResMut<R>) { for mut t in t.iter_mut().take(1) { t.n += 1; r.made += 1; } }
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>().resource::<R>().systems(Update, (watch, change)); }
         pub fn make(world: &mut World) { for _ in 0..3 { world.spawn(T { n: 0 }); } world.insert_resource(R::default()); }", "",
        "struct T { n: f32 } struct R { made: u32, seen: u32, added: u32 }
         fn watch(c: Query<&T, Changed<T>>, a: Query<&T, Added<T>>, mut r: ResMut<R>) { r.seen += c.iter().count() as u32; r.added += a.iter().count() as u32; }
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>().resource::<R>().systems(Update, watch); }
         pub fn show(world: &mut World) -> String { let r = world.resource::<R>(); format!(\"{} unseen, {} added\", i64::from(r.made + 3) - i64::from(r.seen), r.added) }",
        "0 unseen, 3 added"),
    case("component_removed", "struct T { n: u8, s: String }", "T { n: 1, s: \"one\".into() }, T { n: 2, s: \"two\".into() }",
        "pub fn register(_: &mut ModuleBuilder) {} pub fn show(_: &mut World) -> String { \"gone\".to_owned() }", "gone").and_back("T { n: 1, s: \"one\" }; T { n: 2, s: \"two\" }"),
    case("resource_removed", "struct R { n: u8, s: String }", "R { n: 1, s: \"one\".into() }",
        "pub fn register(_: &mut ModuleBuilder) {} pub fn show(_: &mut World) -> String { \"gone\".to_owned() }", "gone").and_back("R { n: 1, s: \"one\" }"),
    case("marker", "struct T; component struct N(u8); pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<N>(); } pub fn make(world: &mut World) { world.spawn((T, N(1))); world.spawn(N(2)); }", "",
        "struct T; component struct N(u32); pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<N>(); }
         pub fn show(world: &mut World) -> String { let mut shown: Vec<_> = world.query::<(&N, Has<T>)>().iter(world).map(|(n, t)| format!(\"{} {t}\", n.0)).collect(); shown.sort(); shown.join(\"; \") }", "1 true; 2 false"),
    case("marker_gets_a_field", "struct T;", "T, T",
        "own struct T { n: u8 } impl Default for T { fn default() -> Self { T { n: 5 } } }", "T { n: 5 }; T { n: 5 }").and_back("T; T"),
    case("marker_of_a_field", "struct T { s: String }", "T { s: \"kept\".into() }",
        "struct T;", "T").and_back("T { s: \"kept\" }"),
    case("to_sparse_set", "struct T { n: u8, s: String }", "T { n: 1, s: \"one\".into() }, T { n: 2, s: \"two\".into() }",
        "#[component(storage = \"SparseSet\")] struct T { n: u8, s: String }", "T { n: 1, s: \"one\" }; T { n: 2, s: \"two\" }").and_back("T { n: 1, s: \"one\" }; T { n: 2, s: \"two\" }"),
    case("to_table_and_retyped", "#[component(storage = \"SparseSet\")] struct T { n: u8 }", "T { n: 1 }, T { n: 2 }",
        "struct T { n: f32 }", "T { n: 1.0 }; T { n: 2.0 }").and_back("T { n: 1 }; T { n: 2 }"),
    case("required_components", "component struct Extra { n: u8 } fn extra() -> Extra { Extra { n: 4 } } #[require(Extra = extra())] struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn make(world: &mut World) { world.spawn((T { n: 1 }, Extra { n: 2 })); world.spawn(T { n: 3 }); }", "",
        "component struct Extra { n: f32 } fn extra() -> Extra { Extra { n: 6.0 } } #[require(Extra = extra())] struct T { n: f32 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn show(world: &mut World) -> String { let new = world.spawn(T { n: 5.0 }).id(); let text = world.query::<(&T, &Extra)>().iter(world).map(|(t, e)| format!(\"{} {}\", t.n, e.n)).collect::<Vec<_>>().join(\"; \"); world.despawn(new); text }",
        "1 2; 3 4; 5 6"),
    case("hooks", "#[component(on_add = added, on_remove = removed)] struct T { n: u8 } struct R { added: u32, removed: u32 }
         fn added(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().added += 1; } fn removed(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().removed += 1; }
         pub fn make(world: &mut World) { world.spawn(T { n: 1 }); world.spawn(T { n: 2 }); }", "",
        "#[component(on_add = added, on_remove = removed)] struct T { n: f32 } struct R { added: u32, removed: u32 }
         fn added(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().added += 100; } fn removed(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().removed += 100; }
         pub fn show(world: &mut World) -> String { let (a, r) = { let r = world.resource::<R>(); (r.added % 100, r.removed % 100) }; let before = world.resource::<R>().added; let new = world.spawn(T { n: 3.0 }).id(); let by = world.resource::<R>().added - before; world.despawn(new); format!(\"{a} added, {r} removed, {by} by the new hook\") }",
        "2 added, 0 removed, 100 by the new hook"),
    case("ignored_field", "own struct T { n: u8, #[reflect(ignore)] cache: u32 } impl Default for T { fn default() -> Self { T { n: 0, cache: 11 } } }", "T { n: 1, cache: 9 }",
        "own struct T { n: f32, #[reflect(ignore)] cache: u32 } impl Default for T { fn default() -> Self { T { n: 0.0, cache: 12 } } }", "T { n: 1.0, cache: 12 }"),
    case("ignored_field_of_a_type_that_stays", "struct T { n: u8, #[reflect(ignore)] cache: Vec<u32> }", "T { n: 1, cache: vec![9] }",
        "struct T { n: u8, #[reflect(ignore)] cache: Vec<u32> }", "T { n: 1, cache: [9] }").and_back("T { n: 1, cache: [9] }"),
    case("a_type_that_stays", "struct In { x: u32 } struct T { n: u8, all: Vec<In>, by: HashMap<String, u8> }", "T { n: 1, all: vec![In { x: 2 }], by: HashMap::new() }",
        "struct In { x: u32 } struct T { n: u8, all: Vec<In>, by: HashMap<String, u8> }", "T { n: 1, all: [In { x: 2 }], by: {} }"),
    case("ignored_field_retyped", "own struct T { n: u8, #[reflect(ignore)] cache: u32 } impl Default for T { fn default() -> Self { T { n: 0, cache: 11 } } }", "T { n: 1, cache: 9 }",
        "own struct T { n: u8, #[reflect(ignore)] cache: f32 } impl Default for T { fn default() -> Self { T { n: 0, cache: 12.0 } } }", "T { n: 1, cache: 12.0 }"),
    case("hook_changed_alone", "#[component(on_add = added)] struct T { n: u8 } struct R { added: u32 }
         fn added(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().added += 1; }
         pub fn make(world: &mut World) { world.spawn(T { n: 1 }); }", "",
        "#[component(on_add = added)] struct T { n: u8 } struct R { added: u32 }
         fn added(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().added += 100; }
         pub fn show(world: &mut World) -> String { let before = world.resource::<R>().added; let new = world.spawn(T { n: 3 }).id(); world.despawn(new); format!(\"{} by the new hook\", world.resource::<R>().added - before) }",
        "100 by the new hook"),
    case("hook_added_alone", "struct T { n: u8 } struct R { added: u32, removed: u32 }
         pub fn make(world: &mut World) { world.spawn(T { n: 1 }); }", "",
        "#[component(on_add = added, on_remove = removed)] struct T { n: u8 } struct R { added: u32, removed: u32 }
         fn added(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().added += 1; } fn removed(mut w: bevy_ecs::world::DeferredWorld, _: bevy_ecs::lifecycle::HookContext) { w.resource_mut::<R>().removed += 1; }
         pub fn show(world: &mut World) -> String { let of = |w: &World| { let r = w.resource::<R>(); (r.added, r.removed) }; let (a, r) = of(world); let new = world.spawn(T { n: 3 }).id(); world.despawn(new); let (b, s) = of(world); format!(\"{} added, {} removed\", b - a, s - r) }",
        "1 added, 1 removed"),
    case("relation_hooks_of_a_type_that_stays", "component bare #[relationship(relationship_target = Liked)] struct Likes(pub Entity); component bare #[relationship_target(relationship = Likes)] struct Liked(Vec<Entity>); struct T { n: u8 }
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Likes>().component::<Liked>(); }
         pub fn make(world: &mut World) { let up = world.spawn(T { n: 1 }).id(); for n in 2..4 { world.spawn((T { n }, Likes(up))); } }", "",
        "component bare #[relationship(relationship_target = Liked)] struct Likes(pub Entity); component bare #[relationship_target(relationship = Likes)] struct Liked(Vec<Entity>); struct T { n: u8 }
         pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Likes>().component::<Liked>(); }
         pub fn show(world: &mut World) -> String { let up = world.query_filtered::<Entity, With<Liked>>().single(world).unwrap(); let new = world.spawn(Likes(up)).id(); let with = world.get::<Liked>(up).unwrap().0.len(); world.despawn(new); let after = world.get::<Liked>(up).unwrap().0.len(); format!(\"{with}, then {after}\") }",
        "3, then 2"),
    case("required_component_changed_alone", "component struct Extra { n: u8 } fn extra() -> Extra { Extra { n: 4 } } #[require(Extra = extra())] struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn make(world: &mut World) { world.spawn(T { n: 1 }); }", "",
        "component struct Extra { n: u8 } fn extra() -> Extra { Extra { n: 6 } } #[require(Extra = extra())] struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn show(world: &mut World) -> String { let new = world.spawn(T { n: 5 }).id(); let n = world.get::<Extra>(new).unwrap().n; world.despawn(new); format!(\"{n} by the new code\") }",
        "6 by the new code"),
    case("required_component_retyped_alone", "component struct Extra { n: u8 } #[require(Extra)] struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn make(world: &mut World) { world.spawn((T { n: 1 }, Extra { n: 2 })); }", "",
        "component own struct Extra { s: String, n: f32 } impl Default for Extra { fn default() -> Self { Extra { s: \"new\".into(), n: 6.0 } } } #[require(Extra)] struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn show(world: &mut World) -> String { let kept = world.query::<&Extra>().single(world).unwrap().clone(); let new = world.spawn(T { n: 5 }).id(); let made = world.get::<Extra>(new).unwrap().clone(); world.despawn(new); format!(\"{} {}; {} {}\", kept.s, kept.n, made.s, made.n) }",
        "new 2; new 6"),
    case("requirement_added_alone", "component struct Extra { n: u8 } struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn make(world: &mut World) { world.spawn(T { n: 1 }); }", "",
        "component struct Extra { n: u8 } #[require(Extra)] struct T { n: u8 } pub fn register(m: &mut ModuleBuilder) { m.component::<T>().component::<Extra>(); }
         pub fn show(world: &mut World) -> String { let old = world.query::<&Extra>().iter(world).count(); let new = world.spawn(T { n: 5 }).id(); let has = world.get::<Extra>(new).is_some(); world.despawn(new); format!(\"{old}, {has}\") }",
        "0, true"),
    case("rename_undone", "struct T { a: u32, n: u8 }", "T { a: 7, n: 1 }",
        "struct T { #[reflect(@RenamedFrom(\"a\"))] b: u32, n: u8 }", "T { b: 7, n: 1 }").and_back("T { a: 7, n: 1 }"),
];
