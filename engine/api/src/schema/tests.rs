use super::*;
use crate::prelude::*;

mod old {
    use super::*;
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    #[type_name = "Health"]
    pub struct Health {
        pub current: u32,
        pub stats: Stats,
        pub mood: Mood,
    }
    #[derive(Reflect, Default)]
    #[type_path = "game"]
    #[type_name = "Stats"]
    pub struct Stats {
        pub armor: u32,
    }
    #[derive(Reflect, Default)]
    #[type_path = "game"]
    #[type_name = "Mood"]
    pub enum Mood {
        #[default]
        Calm,
        Angry(u8),
    }
}
mod new {
    use super::*;
    macro_rules! health {
        ($module:ident, $current:ty, $armor:ty, $($variant:ident)*) => {
            pub mod $module {
                use super::*;
                #[derive(Reflect, Default)]
                #[reflect(Default)]
                #[type_path = "game"]
                #[type_name = "Health"]
                pub struct Health { pub current: $current, pub stats: Stats, pub mood: Mood }
                #[derive(Reflect, Default)]
                #[type_path = "game"]
                #[type_name = "Stats"]
                pub struct Stats { pub armor: $armor }
                #[derive(Reflect, Default)]
                #[type_path = "game"]
                #[type_name = "Mood"]
                pub enum Mood { #[default] Calm, Angry(u8), $($variant,)* }
            }
        };
    }
    health!(same, u32, u32,);
    health!(top, f32, u32,);
    health!(nested, u32, i32,);
    health!(variant, u32, u32, Afraid);
}

#[test]
fn differences_name_type_and_field() {
    let old = Schema::of::<old::Health>();
    let check = |new: Schema, expected: Option<&str>| {
        assert_eq!(
            old.difference(&new).map(|d| d.to_string()).as_deref(),
            expected
        );
        assert_eq!(old.hash() == new.hash(), expected.is_none());
    };
    check(Schema::of::<new::same::Health>(), None);
    check(
        Schema::of::<new::top::Health>(),
        Some("field `current` of `game::Health` changed from `u32` to `f32`"),
    );
    check(
        Schema::of::<new::nested::Health>(),
        Some("field `stats.armor` of `game::Health` changed from `u32` to `i32`"),
    );
    check(
        Schema::of::<new::variant::Health>(),
        Some(
            "field `mood` of `game::Health` changed its variants from Calm, Angry to Calm, \
             Angry, Afraid",
        ),
    );
}

#[derive(Reflect, Default)]
#[reflect(Default)]
#[type_path = "game"]
#[type_name = "Pair"]
struct RustPair(u8, u32, u8);
#[derive(Reflect, Default)]
#[reflect(Default)]
#[repr(C)]
#[type_path = "game"]
#[type_name = "Pair"]
struct CPair(u8, u32, u8);

#[test]
fn another_representation_of_the_same_fields_is_a_difference() {
    let difference = Schema::of::<RustPair>().difference(&Schema::of::<CPair>());
    assert!(difference.is_some());
}

mod one {
    use super::*;
    #[derive(Reflect)]
    #[type_path = "game"]
    pub enum Mode {
        Idle = 1,
        Run = 2,
    }
}
mod other {
    use super::*;
    #[derive(Reflect)]
    #[type_path = "game"]
    pub enum Mode {
        Idle = 2,
        Run = 1,
    }
}

#[test]
fn other_values_of_the_same_variants_are_a_difference() {
    let difference = Schema::of::<one::Mode>().difference(&Schema::of::<other::Mode>());
    assert_eq!(
        difference.unwrap().to_string(),
        "field `Idle` of `game::Mode` changed its value"
    );
}

#[derive(Reflect)]
struct Tree {
    name: String,
    children: Vec<Tree>,
    by_id: std::collections::HashMap<u32, Option<f32>>,
}
#[derive(Reflect)]
struct Label(&'static str);
#[derive(Reflect, Default)]
#[reflect(Default)]
struct Scripted {
    name: String,
    #[reflect(ignore)]
    #[expect(dead_code, reason = "it only needs a size")]
    script: Option<Box<dyn Fn() + Send + Sync>>,
}
#[derive(Reflect, Default)]
#[reflect(Default)]
struct Timed {
    seconds: u32,
    #[reflect(ignore)]
    #[expect(dead_code, reason = "it only needs a size")]
    then: Option<fn()>,
}
#[derive(Reflect, Default)]
#[reflect(Default)]
struct Flagged {
    seconds: u32,
    #[reflect(ignore)]
    #[expect(dead_code, reason = "it only needs a size")]
    done: bool,
}

#[test]
fn borrowed_text_unknown_types_and_ignored_fields_may_hold_code() {
    let hidden = |schema: Schema| {
        let parts = schema.parts_that_may_hold_code();
        parts.len() == 1 && parts[0].ends_with("that reflection ignores")
    };
    assert!(hidden(Schema::of::<Scripted>()));
    assert!(hidden(Schema::of::<Timed>()));
    assert!(hidden(Schema::of::<Vec<Timed>>()), "all the way down");
    assert_eq!(
        Schema::of::<Flagged>().parts_that_may_hold_code(),
        Vec::<String>::new()
    );
    assert_eq!(Schema::of::<Flagged>().hidden_bytes(), Some(4));
    assert_eq!(
        Schema::of::<Tree>().parts_that_may_hold_code(),
        Vec::<String>::new()
    );
    assert_eq!(Schema::of::<Label>().parts_that_may_hold_code(), ["&str"]);
}

mod unseen {
    use bevy_reflect::{GetTypeRegistration, Typed};

    use super::*;
    use crate::sources::Sources;

    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    pub struct Whole(u32, f32);
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    pub struct Ignoring(
        u32,
        #[reflect(ignore)]
        #[expect(dead_code, reason = "it only needs a size")]
        u32,
    );
    #[derive(Reflect)]
    #[type_path = "game"]
    pub struct WithoutDefault(u32);
    #[derive(Reflect, Clone)]
    #[reflect(opaque)]
    #[type_path = "game"]
    pub struct Closed(#[expect(dead_code, reason = "it only needs a size")] u32);
    #[derive(Reflect)]
    #[type_path = "game"]
    pub enum Bare {
        A,
        B,
    }
    #[derive(Reflect)]
    #[type_path = "game"]
    pub enum Full {
        A(u32),
        B,
    }
    #[derive(Reflect)]
    #[type_path = "game"]
    pub struct Foreign(std::time::Instant, Option<u8>, (u8, u32), Vec<Entity>);

    fn check<T: Typed + GetTypeRegistration>(expected: &[&str]) {
        let of = |number| {
            let mut schema = Schema::of::<T>();
            schema.look_into(&Sources {
                crates: &["game"],
                macros: number,
                ..Sources::NONE
            });
            schema
        };
        let (old, new) = (of(1), of(2));
        let paths: Vec<_> = old
            .unseen
            .iter()
            .map(|unseen| unseen.path.as_str())
            .collect();
        assert_eq!(paths, expected);
        assert_eq!(old.difference(&new).is_some(), !expected.is_empty());
        assert_eq!(old.hash() == new.hash(), expected.is_empty());
        assert_eq!(old.difference(&of(1)), None);
    }

    #[test]
    fn the_source_tells_apart_what_reflection_does_not() {
        check::<Whole>(&[]);
        check::<Vec<Whole>>(&[]);
        check::<Bare>(&[]);
        check::<Ignoring>(&["game::Ignoring"]);
        check::<WithoutDefault>(&["game::WithoutDefault"]);
        check::<Full>(&["game::Full"]);
        check::<Vec<(Closed, Ignoring)>>(&["game::Closed", "game::Ignoring"]);
        check::<Option<Closed>>(&["core::option::Option<game::Closed>", "game::Closed"]);
        check::<Foreign>(&["game::Foreign"]);
    }
}
