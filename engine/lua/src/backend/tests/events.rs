//! Handlers of events and messages.

use super::*;

#[derive(Event, Reflect, Default, Clone)]
#[type_path = "game"]
struct Blast {
    power: u32,
    at: Option<Entity>,
}

#[derive(Event, bevy_reflect::TypePath)]
#[type_path = "game"]
struct Won;

#[derive(Message, Reflect, Clone)]
#[type_path = "game"]
struct Hit {
    damage: u32,
}

/// [`Blast`] of the next build.
mod edited {
    use super::*;

    #[derive(Event, Reflect, Default, Clone)]
    #[type_path = "game"]
    pub(super) struct Blast {
        pub(super) force: u32,
    }
}

fn types(m: &mut ModuleBuilder) {
    m.reflected_event::<Blast>().message::<Hit>();
}

const TEXT: &str = "
    local M = { seen = {} }
    local function add(text) M.seen[#M.seen + 1] = text end
    engine.on('Blast', function(blast) add('blast ' .. blast.power .. tostring(blast.at)) end)
    engine.on('Hit', function(hit) add('hit ' .. hit.damage) end)
    function M.take() local seen = table.concat(M.seen, ' ') M.seen = {} return seen end
    return M";

fn blast(power: u32) -> Blast {
    Blast { power, at: None }
}

#[test]
fn handlers_hear_events_and_messages_of_native_code_and_of_scripts() {
    let mut rig = Rig::new();
    rig.native(types);
    rig.load(&format!(
        "{}\nfunction M.both() world:trigger('Blast', {{ power = 7 }}) \
         world:send('Hit', {{ damage = 8 }}) end return M",
        TEXT.trim_end().trim_end_matches("return M")
    ))
    .unwrap();
    rig.world.write_message(Hit { damage: 1 });
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"hit 1\")", "it was queued");
    rig.world.trigger(blast(2));
    rig.world.write_message(Hit { damage: 3 });
    rig.world.trigger(blast(4));
    assert_eq!(rig.call("take"), "Str(\"\")", "not at once");
    rig.frame();
    assert_eq!(
        rig.call("take"),
        "Str(\"blast 2nil blast 4nil hit 3\")",
        "each in its order"
    );
    rig.call("both");
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"blast 7nil hit 8\")");
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"\")", "each once");
    // What the queue has forgotten is forgotten, what is new is heard.
    for _ in 0..3 {
        rig.world.resource_mut::<Messages<Hit>>().update();
    }
    rig.world.write_message(Hit { damage: 9 });
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"hit 9\")");
}

#[test]
fn a_reload_replaces_handlers_and_one_that_fails_leaves_none() {
    let mut rig = Rig::new();
    rig.native(types);
    rig.load(TEXT).unwrap();
    rig.frame();
    let broken = TEXT.replace("return M", "engine.on('Blast', add) error('no luck')");
    assert!(rig.load(&broken).unwrap_err().contains("no luck"));
    rig.world.trigger(blast(1));
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"blast 1nil\")", "once");

    // What was triggered before the reload comes to the new function.
    rig.world.trigger(blast(2));
    rig.world.write_message(Hit { damage: 3 });
    rig.load(&TEXT.replace("'blast '", "'boom '")).unwrap();
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"boom 2nil hit 3\")");

    let without = TEXT.lines().filter(|line| !line.contains("'Blast'"));
    rig.load(&without.collect::<Vec<_>>().join("\n")).unwrap();
    rig.world.trigger(blast(4));
    rig.world.write_message(Hit { damage: 5 });
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"hit 5\")", "nobody wants blasts");
}

#[test]
fn a_handler_is_cancelled_by_its_id_and_one_that_fails_is_paused() {
    let mut rig = Rig::new();
    rig.native(types);
    let text = "
        local M = { calls = 0 }
        local id
        id = engine.on('Blast', function(blast)
            M.calls = M.calls + 1
            if blast.power == 2 then engine.cancel(id) end
            if blast.power == 3 then return blast.pover end
        end)
        function M.take() return M.calls end
        return M";
    rig.load(text).unwrap();
    rig.frame();
    for power in [1, 3, 1] {
        rig.world.trigger(blast(power));
    }
    let failed = rig.frame();
    let expected = "`Blast` has no field `pover`; did you mean `power`?";
    assert!(failed.contains(expected), "{failed}");
    assert!(
        failed.contains("`engine.on` failed and is paused"),
        "{failed}"
    );
    assert_eq!(rig.call("take"), "Int(2)");
    rig.world.trigger(blast(1));
    rig.frame();
    assert_eq!(rig.call("take"), "Int(2)", "it is paused");
    rig.load(&text.replace("blast.pover", "nil")).unwrap();
    rig.frame();
    let before = rig.call("take");
    assert_eq!(before, "Int(3)", "what had come before it failed");
    for power in [3, 2, 1] {
        rig.world.trigger(blast(power));
    }
    rig.frame();
    assert_eq!(rig.call("take"), "Int(5)", "it has cancelled itself");
}

#[test]
fn a_type_that_is_not_there_is_heard_when_it_comes() {
    let mut rig = Rig::new();
    rig.load(TEXT).unwrap();
    rig.frame();
    rig.native(types);
    rig.frame();
    rig.world.trigger(blast(1));
    rig.world.write_message(Hit { damage: 2 });
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"blast 1nil hit 2\")");

    // Another build has it with other fields: those are what handlers see.
    rig.native(|m| {
        m.reflected_event::<edited::Blast>();
    });
    rig.load(&TEXT.replace("blast.power", "blast.force"))
        .unwrap();
    rig.frame();
    rig.world.trigger(edited::Blast { force: 6 });
    rig.frame();
    assert_eq!(
        rig.call("take"),
        "Str(\"\")",
        "`at` is gone, which is an error"
    );
    let text = TEXT.replace("blast.power .. tostring(blast.at)", "blast.force");
    rig.load(&text).unwrap();
    rig.world.trigger(edited::Blast { force: 7 });
    rig.frame();
    assert_eq!(rig.call("take"), "Str(\"blast 7\")");
}

#[test]
fn names_that_nobody_registers_are_errors_that_say_what_to_do() {
    let mut rig = Rig::new();
    rig.native(|m| {
        m.message::<Hit>().event::<Won>();
    });
    for (name, expected) in [
        ("Hitt", "there is no message `Hitt`; did you mean `Hit`?"),
        (
            "Explosion",
            "no native module registers an event `Explosion`; derive `Reflect` for it and add \
             `m.reflected_event::<Explosion>()` to the module function",
        ),
        (
            "Won",
            "event `Won` is registered without reflection; derive `Reflect` for it and register \
             it with `m.reflected_event::<Won>()`",
        ),
    ] {
        let lua = mlua::Lua::new();
        let names = [name.to_owned()];
        let found = crate::world::events::sources(&lua, &mut rig.world, &names);
        assert_eq!(found, [Err(expected.to_owned())]);
    }
}
