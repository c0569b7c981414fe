//! A game that is built in a moment and has one of everything. The end-to-end
//! tests edit it while it runs; the texts they replace are in their tables.

mod faults;
mod rules;
mod strangers;

use std::path::Path;
use std::time::Duration;

use bevy_ecs::system::RunSystemOnce as _;
use engine_api::prelude::*;

/// What `answer` gives: the mark by which tests tell versions apart.
const ANSWER: i64 = 1;

/// A component that owns heap memory, so that dropping the world runs code of
/// the version that brought it.
#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
pub struct Crate {
    name: String,
    items: Vec<String>,
}

/// A component of plain numbers.
#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
pub struct Speed {
    value: u32,
}

/// Counts what happens.
#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Counter {
    frames: u64,
    observed: u64,
    heard: u64,
    removed: u64,
    poked: u64,
    dug: u64,
    turned: u64,
}

/// Armed by a test, blows up in the next frame.
#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Fuse {
    system: bool,
    observer: bool,
    /// A fault that ends the process.
    fault: String,
}

/// What outlives the host.
#[shared_state(version = 1)]
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Totals {
    frames: u64,
}

/// Read from `assets/tuning.ron`.
#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Tuning {
    level: u32,
    words: Vec<String>,
}

/// Something that observers hear of.
#[derive(Event, TypePath)]
pub struct Ticked;

/// Something that one entity's observers hear of.
#[derive(EntityEvent, TypePath)]
pub struct Poked {
    entity: Entity,
}

/// Something that systems read.
#[derive(Message, Reflect)]
pub struct Heard {
    text: String,
}

fn count(mut counter: ResMut<Counter>, mut messages: MessageWriter<Heard>, mut commands: Commands) {
    counter.frames += 1;
    messages.write(Heard { text: format!("frame {}", counter.frames) });
    commands.trigger(Ticked);
}

fn listen(mut messages: MessageReader<Heard>, mut counter: ResMut<Counter>) {
    counter.heard += messages.read().filter(|message| message.text.starts_with("frame")).count() as u64;
}

fn ticked(_: On<Ticked>, mut counter: ResMut<Counter>) {
    counter.observed += 1;
}

fn removed(_: On<Remove<Crate>>, mut counter: ResMut<Counter>) {
    counter.removed += 1;
}

/// Attached to crates by `attach`.
fn poked(_: On<Poked>, mut counter: ResMut<Counter>) {
    counter.poked += 1;
}

/// What `wind` starts is called with.
#[derive(Reflect, Default)]
#[reflect(Default)]
pub struct Spring {
    turns: u64,
}

/// What a job of `dig` gives.
#[derive(Event, Reflect, Default)]
#[reflect(Default)]
pub struct Dug {
    finds: Vec<String>,
}

/// A job that takes some time.
fn start_digging(mut jobs: Jobs) {
    jobs.start("dig", |job| {
        let finds = (0..50).take_while(|_| !job.is_cancelled()).map(|find| {
            std::thread::sleep(Duration::from_micros(200));
            format!("find {find}")
        });
        Dug { finds: finds.collect() }
    });
}

fn dig(world: &mut World) {
    world.run_system_once(start_digging).expect("it has no conditions");
}

fn dug(dug: On<Dug>, mut counter: ResMut<Counter>) {
    counter.dug += dug.finds.len() as u64;
}

/// How much all jobs have found.
fn finds(world: &mut World) -> u64 {
    world.resource::<Counter>().dug
}

/// Called again and again, once `wind` was called.
fn unwind(mut spring: InMut<Spring>, mut counter: ResMut<Counter>) {
    spring.turns += 1;
    counter.turned = spring.turns;
}

fn burn(mut fuse: ResMut<Fuse>) {
    if std::mem::take(&mut fuse.system) {
        panic!("the fuse burnt down");
    }
}

fn blow(mut fuse: ResMut<Fuse>) {
    faults::run(&std::mem::take(&mut fuse.fault));
}

fn burn_observed(_: On<Ticked>, mut fuse: ResMut<Fuse>) {
    if std::mem::take(&mut fuse.observer) {
        panic!("the observed fuse burnt down");
    }
}

fn total(mut totals: SharedMut<Totals>) {
    totals.frames += 1;
}

fn drive(mut speeds: Query<&mut Speed>) {
    for mut speed in &mut speeds {
        speed.value = speed.value.wrapping_add(rules::STEP);
    }
}

fn draw(mut view: ResMut<Viewport>) {
    view.text(1, 1, &format!("tiny game, answer {ANSWER}"), Color::GREEN);
}

fn check(tuning: &Tuning) -> Result<(), String> {
    if tuning.level > 0 { Ok(()) } else { Err("level must be over 0".to_owned()) }
}

fn answer() -> i64 {
    ANSWER
}

/// Waits until a file exists, then gives the answer: a call whose end the test decides.
fn wait_for(file: String) -> i64 {
    while !Path::new(&file).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    ANSWER
}

/// The same, and no frame runs meanwhile.
fn hold(_: &mut World, file: String) -> i64 {
    faults::hold(&file);
    ANSWER
}

fn counter(world: &mut World) -> u64 {
    world.resource::<Counter>().frames
}

fn observed(world: &mut World) -> u64 {
    world.resource::<Counter>().observed
}

fn heard(world: &mut World) -> u64 {
    world.resource::<Counter>().heard
}

