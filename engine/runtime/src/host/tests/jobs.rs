//! Jobs, from a system to an observer.

use std::sync::{MutexGuard, PoisonError};

use engine_api::bevy_ecs::system::In;
use inspector_protocol::status::{JobState, JobStatus};

use super::*;

/// Lets work wait until a test says so. Tests that use the same one take turns.
struct Gate {
    opens: Mutex<Option<Receiver<()>>>,
    turn: Mutex<()>,
}

/// A test's turn with a gate.
struct Turn {
    open: Sender<()>,
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    fn open(&self) {
        self.open.send(()).unwrap();
    }
}

impl Gate {
    const fn closed() -> Self {
        Self {
            opens: Mutex::new(None),
            turn: Mutex::new(()),
        }
    }

    fn prepare(&'static self) -> Turn {
        // A test that failed leaves nothing that the next one uses.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, opens) = bounded(1);
        *self.opens.lock().unwrap() = Some(opens);
        Turn { open, _turn: turn }
    }

    fn wait(&self) {
        let opens = self.opens.lock().unwrap().take().unwrap();
        opens.recv().unwrap();
    }
}

#[derive(Resource, Reflect, Default)]
#[reflect(Default)]
struct Heard {
    results: Vec<String>,
    failures: Vec<String>,
}

fn common(m: &mut ModuleBuilder) {
    m.resource::<Heard>()
        .observe(|failed: On<JobFailed>, mut heard: ResMut<Heard>| {
            heard
                .failures
                .push(format!("{}: {}", failed.name, failed.why));
        })
        .function("heard", |world: &mut World| {
            world.resource::<Heard>().results.join("; ")
        })
        .function("failures", |world: &mut World| {
            world.resource::<Heard>().failures.join("; ")
        });
}

impl Running {
    /// Waits until a function that gives text gives some.
    fn text(&self, function: &str) -> String {
        let mut text = String::new();
        wait_until(function, || {
            text = self.call(function, &[]).unwrap();
            text != "\"\""
        });
        text
    }
}

static ROUTE: Gate = Gate::closed();

mod old {
    use super::*;

    #[derive(Event, Reflect)]
    #[type_path = "game"]
    pub struct Route {
        pub length: u32,
        pub name: String,
    }

    pub fn module(m: &mut ModuleBuilder) {
        common(m);
        m.job_result::<Route>()
            .systems(Startup, |mut jobs: Jobs| {
                jobs.start("find route", |_| {
                    ROUTE.wait();
                    Route {
                        length: 7,
                        name: "north".into(),
                    }
                });
            })
            .observe(|route: On<Route>, mut heard: ResMut<Heard>| {
                heard
                    .results
                    .push(format!("old {} {}", route.length, route.name));
            });
    }
}

mod new {
    use super::*;

    #[derive(Event, Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    pub struct Route {
        pub name: String,
        pub length: f32,
        pub steps: Vec<u8>,
    }

    pub fn module(m: &mut ModuleBuilder) {
        common(m);
        m.job_result::<Route>()
            .observe(|route: On<Route>, mut heard: ResMut<Heard>| {
                let Route {
                    name,
                    length,
                    steps,
                } = &*route;
                heard
                    .results
                    .push(format!("new {length:?} {name} {steps:?}"));
            });
    }
}

#[test]
fn a_result_of_a_version_that_drains_is_migrated_and_heard_by_the_next() {
    let (host, fake) = start(&[("old", old::module), ("new", new::module)]);
    let open = ROUTE.prepare();
    host.load("old");
    let listed = host.wait_for_snapshot("the job among the calls", |snapshot| {
        !snapshot.calls.is_empty()
    });
    let call = &listed.calls[0];
    assert_eq!(
        (call.function.as_str(), call.version),
        ("job find route", 1)
    );
    assert!(call.thread.starts_with("job-"), "{}", call.thread);
    assert_eq!(host.load("new").outcome, ReloadOutcome::Applied);
    host.wait_for_log("v1 draining (1 active call)");
    assert!(!fake.codes()[0].is_closed() && !fake.codes()[1].is_closed());
    open.open();
    assert_eq!(host.text("heard"), "\"new 7.0 north []\"");
    host.wait_for_log("v1 unloaded");
    host.finish();
}

static SLOW: Gate = Gate::closed();

#[derive(Event, Reflect)]
struct Done(u32);
#[derive(Event, Reflect)]
struct Unknown;

