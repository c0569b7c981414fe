//! Functions callable by name, typed and dynamic.
//!
//! [`ModuleBuilder::function`](crate::module::ModuleBuilder::function) takes any
//! `fn` with up to six arguments that implement [`FromValue`] and a result that
//! implements [`IntoValue`]; a first argument `&mut World` makes it run between
//! two frames. The engine reaches it through a plain function pointer when the
//! caller knows its type, through [`Value`]s when it does not.

use std::any::{TypeId, type_name};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bevy_ecs::world::World;

use crate::value::{FromValue, IntoValue, Value, ValueError};

/// Why a call by name gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The wrong number of arguments.
    #[error("takes {expected} argument{}, got {found}", if *.expected == 1 { "" } else { "s" })]
    ArgumentCount {
        /// How many it takes.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// An argument has the wrong type.
    #[error("argument {index}: {source}")]
    Argument {
        /// Position, from 1.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: ValueError,
    },
    /// The function said that it failed, and why.
    #[error("{0}")]
    Failed(String),
    /// The function panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// A dynamic call that needs no world; may run on any thread.
pub type DetachedCall = Arc<dyn Fn(&[Value]) -> Result<Value, CallError> + Send + Sync>;
/// A dynamic call that takes the world; runs between two frames.
pub type WorldCall = Arc<dyn Fn(&mut World, &[Value]) -> Result<Value, CallError> + Send + Sync>;

/// How a function is called with dynamic values.
#[derive(Clone)]
pub enum DynamicCall {
    /// Without the world.
    Detached(DetachedCall),
    /// With the world.
    World(WorldCall),
}

/// Address of a function whose type is given by a [`TypeId`] beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionPointer(pub *const ());

// SAFETY: a function pointer may be called from any thread; whoever calls it
// must know its type and keep the code mapped.
unsafe impl Send for FunctionPointer {}
// SAFETY: as above.
unsafe impl Sync for FunctionPointer {}

/// A function that a module offers.
pub struct FunctionRegistration {
    /// Name it is called by.
    pub name: String,
    /// `fn(i32, i32) -> i32`.
    pub signature: String,
    /// Type of the function pointer.
    pub type_id: TypeId,
    /// The function itself, of the type that `type_id` names.
    pub pointer: FunctionPointer,
    /// The function with dynamic arguments.
    pub call: DynamicCall,
}

/// Functions that can be registered. Implemented for function items with up to
/// six arguments, with or without a leading `&mut World`.
pub trait ModuleFunction<Marker>: Copy + Send + Sync + 'static {
    /// Describes the function under `name`.
    fn register(self, name: &str) -> FunctionRegistration;
}

fn short<T>() -> String {
    // `alloc::string::String` is `String` to people.
    let full = type_name::<T>();
    if full.contains('<') {
        return full.to_owned();
    }
    full.rsplit("::").next().unwrap_or(full).to_owned()
}

/// The message of a panic, whatever the payload is. Takes the payload: its own drop may
/// panic as well, and what that says is lost.
pub fn panic_message(payload: Box<dyn std::any::Any + Send>) -> String {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned());
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Could go on for ever.
        std::mem::forget(again);
    }
    message
}

fn catch<R: IntoValue>(call: impl FnOnce() -> R) -> Result<Value, CallError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Ok(result.into_value()),
        Err(payload) => Err(CallError::Panicked(panic_message(payload))),
    }
}

/// Recreates a function item from its type alone: it has no data, its type
/// names the function.
///
/// # Safety
/// A value of `F` must exist somewhere, so that the type is inhabited.
unsafe fn item<F: Copy + 'static>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "register a function, or a closure that captures nothing: what it captures would not \
             survive a reload"
        );
    };
    // SAFETY: `F` has no bytes, so reading it from any aligned, non-null address
    // is valid; the caller vouches that it is inhabited.
    unsafe { std::ptr::NonNull::<F>::dangling().as_ptr().read() }
}

