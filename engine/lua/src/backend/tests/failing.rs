//! What has failed.

use engine_api::prelude::Resource;

use super::*;

#[derive(Resource, Reflect, Default)]
#[type_path = "game"]
struct Score {
    value: u32,
}

#[test]
fn what_missed_a_type_is_tried_again_when_the_types_change() {
    let mut rig = Rig::new();
    rig.load(
        "local M, calls = {}, 0
        function M.update()
            calls = calls + 1
            local score = world:resource('Score')
            score.value = score.value + 1
        end
        function M.calls() return calls end
        return M",
    )
    .unwrap();
    let update = rig.stage.callee("game", "update");
    for _ in 0..2 {
        let failed = rig.stage.run(&mut rig.world, &update, &());
        let message = failed.unwrap_err().to_string();
        assert!(
            message.contains("Score") && message.contains("paused"),
            "{message}"
        );
    }
    assert_eq!(rig.call("calls"), "Int(1)", "it is paused");
    rig.native(|m| {
        m.resource::<Score>();
    });
    for _ in 0..2 {
        rig.stage.run(&mut rig.world, &update, &()).unwrap();
    }
    assert_eq!(rig.world.resource::<Score>().value, 2);
    // It fails in another way: once.
    rig.world.remove_resource::<Score>();
    for _ in 0..2 {
        assert!(rig.stage.run(&mut rig.world, &update, &()).is_err());
    }
    assert_eq!(rig.call("calls"), "Int(4)");
}

#[test]
fn all_that_is_paused_is_told_together() {
    let mut rig = Rig::new();
    rig.load(
        "engine.every(0.1, function() error('one') end)
        engine.every(0.25, function() error('two') end)
        engine.every(0.1, function() end)
        return {}",
    )
    .unwrap();
    let mut told = Vec::new();
    for _ in 0..8 {
        let step = Duration::from_millis(100);
        rig.world.resource_mut::<Time>().advance(step);
        let failed = rig.frame();
        if !failed.is_empty() {
            told.push((failed.contains("one"), failed.contains("two")));
        }
    }
    assert_eq!(told, [(true, false), (true, true)]);
}
