//! What the supervisor asks of the game: versions, calls by name, input.

use std::time::Duration;

use engine_api::input::Input;
use engine_api::time::Time;
use engine_api::value::Value;
use inspector_protocol::wire::MAX_FRAME;

use super::Host;
use crate::assets::AssetRequest;
use crate::backend::Artifact;
use crate::convert;
use crate::keeper::KeeperRequest;
use crate::link::{FromHost, LoadRequest, ToHost};
use crate::loader::{Load, LoadOptions, LoaderRequest};
use crate::registry::EnteredCall;

/// Longest result of a call, in bytes of JSON. A message on the wire has room for more.
const LONGEST_RESULT: usize = MAX_FRAME / 2;

impl Host {
    pub(super) fn handle(&mut self, message: ToHost) {
        match message {
            ToHost::Load(loads) => {
                let loads = loads.into_iter().map(Load::from).collect();
                let _ = self.loader.send(LoaderRequest::Load(loads));
            }
            ToHost::Modules(modules) => self.set_modules(modules),
            ToHost::Settings {
                frame_rate,
                rollback_within_ms,
                every_panic_fails,
                stalled_after_ms,
                checkpoint_every_ms,
                checkpoints_kept,
                drain,
                unload,
            } => {
                self.overdue.set_policies(drain);
                self.frame_rate = frame_rate.max(1);
                let step = self.period();
                self.drain.set_policy(unload);
                let _ = self.loader.send(LoaderRequest::Unloading {
                    policy: unload,
                    period: step,
                });
                if let Some(mut time) = self.world.get_resource_mut::<Time>() {
                    time.set_step(step);
                }
                self.rollback_within = Duration::from_millis(rollback_within_ms);
                self.every_panic_fails = every_panic_fails;
                let stalled_after = Duration::from_millis(stalled_after_ms);
                self.board.set_stalled_after(stalled_after);
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.every = Duration::from_millis(checkpoint_every_ms);
                    let kept = KeeperRequest::Keep(checkpoints_kept);
                    // Full means that it goes on as before; the next start has it.
                    let _ = checkpoints.requests.try_send(kept);
                }
            }
            ToHost::Building(is_building) => {
                let _ = self.loader.send(LoaderRequest::Building(is_building));
            }
            ToHost::Leave { module, hash } => {
                let _ = self.loader.send(LoaderRequest::Leave(module, hash));
            }
            ToHost::Call {
                id,
                module,
                function,
                args,
            } => self.answer_call(id, &module, &function, &args),
            ToHost::World { id, act } => {
                let result = self.act(act);
                self.outbox.deliver(FromHost::Called { id, result });
            }
            ToHost::CancelJob { id, job } => {
                let result = self.board.jobs.cancel(job).map(|()| "null".to_owned());
                self.outbox.deliver(FromHost::Called { id, result });
            }
            ToHost::FilesChanged(files) => {
                let _ = self.asset_loader.send(AssetRequest::Changed(files));
            }
            ToHost::Input(event) => {
                if let Some(mut input) = self.world.get_resource_mut::<Input>() {
                    convert::apply_input(&mut input, event);
                }
            }
            ToHost::ViewportSize { width, height } => {
                self.viewport_size = (width.min(1000), height.min(500));
            }
            ToHost::ViewportWanted(wanted) => self.viewport_wanted = wanted,
            ToHost::Shutdown => self.ended = true,
        }
    }

    fn answer_call(&mut self, id: u64, module: &str, function: &str, args: &[String]) {
        let answer = |result| FromHost::Called { id, result };
        let values: Result<Vec<Value>, String> = args
            .iter()
            .enumerate()
            .map(|(index, text)| argument(index + 1, text))
            .collect();
        let values = match values {
            Ok(values) => values,
            Err(message) => return self.outbox.deliver(answer(Err(message))),
        };
        match self.registry.enter(module, function) {
            Err(error) => self.outbox.deliver(answer(Err(describe(&error)))),
            Ok(EnteredCall::World) => {
                let result = self
                    .registry
                    .call_with_world(&mut self.world, module, function, &values)
                    .map_err(|error| describe(&error));
                self.outbox.deliver(answer(to_json(result)));
            }
            Ok(EnteredCall::Detached(_)) => {
                // A guard stays on its thread: the worker enters for itself, the
                // version that is active when the call really starts.
                let (registry, outbox) = (self.registry.clone(), self.outbox.clone());
                let (module, function) = (module.to_owned(), function.to_owned());
                let job = move || {
                    let result = match registry.enter(&module, &function) {
                        Ok(EnteredCall::Detached(entered)) => {
                            entered.run(&values).map_err(|error| describe(&error))
                        }
                        Ok(EnteredCall::World) => Err(format!(
                            "`{function}` takes the world since it was swapped; call it again"
                        )),
                        Err(error) => Err(describe(&error)),
                    };
                    outbox.deliver(FromHost::Called {
                        id,
                        result: to_json(result),
                    });
                };
                if self.workers.run(job).is_err() {
                    let message = "too many calls are waiting; try again later".to_owned();
                    self.outbox.deliver(answer(Err(message)));
                }
            }
        }
    }
}

impl From<LoadRequest> for Load {
    fn from(request: LoadRequest) -> Self {
        let LoadRequest {
            ticket,
            module,
            artifact,
            hash,
            force,
            quarantine,
            restore,
        } = request;
        Self {
            ticket: Some(ticket),
            module,
            artifact: Artifact {
                path: artifact,
                hash: Some(hash),
            },
            options: LoadOptions {
                force,
                quarantine,
                restore,
            },
        }
    }
}

pub(super) fn to_json(result: Result<Value, String>) -> Result<String, String> {
    let json = result
        .and_then(|value| serde_json::to_string(&value).map_err(|error| error.to_string()))?;
    if json.len() > LONGEST_RESULT {
        return Err(format!(
            "the result has {} bytes, over the limit of {LONGEST_RESULT}; return less at once",
            json.len()
        ));
    }
    Ok(json)
}

fn describe(error: &dyn std::error::Error) -> String {
    error.to_string()
}

/// Reads the argument with a number, from 1.
fn argument(number: usize, text: &str) -> Result<Value, String> {
    let value: Value = ron::from_str(text).map_err(|error| {
        format!(
            "argument {number} `{text}` is no RON value (column {}): {}",
            error.span.start.col, error.code
        )
    })?;
    // To RON any name is a unit struct.
    if value == Value::Unit && !matches!(text.trim(), "()" | "None") {
        return Err(format!(
            "argument {number} `{text}` is no RON value; text stands in quotes: '\"{text}\"'"
        ));
    }
    Ok(value)
}
