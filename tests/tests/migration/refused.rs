//! Edits that a value does not survive.

/// A value that an edit is refused for.
pub struct Refusal {
    pub case: liveloop_tests::cases::Case,
    /// What the message says of it.
    pub says: &'static [&'static str],
}

const fn refusal(
    name: &'static str,
    old: &'static str,
    values: &'static str,
    new: &'static str,
    says: &'static [&'static str],
) -> Refusal {
    let case = liveloop_tests::cases::case(name, old, values, new, "");
    Refusal { case, says }
}

/// One edit each.
#[rustfmt::skip]
pub const REFUSED: &[Refusal] = &[
    refusal("too_large", "struct T { a: u32, b: u8 }", "T { a: 1, b: 1 }, T { a: 300, b: 1 }",
        "struct T { a: u8, b: u8 }", &["field `a`", "`300`", "`u8`"]),
    refusal("negative", "struct T { a: i32 }", "T { a: -1 }",
        "struct T { a: u64 }", &["field `a`", "`-1`", "`u64`"]),
    refusal("fraction", "struct T { a: f32 }", "T { a: 2.5 }",
        "struct T { a: i32 }", &["field `a`", "`2.5`", "`i32`"]),
    refusal("too_precise_for_f32", "struct T { a: u32, s: String }", "T { a: 16_777_217, s: String::new() }",
        "struct T { a: f32, s: String }", &["field `a`", "`16777217`", "`f32`"]),
    refusal("double_too_precise", "struct T { a: f64 }", "T { a: 0.1 }",
        "struct T { a: f32 }", &["field `a`", "`0.1`", "`f32`"]),
    refusal("infinite", "struct T { a: f64 }", "T { a: f64::INFINITY }",
        "struct T { a: i128 }", &["field `a`", "`inf`", "`i128`"]),
    refusal("text_to_number", "struct T { name: String }", "T { name: \"7\".into() }",
        "struct T { name: u32 }", &["field `name`", "\"7\"", "`u32`"]),
    refusal("number_to_text", "struct T { a: u32 }", "T { a: 7 }",
        "struct T { a: String }", &["field `a`", "`7`", "String"]),
    refusal("nothing_to_something", "struct T { a: Option<u32> }", "T { a: Some(1) }, T { a: None }",
        "struct T { a: u32 }", &["field `a`", "`None`", "`u32`"]),
    refusal("array_length", "struct T { all: Vec<u8> }", "T { all: vec![1, 2, 3, 4] }",
        "struct T { all: [u8; 3] }", &["field `all`", "4 elements", "array of 3"]),
    refusal("variant_removed", "enum E { #[default] A, B } struct T { e: E }", "T { e: E::A }, T { e: E::B }",
        "enum E { #[default] A } struct T { e: E }", &["field `e`", "no variant `B`", "RenamedFrom"]),
    refusal("variant_field_added", "enum E { #[default] A, B { x: u8 } } struct T { e: E }", "T { e: E::B { x: 1 } }",
        "enum E { #[default] A, B { x: u8, why: String } } struct T { e: E }", &["field `e.why`", "added"]),
    refusal("variant_tuple_grew", "enum E { #[default] A, B(u8) } struct T { e: E }", "T { e: E::B(1) }",
        "enum E { #[default] A, B(u8, u8) } struct T { e: E }", &["field `e.1`", "added"]),
    refusal("no_default", "bare struct T { a: u32 }", "T { a: 1 }",
        "bare struct T { a: u32, more: u8 }", &["field `more`", "added", "#[reflect(Default)]"]),
    refusal("no_default_deep_down", "bare struct In { x: u8 } struct T { all: Vec<In> }", "T { all: vec![In { x: 1 }] }",
        "bare struct In { x: u8, y: u8 } struct T { all: Vec<In> }", &["field `all[0].y`", "added"]),
    refusal("deep_down", "struct In { x: u32 } struct T { all: HashMap<String, Vec<Option<In>>> }", "T { all: HashMap::from([(\"a\".into(), vec![None, Some(In { x: 1_000 })])]) }",
        "struct In { x: u8 } struct T { all: HashMap<String, Vec<Option<In>>> }", &["field `all[0].value[1]", "x`", "`1000`", "`u8`"]),
    refusal("tuple_field_before_others", "struct T(u8, String);", "T(1, \"x\".into())",
        "struct T(bool, u8, String);", &["field `0`"]),
    refusal("keys_fall_together", "key struct Key { x: u8, y: u8 } struct T { by: HashMap<Key, u8> }",
        "T { by: HashMap::from([(Key { x: 1, y: 1 }, 1), (Key { x: 1, y: 2 }, 2)]) }",
        "key struct Key { x: u8 } struct T { by: HashMap<Key, u8> }", &["field `by`", "key"]),
    refusal("opaque_type_changed", "own #[reflect(opaque)] #[reflect(Clone)] struct Seed(u32); impl Default for Seed { fn default() -> Self { Seed(5) } } struct T { seed: Seed }", "T { seed: Seed(77) }",
        "own #[reflect(opaque)] #[reflect(Clone)] struct Seed { a: u32, b: u8 } impl Default for Seed { fn default() -> Self { Seed { a: 5, b: 5 } } } struct T { seed: Seed }", &["field `seed`", "Seed`"]),
    refusal("struct_to_enum", "struct In { x: u8 } struct T { at: In }", "T { at: In { x: 1 } }",
        "enum In { #[default] A } struct T { at: In }", &["field `at`", "{x}", "In`"]),
    refusal("opaque_type_retyped", "own #[reflect(opaque)] #[reflect(Clone)] struct Seed(u32); impl Default for Seed { fn default() -> Self { Seed(5) } } struct T { seed: Seed }", "T { seed: Seed(77) }",
        "own #[reflect(opaque)] #[reflect(Clone)] struct Seed(f32); impl Default for Seed { fn default() -> Self { Seed(5.0) } } struct T { seed: Seed }", &["`seed`", "Seed`"]),
];
