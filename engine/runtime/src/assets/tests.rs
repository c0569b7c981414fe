use std::fs;

use crossbeam_channel::{bounded, unbounded};
use engine_api::bevy_ecs::world::World;
use engine_api::prelude::*;

use super::*;
use crate::registry::Registry;
use crate::telemetry::Observatory;
use crate::testing::{describe, wait_until};

#[derive(Resource, Reflect, Default)]
#[reflect(Default)]
struct Tuning {
    speed: i32,
}

fn sensible(tuning: &Tuning) -> Result<(), String> {
    match tuning.speed {
        0.. => Ok(()),
        -9..0 => Err("speed must not be negative".to_owned()),
        _ => panic!("unbelievable"),
    }
}

fn assets() -> Arc<Vec<AssetRegistration>> {
    let description = describe(|m| {
        m.asset_checked::<Tuning>("levels/tuning.ron", sensible);
    });
    Arc::new(description.assets)
}

/// An asset thread and the frame thread's side of it.
struct Rig {
    root: tempfile::TempDir,
    registry: Arc<Registry>,
    requests: Sender<AssetRequest>,
    ready: Receiver<Box<ReadyAsset>>,
    observatory: Observatory,
    world: World,
    _thread: std::thread::JoinHandle<()>,
    _from_host: Receiver<Box<crate::link::FromHost>>,
}

impl Rig {
    fn new() -> Self {
        panic::install_hook();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("levels")).unwrap();
        let (board, registry) = (Arc::new(Board::default()), Arc::new(Registry::default()));
        registry.add_module("game", "fake");
        let (requests, received) = unbounded();
        let (ready_sender, ready) = bounded(16);
        let (to, from_host) = unbounded();
        let loader = AssetLoader {
            root: root.path().to_path_buf(),
            requests: received,
            ready: ready_sender,
            outbox: Outbox::new(to, board.clone()),
            board: board.clone(),
        };
        Self {
            root,
            observatory: Observatory::new(registry.clone(), board),
            registry,
            requests,
            ready,
            world: World::new(),
            _thread: std::thread::spawn(move || loader.run()),
            _from_host: from_host,
        }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("levels").join("tuning.ron")
    }

    fn use_next_version(&self) -> VersionKey {
        let key = self.registry.reserve("game").unwrap();
        let lease = self.registry.lease("game", key).unwrap();
        self.requests
            .send(AssetRequest::Use("game".into(), key, assets(), lease))
            .unwrap();
        key
    }

    /// `None` removes the file.
    fn write(&self, text: Option<&str>) {
        match text {
            Some(text) => fs::write(self.file(), text).unwrap(),
            None => fs::remove_file(self.file()).unwrap(),
        }
        self.requests
            .send(AssetRequest::Changed(vec![self.file()]))
            .unwrap();
    }

    fn problems(&mut self) -> Vec<Problem> {
        self.observatory.look().problems
    }

    /// Waits for the next value, and puts it in.
    fn apply(&mut self) -> (VersionKey, i32) {
        let ready = self
            .ready
            .recv_timeout(Duration::from_secs(20))
            .expect("a value comes");
        assert_eq!(
            (ready.module.as_str(), ready.path.as_str()),
            ("game", "assets/levels/tuning.ron")
        );
        (ready.apply)(&mut self.world);
        (ready.key, self.world.resource::<Tuning>().speed)
    }
}

#[test]
fn trouble_keeps_the_last_good_value_and_is_forgotten_when_the_file_is_good_again() {
    let check = |trouble: Option<&str>, line: u32, expected: &str| {
        // What comes back may be the very text of before, or another.
        for (again, value) in [("(speed: 1)", 1), ("(speed: 2)", 2)] {
            let mut rig = Rig::new();
            fs::write(rig.file(), "(speed: 1)").unwrap();
            let key = rig.use_next_version();
            assert_eq!(rig.apply(), (key, 1));
            assert_eq!(rig.problems(), []);
            rig.write(trouble);
            wait_until("a problem", || !rig.problems().is_empty());
            let [problem] = &rig.problems()[..] else {
                panic!("one problem")
            };
            assert_eq!(
                (problem.module.as_str(), problem.line),
                ("game", line),
                "{problem:?}"
            );
            assert_eq!(problem.file, "assets/levels/tuning.ron");
            assert!(problem.message.contains(expected), "{problem:?}");
            assert!(rig.ready.is_empty());
            assert_eq!(rig.world.resource::<Tuning>().speed, 1);
            rig.write(Some(again));
            wait_until("no problem", || rig.problems().is_empty());
            assert_eq!(rig.apply(), (key, value));
        }
    };
    check(Some("(speed: 1,\n sped: 2)"), 2, "sped");
    check(Some("(speed: -1)"), 1, "speed must not be negative");
    check(Some("(speed: -10)"), 1, "unbelievable");
    check(None, 1, "cannot be read");
}

#[test]
fn a_file_that_is_not_there_is_a_problem_at_once() {
    let mut rig = Rig::new();
    rig.use_next_version();
    wait_until("a problem", || !rig.problems().is_empty());
    assert!(rig.ready.is_empty());
    rig.write(Some("(speed: 4)"));
    rig.apply();
    assert_eq!(rig.problems(), []);
}

#[test]
fn the_next_version_reads_its_files_again_and_the_old_one_is_let_go() {
    let mut rig = Rig::new();
    fs::write(rig.file(), "(speed: 1)").unwrap();
    let first = rig.use_next_version();
    rig.apply();
    assert!(rig.registry.is_leased("game", first));
    let second = rig.use_next_version();
    assert_eq!(rig.apply(), (second, 1));
    assert!(!rig.registry.is_leased("game", first) && rig.registry.is_leased("game", second));
}

#[test]
fn only_news_about_files_in_use_is_passed_on() {
    let mut rig = Rig::new();
    fs::write(rig.file(), "(speed: 1)").unwrap();
    rig.use_next_version();
    rig.apply();
    rig.write(Some("(speed: 1)"));
    let other = rig.root.path().join("other.ron");
    fs::write(&other, "broken").unwrap();
    rig.requests
        .send(AssetRequest::Changed(vec![other]))
        .unwrap();
    rig.write(Some("(speed: 3)"));
    assert_eq!(rig.apply().1, 3, "nothing came before it");
    assert_eq!(rig.problems(), []);
}
