//! Modules that share types.

use super::*;

/// A module beside `one` that uses its types: says how many points there are.
fn neighbour(m: &mut ModuleBuilder) {
    fn points(healths: Query<&Health>, mut journal: ResMut<Journal>) {
        let sum: u32 = healths.iter().map(|health| health.points).sum();
        journal.0.push(format!("{sum} points"));
    }
    types(m).systems(Update, points);
}

/// The same, built with the other `Health`.
fn other_neighbour(m: &mut ModuleBuilder) {
    fn points(healths: Query<&other::Health>, mut journal: ResMut<Journal>) {
        let sum: f32 = healths.iter().map(|health| health.points).sum();
        journal.0.push(format!("{sum:.1} points"));
    }
    m.component::<other::Health>()
        .resource::<Journal>()
        .systems(Update, points);
}

/// `one`, built with the other `Health`.
fn other_one(m: &mut ModuleBuilder) {
    m.component::<other::Health>()
        .resource::<Score>()
        .resource::<Journal>()
        .systems(Update, say("other one"));
}

/// A game in which two modules use the same types.
fn pair() -> Game {
    let mut game = Game::with(one);
    assert_eq!(game.swap("other", neighbour), Ok(None));
    game.world.spawn(Health { points: 7 });
    game.frame();
    game
}

#[test]
fn modules_of_one_build_share_types_and_are_swapped_alone() {
    let mut game = pair();
    game.world.resource_mut::<Score>().points = 5;
    assert_eq!(game.frame(), ["one", "0 changed", "7 points"]);
    assert_eq!(game.swap("game", two), Ok(Some(1)));
    assert_eq!(game.swap("other", neighbour), Ok(Some(1)));
    assert_eq!(game.frame(), ["two", "0 changed", "7 points"]);
    assert_eq!(game.world.resource::<Score>().points, 5);
}

#[test]
fn messages_that_two_modules_register_are_kept_as_long_as_those_of_one() {
    let queued = |game: &mut Game| {
        game.world.write_message(Hit { points: 1 });
        game.frame();
        game.world.resource::<Messages<Hit>>().len()
    };
    assert_eq!(queued(&mut Game::with(one)), 1);
    assert_eq!(queued(&mut pair()), 1);
}

#[test]
fn modules_that_share_a_type_that_changes_are_swapped_together() {
    let mut game = pair();
    let before = game.fingerprint();
    for (module, build) in [("game", other_one as Build), ("other", other_neighbour)] {
        let error = game.swap(module, build).unwrap_err();
        assert!(
            error.contains("component `game::Health` is used by module `"),
            "{error}"
        );
        assert_eq!(game.fingerprint(), before);
    }
    let group = [("game", other_one as Build), ("other", other_neighbour)];
    let swapped = game.swap_together(&group).unwrap();
    let previous: Vec<_> = swapped
        .versions
        .iter()
        .map(|version| {
            (
                version.module.as_str(),
                version.previous.map(|key| key.number),
            )
        })
        .collect();
    assert_eq!(previous, [("game", Some(1)), ("other", Some(1))]);
    // One migration: each value was carried over once.
    let migrated: Vec<_> = swapped
        .migrated
        .iter()
        .map(|report| (report.type_path.as_str(), report.values))
        .collect();
    assert_eq!(migrated, [("game::Health", 1)]);
    assert_eq!(game.frame(), ["other one", "7.0 points"]);
}

#[test]
fn versions_of_two_builds_are_no_group() {
    let mut game = pair();
    let before = game.fingerprint();
    let group = [("game", other_one as Build), ("other", neighbour)];
    let refusal = game.swap_together(&group).err().unwrap();
    assert_eq!(refusal.module.as_deref(), Some("other"));
    assert!(
        refusal.message.contains("from another build"),
        "{refusal:?}"
    );
    assert_eq!(game.fingerprint(), before);
    assert_eq!(game.frame(), ["one", "0 changed", "7 points"]);
}

