//! Schemas that nobody wrote, edited at random: what both sides know of a value is kept,
//! and nothing panics.

use std::collections::BTreeMap;

use engine_api::schema::{FieldSchema, Note, Schema, Shape, StructKind, VariantSchema};
use proptest::prelude::*;

use super::*;

/// A type without a name.
#[derive(Debug, Clone, PartialEq)]
enum Type {
    Scalar(&'static str),
    Struct(Vec<Field>),
    Tuple(Vec<Type>),
    Enum(Vec<(String, Vec<Field>)>),
    Option(Box<Type>),
    List(Box<Type>),
    Array(Box<Type>, usize),
    Map(Box<Type>),
}

/// A field: its identity stays when its name changes.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    before: Vec<String>,
    ty: Type,
}

const TEXT: &str = "alloc::string::String";
const SCALARS: [&str; 12] = [
    "bool", "char", "u8", "i8", "u16", "i32", "u32", "i64", "u64", "f32", "f64", TEXT,
];

fn path(ty: &Type) -> String {
    match ty {
        Type::Scalar(path) => (*path).to_owned(),
        Type::Option(inner) => format!("core::option::Option<{}>", path(inner)),
        _ => "game::Part".to_owned(),
    }
}

fn shape(ty: &Type) -> Shape {
    let part = |name: &str, ty: &Type| Box::new(field_schema(name, &[], ty));
    match ty {
        Type::Scalar(_) => Shape::Opaque,
        Type::Struct(fields) => Shape::Struct {
            kind: StructKind::Named,
            fields: field_schemas(fields),
            layout: None,
            has_default: Note(true),
        },
        Type::Tuple(types) => Shape::Struct {
            kind: StructKind::Tuple,
            fields: (0..)
                .zip(types)
                .map(|(index, ty)| field_schema(&index.to_string(), &[], ty))
                .collect::<Vec<_>>(),
            layout: None,
            has_default: Note(false),
        },
        Type::Enum(variants) => Shape::Enum(
            variants
                .iter()
                .map(|(name, fields)| variant(name, StructKind::Named, field_schemas(fields)))
                .collect(),
        ),
        Type::Option(inner) => Shape::Enum(vec![
            variant("None", StructKind::Tuple, Vec::new()),
            variant(
                "Some",
                StructKind::Tuple,
                vec![field_schema("0", &[], inner)],
            ),
        ]),
        Type::List(item) => Shape::List(part("[]", item)),
        Type::Array(item, length) => Shape::Array(part("[]", item), *length),
        Type::Map(value) => Shape::Map(part("key", &Type::Scalar("u8")), part("value", value)),
    }
}

fn variant(name: &str, kind: StructKind, fields: Vec<FieldSchema>) -> VariantSchema {
    VariantSchema {
        name: name.to_owned(),
        kind,
        fields,
        tag: None,
        renamed_from: Note::default(),
    }
}

fn field_schemas(fields: &[Field]) -> Vec<FieldSchema> {
    let made = fields.iter();
    made.map(|field| field_schema(&field.name, &field.before, &field.ty))
        .collect()
}

fn field_schema(name: &str, before: &[String], ty: &Type) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        path: path(ty),
        shape: shape(ty),
        renamed_from: Note(before.to_vec()),
    }
}

fn schema(ty: &Type) -> Schema {
    Schema {
        unseen: Vec::new(),
        path: path(ty),
        size: 0,
        align: 1,
        places: None,
        needs_drop: true,
        sparse: false,
        shape: shape(ty),
        renamed_from: Note::default(),
    }
}

// Types, values and edits.

