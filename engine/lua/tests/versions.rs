//! Lua modules in a host: versions of its registry. In a process of its own, because a host takes
//! the log.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use engine_api::value::Value;
use engine_lua::backend::LuaBackend;
use engine_lua::{Bundle, BundledFile, Limits};
use engine_runtime::backend::content_hash;
use engine_runtime::host::{Host, HostConfig};
use engine_runtime::link::{FromHost, LoadRequest, Reloaded, ToHost};
use engine_runtime::unload::UnloadPolicy;
use inspector_protocol::status::{ReloadOutcome, VersionState};
use tempfile::TempDir;

const FRAME: Duration = Duration::from_millis(16);

/// A host that runs a frame when it is told to.
struct Rig {
    host: Host,
    to: Sender<ToHost>,
    from: Receiver<Box<FromHost>>,
    folder: TempDir,
    ticket: u64,
}

impl Rig {
    /// With these modules, none of which is loaded yet.
    fn new(modules: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (to, inbox) = bounded(100);
        let (outbox, from) = unbounded();
        let config = HostConfig {
            modules: modules.iter().map(|name| ((*name).to_owned(), 0)).collect(),
            backends: vec![Box::new(LuaBackend::new(Limits::default()))],
            assets: folder.path().to_owned(),
            frame_rate: 60,
            max_frames: None,
            wait_for_modules: false,
            shared: None,
            rollback_within: Duration::ZERO,
            every_panic_fails: false,
            drain: HashMap::new(),
            stalled_after: Duration::ZERO,
            checkpoints: None,
            unload: UnloadPolicy::Known,
        };
        Self {
            host: Host::start(config, inbox, outbox).unwrap(),
            to,
            from,
            folder,
            ticket: 0,
        }
    }

    /// Loads the next version of a module, and runs frames until it is in or refused.
    fn load(&mut self, domain: &str, module: &str, text: &str) -> Reloaded {
        let bundle = Bundle {
            domain: domain.to_owned(),
            files: vec![BundledFile {
                module: module.to_owned(),
                file: format!("{module}.lua"),
                text: text.to_owned(),
            }],
        };
        self.ticket += 1;
        let bytes = bundle.to_bytes();
        let artifact = self.folder.path().join(format!("{}.json", self.ticket));
        std::fs::write(&artifact, &bytes).unwrap();
        let request = LoadRequest {
            ticket: self.ticket,
            module: module.to_owned(),
            artifact,
            hash: content_hash(&bytes),
            force: false,
            quarantine: false,
            restore: false,
        };
        self.to.send(ToHost::Load(vec![request])).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.host.frame(FRAME);
            while let Ok(message) = self.from.try_recv() {
                if let FromHost::Reloaded(report) = *message
                    && report.ticket == Some(self.ticket)
                {
                    return report;
                }
            }
            assert!(Instant::now() < deadline, "{module} does not get in");
            std::thread::yield_now();
        }
    }

    fn is_in(&mut self, domain: &str, module: &str, text: &str) {
        let report = self.load(domain, module, text);
        assert_eq!(report.outcome, ReloadOutcome::Applied, "{}", report.message);
    }

    fn call(&mut self, module: &str, function: &str) -> Value {
        let mut function = self.host.registry().dynamic(module, function);
        self.host.call(&mut function, &[]).unwrap()
    }

    /// States of a module's versions that are not unloaded.
    fn left(&self, module: &str) -> Vec<VersionState> {
        let modules = self.host.registry().status(&[]);
        let module = modules.iter().find(|known| known.name == module).unwrap();
        let states = module.versions.iter().map(|version| version.state);
        states
            .filter(|state| *state != VersionState::Unloaded)
            .collect()
    }
}

#[test]
fn modules_of_another_domain_share_no_state() {
    let mut rig = Rig::new(&["one", "two", "other"]);
    rig.is_in(
        "",
        "one",
        "shared = 1 return { get = function() return shared end }",
    );
    let reader = "return { get = function() return shared or 'nothing' end,
        ask = function() return engine.call('one', 'get') end }";
    rig.is_in("", "two", reader);
    rig.is_in("mods", "other", reader);
    assert_eq!(rig.call("two", "get"), Value::Int(1));
    assert_eq!(rig.call("other", "get"), Value::Str("nothing".into()));
    assert_eq!(rig.call("other", "ask"), Value::Int(1), "by name they meet");
    let strange = rig.load("mods", "other", "return require 'one'");
    assert_eq!(strange.outcome, ReloadOutcome::Rejected);
    // Into the other domain, where nothing of it is known.
    rig.is_in("", "other", reader);
    assert_eq!(rig.call("other", "get"), Value::Int(1));
    rig.is_in("mods", "other", &format!("-- back\n{reader}"));
    assert_eq!(rig.call("other", "get"), Value::Str("nothing".into()));
}

#[test]
fn five_hundred_reloads_leave_one_version_and_no_memory() {
    let mut rig = Rig::new(&["m"]);
    let source = |version: u32| {
        format!(
            "local M, count, held = {{}}, 0, {{}}
            local function add(n) count = count + n + 0 * {version} return count end
            engine.every(1e9, function() return add({version}) end)
            function M.bump() held[1] = function() return {version} end return add(1) end
            function M.held() return held[1] and held[1]() end
            function M.kilobytes() return collectgarbage 'count' end
            return M"
        )
    };
    rig.is_in("", "m", &source(0));
    let mut early = 0.0;
    for version in 1..=500 {
        assert_eq!(rig.call("m", "bump"), Value::Int(i64::from(version)));
        rig.is_in("", "m", &source(version));
        assert_eq!(rig.call("m", "held"), Value::Int(i64::from(version)));
        if version == 100 {
            early = rig.kilobytes();
        }
    }
    let late = rig.kilobytes();
    assert!(late < early * 1.1, "{early} KB became {late} KB");
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.left("m") != [VersionState::Active] {
        rig.host.frame(FRAME);
        assert!(Instant::now() < deadline, "{:?}", rig.left("m"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Rig {
    /// What the state holds when all garbage is gone.
    fn kilobytes(&mut self) -> f64 {
        let mut least = f64::MAX;
        for _ in 0..50 {
            // Each frame collects some while versions drain.
            self.host.frame(FRAME);
            let Value::Float(now) = self.call("m", "kilobytes") else {
                panic!("no number");
            };
            least = least.min(now);
            std::thread::sleep(Duration::from_millis(5));
        }
        least
    }
}
