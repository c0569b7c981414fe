//! What the game is told of reloads.

use super::*;

/// What was heard: by the observer at once, by the reader in the next frame.
#[derive(Resource, Reflect, Default)]
struct Heard {
    at_once: Vec<String>,
    read: Vec<String>,
}

fn line(reload: &ModuleReload, version: u32) -> String {
    let ModuleReload {
        module,
        kind,
        step,
        from,
        to,
        error,
    } = reload;
    let error = error.as_deref().unwrap_or("-");
    format!("v{version} hears {module} ({kind}) {step:?} {from:?} {to:?} {error}")
}

fn hearing<const VERSION: u32>(m: &mut ModuleBuilder) -> &mut ModuleBuilder {
    fn observe<const VERSION: u32>(reload: On<ModuleReload>, mut heard: ResMut<Heard>) {
        heard.at_once.push(line(&reload, VERSION));
    }
    fn read(mut reloads: MessageReader<ModuleReload>, mut heard: ResMut<Heard>) {
        // The version is that of the frame, which is later: it is left out.
        heard
            .read
            .extend(reloads.read().map(|reload| line(reload, 0)));
    }
    m.resource::<Heard>()
        .observe(observe::<VERSION>)
        .systems(Update, read)
        .function("at_once", |world: &mut World| {
            world.resource::<Heard>().at_once.clone()
        })
        .function("read", |world: &mut World| {
            world.resource::<Heard>().read.clone()
        })
}

fn first(m: &mut ModuleBuilder) {
    hearing::<1>(m);
}
fn second(m: &mut ModuleBuilder) {
    hearing::<2>(m);
}
fn refused(m: &mut ModuleBuilder) {
    hearing::<3>(m).on_load(|_: &mut World, _| Err::<(), _>("not today"));
}

#[test]
fn observers_and_readers_hear_of_reloads() {
    let (host, _) = start(&[("first", first), ("second", second), ("refused", refused)]);
    let heard = |function| -> Vec<String> {
        serde_json::from_str(&host.call(function, &[]).unwrap()).unwrap()
    };
    host.load("first");
    host.load("second");
    assert_eq!(host.load("refused").outcome, ReloadOutcome::Rejected);
    assert_eq!(host.load("unusable").outcome, ReloadOutcome::LoadError);
    assert_eq!(host.load("second").outcome, ReloadOutcome::Unchanged);
    wait_until("the error of the load", || {
        heard("read").iter().any(|line| line.contains("broken"))
    });
    let game = "hears game (fake)";
    assert_eq!(
        heard("at_once"),
        [
            // Nobody was there to hear that the first version comes.
            format!("v1 {game} AfterUpdate None Some(1) -"),
            format!("v1 {game} BeforeUpdate Some(1) Some(2) -"),
            format!("v2 {game} AfterUpdate Some(1) Some(2) -"),
            format!("v2 {game} BeforeUpdate Some(2) Some(3) -"),
            format!("v2 {game} Error Some(2) Some(3) its `on_load` failed: not today"),
            format!("v2 {game} Error Some(2) None it is broken"),
        ]
    );
    let mut expected = vec![format!("v0 {game} BeforeUpdate None Some(1) -")];
    let at_once = heard("at_once").into_iter();
    expected.extend(at_once.map(|line| format!("v0{}", &line[2..])));
    assert_eq!(heard("read"), expected);
    host.finish();
}