macro_rules! functions {
    ($count:literal; $($arg:ident $index:literal $value:ident),*) => {
        impl<F, R, $($arg),*> ModuleFunction<fn($($arg),*) -> R> for F
        where
            F: Fn($($arg),*) -> R + Copy + Send + Sync + 'static,
            R: IntoValue + 'static,
            $($arg: FromValue + 'static),*
        {
            fn register(self, name: &str) -> FunctionRegistration {
                #[allow(clippy::many_single_char_names)]
                fn shim<F, R, $($arg),*>($($value: $arg),*) -> R
                where
                    F: Fn($($arg),*) -> R + Copy + 'static,
                {
                    // SAFETY: `register` got a value of `F`.
                    let function: F = unsafe { item() };
                    function($($value),*)
                }
                let pointer: fn($($arg),*) -> R = shim::<F, R, $($arg),*>;
                let arguments: Vec<String> = vec![$(short::<$arg>()),*];
                FunctionRegistration {
                    name: name.to_owned(),
                    signature: format!("fn({}) -> {}", arguments.join(", "), short::<R>()),
                    type_id: TypeId::of::<fn($($arg),*) -> R>(),
                    pointer: FunctionPointer(pointer as *const ()),
                    call: DynamicCall::Detached(Arc::new(move |values| {
                        let [$($value),*] = values else {
                            return Err(CallError::ArgumentCount { expected: $count, found: values.len() });
                        };
                        $(let $value = $arg::from_value($value)
                            .map_err(|source| CallError::Argument { index: $index, source })?;)*
                        catch(|| self($($value),*))
                    })),
                }
            }
        }

        impl<F, R, $($arg),*> ModuleFunction<fn(&mut World, $($arg),*) -> R> for F
        where
            F: Fn(&mut World, $($arg),*) -> R + Copy + Send + Sync + 'static,
            R: IntoValue + 'static,
            $($arg: FromValue + 'static),*
        {
            fn register(self, name: &str) -> FunctionRegistration {
                #[allow(clippy::too_many_arguments)]
                fn shim<F, R, $($arg),*>(world: &mut World, $($value: $arg),*) -> R
                where
                    F: Fn(&mut World, $($arg),*) -> R + Copy + 'static,
                {
                    // SAFETY: `register` got a value of `F`.
                    let function: F = unsafe { item() };
                    function(world, $($value),*)
                }
                let pointer: fn(&mut World, $($arg),*) -> R = shim::<F, R, $($arg),*>;
                #[allow(unused_mut)]
                let mut arguments: Vec<String> = vec!["&mut World".to_owned()];
                $(arguments.push(short::<$arg>());)*
                FunctionRegistration {
                    name: name.to_owned(),
                    signature: format!("fn({}) -> {}", arguments.join(", "), short::<R>()),
                    type_id: TypeId::of::<fn(&mut World, $($arg),*) -> R>(),
                    pointer: FunctionPointer(pointer as *const ()),
                    call: DynamicCall::World(Arc::new(move |world, values| {
                        let [$($value),*] = values else {
                            return Err(CallError::ArgumentCount { expected: $count, found: values.len() });
                        };
                        $(let $value = $arg::from_value($value)
                            .map_err(|source| CallError::Argument { index: $index, source })?;)*
                        catch(|| self(world, $($value),*))
                    })),
                }
            }
        }
    };
}
functions!(0;);
functions!(1; A 1 a);
functions!(2; A 1 a, B 2 b);
functions!(3; A 1 a, B 2 b, C 3 c);
functions!(4; A 1 a, B 2 b, C 3 c, D 4 d);
functions!(5; A 1 a, B 2 b, C 3 c, D 4 d, E 5 e);
functions!(6; A 1 a, B 2 b, C 3 c, D 4 d, E 5 e, G 6 g);

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(attack: i32, defense: i32) -> i32 {
        (attack - defense).max(0)
    }
    fn fails() -> i32 {
        panic!("no luck today")
    }
    fn count(world: &mut World, factor: i64) -> i64 {
        i64::from(world.entities().count_spawned()) * factor
    }

    fn dynamic(registration: &FunctionRegistration, args: &[Value]) -> Result<Value, CallError> {
        match &registration.call {
            DynamicCall::Detached(call) => call(args),
            DynamicCall::World(call) => call(&mut World::new(), args),
        }
    }

    #[test]
    fn a_typed_call_goes_through_the_pointer() {
        let registration = damage.register("damage");
        assert_eq!(registration.signature, "fn(i32, i32) -> i32");
        assert_eq!(registration.type_id, TypeId::of::<fn(i32, i32) -> i32>());
        // SAFETY: the type id says so.
        let function: fn(i32, i32) -> i32 = unsafe { std::mem::transmute(registration.pointer.0) };
        assert_eq!(function(12, 5), 7);
    }

    #[test]
    fn dynamic_calls_check_their_arguments_and_catch_panics() {
        let damage = damage.register("damage");
        assert_eq!(
            dynamic(&damage, &[Value::Int(9), Value::Int(4)]),
            Ok(Value::Int(5))
        );
        assert_eq!(
            dynamic(&damage, &[Value::Int(9)]).unwrap_err().to_string(),
            "takes 2 arguments, got 1"
        );
        assert_eq!(
            dynamic(&damage, &[Value::Int(9), Value::Str("x".into())])
                .unwrap_err()
                .to_string(),
            "argument 2: expected i32, got text"
        );
        let fails = fails.register("fails");
        assert_eq!(
            dynamic(&fails, &[]),
            Err(CallError::Panicked("no luck today".into()))
        );
        let count = count.register("count");
        assert!(matches!(
            dynamic(&count, &[Value::Int(2)]),
            Ok(Value::Int(_))
        ));
    }
}
