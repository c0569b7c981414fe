//! When versions get in.

use super::*;

/// A host with one frame a second, whose game runs.
fn slow_host(fake: &FakeBackend, folder: Option<&Path>) -> Running {
    let options = Options {
        frame_rate: 1,
        checkpoints: folder.map(|folder| CheckpointConfig {
            folder: folder.to_path_buf(),
            kept: 3,
            every: Duration::ZERO,
            resume: None,
        }),
        ..Options::default()
    };
    let host = run(fake, Path::new("no assets"), options);
    host.load("one");
    wait_until("a frame", || host.board.frames.count() > 0);
    host
}

/// How many frames run while versions get in, one after the other.
fn frames_of(host: &Running, loads: u64) -> u64 {
    let before = host.board.frames.count();
    for number in 0..loads {
        let report = host.load(if number % 2 == 0 { "two" } else { "one" });
        assert_eq!(report.outcome, ReloadOutcome::Applied);
    }
    host.board.frames.count() - before
}

#[test]
fn a_version_gets_in_while_the_next_frame_is_waited_for() {
    let fake = FakeBackend::new(&[("one", one), ("two", two)]);
    let host = slow_host(&fake, None);
    assert!(frames_of(&host, 5) < 5, "a frame went by for each");
    host.finish();
}

#[test]
fn what_its_checkpoint_holds_up_gets_in_when_that_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeBackend::new(&[("one", one), ("two", two)]);
    let host = slow_host(&fake, Some(folder.path()));
    assert!(frames_of(&host, 5) < 5, "a frame went by for each");
    host.finish();
}

#[test]
fn code_that_cannot_end_the_process_has_its_checkpoint_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeBackend::new(&[("one", one), ("two", two)]).with_entrance(Duration::ZERO);
    let host = slow_host(&fake, Some(folder.path()));
    assert!(frames_of(&host, 5) < 5, "a frame went by for each");
    // Not each: nothing waits for a disk that is behind.
    wait_until("a checkpoint", || {
        fs::read_dir(folder.path()).is_ok_and(|files| files.count() > 0)
    });
    host.finish();
}

#[test]
fn what_takes_longer_than_is_left_waits_for_one_frame() {
    let fake =
        FakeBackend::new(&[("one", one), ("two", two)]).with_entrance(Duration::from_mins(1));
    let host = slow_host(&fake, None);
    assert!(frames_of(&host, 3) >= 3, "a frame goes by for each");
    host.finish();
}
