//! Resources, messages and events.

use super::*;

#[test]
fn resources_messages_and_events() {
    let mut stage = Stage::new();
    let script = "local score = world:resource('Score') score.points = score.points + 5 \
                  world:send('Hit', { damage = 3, by = ship }) world:send('Hit') \
                  return score.points";
    assert_eq!(stage.run(script).unwrap(), "15");
    assert_eq!(stage.world.resource::<Score>().points, 15);
    let mut hits = stage.world.resource_mut::<Messages<Hit>>();
    let by = Some(stage.ship);
    let expected = [Hit { damage: 3, by }, Hit::default()];
    assert_eq!(hits.drain().collect::<Vec<_>>(), expected);
    check_errors(&[
        (
            "world:send('Hit', { damage = -1 })",
            "`Hit.damage`: a whole number from 0 to 4294967295 was expected, not -1",
        ),
        (
            "world:send('Won')",
            "`Won` is no message: it is registered as event",
        ),
        (
            "world:trigger('Won')",
            "event `Won` cannot be triggered by scripts: events are registered without \
             reflection; make it a message (`m.message::<Won>()`) and use `world:send`, or \
             trigger it in a native function",
        ),
    ]);
    stage.world.remove_resource::<Messages<Hit>>();
    assert_eq!(
        stage.run("world:send('Hit')").unwrap_err(),
        "message `Hit` was not sent: it cannot be made of this, or its queue is not there"
    );
}
