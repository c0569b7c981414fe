//! The shipped files fit, and what does not fit is refused with a message that helps.

use engine_api::prelude::*;

use crate::tests::harness::{FILES, Harness, describe};
use crate::tuning::{Tuning, check};
use crate::waves::{LevelPlan, WavePlan, check_levels, check_waves};

fn file(path: &str) -> &'static str {
    FILES.iter().find(|(name, _)| *name == path).unwrap().1
}

#[test]
fn defaults_pass_their_own_checks() {
    assert_eq!(check(&Tuning::default()), Ok(()));
    assert_eq!(check_waves(&WavePlan::default()), Ok(()));
    assert_eq!(check_levels(&LevelPlan::default()), Ok(()));
}

#[test]
fn the_shipped_tuning_is_the_default_and_its_levels_exist() {
    let game = Harness::new();
    let shipped = game.world.resource::<Tuning>();
    assert_eq!(format!("{shipped:?}"), format!("{:?}", Tuning::default()));
    let levels = game.world.resource::<LevelPlan>();
    for wave in &game.world.resource::<WavePlan>().waves {
        assert!(
            levels.levels.iter().any(|level| level.name == wave.level),
            "{}",
            wave.level
        );
    }
}

#[test]
fn a_missing_field_has_its_default() {
    let mut game = Harness::new();
    game.load("tuning.ron", "(gun: (attack: 9))").unwrap();
    let tuning = game.world.resource::<Tuning>();
    assert_eq!(
        (tuning.gun.attack, tuning.gun.pierce),
        (9, Tuning::default().gun.pierce)
    );
}

#[test]
fn bad_files_are_refused_and_the_last_good_one_stays() {
    #[track_caller]
    fn refused(path: &str, before: &str, after: &str, parts: &[&str]) {
        let good = file(path);
        assert!(good.contains(before), "{before} is not in {path}");
        let text = good.replacen(before, after, 1);
        let mut game = Harness::new();
        let world = format!("{:?}", game.world.resource::<Tuning>());
        let message = game.load(path, &text).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert_eq!(world, format!("{:?}", game.world.resource::<Tuning>()));
    }
    refused(
        "tuning.ron",
        "thrust: 210.0",
        "thrust: -3.0",
        &["ship.thrust", "-3", "units/s²"],
    );
    refused(
        "tuning.ron",
        "thrust: 210.0",
        "trust: 210.0",
        &["trust", "thrust"],
    );
    refused("tuning.ron", "thrust: 210.0", "thrust: \"fast\"", &[]);
    refused("tuning.ron", "pierce: 2", "pierce: -2", &[]);
    refused(
        "tuning.ron",
        "homing: 0.9",
        "homing: 2",
        &["drones.seeker.homing", "0 to 1"],
    );
    refused(
        "tuning.ron",
        "rate: 9.0",
        "rate: NaN",
        &["gun.rate", "0.1 to 60"],
    );
    refused(
        "waves.ron",
        "count: 200, rate: 6.0",
        "count: 0",
        &["wave 1", "1 to 10000 drones"],
    );
    refused(
        "waves.ron",
        "Drifter, count",
        "Drifer, count",
        &["Drifer", "Drifter"],
    );
    refused("waves.ron", "rate: 30.0", "rate: 0.0", &["rate in wave 1"]);
    refused(
        "levels.ron",
        "name: \"pillars\"",
        "name: \"open\"",
        &["\"open\"", "another name"],
    );
    refused(
        "levels.ron",
        "width: 320.0",
        "width: 32.0",
        &["width of level \"open\"", "60"],
    );
    refused(
        "levels.ron",
        "x: -75.0, y: -45.0",
        "x: 0.0, y: 5.0",
        &["keep the middle free"],
    );
    refused(
        "levels.ron",
        "wall: (70, 110, 190)",
        "wall: (700, 110, 190)",
        &[],
    );
}

#[test]
fn a_syntax_error_says_where() {
    let description = describe();
    let asset = description
        .assets
        .iter()
        .find(|asset| asset.path == "waves.ron")
        .unwrap();
    let error = (asset.parse)("(\n  waves: [\n    (name: \"a\"\n")
        .map(|_| ())
        .unwrap_err();
    assert!(error.line >= 3, "{error:?}");
    for text in ["(waves: [])", "(waves: [(name: \"a\", groups: [])])"] {
        let error = (asset.parse)(text).map(|_| ()).unwrap_err();
        assert!(error.message.contains("for example"), "{error:?}");
    }
}

#[test]
fn a_saved_level_shows_at_once() {
    let mut game = Harness::new();
    game.frames(10);
    let smaller = file("levels.ron").replacen("width: 320.0", "width: 120.0", 1);
    game.load("levels.ron", &smaller).unwrap();
    game.frames(200);
    let half = game.world.resource::<crate::waves::Arena>().half();
    assert!((half.x - 60.0).abs() < 0.01);
    let mut drones = game
        .world
        .query_filtered::<&crate::motion::Position, With<crate::swarm::Drone>>();
    assert!(
        drones
            .iter(&game.world)
            .all(|position| position.0.x.abs() <= 60.0)
    );
}
