//! Clock, input and log.

use super::*;

#[test]
fn clock_and_input() {
    check(&[
        ("return time.delta", "0.5"),
        ("return time.frame", "0"),
        (
            "return tostring(input.held('a')) .. tostring(input.held('b'))",
            "truefalse",
        ),
        ("return input.pressed('Left')", "true"),
        ("return input.released('Space')", "false"),
        ("return input.held('F12')", "false"),
        ("return input.clicked('left')", "false"),
        ("return input.mouse()", "nil"),
    ]);
    check_errors(&[
        (
            "return time.dleta",
            "`time` has no field `dleta`; did you mean `delta`?",
        ),
        (
            "return input.held('Lfet')",
            "there is no key `Lfet`; did you mean `Left`?",
        ),
        (
            "return input.clicked('top')",
            "there is no mouse button `top`; there are `left`, `right`, `middle`",
        ),
        (
            "world.spawn = nil",
            "attempt to index a world value (global 'world')",
        ),
    ]);
}

#[test]
fn lines_of_the_log_have_level_and_file() {
    use std::sync::Mutex;

    use engine_api::log::{Level, LogSink, set_sink};

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    struct Sink;
    impl LogSink for Sink {
        fn log(&self, level: Level, target: &str, message: std::fmt::Arguments<'_>) {
            let line = format!("{level:?} {target} {message}");
            LINES.lock().unwrap().push(line);
        }
    }

    set_sink(Box::new(Sink));
    let stage = Stage::new();
    let script = "log.warn('low', 3, nil) print(ship ~= nil)";
    let chunk = stage
        .domain
        .lua()
        .load(script)
        .set_name("@scripts/enemy.lua#4");
    chunk.exec().unwrap();
    let lines = LINES.lock().unwrap();
    let ours: Vec<_> = lines.iter().filter(|line| line.contains("enemy")).collect();
    assert_eq!(
        ours,
        [
            "Warn scripts/enemy.lua low\t3\tnil",
            "Info scripts/enemy.lua true"
        ]
    );
}
