//! The globals `log`, `time` and `input`, and `print`.

use engine_api::bevy_ecs::resource::Resource;
use engine_api::bevy_ecs::world::World;
use engine_api::input::{Input, Key, MouseButton};
use engine_api::log::{self, Level};
use engine_api::time::Time;
use mlua::{
    Function, Lua, LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, Value,
    Variadic,
};

use super::access;
use super::problem::{instead, nearest};

/// Sets the globals.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.raw_set("time", lua.create_userdata(Clock)?)?;
    globals.raw_set("input", lua.create_userdata(Player)?)?;
    // That of Lua, whatever scripts put in its place.
    let tostring: Function = globals.raw_get("tostring")?;
    let mut functions = Vec::new();
    for (name, level) in LEVELS {
        let tostring = tostring.clone();
        let function = lua.create_function(move |lua, values: Variadic<Value>| {
            write(lua, &tostring, level, values)
        })?;
        if level == Level::Info {
            globals.raw_set("print", &function)?;
        }
        functions.push((name, function));
    }
    globals.raw_set("log", lua.create_userdata(Log(functions))?)
}

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

/// The global `log`: one function for each level.
struct Log(Vec<(&'static str, Function)>);

impl UserData for Log {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "log");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |_, this, name: String| {
            let function = this.0.iter().find(|(known, _)| *known == name);
            function
                .map(|(_, function)| function.clone())
                .ok_or_else(|| {
                    let instead = instead(&name, LEVELS.iter().map(|(known, _)| *known));
                    mlua::Error::runtime(format!("`log` has no function `{name}`; {instead}"))
                })
        });
    }
}

/// Writes a line, in the name of the file that is running.
fn write(
    lua: &Lua,
    tostring: &Function,
    level: Level,
    values: Variadic<Value>,
) -> mlua::Result<()> {
    let mut line = String::new();
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            line.push('\t');
        }
        let text: LuaString = tostring.call(value)?;
        line.push_str(&text.to_string_lossy());
    }
    let file = lua.inspect_stack(1, |caller| {
        let source = caller.source().short_src;
        source.map(|source| source.split('#').next().unwrap_or_default().to_owned())
    });
    let file = file.flatten().unwrap_or_else(|| "lua".to_owned());
    log::write(level, &file, format_args!("{line}"));
    Ok(())
}

/// Looks at a resource of the engine.
fn look<T: Resource, R>(
    lua: &Lua,
    name: &str,
    look: impl FnOnce(&T) -> mlua::Result<R>,
) -> mlua::Result<R> {
    access::with(lua, |context| {
        let world: &World = context.world;
        let found = world.get_resource::<T>();
        let missing = || mlua::Error::runtime(format!("this world has no {name}"));
        look(found.ok_or_else(missing)?)
    })
}

/// The global `time`.
struct Clock;

impl UserData for Clock {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "time");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, _, field: String| {
            look(lua, "time", |time: &Time| {
                Ok(match field.as_str() {
                    "delta" => Value::Number(time.step().as_secs_f64()),
                    "elapsed" => Value::Number(time.elapsed().as_secs_f64()),
                    "frame_time" => Value::Number(time.frame_time().as_secs_f64()),
                    "frame" => Value::Integer(time.frame().cast_signed()),
                    other => {
                        let fields = ["delta", "elapsed", "frame_time", "frame"];
                        let instead = instead(other, fields.into_iter());
                        let message = format!("`time` has no field `{other}`; {instead}");
                        return Err(mlua::Error::runtime(message));
                    }
                })
            })
        });
    }
}

/// The global `input`.
struct Player;

impl UserData for Player {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "input");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        type Question<T> = fn(&Input, T) -> bool;
        let keys: [(&str, Question<Key>); 3] = [
            ("held", Input::held),
            ("pressed", Input::pressed),
            ("released", Input::released),
        ];
        for (name, is_it) in keys {
            methods.add_function(name, move |lua, name: String| {
                let key = key(&name)?;
                look(lua, "input", |input: &Input| Ok(is_it(input, key)))
            });
        }
        let buttons: [(&str, Question<MouseButton>); 2] = [
            ("button_held", Input::button_held),
            ("clicked", Input::clicked),
        ];
        for (name, is_it) in buttons {
            methods.add_function(name, move |lua, name: String| {
                let button = button(&name)?;
                look(lua, "input", |input: &Input| Ok(is_it(input, button)))
            });
        }
        methods.add_function("mouse", |lua, ()| {
            look(lua, "input", |input: &Input| Ok(input.mouse().unzip()))
        });
    }
}

/// Keys by name; the others are characters.
const KEYS: [(&str, Key); 14] = [
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("Left", Key::Left),
    ("Right", Key::Right),
    ("Enter", Key::Enter),
    ("Esc", Key::Esc),
    ("Tab", Key::Tab),
    ("Backspace", Key::Backspace),
    ("Delete", Key::Delete),
    ("Home", Key::Home),
    ("End", Key::End),
    ("PageUp", Key::PageUp),
    ("PageDown", Key::PageDown),
    ("Space", Key::Char(' ')),
];

/// A key by name: `"a"`, `"Space"`, `"F1"`.
pub(crate) fn key(name: &str) -> mlua::Result<Key> {
    let mut characters = name.chars();
    if let (Some(character), None) = (characters.next(), characters.next()) {
        return Ok(Key::Char(character));
    }
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) {
        return Ok(*key);
    }
    let number = name
        .strip_prefix('F')
        .and_then(|number| number.parse().ok());
    if let Some(number @ 1..=12) = number {
        return Ok(Key::F(number));
    }
    let names = KEYS.iter().map(|(known, _)| *known);
    Err(mlua::Error::runtime(match nearest(name, names.clone()) {
        Some(nearest) => format!("there is no key `{name}`; did you mean `{nearest}`?"),
        None => format!(
            "there is no key `{name}`; keys are single characters, F1 to F12, {}",
            names.collect::<Vec<_>>().join(", ")
        ),
    }))
}

fn button(name: &str) -> mlua::Result<MouseButton> {
    match name {
        "left" => Ok(MouseButton::Left),
        "right" => Ok(MouseButton::Right),
        "middle" => Ok(MouseButton::Middle),
        _ => Err(mlua::Error::runtime(format!(
            "there is no mouse button `{name}`; there are `left`, `right`, `middle`"
        ))),
    }
}
