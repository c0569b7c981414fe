//! Runs the stages of the module the way an engine does, one frame at a time.

use std::sync::Arc;
use std::time::Duration;

use engine_api::bevy_ecs::schedule::BoxedCondition;
use engine_api::bevy_ecs::system::{BoxedSystem, RunSystemError};
use engine_api::function::DynamicCall;
use engine_api::module::ModuleDescription;
use engine_api::observer::CallGate;
use engine_api::prelude::*;
use engine_api::system::{Trigger, sort_systems};

pub const STEP: Duration = Duration::from_nanos(16_666_667);

/// The three shipped files.
pub const FILES: [(&str, &str); 3] = [
    ("tuning.ron", include_str!("../../../assets/tuning.ron")),
    ("waves.ron", include_str!("../../../assets/waves.ron")),
    ("levels.ron", include_str!("../../../assets/levels.ron")),
];

/// Lets every observer run; a panic in one fails the test.
struct Open;

impl CallGate for Open {
    fn enter(&self) -> bool {
        true
    }
    fn exit(&self, panic: Option<String>) {
        assert!(panic.is_none(), "an observer panicked: {panic:?}");
    }
}

struct Runner {
    name: String,
    system: BoxedSystem,
    conditions: Vec<BoxedCondition>,
    trigger: Trigger,
    next: Duration,
}

pub struct Harness {
    pub world: World,
    description: ModuleDescription,
    stages: Vec<(Stage, Vec<Runner>)>,
    size: (u16, u16),
    last_frame: Duration,
}

pub fn describe() -> ModuleDescription {
    let mut m = ModuleBuilder::new();
    crate::game_logic(&mut m);
    m.finish()
}

impl Harness {
    pub fn new() -> Self {
        let mut description = describe();
        assert_eq!(description.errors, Vec::<String>::new());
        let mut world = World::new();
        world.insert_resource(Time::new(STEP));
        world.init_resource::<Input>();
        world.init_resource::<Viewport>();
        for state in &description.types {
            (state.declare)(&mut world);
            (state.initialize)(&mut world);
        }
        let mut harness_stages = Vec::new();
        let mut systems = std::mem::take(&mut description.systems);
        for stage in Stage::ALL {
            let (now, later) = systems.into_iter().partition(|(at, _)| *at == stage);
            systems = later;
            let now: Vec<(Stage, _)> = now;
            let sorted = sort_systems(now.into_iter().map(|(_, system)| system).collect()).unwrap();
            harness_stages.push((stage, sorted));
        }
        // What readers of messages remember by.
        engine_api::message::declare(&mut world);
        let known = world.components().len();
        let stages = harness_stages
            .into_iter()
            .map(|(stage, sorted)| {
                let runners = sorted
                    .into_iter()
                    .map(|mut config| {
                        config.system.initialize(&mut world);
                        for condition in &mut config.conditions {
                            condition.initialize(&mut world);
                        }
                        let next = match config.trigger {
                            Trigger::Every(period) => period,
                            _ => Duration::ZERO,
                        };
                        Runner {
                            name: config.name,
                            system: config.system,
                            conditions: config.conditions,
                            trigger: config.trigger,
                            next,
                        }
                    })
                    .collect();
                (stage, runners)
            })
            .collect();
        assert_eq!(
            world.components().len(),
            known,
            "a system uses a type that is not registered"
        );
        for observer in std::mem::take(&mut description.observers) {
            (observer.spawn)(&mut world, Arc::new(Open));
        }
        world.flush();
        let mut harness = Self {
            world,
            description,
            stages,
            size: (80, 24),
            last_frame: Duration::ZERO,
        };
        for (path, text) in FILES {
            harness.load(path, text).unwrap();
        }
        harness.run(Stage::Startup);
        harness
    }

    /// Loads a file as if it had been saved.
    pub fn load(&mut self, path: &str, text: &str) -> Result<(), String> {
        let asset = self
            .description
            .assets
            .iter()
            .find(|asset| asset.path == path)
            .unwrap();
        let apply = (asset.parse)(text).map_err(|error| error.message)?;
        apply(&mut self.world);
        Ok(())
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.size = (width, height);
    }