fn fields(ty: impl Strategy<Value = Type>) -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec(ty, 0..5).prop_map(|types| {
        let named = (0..).zip(types);
        named
            .map(|(index, ty): (u8, Type)| Field {
                name: char::from(b'a' + index).to_string(),
                before: Vec::new(),
                ty,
            })
            .collect()
    })
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop::sample::select(&SCALARS[..]).prop_map(Type::Scalar);
    leaf.prop_recursive(3, 24, 5, |inner| {
        let variants = prop::collection::vec(fields(inner.clone()), 1..4).prop_map(|all| {
            let named = (0..).zip(all);
            named.map(|(index, fields): (u8, _)| (char::from(b'A' + index).to_string(), fields))
                .collect()
        });
        prop_oneof![
            4 => fields(inner.clone()).prop_map(Type::Struct),
            1 => prop::collection::vec(inner.clone(), 1..4).prop_map(Type::Tuple),
            2 => variants.prop_map(Type::Enum),
            // `Some(None)` and `None` are one when an `Option` more is put around.
            1 => inner.clone().prop_filter("no option twice", |ty| !matches!(ty, Type::Option(_)))
                .prop_map(|ty| Type::Option(Box::new(ty))),
            1 => inner.clone().prop_map(|ty| Type::List(Box::new(ty))),
            1 => (inner.clone(), 0..3_usize).prop_map(|(ty, length)| Type::Array(Box::new(ty), length)),
            1 => inner.prop_map(|ty| Type::Map(Box::new(ty))),
        ]
    })
}

fn any_struct() -> impl Strategy<Value = Type> {
    fields(any_type()).prop_map(Type::Struct)
}

/// A value: small numbers, which fit every type of numbers.
fn value(ty: &Type, random: &mut impl FnMut(usize) -> usize) -> Data {
    let mut named = |fields: &[Field]| {
        fields
            .iter()
            .map(|field| (field.name.clone(), value(&field.ty, random)))
            .collect::<Vec<_>>()
    };
    match ty {
        Type::Struct(fields) => Data::Struct(named(fields)),
        Type::Enum(variants) => {
            let (name, fields) = &variants[random(variants.len())];
            let mut named = |fields: &[Field]| {
                let parts = fields.iter();
                parts
                    .map(|field| (field.name.clone(), value(&field.ty, random)))
                    .collect()
            };
            Data::Variant(name.clone(), named(fields))
        }
        Type::Tuple(types) => Data::Struct(
            (0..)
                .zip(types)
                .map(|(index, ty): (u8, _)| (index.to_string(), value(ty, random)))
                .collect(),
        ),
        Type::Option(inner) => match random(2) {
            0 => Data::Variant("None".to_owned(), Vec::new()),
            _ => Data::Variant(
                "Some".to_owned(),
                vec![("0".to_owned(), value(inner, random))],
            ),
        },
        Type::List(item) => Data::List((0..random(4)).map(|_| value(item, random)).collect()),
        Type::Array(item, length) => {
            Data::List((0..*length).map(|_| value(item, random)).collect())
        }
        Type::Map(item) => Data::Map(
            (0..random(4))
                .map(|key| (Data::Int(key as i128), value(item, random)))
                .collect(),
        ),
        Type::Scalar(path) => match *path {
            "bool" => Data::Bool(random(2) == 1),
            "char" => Data::Char(char::from(b'a' + random(26) as u8)),
            TEXT => Data::Text(format!("text {}", random(1000))),
            "f32" => Data::F32(random(100) as f32),
            "f64" => Data::F64(random(100) as f64),
            _ => Data::Int(random(100) as i128),
        },
    }
}

