use engine_api::bevy_ecs::lifecycle::HookContext;
use engine_api::bevy_ecs::world::DeferredWorld;

use super::*;
use crate::checkpoint::{self, Capture, Checkpoint, Meta, Reason};

/// Owns something, requires another component, and tells when it is added.
#[derive(Component, Reflect, Default, Debug, PartialEq, Clone)]
#[reflect(Component, Default)]
#[type_path = "game"]
#[require(Health)]
#[component(on_add = tell)]
struct Label {
    text: String,
    owner: Option<Entity>,
}
#[derive(Component, Reflect, Default, Debug, PartialEq)]
#[reflect(Component, Default)]
#[component(storage = "SparseSet")]
#[type_path = "game"]
struct Marked(u8);

fn tell(mut world: DeferredWorld, _: HookContext) {
    if let Some(mut journal) = world.get_resource_mut::<Journal>() {
        journal.0.push("hook".to_owned());
    }
}

/// As another version has them.
mod later {
    use engine_api::prelude::*;
    #[derive(Component, Reflect, Default, Debug, PartialEq)]
    #[reflect(Component, Default, @RenamedFrom("Label"))]
    #[type_path = "game"]
    pub(super) struct Title {
        #[reflect(@RenamedFrom("text"))]
        pub(super) words: String,
        pub(super) size: u8,
    }
    #[derive(Component, Reflect, Default, Debug, PartialEq)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    #[type_name = "Marked"]
    pub(super) struct Texts(pub(super) String);
}

fn few(m: &mut ModuleBuilder) {
    m.component::<Health>().resource::<Journal>();
}
fn all(m: &mut ModuleBuilder) {
    few(m);
    m.component::<Label>()
        .component::<Marked>()
        .resource::<Score>()
        .message::<Hit>();
}
fn all_with_hook(m: &mut ModuleBuilder) {
    all(m);
    m.after_reload(|world: &mut World, _| {
        let labels = world.query::<&Label>().iter(world).count();
        world
            .resource_mut::<Journal>()
            .0
            .push(format!("{labels} labels"));
    });
}
fn all_refused(m: &mut ModuleBuilder) {
    all(m);
    m.after_reload(|_: &mut World, _| Err::<(), _>("not today"));
}
fn renamed(m: &mut ModuleBuilder) {
    few(m);
    m.component::<later::Title>()
        .component::<later::Texts>()
        .resource::<other::Score>();
}

fn capture(game: &Game) -> Checkpoint {
    let meta = Meta {
        modules: Vec::new(),
        frame: 1,
        elapsed: Duration::ZERO,
        saved_at_ms: 0,
        reason: Reason::Interval,
    };
    Capture::take(&game.world, &game.book, meta).into_checkpoint()
}

/// A checkpoint with values of all types.
fn saved() -> Checkpoint {
    let mut game = Game::with(all);
    let owner = game.world.spawn((Health { points: 1 }, Marked(4))).id();
    let label = |text: &str| Label {
        text: text.to_owned(),
        owner: Some(owner),
    };
    game.world
        .spawn((Health { points: 2 }, label("two"), Marked(5)));
    // What is required was removed.
    let three = game.world.spawn(label("three")).id();
    game.world.entity_mut(three).remove::<Health>();
    for text in ["four", "five"] {
        game.world.spawn((Health { points: 4 }, label(text)));
    }
    game.world.resource_mut::<Score>().points = 77;
    game.world.write_message(Hit { points: 9 });
    game.journal();
    capture(&game)
}

/// A game that goes on with the checkpoint and registers almost nothing.
fn resumed(checkpoint: &Checkpoint) -> Game {
    let mut game = Game::with(few);
    let report = checkpoint::restore(&mut game.world, &mut game.book, &[], checkpoint).unwrap();
    assert_eq!(report.unknown.len(), 4, "{:?}", report.unknown);
    game
}

/// Label, mark and health of each entity that has any, in the order of the labels.
fn shown(game: &mut Game) -> Vec<String> {
    let mut query = game
        .world
        .query::<(Option<&Label>, Option<&Marked>, Option<&Health>)>();
    let found = query.iter(&game.world);
    let mut shown: Vec<_> = found
        .filter(|(label, marked, health)| label.is_some() || marked.is_some() || health.is_some())
        .map(|(label, marked, health)| {
            let label = label.map_or("-", |label| &label.text);
            let marked = marked.map_or(0, |marked| marked.0);
            let health = health.map_or(0, |health| health.points);
            format!("{label} {marked} {health}")
        })
        .collect();
    shown.sort();
    shown
}

const SHOWN: [&str; 5] = ["- 4 1", "five 0 4", "four 0 4", "three 0 0", "two 5 2"];

fn check_back(game: &mut Game) {
    assert_eq!(shown(game), SHOWN);
    let mut owners = game.world.query::<(Entity, &Label)>();
    let owner = owners.iter(&game.world).find_map(|(_, label)| label.owner);
    assert_eq!(game.world.get::<Marked>(owner.unwrap()), Some(&Marked(4)));
    assert_eq!(game.world.resource::<Score>().points, 77);
    let hits = game.world.resource::<Messages<Hit>>();
    let hits: Vec<u32> = hits
        .iter_current_update_messages()
        .map(|hit| hit.points)
        .collect();
    assert_eq!(hits, [9]);
    assert!(game.book.limbo.is_empty(), "{:?}", game.book.limbo);
}

