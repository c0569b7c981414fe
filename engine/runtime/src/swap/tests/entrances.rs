//! Versions that have a state to enter.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use engine_api::function::{FunctionRegistration, ModuleFunction as _};

use super::*;
use crate::backend::Entrance;
use crate::call::CallId;

/// A state that writes down what is asked of it.
#[derive(Default)]
struct Door {
    journal: Mutex<Vec<String>>,
    /// Number of the version that it refuses.
    refused: AtomicU32,
}

impl Door {
    fn note(&self, line: String) {
        self.journal.lock().unwrap().push(line);
    }

    fn journal(&self) -> Vec<String> {
        std::mem::take(&mut *self.journal.lock().unwrap())
    }
}

impl Entrance for Door {
    fn enter(
        &self,
        versions: &[(u64, u32)],
    ) -> Result<Vec<Vec<FunctionRegistration>>, (usize, String)> {
        self.note(format!("enter {versions:?}"));
        let refused = self.refused.load(Ordering::Relaxed);
        let culprit = versions.iter().position(|(_, number)| *number == refused);
        if let Some(culprit) = culprit {
            return Err((culprit, "no entry".to_owned()));
        }
        let offered = versions
            .iter()
            .map(|_| vec![(|| 77_i64).register("found_inside")]);
        Ok(offered.collect())
    }

    fn commit(&self) {
        self.note("commit".to_owned());
    }

    fn undo(&self) {
        self.note("undo".to_owned());
    }
}

fn plain(m: &mut ModuleBuilder) {
    types(m);
}
fn hopeless(m: &mut ModuleBuilder) {
    types(m).resource::<Hopeless>();
}
fn other_score(m: &mut ModuleBuilder) {
    m.resource::<Score>();
}

impl Game {
    fn prepare_with(
        &mut self,
        module: &str,
        build: Build,
        door: &Arc<Door>,
        code: u64,
    ) -> PreparedVersion {
        let prepared = self.prepare(module, describe(build), build);
        PreparedVersion {
            entrance: Some((door.clone(), code)),
            ..prepared
        }
    }
}

#[test]
fn versions_of_one_state_enter_it_together_and_offer_what_they_find_there() {
    let (door, mut game) = (Arc::new(Door::default()), Game::new());
    let group = vec![
        game.prepare_with("game", plain, &door, 5),
        game.prepare_with("other", other_score, &door, 6),
    ];
    game.swap_group(group).unwrap();
    assert_eq!(door.journal(), ["enter [(5, 1), (6, 1)]", "commit"]);
    assert_eq!(game.call("found_inside"), Ok(Value::Int(77)));
    // One alone.
    let next = vec![game.prepare_with("game", plain, &door, 7)];
    game.swap_group(next).unwrap();
    assert_eq!(door.journal(), ["enter [(7, 2)]", "commit"]);
    // Its functions have names in listings, behind those that it registered itself.
    let active = game.registry.active("game").unwrap();
    let named = game.registry.name_call(CallId::new(active.id, 0));
    assert_eq!(named.unwrap().2, "found_inside");
}

#[test]
fn what_fails_later_undoes_the_entry_and_what_cannot_enter_is_refused() {
    let (door, second) = (Arc::new(Door::default()), Arc::new(Door::default()));
    let mut game = Game::with(one);
    let before = game.fingerprint();

    let group = vec![game.prepare_with("game", hopeless, &door, 1)];
    game.swap_group(group).err().unwrap();
    assert_eq!(door.journal(), ["enter [(1, 2)]", "undo"]);
    assert_eq!(game.fingerprint(), before);

    // Two states: the first is left again when the second refuses.
    second.refused.store(1, Ordering::Relaxed);
    let group = vec![
        game.prepare_with("game", plain, &door, 2),
        game.prepare_with("other", other_score, &second, 3),
    ];
    let refusal = game.swap_group(group).err().unwrap();
    assert_eq!(refusal, Refusal::of("other", "no entry"));
    assert_eq!(door.journal(), ["enter [(2, 3)]", "undo"]);
    assert_eq!(second.journal(), ["enter [(3, 1)]"]);
    assert_eq!(game.fingerprint(), before);
    assert_eq!(game.call("version"), Ok(Value::Int(1)));
}
