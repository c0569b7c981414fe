//! How long from the save of a script to its new code running, and how late does a frame come
//! for it?
//!
//! A host at sixty frames a second runs a module of 500 lines in a heap of so many objects. Its
//! source is saved with another number in each function, at moments that have nothing to do with
//! the frames. Measured: from before the file is written to the answer that the version is
//! active; how much of that the swap took, and by how much the frames around it were late. Peer:
//! what `mlua` alone takes to compile and run the same text in a new state. Watching files is not
//! in it (the watcher waits 2 ms for more of a save). Target: 10 ms with 20,000 objects, of which
//! the frame loop waits 2 ms; 150 ms with 200,000.
//!
//! Run: `cargo bench -p liveloop_benches --bench lua_reload [-- OBJECTS ..]`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use engine_api::prelude::*;
use engine_lua::backend::LuaBackend;
use engine_lua::{Bundle, Limits, read_source};
use engine_runtime::host::{Host, HostConfig};
use engine_runtime::link::{FromHost, LoadRequest, Reloaded, ToHost};
use engine_runtime::unload::UnloadPolicy;
use inspector_protocol::content_hash;
use inspector_protocol::status::ReloadOutcome;
use liveloop_benches::fixture::LinkedBackend;
use liveloop_benches::is_full_run;
use mlua::Lua;

/// Frames a second.
const FRAME_RATE: u32 = 60;
/// Reloads of one heap.
const RELOADS: u32 = 61;

/// When frames began.
static FRAMES: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

/// Says when frames begin.
fn clock(m: &mut ModuleBuilder) {
    m.systems(PreUpdate, || FRAMES.lock().unwrap().push(Instant::now()));
}

/// About 500 lines: functions, locals that they share, tables. `init` fills the heap with so many
/// objects, one in ten with a closure.
fn source(version: u32, objects: u32) -> String {
    let mut text = format!(
        "local M = {{ state = {{}}, world = {{}} }}\n\
         function M.init()\n  for i = 1, {objects} do\n    \
         local object = {{ x = i, y = i * 0.5, hp = 100, parent = M.world[i // 2] }}\n    \
         M.world[i] = object\n    \
         if i % 10 == 0 then object.callback = function() return M.f1(object.x) end end\n  \
         end\nend\n"
    );
    for number in 0..50 {
        write!(
            text,
            "local count{number} = 0\n\
             local function helper{number}(x)\n  count{number} = count{number} + 1\n  \
             return x * {version}\nend\n\
             M.state.s{number} = {{ hp = {number}, name = \"n{number}\" }}\n\
             function M.f{number}(x)\n  local y = helper{number}(x)\n  return y + count{number}\nend\n"
        )
        .unwrap();
    }
    text.push_str("return M\n");
    text
}

/// A running game.
struct Game {
    to: Sender<ToHost>,
    from: Receiver<Box<FromHost>>,
    folder: PathBuf,
    ticket: u64,
}

impl Game {
    fn start(folder: PathBuf) -> Self {
        let (to, inbox) = bounded(100);
        let (outbox, from) = unbounded();
        let linked = LinkedBackend {
            build: clock,
            loads: 0,
        };
        let lua = LuaBackend::new(Limits {
            memory: 0,
            ..Limits::default()
        });
        let config = HostConfig {
            modules: vec![("clock".to_owned(), 0), ("m".to_owned(), 1)],
            backends: vec![Box::new(linked), Box::new(lua)],
            assets: folder.clone(),
            frame_rate: FRAME_RATE,
            max_frames: None,
            wait_for_modules: true,
            shared: None,
            rollback_within: Duration::ZERO,
            every_panic_fails: false,
            drain: HashMap::new(),
            stalled_after: Duration::ZERO,
            checkpoints: None,
            unload: UnloadPolicy::Known,
        };
        std::thread::spawn(move || Host::start(config, inbox, outbox).unwrap().run());
        let mut game = Self {
            to,
            from,
            folder,
            ticket: 0,
        };
        game.load("clock", "clock".into(), 0);
        game
    }

