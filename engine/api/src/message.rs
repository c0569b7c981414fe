//! Reading messages, each once, whichever version reads.
//!
//! bevy's `MessageReader` remembers in a `Local` how far it has read, so a system that was
//! reloaded hears again what is still queued. [`MessageReader`] is used the same way and
//! goes on where the version before stopped: how many messages a reader has heard is a
//! component of an entity, as [`Keep`](crate::keep::Keep)'s values are. It survives reloads
//! and rebuilt worlds and is in checkpoints.
//!
//! | of | key |
//! |---|---|
//! | a system's reader of `Hit` | `game::listen#0<game::Hit>`: path of the function, and which of its readers of `Hit` it is |
//!
//! A reader that nobody knows hears all that is queued, as bevy's does: that of a new
//! system, of one that was renamed, and of one that was run without a name
//! (`world.run_system_once`), which remembers by itself.
//!
//! The engine calls [`declare`] for each new world, and [`rename`] when a message type
//! has got another name.

use std::any::{TypeId, type_name};
use std::sync::atomic::{AtomicUsize, Ordering};

use bevy_ecs::change_detection::Tick;
use bevy_ecs::component::{Component, ComponentId};
use bevy_ecs::entity::Entity;
use bevy_ecs::message::{Message, MessageCursor, MessageIterator, MessageIteratorWithId, Messages};
use bevy_ecs::query::FilteredAccess;
use bevy_ecs::reflect::ReflectComponent;
use bevy_ecs::system::{
    ReadOnlySystemParam, Res, SystemAccess, SystemMeta, SystemParam, SystemParamValidationError,
};
use bevy_ecs::world::World;
use bevy_ecs::world::unsafe_world_cell::UnsafeWorldCell;
use bevy_reflect::Reflect;

use crate::keep::{self, KeepKey};
use crate::state::StateType;

#[cfg(test)]
mod tests;

/// How many messages of a queue a reader has heard. Readers count it up while they share
/// the world with others that only read.
#[derive(Component)]
#[repr(transparent)]
struct Heard(AtomicUsize);

/// [`Heard`] as reflection sees it: the same bytes.
#[derive(Component, Reflect)]
#[reflect(Component)]
#[repr(transparent)]
struct HeardCount(usize);

/// Makes a world know the engine's own types for readers. Calling it again does nothing.
pub fn declare(world: &mut World) {
    keep::declare(world);
    world.register_component::<Heard>();
}

/// The type of a reader's position, for those who carry values from world to world.
pub fn position_type() -> StateType {
    // A `Heard` is read and written through functions of `HeardCount`: both are one
    // `usize`, and nobody else looks at values while those functions are called.
    StateType {
        stored: TypeId::of::<Heard>(),
        declare,
        ..StateType::component::<HeardCount>()
    }
}

/// Path of the queue of a message type, by the path of the type.
pub(crate) fn queue_path(message: &str) -> String {
    format!("{QUEUE}{message}>")
}

/// How the path of a queue begins.
const QUEUE: &str = "bevy_ecs::message::messages::Messages<";

/// The positions in the queue of a type, whose path is `queue`, become those of another,
/// whose values were taken over from it. Costs a look at all kept values.
pub fn rename(world: &mut World, old_queue: &str, new_queue: &str) {
    let message = |queue: &str| Some(queue.strip_prefix(QUEUE)?.strip_suffix('>')?.to_owned());
    let (Some(old), Some(new)) = (message(old_queue), message(new_queue)) else {
        return;
    };
    let heard = world.register_component::<Heard>();
    for (entity, key) in readers_of(world, &old) {
        let key = key.replace(&format!("<{old}>"), &format!("<{new}>"));
        // From a time when the type was called so before.
        if let Some(stale) = keep::find(world, heard, &key) {
            let heard = world.get::<Heard>(entity).map_or(0, Heard::get);
            set(world, stale, heard);
        } else if let Some(mut found) = world.get_mut::<KeepKey>(entity) {
            *found = KeepKey::new(key);
        }
    }
}

/// Readers of a queue that has just been made have heard nothing of it.
#[inline(never)]
pub(crate) fn begin_anew(world: &mut World, message: &str) {
    for (entity, _) in readers_of(world, message) {
        set(world, entity, 0);
    }
}

fn set(world: &World, entity: Entity, heard: usize) {
    if let Some(position) = world.get::<Heard>(entity) {
        position.0.store(heard, Ordering::Relaxed);
    }
}

/// Readers of a message type with their keys.
fn readers_of(world: &World, message: &str) -> Vec<(Entity, String)> {
    let queue = format!("<{message}>");
    let all = keep::entities(world).into_iter();
    all.filter(|entity| world.get::<Heard>(*entity).is_some())
        .filter_map(|entity| Some((entity, world.get::<KeepKey>(entity)?.as_str().to_owned())))
        .filter(|(_, key)| key.ends_with(&queue))
        .collect()
}

/// The entity with the position of the reader that is being initialised; `None` if nobody
/// said whose it is.
// Not generic and never inlined: all modules share the one in this crate.
#[inline(never)]
fn find_or_spawn(world: &mut World, queue: TypeId, message: &str) -> Option<Entity> {
    declare(world);
    let heard = world.register_component::<Heard>();
    let key = format!("{}<{message}>", keep::next_key(queue).ok()?.0);
    let entity = keep::find(world, heard, &key).unwrap_or_else(|| {
        let heard = Heard(AtomicUsize::new(0));
        world.spawn((KeepKey::new(key), heard)).id()
    });
    Some(entity)
}

