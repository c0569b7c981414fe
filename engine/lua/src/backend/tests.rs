//! Versions that enter the stage, and what they have waiting there.

use std::sync::Arc;
use std::time::Duration;

use engine_api::bevy_ecs;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::message::{Message, Messages};
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::{self, Reflect};
use engine_api::event::HeardEvents;
use engine_api::module::ModuleBuilder;
use engine_api::observer::CallGate;
use engine_api::prelude::Event;
use engine_api::time::Time;
use engine_runtime::backend::Entrance as _;
use engine_runtime::state::{RegisteredType, StateTypes};

use super::stage::{Door, Stage};
use crate::{Bundle, BundledFile, Limits};

mod events;
mod failing;

/// A world, and a stage with versions of `game`.
struct Rig {
    stage: Arc<Stage>,
    world: World,
    versions: u32,
}

struct Open;
impl CallGate for Open {
    fn enter(&self) -> bool {
        true
    }
    fn exit(&self, _: Option<String>) {}
}

impl Rig {
    fn new() -> Self {
        let mut world = World::new();
        engine_runtime::state::declare_engine_types(&mut world);
        world.init_resource::<HeardEvents>();
        world.insert_resource(Time::new(Duration::from_millis(100)));
        world.insert_resource(StateTypes::new([]));
        Self {
            stage: Arc::new(Stage::new(Limits::default(), None).unwrap()),
            world,
            versions: 0,
        }
    }

    /// A native module is in; these are all types that there are.
    fn native(&mut self, build: fn(&mut ModuleBuilder)) {
        let mut m = ModuleBuilder::new();
        build(&mut m);
        let description = m.finish();
        for state in &description.types {
            (state.declare)(&mut self.world);
            (state.initialize)(&mut self.world);
        }
        let types = description.types.iter().map(RegisteredType::of);
        self.world.insert_resource(StateTypes::new(types));
        for observer in description.observers {
            (observer.spawn)(&mut self.world, Arc::new(Open));
        }
        self.world.flush();
    }

    /// A version of the script comes in.
    fn load(&mut self, text: &str) -> Result<(), String> {
        self.versions += 1;
        let bundle = Bundle {
            domain: String::new(),
            files: vec![BundledFile {
                module: "game".to_owned(),
                file: "game.lua".to_owned(),
                text: text.to_owned(),
            }],
        };
        let code = u64::from(self.versions);
        self.stage.expect(code, "game", bundle);
        let door = Door(self.stage.clone());
        let entered = door.enter(&[(code, self.versions)]);
        entered.map_err(|(_, message)| message)?;
        door.commit();
        Ok(())
    }

    /// A frame of the script. Returns what failed.
    fn frame(&mut self) -> String {
        let first = self.stage.run_waiting(&mut self.world, "game");
        let then = self.stage.run_events(&mut self.world, "game");
        let failed = [first, then].into_iter().filter_map(Result::err);
        failed.map(|error| error.to_string()).collect()
    }

    /// What a function of the script returns, as Rust shows it.
    fn call(&mut self, function: &str) -> String {
        let callee = self.stage.callee("game", function);
        let result = self.stage.call(&mut self.world, &callee, &[]);
        format!("{:?}", result.unwrap())
    }
}