/// Changes a type in one place; numbers only become numbers.
fn edit(ty: &mut Type, random: &mut impl FnMut(usize) -> usize) {
    match ty {
        Type::Struct(fields) => {
            let count = fields.len();
            match random(7) {
                0 => {
                    let name = format!("new_{}", random(1000));
                    if !fields.iter().any(|field| field.name == name) {
                        let ty = Type::Scalar(SCALARS[random(SCALARS.len())]);
                        fields.insert(
                            random(count + 1),
                            Field {
                                name,
                                before: Vec::new(),
                                ty,
                            },
                        );
                    }
                }
                1 if count > 0 => drop(fields.remove(random(count))),
                2 if count > 0 => {
                    let name = format!("other_{}", random(1000));
                    let at = random(count);
                    if !fields.iter().any(|field| field.name == name) {
                        let before = std::mem::replace(&mut fields[at].name, name);
                        fields[at].before.push(before);
                    }
                }
                3 if count > 0 => fields.swap(random(count), 0),
                4 if count > 0 => {
                    let at = random(count);
                    let inner = &mut fields[at].ty;
                    if !matches!(inner, Type::Option(_)) {
                        *inner = Type::Option(Box::new(inner.clone()));
                    }
                }
                _ if count > 0 => edit(&mut fields[random(count)].ty, random),
                _ => {}
            }
        }
        Type::Enum(variants) => match random(3) {
            0 => variants.reverse(),
            1 => variants.insert(
                random(variants.len() + 1),
                (format!("New{}", random(1000)), Vec::new()),
            ),
            _ => {
                let at = random(variants.len());
                let fields = &mut variants[at].1;
                if !fields.is_empty() {
                    let at = random(fields.len());
                    edit(&mut fields[at].ty, random);
                }
            }
        },
        Type::Tuple(types) => {
            let at = random(types.len());
            edit(&mut types[at], random);
        }
        Type::Option(inner) | Type::List(inner) | Type::Array(inner, _) | Type::Map(inner) => {
            edit(inner, random);
        }
        Type::Scalar(path) => {
            const NUMBERS: [&str; 9] =
                ["u8", "i8", "u16", "i32", "u32", "i64", "u64", "f32", "f64"];
            if NUMBERS.contains(path) {
                *path = NUMBERS[random(NUMBERS.len())];
            } else if *path == "char" {
                *path = TEXT;
            }
        }
    }
}

/// What must come out, worked out from the types alone; `None` for a part that was not
/// there before.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    Added,
    Leaf(String),
    Fields(BTreeMap<String, Known>),
    Variant(String, BTreeMap<String, Known>),
    Items(Vec<Known>),
    Pairs(Vec<(String, Known)>),
}

fn leaf(data: &Data) -> String {
    match data {
        Data::Int(value) => value.to_string(),
        Data::F32(value) => value.to_string(),
        Data::F64(value) => value.to_string(),
        Data::Text(text) => format!("text {text}"),
        Data::Char(char) => format!("text {char}"),
        other => format!("{other:?}"),
    }
}

/// The fitted value; what is missing is [`Known::Added`].
fn found(made: &dyn PartialReflect, ty: &Type) -> Known {
    let registry = TypeRegistry::new();
    read(&Data::of(made, &registry).unwrap(), ty)
}

fn read(data: &Data, ty: &Type) -> Known {
    let named = |parts: &[(String, Data)], fields: &[Field]| {
        fields
            .iter()
            .map(|field| {
                let part = parts.iter().find(|(name, _)| *name == field.name);
                let known = part.map_or(Known::Added, |(_, data)| read(data, &field.ty));
                (field.name.clone(), known)
            })
            .collect()
    };
    match (ty, data) {
        (Type::Struct(fields), Data::Struct(parts)) => Known::Fields(named(parts, fields)),
        (Type::Tuple(types), Data::Struct(parts)) => Known::Items(
            types
                .iter()
                .zip(parts)
                .map(|(ty, (_, data))| read(data, ty))
                .collect(),
        ),
        (Type::Enum(variants), Data::Variant(name, parts)) => {
            let (_, fields) = variants.iter().find(|(known, _)| known == name).unwrap();
            Known::Variant(name.clone(), named(parts, fields))
        }
        (Type::Option(_), Data::Variant(name, _)) if name == "None" => Known::Items(Vec::new()),
        (Type::Option(inner), Data::Variant(_, parts)) => {
            Known::Items(vec![read(&parts[0].1, inner)])
        }
        (Type::List(item) | Type::Array(item, _), Data::List(items)) => {
            Known::Items(items.iter().map(|data| read(data, item)).collect())
        }
        (Type::Map(value), Data::Map(pairs)) => {
            let mut pairs: Vec<_> = pairs
                .iter()
                .map(|(key, data)| (leaf(key), read(data, value)))
                .collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Known::Pairs(pairs)
        }
        (_, data) => Known::Leaf(leaf(data)),
    }
}