fn despawned(world: &mut World) -> u64 {
    world.resource::<Counter>().removed
}

fn level(world: &mut World) -> u32 {
    world.resource::<Tuning>().level
}

fn words(world: &mut World) -> String {
    world.resource::<Tuning>().words.join(" ")
}

fn spawn(world: &mut World, count: u32) -> u32 {
    for index in 0..count {
        let items = (0..=index % 4).map(|item| format!("item {item} of {index}")).collect();
        world.spawn((Crate { name: format!("crate {index}"), items }, Speed { value: 7 }));
    }
    count
}

fn despawn_all(world: &mut World) -> u32 {
    let crates: Vec<Entity> = world.query_filtered::<Entity, With<Crate>>().iter(world).collect();
    for entity in &crates {
        world.despawn(*entity);
    }
    crates.len() as u32
}

/// Attaches an observer to every crate there is.
fn attach(world: &mut World) -> u32 {
    let crates: Vec<Entity> = world.query_filtered::<Entity, With<Crate>>().iter(world).collect();
    for entity in &crates {
        world.entity_mut(*entity).attach(poked);
    }
    crates.len() as u32
}

/// Starts a callback whose data counts from `turns`.
fn wind(world: &mut World, turns: u64) {
    let mut spring = Spring::default();
    spring.turns += turns;
    world.commands().run_every(Duration::ZERO, unwind, spring);
}

fn turned(world: &mut World) -> u64 {
    world.resource::<Counter>().turned
}

/// Pokes every crate; what their observers made of that.
fn poke(world: &mut World) -> u64 {
    let crates: Vec<Entity> = world.query_filtered::<Entity, With<Crate>>().iter(world).collect();
    let before = world.resource::<Counter>().poked;
    for entity in crates {
        world.trigger(Poked { entity });
    }
    world.resource::<Counter>().poked - before
}

/// Every crate with its entity and all it owns.
fn inventory(world: &mut World) -> String {
    let mut lines: Vec<String> = world
        .query::<(Entity, &Crate)>()
        .iter(world)
        .map(|(entity, held)| format!("{} {}: {}", entity.to_bits(), held.name, held.items.join(", ")))
        .collect();
    lines.sort();
    lines.join("\n")
}

/// The speed of every crate.
fn speeds(world: &mut World) -> String {
    let speeds: Vec<String> = world.query::<&Speed>().iter(world).map(|speed| format!("{:?}", speed.value)).collect();
    speeds.join(" ")
}

fn arm(world: &mut World) {
    world.resource_mut::<Fuse>().system = true;
}

fn arm_observer(world: &mut World) {
    world.resource_mut::<Fuse>().observer = true;
}

/// Armed, it ends the process in the next frame.
fn arm_fault(world: &mut World, kind: String) {
    world.resource_mut::<Fuse>().fault = kind;
}

/// Ends the process, on a worker thread.
fn fault(kind: String) {
    faults::run(&kind);
}

fn fail() -> i64 {
    panic!("this function fails");
}

fn write_nowhere() {
    // SAFETY: none; this is how the tests make a host die.
    unsafe { std::ptr::without_provenance_mut::<u64>(64).write_volatile(1) };
}

/// Dies on a worker thread.
fn crash() {
    write_nowhere();
}

/// Dies on the frame thread.
fn crash_in_frame(_: &mut World) {
    write_nowhere();
}

fn abort() {
    std::process::abort();
}

/// Runs out of stack.
fn overflow(_: &mut World) -> u64 {
    fn deeper(depth: u64) -> u64 {
        let here = std::hint::black_box([depth; 64]);
        if here[0] == u64::MAX { 0 } else { here[0] + deeper(depth + 1) }
    }
    deeper(0)
}

/// One of everything.
#[module]
pub fn game_logic(m: &mut ModuleBuilder) {
    m.component::<Crate>()
        .component::<Speed>()
        .resource::<Counter>()
        .resource::<Fuse>()
        .message::<Heard>()
        .event::<Ticked>()
        .event::<Poked>()
        .job_result::<Dug>()
        .asset_checked::<Tuning>("tuning.ron", check)
        .shared_state::<Totals>()
        .systems(Update, (count, listen, burn, blow, drive, total))
        .systems(Render, draw)
        .observe(ticked)
        .observe(removed)
        .observe(dug)
        .observe(burn_observed)
        .callback(unwind)
        .entity_observer(poked);
    m.function("answer", answer)
        .function("wait_for", wait_for)
        .function("hold", hold)
        .function("counter", counter)
        .function("observed", observed)
        .function("heard", heard)
        .function("despawned", despawned)
        .function("level", level)
        .function("words", words)
        .function("spawn", spawn)
        .function("despawn_all", despawn_all)
        .function("attach", attach)
        .function("poke", poke)
        .function("wind", wind)
        .function("turned", turned)
        .function("dig", dig)
        .function("finds", finds)
        .function("inventory", inventory)
        .function("speeds", speeds)
        .function("arm", arm)
        .function("arm_observer", arm_observer)
        .function("arm_fault", arm_fault)
        .function("fault", fault)
        .function("fail", fail)
        .function("crash", crash)
        .function("crash_in_frame", crash_in_frame)
        .function("abort", abort)
        .function("overflow", overflow)
        .function("twice", rules::twice);
    strangers::register(m);
}