#[test]
fn a_version_that_fails_keeps_its_whole_group_out() {
    fn no_value(m: &mut ModuleBuilder) {
        other_neighbour(m);
        m.resource::<Extra>().resource::<Hopeless>();
    }
    fn deaf(m: &mut ModuleBuilder) {
        other_neighbour(m);
        m.resource::<Extra>()
            .observe(|_: On<Ping>| {})
            .after_reload(|_, _| Err("not today".to_owned()));
    }
    for (build, words) in [
        (no_value as Build, "there is no first value"),
        (deaf, "its `after_reload` failed: not today"),
    ] {
        // In whichever order they come.
        for reversed in [false, true] {
            let mut game = pair();
            let before = game.fingerprint();
            let mut group = [("game", other_one as Build), ("other", build)];
            if reversed {
                group.reverse();
            }
            let refusal = game.swap_together(&group).err().unwrap();
            assert_eq!(refusal.module.as_deref(), Some("other"));
            assert!(refusal.message.contains(words), "{refusal:?}");
            assert_eq!(game.fingerprint(), before);
            assert!(!game.world.contains_resource::<Extra>());
            assert_eq!(game.frame(), ["one", "0 changed", "7 points"]);
            assert_eq!(game.ping(), ["one hears"]);
            let group = [("game", other_one as Build), ("other", other_neighbour)];
            assert!(game.swap_together(&group).is_ok());
            assert_eq!(game.frame(), ["other one", "7.0 points"]);
        }
    }
}

#[test]
fn values_of_types_that_one_module_gave_up_belong_to_the_other() {
    fn empty(m: &mut ModuleBuilder) {
        m.resource::<Journal>();
    }
    let mut game = pair();
    assert_eq!(game.swap("game", empty), Ok(Some(1)));
    assert_eq!(game.frame(), ["7 points"]);
    // Nobody else uses them now.
    assert_eq!(game.swap("other", other_neighbour), Ok(Some(1)));
    assert_eq!(game.frame(), ["7.0 points"]);
}

#[test]
fn a_module_that_is_taken_out_leaves_its_values_and_nothing_else() {
    let mut game = pair();
    game.world.resource_mut::<Score>().points = 5;
    let (world, book) = (&mut game.world, &mut game.book);
    let retired = game.modules.remove("game", world, book, &game.registry);
    assert!(retired.is_some());
    drop(retired);
    assert_eq!(game.frame(), ["7 points"]);
    assert!(game.ping().is_empty(), "its observer is gone");
    assert!(
        game.call("version")
            .unwrap_err()
            .contains("no active version")
    );
    assert_eq!(game.registry.active("game"), None);
    // Another layout is no matter of the module that is gone.
    assert_eq!(game.swap("other", other_neighbour), Ok(Some(1)));
    // When it comes back, all is there.
    assert_eq!(game.swap("game", other_one), Ok(None));
    assert_eq!(game.frame(), ["other one", "7.0 points"]);
    assert_eq!(game.world.resource::<Score>().points, 5);
}

#[test]
fn a_module_with_another_name_is_the_module_it_was() {
    let mut game = pair();
    game.registry.rename_module("game", "arcade");
    game.modules.rename("game", "arcade");
    game.book.rename_module("game", "arcade");
    assert_eq!(game.frame(), ["one", "0 changed", "7 points"]);
    assert_eq!(game.swap("arcade", two), Ok(Some(1)));
    assert_eq!(game.frame(), ["two", "0 changed", "7 points"]);
    let names = ["other".to_owned(), "arcade".to_owned()];
    game.registry.list_modules(&names);
    game.modules.sort(&game.registry);
    let mut ran = game.frame();
    ran.retain(|line| line != "tick");
    assert_eq!(ran, ["7 points", "two", "0 changed"]);
    game.registry.list_modules(&names[..1]);
    assert!(game.registry.reserve("arcade").is_none());
}