/// What a value of the old type must be as one of the new.
fn expected(data: &Data, old: &Type, new: &Type) -> Known {
    let named = |parts: &[(String, Data)], old: &[Field], new: &[Field]| {
        new.iter()
            .map(|field| {
                let mut names = std::iter::once(&field.name).chain(&field.before);
                let before = names.find_map(|name| old.iter().find(|old| old.name == *name));
                let known = before.map_or(Known::Added, |before| {
                    let (_, data) = parts.iter().find(|(name, _)| *name == before.name).unwrap();
                    expected(data, &before.ty, &field.ty)
                });
                (field.name.clone(), known)
            })
            .collect()
    };
    match (old, new, data) {
        (Type::Option(old), Type::Option(new), Data::Variant(name, parts)) => match name.as_str() {
            "None" => Known::Items(Vec::new()),
            _ => Known::Items(vec![expected(&parts[0].1, old, new)]),
        },
        (old, Type::Option(new), data) => Known::Items(vec![expected(data, old, new)]),
        (Type::Struct(old), Type::Struct(new), Data::Struct(parts)) => {
            Known::Fields(named(parts, old, new))
        }
        (Type::Tuple(old), Type::Tuple(new), Data::Struct(parts)) => {
            let types = old.iter().zip(new).zip(parts);
            Known::Items(
                types
                    .map(|((old, new), (_, data))| expected(data, old, new))
                    .collect(),
            )
        }
        (Type::Enum(old), Type::Enum(new), Data::Variant(name, parts)) => {
            let fields = |variants: &[(String, Vec<Field>)]| {
                variants
                    .iter()
                    .find(|(known, _)| known == name)
                    .unwrap()
                    .1
                    .clone()
            };
            Known::Variant(name.clone(), named(parts, &fields(old), &fields(new)))
        }
        (
            Type::List(old) | Type::Array(old, _),
            Type::List(new) | Type::Array(new, _),
            Data::List(items),
        ) => Known::Items(items.iter().map(|data| expected(data, old, new)).collect()),
        (Type::Map(old), Type::Map(new), Data::Map(pairs)) => {
            let pairs = pairs
                .iter()
                .map(|(key, data)| (leaf(key), expected(data, old, new)));
            Known::Pairs(pairs.collect())
        }
        (_, _, data) => Known::Leaf(leaf(data)),
    }
}

/// Any tree at all.
fn any_data() -> impl Strategy<Value = Data> {
    let name = prop::sample::select(&["a", "b", "0", "1", "A", "B", "None", "Some", "x.y", ""][..]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Data::Bool),
        any::<char>().prop_map(Data::Char),
        any::<i128>().prop_map(Data::Int),
        any::<u128>().prop_map(Data::Uint),
        any::<f32>().prop_map(Data::F32),
        any::<f64>().prop_map(Data::F64),
        prop::sample::select(
            &[
                f64::NAN,
                f64::INFINITY,
                -0.0,
                1e300,
                9_007_199_254_740_993.0
            ][..]
        )
        .prop_map(Data::F64),
        ".{0,6}".prop_map(Data::Text),
        any::<u64>().prop_map(Data::Entity),
        (prop::sample::select(&SCALARS[..]), ".{0,6}")
            .prop_map(|(path, text)| Data::Foreign(path.to_owned(), text)),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let parts = || {
            let part = (name.clone().prop_map(str::to_owned), inner.clone());
            prop::collection::vec(part, 0..4)
        };
        prop_oneof![
            parts().prop_map(Data::Struct),
            (name.clone(), parts()).prop_map(|(name, parts)| Data::Variant(name.to_owned(), parts)),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Data::List),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Data::Map),
        ]
    })
}

