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
            "event `Won` is registered without reflection; derive `Reflect` for it and register \
             it with `m.reflected_event::<Won>()`",
        ),
        (
            "world:trigger('Blast', { pover = 3 })",
            "`Blast`: `Blast` has no field `pover`; did you mean `power`?",
        ),
        (
            "world:trigger('Blast', { power = 'much' })",
            "`Blast.power`: a whole number from 0 to 4294967295 was expected, not \"much\"",
        ),
        (
            "world:trigger('Blest')",
            "there is no event `Blest`; did you mean `Blast`?",
        ),
    ]);
    stage.world.remove_resource::<Messages<Hit>>();
    assert_eq!(
        stage.run("world:send('Hit')").unwrap_err(),
        "message `Hit` was not sent: it cannot be made of this, or its queue is not there"
    );
}

#[test]
fn observers_hear_what_scripts_trigger_before_they_go_on() {
    let mut stage = Stage::new();
    stage.world.add_observer(
        |blast: On<Blast>, mut commands: Commands, mut score: ResMut<Score>| {
            score.points += blast.power;
            if let Some(at) = blast.at {
                commands.entity(at).insert(Burning { heat: 1.0 });
            }
        },
    );
    let script = "world:trigger('Blast', { power = 3, at = ship }) \
                  world:trigger('Blast', { power = 4 }) world:trigger('Blast') \
                  return world:resource('Score').points .. ' ' .. tostring(world:has(ship, 'Burning'))";
    assert_eq!(stage.run(script).unwrap(), "17 true");
}
