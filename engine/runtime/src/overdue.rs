//! What is done about versions that drain for long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use inspector_protocol::status::VersionState;
use serde::{Deserialize, Serialize};

use crate::call;
use crate::jobs::JobList;
use crate::outbox::Outbox;
use crate::registry::{Registry, VersionKey};

/// What becomes of the calls of a version that drains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrainPolicy {
    /// They take the time they need, and nothing is said.
    #[default]
    Wait,
    /// After this time a line of the log names them.
    WarnAfter(Duration),
    /// After this time the version's jobs are cancelled; what cannot be cancelled is named.
    CancelAfter(Duration),
}

/// Watches versions that drain. Lives on the frame thread.
pub(crate) struct Overdue {
    policies: HashMap<String, DrainPolicy>,
    /// Versions with calls, since when, and whether something was done.
    draining: HashMap<u32, (Instant, bool)>,
}

impl Overdue {
    /// With a policy for each module; those without one wait.
    pub(crate) fn new(policies: HashMap<String, DrainPolicy>) -> Self {
        Self {
            policies,
            draining: HashMap::new(),
        }
    }

    /// Other policies from now on.
    pub(crate) fn set_policies(&mut self, policies: HashMap<String, DrainPolicy>) {
        self.policies = policies;
    }

    /// Looks at all versions that drain. Between frames.
    pub(crate) fn look(&mut self, registry: &Registry, jobs: &JobList, outbox: &Outbox) {
        let leftovers = registry.mapped_leftovers();
        let draining = leftovers
            .iter()
            .filter(|(_, _, state)| *state == VersionState::Draining);
        let ids: Vec<u32> = draining.clone().map(|(_, key, _)| key.id).collect();
        self.draining.retain(|id, _| ids.contains(id));
        for (module, key, _) in draining {
            let (since, done) = self
                .draining
                .entry(key.id)
                .or_insert_with(|| (Instant::now(), false));
            let policy = self.policies.get(module).copied().unwrap_or_default();
            let limit = match policy {
                DrainPolicy::Wait => continue,
                DrainPolicy::WarnAfter(limit) | DrainPolicy::CancelAfter(limit) => limit,
            };
            if *done || since.elapsed() < limit {
                continue;
            }
            *done = true;
            let cancelled = match policy {
                DrainPolicy::CancelAfter(_) => jobs.cancel_all_of(*key),
                _ => Vec::new(),
            };
            let calls = calls_of(registry, *key);
            let what = describe(&calls, &cancelled);
            let seconds = since.elapsed().as_secs_f64();
            outbox.warn(format!(
                "Module '{module}': v{} drains since {seconds:.1} s: {what}",
                key.number
            ));
        }
    }
}

/// The calls that run in a version: function and thread.
fn calls_of(registry: &Registry, key: VersionKey) -> Vec<(String, String)> {
    let running = call::running().into_iter();
    let of_it = running.filter(|call| call.id.version() == key.id);
    let named = of_it.filter_map(|call| {
        let (_, _, function) = registry.name_call(call.id)?;
        Some((function, call.thread))
    });
    named.collect()
}

/// `` `wait_for` runs on worker-0; its job `level` was asked to end ``.
fn describe(calls: &[(String, String)], cancelled: &[String]) -> String {
    let runs = |(function, thread): &(String, String)| format!("`{function}` runs on {thread}");
    let mut parts: Vec<String> = calls.iter().map(runs).collect();
    match cancelled {
        [] => {}
        [one] => parts.push(format!("its job `{one}` was asked to end")),
        some => {
            let names: Vec<String> = some.iter().map(|name| format!("`{name}`")).collect();
            parts.push(format!("its jobs {} were asked to end", names.join(", ")));
        }
    }
    if parts.is_empty() {
        // Results of jobs that wait for the next frame, parsed assets.
        parts.push("something of it is on its way to the world".to_owned());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn what_keeps_a_version_is_said_in_words() {
        let call = |function: &str, thread: &str| (function.to_owned(), thread.to_owned());
        let check = |calls: &[(String, String)], cancelled: &[&str], words: &str| {
            let cancelled: Vec<String> = cancelled.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(describe(calls, &cancelled), words);
        };
        check(
            &[call("wait_for", "worker-0"), call("job level", "job-1")],
            &["level"],
            "`wait_for` runs on worker-0; `job level` runs on job-1; its job `level` was asked to \
             end",
        );
        check(&[], &["a", "b"], "its jobs `a`, `b` were asked to end");
        check(&[], &[], "something of it is on its way to the world");
    }
}