/// A shape that may refer to anything above it, or beyond.
fn wild(ty: &Type, levels: usize) -> Schema {
    let mut made = schema(ty);
    if let Shape::Struct { fields, .. } = &mut made.shape {
        fields.push(FieldSchema {
            name: "a".to_owned(),
            path: "game::Part".to_owned(),
            shape: Shape::Recursive(levels),
            renamed_from: Note(vec!["b".to_owned()]),
        });
    }
    made
}

/// Takes fields out of a type, and out of what lies in it, and puts new ones in.
fn thin(ty: &mut Type, random: &mut impl FnMut(usize) -> usize) {
    match ty {
        Type::Struct(fields) => {
            fields.retain(|_| random(2) == 0);
            for field in &mut *fields {
                thin(&mut field.ty, random);
            }
            fields.push(Field {
                name: "new".to_owned(),
                before: Vec::new(),
                ty: Type::Scalar("u8"),
            });
        }
        Type::List(item) | Type::Array(item, _) | Type::Option(item) => thin(item, random),
        _ => {}
    }
}

/// Numbers from a seed (SplitMix64).
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_both_sides_know_is_kept(old in any_struct(), seed in any::<u64>(), edits in 0..12_usize) {
        let mut random = numbers(seed);
        let data = value(&old, &mut random);
        let mut new = old.clone();
        (0..edits).for_each(|_| edit(&mut new, &mut random));
        let registry = TypeRegistry::new();
        let fitter = Fitter { registry: &registry, limbo: &|_| None };
        let fitted = fitter.fit(&data, &schema(&new));
        let fitted = fitted.map_err(|misfit| TestCaseError::fail(format!("{misfit} {old:?} {new:?}")))?;
        prop_assert_eq!(found(&*fitted.value, &new), expected(&data, &old, &new), "{:?} {:?}", old, new);
    }

    #[test]
    fn what_went_to_limbo_comes_back(old in any_struct(), seed in any::<u64>()) {
        let mut random = numbers(seed);
        let data = value(&old, &mut random);
        let mut new = old.clone();
        thin(&mut new, &mut random);
        let registry = TypeRegistry::new();
        let forth = Fitter { registry: &registry, limbo: &|_| None }.fit(&data, &schema(&new));
        let forth = forth.map_err(|misfit| TestCaseError::fail(misfit.to_string()))?;
        let there = Data::of(&*forth.value, &registry).unwrap();
        let limbo = |path: &str| {
            let kept = forth.removed.iter().find(|(removed, _)| removed == path);
            kept.map(|(_, data)| data.clone())
        };
        let back = Fitter { registry: &registry, limbo: &limbo }.fit(&there, &schema(&old));
        let back = back.map_err(|misfit| TestCaseError::fail(misfit.to_string()))?;
        prop_assert_eq!(found(&*back.value, &old), read(&data, &old));
        prop_assert_eq!(back.restored.len(), forth.removed.len());
    }

    #[test]
    fn nothing_panics(ty in any_struct(), data in any_data(), kept in any_data(), levels in 0..6_usize) {
        let registry = TypeRegistry::new();
        let limbo = |path: &str| (path.len() % 2 == 1).then(|| kept.clone());
        let fitter = Fitter { registry: &registry, limbo: &limbo };
        let _ = fitter.fit(&data, &schema(&ty)).map_err(|misfit| misfit.to_string());
        let without = Fitter { registry: &registry, limbo: &|_| None };
        let _ = without.fit(&data, &wild(&ty, levels)).map_err(|misfit| misfit.to_string());
        let _ = without.fit(&value(&ty, &mut numbers(levels as u64)), &schema(&ty)).map(|fitted| {
            assert!(fitted.removed.is_empty());
        });
    }
}