impl Heard {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads messages of type `M` in the order they were written, each once; used like bevy's
/// reader of this name, and goes on over reloads.
///
/// Getting it costs one look-up of an entity. Several readers of one type in one system have a
/// position each.
///
/// ```
/// use engine_api::prelude::*;
///
/// #[derive(Message, Reflect)]
/// pub struct Hit { damage: u32 }
///
/// fn listen(mut hits: MessageReader<Hit>) {
///     for hit in hits.read() {
///         log::info!("{}", hit.damage);
///     }
/// }
/// ```
///
/// # Errors
/// A system is not run if nobody registered the message type.
#[derive(Debug)]
pub struct MessageReader<'w, 's, M: Message> {
    cursor: MessageCursor<M>,
    messages: Res<'w, Messages<M>>,
    position: Position<'w, 's>,
}

/// Where a reader's position is.
#[derive(Debug)]
struct Position<'w, 's> {
    kept: Option<&'w AtomicUsize>,
    /// For a reader that nobody said the owner of, or whose entity the game has despawned.
    own: &'s AtomicUsize,
}

impl Position<'_, '_> {
    fn get(&self) -> &AtomicUsize {
        self.kept.unwrap_or(self.own)
    }
}

impl<M: Message> MessageReader<'_, '_, M> {
    /// The messages that this reader has not heard yet. Those that are not taken from the
    /// iterator stay unheard.
    pub fn read(&mut self) -> MessageIterator<'_, M> {
        self.cursor.read(&self.messages)
    }

    /// Like [`read`](Self::read), each with its number in the queue.
    pub fn read_with_id(&mut self) -> MessageIteratorWithId<'_, M> {
        self.cursor.read_with_id(&self.messages)
    }

    /// How many messages [`read`](Self::read) would give.
    pub fn len(&self) -> usize {
        self.cursor.len(&self.messages)
    }

    /// Whether there is nothing to hear.
    pub fn is_empty(&self) -> bool {
        self.cursor.is_empty(&self.messages)
    }

    /// Passes over what has not been heard yet.
    pub fn clear(&mut self) {
        self.cursor.clear(&self.messages);
    }
}

impl<M: Message> Drop for MessageReader<'_, '_, M> {
    fn drop(&mut self) {
        let heard = written(&self.messages) - self.cursor.len(&self.messages);
        self.position.get().store(heard, Ordering::Relaxed);
    }
}

/// How many messages were ever written to a queue.
fn written<M: Message>(messages: &Messages<M>) -> usize {
    messages.oldest_message_count() + messages.len()
}

/// bevy's cursor for a reader that has heard so many messages. Costs nothing per message.
fn cursor_at<M: Message>(messages: &Messages<M>, heard: usize) -> MessageCursor<M> {
    let mut cursor = messages.get_cursor();
    // More than there were: the game has put another queue into the place of that one.
    let heard = if heard > written(messages) { 0 } else { heard };
    let queued = heard.saturating_sub(messages.oldest_message_count());
    if let Some(last) = queued.checked_sub(1) {
        cursor.read(messages).nth(last);
    }
    cursor
}

/// What a [`MessageReader`] needs between runs of its system.
pub struct ReaderState {
    queue: ComponentId,
    kept: Option<Entity>,
    /// The position of a reader that is not kept.
    own: AtomicUsize,
}

// SAFETY: `init_access` declares the queue as `Res` does, and that `Heard` is read on entities with
// `KeepKey`; those are all that `get_param` touches, through shared references. Conflicts are
// refused by `Res` and by the assertion.
unsafe impl<M: Message> SystemParam for MessageReader<'_, '_, M> {
    type State = ReaderState;
    type Item<'w, 's> = MessageReader<'w, 's, M>;

    fn init_state(world: &mut World) -> ReaderState {
        let queue = TypeId::of::<Messages<M>>();
        ReaderState {
            queue: <Res<Messages<M>> as SystemParam>::init_state(world),
            kept: find_or_spawn(world, queue, type_name::<M>()),
            own: AtomicUsize::new(0),
        }
    }

    fn init_access(
        state: &ReaderState,
        meta: &mut SystemMeta,
        system_access: &mut SystemAccess,
        world: &mut World,
    ) {
        <Res<Messages<M>> as SystemParam>::init_access(&state.queue, meta, system_access, world);
        let mut access = FilteredAccess::default();
        access.add_read(world.register_component::<Heard>());
        access.and_with(world.register_component::<KeepKey>());
        assert!(
            system_access.try_add(access).is_ok(),
            "MessageReader<{}> in system {} conflicts with another of its parameters, which \
             changes all entities and asks for those with `KeepKey` as well",
            type_name::<M>(),
            meta.name()
        );
    }

    unsafe fn get_param<'w, 's>(
        state: &'s mut ReaderState,
        meta: &SystemMeta,
        world: UnsafeWorldCell<'w>,
        change_tick: Tick,
    ) -> Result<MessageReader<'w, 's, M>, SystemParamValidationError> {
        let queue = &mut state.queue;
        // SAFETY: the caller's promises are handed on; `init_access` declared what `Res` needs.
        let messages = unsafe { Res::<Messages<M>>::get_param(queue, meta, world, change_tick) }?;
        let entity = state.kept.and_then(|kept| world.get_entity(kept).ok());
        // SAFETY: `init_access` declared that `Heard` is read; what is there is changed through
        // atomics alone.
        let kept = entity.and_then(|entity| unsafe { entity.get::<Heard>() });
        let position = Position {
            kept: kept.map(|heard| &heard.0),
            own: &state.own,
        };
        let heard = position.get().load(Ordering::Relaxed);
        Ok(MessageReader {
            cursor: cursor_at(&messages, heard),
            messages,
            position,
        })
    }
}

// SAFETY: the world is only read; a position is changed through a shared reference.
unsafe impl<M: Message> ReadOnlySystemParam for MessageReader<'_, '_, M> {}