    fn load(&mut self, module: &str, artifact: PathBuf, hash: u64) -> (Reloaded, Instant) {
        self.ticket += 1;
        let request = LoadRequest {
            ticket: self.ticket,
            module: module.to_owned(),
            artifact,
            hash,
            force: false,
            quarantine: false,
            restore: false,
        };
        self.to.send(ToHost::Load(vec![request])).unwrap();
        loop {
            match *self.from.recv_timeout(Duration::from_secs(20)).unwrap() {
                FromHost::Reloaded(report) if report.ticket == Some(self.ticket) => {
                    assert_eq!(report.outcome, ReloadOutcome::Applied, "{}", report.message);
                    return (report, Instant::now());
                }
                _ => {}
            }
        }
    }

    /// Saves a source, and does what the supervisor does with it.
    fn save(&mut self, text: &str) -> (Reloaded, Instant) {
        let file = self.folder.join("m.lua");
        std::fs::write(&file, text).unwrap();
        let shown = |_: &std::path::Path| "m.lua".to_owned();
        let bundle = Bundle::collect("m", &file, read_source, shown, |_| false).unwrap();
        assert!(bundle.check().is_empty());
        let bytes = bundle.to_bytes();
        let hash = content_hash(&bytes);
        let artifact = self.folder.join(format!("{hash:016x}.json"));
        std::fs::write(&artifact, bytes).unwrap();
        self.load("m", artifact, hash)
    }

    fn end(self) {
        self.to.send(ToHost::Shutdown).unwrap();
        for message in &self.from {
            if *message == FromHost::Finished {
                return;
            }
        }
    }
}

/// How much later than they should frames began in a time.
fn lateness(from: Instant, to: Instant) -> Duration {
    let period = Duration::from_secs(1) / FRAME_RATE;
    let frames = FRAMES.lock().unwrap();
    let pairs = frames
        .windows(2)
        .filter(|pair| pair[1] > from && pair[0] < to);
    let late = pairs.map(|pair| (pair[1] - pair[0]).saturating_sub(period));
    late.max().unwrap_or_default()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn measure(objects: u32, reloads: u32) {
    let folder = std::env::temp_dir().join(format!("liveloop-lua-reload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut game = Game::start(folder.clone());
    game.save(&source(0, objects));
    let (mut active, mut swap, mut late, mut peer) = (vec![], vec![], vec![], vec![]);
    for version in 1..=reloads {
        // Steps that are no part of the frames' period, so that saves come at all its moments.
        std::thread::sleep(Duration::from_micros(
            40_000 + u64::from(version) * 7_300 % 16_667,
        ));
        let text = source(version, objects);
        let start = Instant::now();
        let (report, end) = game.save(&text);
        active.push(end - start);
        swap.push(Duration::from_secs_f64(report.swap_ms / 1000.0));
        std::thread::sleep(Duration::from_millis(40));
        late.push(lateness(start, end));
        let start = Instant::now();
        Lua::new().load(&text).exec().unwrap();
        peer.push(start.elapsed());
    }
    game.end();
    std::fs::remove_dir_all(folder).unwrap();
    let worst = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
    let (worst_active, worst_late) = (worst(&active), worst(&late));
    let peer = median(&mut peer);
    let active = median(&mut active);
    writeln!(
        std::io::stdout().lock(),
        "{} lines, {objects} objects: active after {active:.1?} (at most {worst_active:.1?}), of \
         which the swap {:.1?}; frames late by {:.1?} (at most {worst_late:.1?}); `mlua` alone \
         {peer:.1?}, ratio {:.1}",
        source(0, objects).lines().count(),
        median(&mut swap),
        median(&mut late),
        active.as_secs_f64() / peer.as_secs_f64(),
    )
    .unwrap();
}

fn main() {
    if is_full_run() {
        let asked: Vec<u32> = std::env::args().flat_map(|size| size.parse()).collect();
        let sizes = if asked.is_empty() {
            vec![2_000, 20_000, 200_000]
        } else {
            asked
        };
        for objects in sizes {
            measure(objects, RELOADS);
        }
    } else {
        measure(100, 2);
    }
}