    pub fn call(&mut self, name: &str, arguments: &[Value]) -> Value {
        let function = self
            .description
            .functions
            .iter()
            .find(|function| function.name == name)
            .unwrap();
        match &function.call {
            DynamicCall::Detached(call) => call(arguments).unwrap(),
            DynamicCall::World(call) => call(&mut self.world, arguments).unwrap(),
        }
    }

    fn run(&mut self, stage: Stage) {
        let world = &mut self.world;
        let elapsed = world.resource::<Time>().elapsed();
        for runner in &mut self
            .stages
            .iter_mut()
            .find(|(at, _)| *at == stage)
            .unwrap()
            .1
        {
            let due = match runner.trigger {
                Trigger::Frame => true,
                Trigger::Every(period) => {
                    let due = elapsed >= runner.next;
                    if due {
                        runner.next += period;
                    }
                    due
                }
                Trigger::Pressed(key) => world.resource::<Input>().pressed(key),
            };
            let wanted = due
                && runner
                    .conditions
                    .iter_mut()
                    .all(|condition| condition.run((), world).unwrap());
            if !wanted {
                continue;
            }
            match runner.system.run((), world) {
                Ok(()) | Err(RunSystemError::Skipped(_)) => {}
                Err(error) => panic!("{}: {error:?}", runner.name),
            }
            world.flush();
        }
    }

    /// One frame; `last_frame` is what its systems took.
    pub fn frame(&mut self) {
        let begin = std::time::Instant::now();
        self.world.resource_mut::<Time>().advance(STEP);
        for stage in [Stage::PreUpdate, Stage::Update, Stage::PostUpdate] {
            self.run(stage);
        }
        self.world
            .resource_mut::<Viewport>()
            .resize(self.size.0, self.size.1);
        self.run(Stage::Render);
        self.world.resource_mut::<Input>().end_frame();
        for state in &self.description.types {
            if let Some(end_frame) = state.end_frame {
                end_frame(&mut self.world);
            }
        }
        self.world.clear_trackers();
        self.last_frame = begin.elapsed();
    }

    pub fn frames(&mut self, count: u32) {
        for _ in 0..count {
            self.frame();
        }
    }

    pub fn last_frame(&self) -> Duration {
        self.last_frame
    }

    /// Average time of every system over some frames, slowest first.
    pub fn profile(&mut self, frames: u32) -> Vec<(String, Duration)> {
        let mut times: Vec<(String, Duration)> = Vec::new();
        for _ in 0..frames {
            self.world.resource_mut::<Time>().advance(STEP);
            self.world
                .resource_mut::<Viewport>()
                .resize(self.size.0, self.size.1);
            for (stage, runners) in &mut self.stages {
                if matches!(stage, Stage::Startup | Stage::PreUpdate) {
                    continue;
                }
                for runner in runners {
                    let begin = std::time::Instant::now();
                    let _ = runner.system.run((), &mut self.world);
                    self.world.flush();
                    let took = begin.elapsed() / frames;
                    match times.iter_mut().find(|(name, _)| *name == runner.name) {
                        Some((_, sum)) => *sum += took,
                        None => times.push((runner.name.clone(), took)),
                    }
                }
            }
            for state in &self.description.types {
                if let Some(end_frame) = state.end_frame {
                    end_frame(&mut self.world);
                }
            }
        }
        times.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        times
    }

    pub fn key(&mut self, key: Key, down: bool) {
        let mut input = self.world.resource_mut::<Input>();
        if down {
            input.key_down(key);
        } else {
            input.key_up(key);
        }
    }

    /// Presses a key for one frame.
    pub fn tap(&mut self, key: Key) {
        self.key(key, true);
        self.frame();
        self.key(key, false);
    }

    pub fn count<T: Component>(&mut self) -> usize {
        self.world
            .query_filtered::<(), With<T>>()
            .iter(&self.world)
            .count()
    }

    /// The picture as text.
    pub fn picture(&self) -> String {
        let viewport = self.world.resource::<Viewport>();
        let mut text = String::new();
        for y in 0..i32::from(viewport.height()) {
            for x in 0..i32::from(viewport.width()) {
                text.push(viewport.get(x, y).unwrap().ch);
            }
            text.push('\n');
        }
        text
    }
}