#[test]
fn types_that_a_checkpoint_brought_come_back_with_a_swap() {
    let checkpoint = saved();
    let mut game = resumed(&checkpoint);
    game.swap("game", all).unwrap();
    assert_eq!(game.journal(), [""; 0], "no hook hears of it");
    check_back(&mut game);
    // All works on: hooks, requirements, bundles that the world knew.
    let mut again = game.world.spawn(Label::default());
    assert!(again.contains::<Health>());
    again
        .insert(Marked(1))
        .remove::<Label>()
        .insert(Label::default());
    assert_eq!(game.journal(), ["hook"; 2]);

    // And with a world that is rebuilt, before its hooks run.
    let mut game = resumed(&checkpoint);
    let before = shown_in_limbo(&game);
    assert!(
        game.swap("game", all_refused)
            .unwrap_err()
            .contains("not today")
    );
    assert_eq!(
        shown_in_limbo(&game),
        before,
        "a refused version takes nothing"
    );
    game.swap("game", all_with_hook).unwrap();
    assert_eq!(game.journal(), ["4 labels"]);
    check_back(&mut game);
}

fn shown_in_limbo(game: &Game) -> Vec<(String, usize)> {
    let fields = game.book.limbo.fields().iter();
    fields
        .map(|field| (field.type_path.clone(), field.entities))
        .collect()
}

#[test]
fn what_comes_back_follows_its_type_and_what_does_not_fit_waits() {
    let mut game = resumed(&saved());
    game.swap("game", renamed).unwrap();
    let mut titles = game.world.query::<&later::Title>();
    let mut words: Vec<_> = titles.iter(&game.world).map(|title| &title.words).collect();
    words.sort();
    assert_eq!(words, ["five", "four", "three", "two"]);
    let score = game.world.resource::<other::Score>();
    assert_eq!((score.points, score.lives), (77, 3));
    // A number is no text.
    assert!(
        game.world
            .query::<&later::Texts>()
            .iter(&game.world)
            .next()
            .is_none()
    );
    let limbo = shown_in_limbo(&game);
    let expected = [("Hit", 1), ("Marked", 2), ("Title", 4)];
    for ((path, count), (name, expected)) in limbo.iter().zip(expected) {
        assert!(path.contains(name) && *count == expected, "{limbo:?}");
    }
}

#[test]
fn a_type_that_a_version_leaves_out_waits_in_the_world() {
    fn changed_without(m: &mut ModuleBuilder) {
        m.component::<other::Health>().resource::<Journal>();
    }
    fn back(m: &mut ModuleBuilder) {
        changed_without(m);
        m.component::<later::Title>()
            .component::<Marked>()
            .resource::<other::Score>();
    }
    let mut game = Game::with(all);
    let owner = None;
    for (points, text) in [(1, "one"), (2, "two")] {
        let text = text.to_owned();
        game.world
            .spawn((Health { points }, Label { text, owner }, Marked(3)));
    }
    game.world.resource_mut::<Score>().points = 5;
    game.swap("game", few).unwrap();
    // The world is rebuilt meanwhile, for another type.
    game.swap("game", changed_without).unwrap();
    let checkpoint = capture(&game);
    game.swap("game", back).unwrap();
    let check = |game: &mut Game| {
        let mut all = game
            .world
            .query::<(&other::Health, &later::Title, &Marked)>();
        let mut found: Vec<_> = all
            .iter(&game.world)
            .map(|(health, title, mark)| (health.points as u32, title.words.clone(), mark.0))
            .collect();
        found.sort();
        let expected = [(1, "one".to_owned(), 3), (2, "two".to_owned(), 3)];
        assert_eq!(found, expected);
        assert_eq!(game.world.resource::<other::Score>().points, 5);
    };
    check(&mut game);

    // In another process, which never saw the types.
    let mut game = Game::with(changed_without);
    checkpoint::restore(&mut game.world, &mut game.book, &[], &checkpoint).unwrap();
    game.swap("game", back).unwrap();
    check(&mut game);
}

#[test]
fn a_type_that_gets_its_name_back_gets_its_values_back() {
    let labels: Build = |m| {
        few(m);
        m.component::<Label>();
    };
    let titles: Build = |m| {
        few(m);
        m.component::<later::Title>();
    };
    let mut game = Game::with(labels);
    let owner = game.world.spawn_empty().id();
    let label = Label {
        text: "one".to_owned(),
        owner: Some(owner),
    };
    let entity = game.world.spawn(label.clone()).id();
    game.swap("game", titles).unwrap();
    let title = game.world.get::<later::Title>(entity).unwrap();
    assert_eq!(title.words, "one");
    game.swap("game", labels).unwrap();
    assert_eq!(game.world.get::<Label>(entity), Some(&label));
    assert!(game.world.get::<later::Title>(entity).is_none());
}

#[test]
fn what_a_resource_lost_before_waits_with_it() {
    fn with_lives(m: &mut ModuleBuilder) {
        few(m);
        m.resource::<other::Score>();
    }
    fn without(m: &mut ModuleBuilder) {
        few(m);
        m.resource::<Score>();
    }
    fn restored(build: Build, checkpoint: &Checkpoint) -> Game {
        let mut game = Game::with(build);
        checkpoint::restore(&mut game.world, &mut game.book, &[], checkpoint).unwrap();
        game
    }
    fn check(mut game: Game) {
        game.swap("game", with_lives).unwrap();
        assert_eq!(game.world.resource::<other::Score>().lives, 9);
        assert!(game.book.limbo.is_empty(), "{:?}", game.book.limbo);
    }
    let mut game = Game::with(with_lives);
    game.world.resource_mut::<other::Score>().lives = 9;
    game.swap("game", without).unwrap();
    game.swap("game", few).unwrap();
    // Nobody registers it where the checkpoint is restored.
    let mut game = restored(few, &capture(&game));
    let checkpoint = capture(&game);
    game.swap("game", without).unwrap();
    check(game);
    // Somebody does in the next process.
    check(restored(without, &checkpoint));
}