#[derive(Resource, Reflect, Default)]
#[reflect(Default)]
struct Started {
    #[reflect(ignore)]
    slow: Option<JobId>,
}

fn failing(m: &mut ModuleBuilder) {
    common(m);
    m.job_result::<Done>()
        .resource::<Started>()
        .observe(|done: On<Done>, mut heard: ResMut<Heard>| heard.results.push(done.0.to_string()))
        .systems(Startup, |mut jobs: Jobs, mut started: ResMut<Started>| {
            started.slow = Some(jobs.start("slow", |job| {
                job.set_progress(0.5);
                SLOW.wait();
                Done(u32::from(!job.is_cancelled()))
            }));
            jobs.start("breaks", |_| -> Done { panic!("out of cheese") });
            jobs.start("unknown", |_| Unknown);
        })
        .function("cancel", |world: &mut World| {
            let slow = world.resource::<Started>().slow.unwrap();
            world
                .run_system_cached_with(|id: In<JobId>, mut jobs: Jobs| jobs.cancel(*id), slow)
                .unwrap()
        })
        .function("progress", |world: &mut World| {
            let slow = world.resource::<Started>().slow.unwrap();
            let progress =
                world.run_system_cached_with(|id: In<JobId>, jobs: Jobs| jobs.progress(*id), slow);
            format!("{:?}", progress.unwrap())
        })
        .function("start", |world: &mut World, count: u32| {
            world
                .run_system_cached_with(
                    |count: In<u32>, mut jobs: Jobs| {
                        for number in 0..*count {
                            jobs.start("count", move |_| Done(number));
                        }
                    },
                    count,
                )
                .unwrap();
        })
        .function("count", |world: &mut World| {
            world.resource::<Heard>().results.len() as u32
        });
}

#[test]
fn jobs_that_panic_are_cancelled_or_give_what_nobody_knows_have_no_result() {
    let (host, _) = start(&[("failing", failing)]);
    let open = SLOW.prepare();
    host.load("failing");
    wait_until("progress", || {
        host.call("progress", &[]).unwrap() == "\"Some(0.5)\""
    });
    let mut failures = String::new();
    wait_until("two failures", || {
        failures = host.call("failures", &[]).unwrap();
        failures.matches(';').count() >= 2
    });
    assert!(
        failures.contains("unknown: module `game` does not say that"),
        "{failures}"
    );
    assert!(
        failures.contains("add `m.job_result::<Unknown>()`"),
        "{failures}"
    );
    assert!(
        failures.contains("breaks: it panicked at engine"),
        "{failures}"
    );
    let snapshot = host.wait_for_snapshot("the problem", |snapshot| !snapshot.problems.is_empty());
    assert_eq!(
        snapshot.problems[0].message,
        "job `breaks` panicked: out of cheese"
    );
    assert_eq!(host.call("cancel", &[]), Ok("true".into()));
    open.open();
    wait_until("the end of the job", || {
        host.call("progress", &[]).unwrap() == "\"None\""
    });
    assert_eq!(
        host.call("heard", &[]),
        Ok("\"\"".into()),
        "a cancelled job has no result"
    );
    host.finish();
}

static STUCK: Gate = Gate::closed();

/// Every worker for jobs is busy with one that hears when it is cancelled.
fn busy(m: &mut ModuleBuilder) {
    common(m);
    m.job_result::<Done>()
        .observe(|done: On<Done>, mut heard: ResMut<Heard>| heard.results.push(done.0.to_string()))
        .systems(Startup, |mut jobs: Jobs| {
            for number in 0..16 {
                jobs.start("listens", move |job| {
                    while !job.is_cancelled() {
                        std::thread::yield_now();
                    }
                    Done(number)
                });
            }
            jobs.start("deaf", |_| {
                STUCK.wait();
                Done(100)
            });
            jobs.start_thread("net\0work", |_| {
                Done(std::thread::current().name().map_or(0, str::len) as u32)
            });
        })
        .function("twice", |number: i32| number * 2);
}

