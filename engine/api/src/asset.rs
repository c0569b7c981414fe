//! Resources read from RON text: levels, tuning values.
//!
//! An asset is an ordinary resource that derives `Reflect` and `Default`. The
//! engine reads the file, the module's code parses and checks it, and the value
//! replaces the resource between two frames. A file that does not fit changes
//! nothing.

use bevy_ecs::resource::Resource;
use bevy_ecs::world::World;
use bevy_reflect::serde::TypedReflectDeserializer;
use bevy_reflect::{FromReflect, GetTypeRegistration, TypePath, TypeRegistry, Typed};
use serde::de::DeserializeSeed;

/// What is wrong with an asset's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AssetError {
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column, from 1; 0 when the whole file is meant.
    pub column: u32,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A parsed value, ready to become the resource.
pub type ParsedAsset = Box<dyn FnOnce(&mut World) + Send>;

/// Makes a value of text, or says what is wrong with the text.
pub type AssetParser = Box<dyn Fn(&str) -> Result<ParsedAsset, AssetError> + Send + Sync>;

/// An asset that a module wants.
pub struct AssetRegistration {
    /// Path below the assets folder, with `/`.
    pub path: String,
    /// Parses and checks text. Runs off the frame loop.
    pub parse: AssetParser,
}

impl AssetRegistration {
    /// Describes an asset of type `T`; `check` says what is wrong with a value.
    pub(crate) fn new<T>(path: &str, check: fn(&T) -> Result<(), String>) -> Self
    where
        T: Resource + FromReflect + Typed + TypePath + GetTypeRegistration,
    {
        Self {
            path: path.to_owned(),
            parse: Box::new(move |text| {
                let value: T = parse(text)?;
                check(&value).map_err(|message| AssetError {
                    line: 0,
                    column: 0,
                    message,
                })?;
                Ok(Box::new(move |world| world.insert_resource(value)))
            }),
        }
    }
}

fn parse<T: FromReflect + Typed + GetTypeRegistration>(text: &str) -> Result<T, AssetError> {
    let mut registry = TypeRegistry::default();
    registry.register::<T>();
    let wrong = |error: ron::error::SpannedError| AssetError {
        line: error.span.start.line as u32,
        column: error.span.start.col as u32,
        message: error.code.to_string(),
    };
    let whole = |message: String| AssetError {
        line: 0,
        column: 0,
        message,
    };
    let mut deserializer = ron::Deserializer::from_str(text).map_err(wrong)?;
    let registration = registry
        .get(std::any::TypeId::of::<T>())
        .ok_or_else(|| whole(format!("`{}` is not registered", T::type_path())))?;
    let value = TypedReflectDeserializer::new(registration, &registry)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|code| wrong(deserializer.span_error(code)))?;
    T::from_reflect(value.as_ref()).ok_or_else(|| {
        whole(format!(
            "fields of `{}` are missing; write them or derive `Default` and add `#[reflect(Default)]`",
            T::type_path()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[derive(Resource, Reflect, Default, Debug, PartialEq)]
    #[reflect(Default)]
    struct Tuning {
        speed: f32,
        waves: Vec<Wave>,
    }
    #[derive(Reflect, Default, Debug, PartialEq)]
    #[reflect(Default)]
    struct Wave {
        enemies: u32,
        name: String,
    }

    fn fast(tuning: &Tuning) -> Result<(), String> {
        if tuning.speed > 0.0 {
            Ok(())
        } else {
            Err("speed must be over 0".into())
        }
    }

    fn load(text: &str) -> Result<World, AssetError> {
        let asset = AssetRegistration::new::<Tuning>("tuning.ron", fast);
        let apply = (asset.parse)(text)?;
        let mut world = World::new();
        apply(&mut world);
        Ok(world)
    }

    #[test]
    fn good_text_becomes_the_resource() {
        let world =
            load("(speed: 2.5, waves: [(enemies: 3, name: \"first\"), (enemies: 4)])").unwrap();
        let expected = Tuning {
            speed: 2.5,
            waves: vec![
                Wave {
                    enemies: 3,
                    name: "first".into(),
                },
                Wave {
                    enemies: 4,
                    name: String::new(),
                },
            ],
        };
        assert_eq!(*world.resource::<Tuning>(), expected);
    }

    #[test]
    fn bad_text_says_what_and_where() {
        let check = |text: &str, line: u32, part: &str| {
            let Err(error) = load(text) else {
                panic!("{text} was accepted")
            };
            assert_eq!(error.line, line, "{error:?}");
            assert!(error.message.contains(part), "{error:?}");
        };
        check("(speed: 1.0,\n waves: [", 2, "");
        check("(speed: 1.0,\n sped: 2.0)", 2, "sped");
        check("(speed: \"fast\")", 1, "");
        check("(speed: 1.0) trailing", 1, "");
        check("(speed: -1.0)", 0, "speed must be over 0");
        check("", 1, "");
    }
}
