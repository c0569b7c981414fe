//! What the world says of the types that modules register.

use super::*;
use crate::state::StateTypes;

fn changed(m: &mut ModuleBuilder) {
    m.component::<other::Health>().resource::<Journal>();
}

fn listed(game: &Game) -> (u64, Vec<String>) {
    let types = game.world.resource::<StateTypes>();
    let (own, registered): (Vec<_>, Vec<_>) = types
        .types()
        .iter()
        .partition(|listed| listed.stored == engine_api::reload::queue_id());
    assert_eq!(own.len(), 1, "what the engine itself sends");
    let shown = registered.iter().map(|listed| {
        let short = listed.schema.path.rsplit("::").next().unwrap();
        format!("{} {short}", listed.kind.name())
    });
    (types.generation(), shown.collect())
}

#[test]
fn the_world_lists_the_types_of_active_modules() {
    fn neighbour(m: &mut ModuleBuilder) {
        m.resource::<Extra>();
    }
    fn refused(m: &mut ModuleBuilder) {
        types(m).resource::<Hopeless>();
    }
    let mut game = Game::with(one);
    let all = [
        "component Health",
        "event Ping",
        "message Hit>",
        "resource Journal",
        "resource Score",
    ];
    let (first, shown) = listed(&game);
    assert_eq!(shown, all);

    game.swap("game", two).unwrap();
    assert_eq!(listed(&game).0, first, "the same types");
    game.swap("game", refused).unwrap_err();
    assert_eq!(listed(&game).0, first, "the version did not get in");

    game.swap("other", neighbour).unwrap();
    let (second, shown) = listed(&game);
    assert!(second > first);
    assert!(shown.contains(&"resource Extra".to_owned()), "{shown:?}");

    game.world.spawn(Health { points: 1 });
    game.swap("game", changed).unwrap();
    let (third, shown) = listed(&game);
    assert!(third > second, "in the new world");
    assert_eq!(
        shown,
        ["component Health", "resource Extra", "resource Journal"]
    );
    let types = game.world.resource::<StateTypes>();
    assert_eq!(types.types()[0].stored, TypeId::of::<other::Health>());

    let Game {
        modules,
        world,
        book,
        registry,
        ..
    } = &mut game;
    modules.remove("game", world, book, registry).unwrap();
    let (fourth, shown) = listed(&game);
    assert!(fourth > third);
    assert_eq!(shown, ["resource Extra"]);
}