#[test]
fn jobs_are_listed_and_cancelled_from_outside_and_calls_do_not_wait_for_them() {
    let (host, _) = start(&[("busy", busy)]);
    let open = STUCK.prepare();
    host.load("busy");
    assert_eq!(
        host.text("heard"),
        "\"8\"",
        "a thread of its own waits for nobody"
    );
    let listed = host.wait_for_snapshot("all jobs", |snapshot| {
        let runs = |job: &&JobStatus| job.state == JobState::Running;
        snapshot.jobs.iter().filter(runs).count() == 16
    });
    let deaf = &listed.jobs[16];
    assert_eq!(
        (deaf.name.as_str(), deaf.state, deaf.version),
        ("deaf", JobState::Waiting, 1)
    );
    assert_eq!(host.call("twice", &["4"]), Ok("8".into()));
    let unknown = host.cancel(999).unwrap_err();
    assert!(
        unknown.starts_with("there is no job 999: there are 1 (`listens`), "),
        "{unknown}"
    );
    // One that ends makes room for the next.
    host.cancel(listed.jobs[0].id).unwrap();
    host.wait_for_snapshot("that the last one runs", |snapshot| {
        let last = snapshot.jobs.last();
        last.is_some_and(|job| job.name == "deaf" && job.state == JobState::Running)
    });
    for job in &listed.jobs[1..16] {
        host.cancel(job.id).unwrap();
    }
    open.open();
    wait_until("the end of the last one", || {
        host.call("heard", &[]) == Ok("\"8; 100\"".into())
    });
    host.wait_for_snapshot("no jobs", |snapshot| snapshot.jobs.is_empty());
    host.finish();
}

#[test]
fn jobs_of_a_version_that_drains_for_too_long_are_cancelled() {
    let modules: &[(&str, Build)] = &[("busy", busy), ("new", new::module)];
    let options = Options {
        drain: DrainPolicy::CancelAfter(Duration::ZERO),
        ..Options::default()
    };
    let host = run(&FakeBackend::new(modules), Path::new("no assets"), options);
    let open = STUCK.prepare();
    host.load("busy");
    host.wait_for_snapshot("all jobs", |snapshot| {
        let runs = |job: &&JobStatus| job.state == JobState::Running;
        snapshot.jobs.iter().filter(runs).count() == 16
    });
    assert_eq!(host.load("new").outcome, ReloadOutcome::Applied);
    let line = host.line("v1 drains since");
    host.wait_for_log("v1 unloaded");
    for part in [
        "`job listens` runs on job-",
        "its jobs `listens`, ",
        "`deaf` were asked to end",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    host.wait_for_snapshot("no jobs", |snapshot| snapshot.jobs.is_empty());
    drop(open);
    host.finish();
}

static PATIENT: Gate = Gate::closed();

/// Its job ends when a test says so.
fn patient(m: &mut ModuleBuilder) {
    common(m);
    m.job_result::<Done>()
        .observe(|done: On<Done>, mut heard: ResMut<Heard>| heard.results.push(done.0.to_string()))
        .systems(Startup, |mut jobs: Jobs| {
            jobs.start("patient", |job| {
                PATIENT.wait();
                Done(u32::from(job.is_cancelled()))
            });
        });
}

#[test]
fn a_version_that_drains_for_too_long_is_named_once() {
    let modules: &[(&str, Build)] = &[("patient", patient), ("next", patient)];
    let options = Options {
        drain: DrainPolicy::WarnAfter(Duration::ZERO),
        ..Options::default()
    };
    let host = run(&FakeBackend::new(modules), Path::new("no assets"), options);
    let open = PATIENT.prepare();
    host.load("patient");
    let began = host.wait_for_snapshot("the job", |snapshot| !snapshot.calls.is_empty());
    assert_eq!(host.load("next").outcome, ReloadOutcome::Applied);
    let line = host.line("v1 drains since");
    assert!(line.ends_with(" s: `job patient` runs on job-0"), "{line}");
    // Looked at again and again meanwhile.
    let then = began.calls[0].elapsed_ms + 350;
    host.wait_for_snapshot("some looks", |snapshot| {
        let mut calls = snapshot.calls.iter();
        calls.any(|call| call.elapsed_ms > then)
    });
    open.open();
    host.wait_for_log("v1 unloaded");
    assert_eq!(host.text("heard"), "\"0\"", "nobody has cancelled it");
    let log = host.log.borrow();
    let lines = log.iter().filter(|line| line.contains("v1 drains since"));
    assert_eq!(lines.count(), 1);
    drop(log);
    host.finish();
}

#[test]
fn more_jobs_than_workers_wait_until_one_is_free() {
    let (host, _) = start(&[("failing", failing)]);
    let _open = SLOW.prepare();
    host.load("failing");
    host.call("start", &["2000"]).unwrap();
    wait_until("all results", || host.call("count", &[]).unwrap() == "2000");
    host.finish();
}
