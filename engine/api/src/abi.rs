//! What a native module exports, and how the engine knows that it fits.
//!
//! A module library exports one static, [`ModuleEntry`], under the symbol
//! [`entry_symbol`]. Its first bytes are an [`AbiToken`], plain data that can be
//! read out of the file before the library is opened.

use std::any::TypeId;

use bevy_ecs::world::World;

use crate::module::ModuleBuilder;
use crate::sources::Sources;

/// First bytes of every token: `LIVELOOP`.
pub const MAGIC: [u8; 8] = *b"LIVELOOP";

/// What must be equal in an engine and a module that share types.
///
/// `build` covers compiler, target, profile and the source of this crate;
/// `world` covers the features and the identity of bevy_ecs, since a type id
/// contains the hash of the crate that defines the type.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbiToken {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Compiler, target, profile and source of `engine_api`.
    pub build: u64,
    /// Identity of the ECS.
    pub world: TypeId,
    /// Identity of this crate.
    pub builder: TypeId,
}

/// Size of a token in a file, in bytes.
pub const TOKEN_SIZE: usize = size_of::<AbiToken>();

impl AbiToken {
    /// The token of the code this is compiled into.
    pub const CURRENT: Self = Self {
        magic: MAGIC,
        build: BUILD,
        world: TypeId::of::<World>(),
        builder: TypeId::of::<ModuleBuilder>(),
    };

    /// The token as it lies in memory, for comparison with bytes of a file.
    pub fn bytes(&self) -> [u8; TOKEN_SIZE] {
        // SAFETY: the struct is `repr(C)` of 8 + 8 + 16 + 16 bytes without
        // padding, so every byte of it is initialised; `TypeId` is plain data.
        unsafe { std::mem::transmute(*self) }
    }
}

/// Version of the compiler that built this crate: `rustc 1.95.0 (...)`.
pub const RUSTC: &str = env!("LIVELOOP_RUSTC");

/// Compiler, target, profile and source of this crate as one number.
pub const BUILD: u64 = {
    let digits = env!("LIVELOOP_BUILD").as_bytes();
    let mut number = 0_u64;
    let mut index = 0;
    while index < digits.len() {
        number = number
            .wrapping_mul(10)
            .wrapping_add((digits[index] - b'0') as u64);
        index += 1;
    }
    number
};

/// What a module library exports.
#[repr(C)]
pub struct ModuleEntry {
    /// Must equal the engine's own [`AbiToken::CURRENT`] before any other field is
    /// looked at.
    pub token: AbiToken,
    /// The crate's own version, `0.1.0`.
    pub label: &'static str,
    /// Registers everything the module offers.
    pub build: fn(&mut ModuleBuilder),
    /// What the module's sources say about its types.
    pub sources: Sources,
}

/// Symbol under which the library of module `name` exports its [`ModuleEntry`].
pub fn entry_symbol(name: &str) -> String {
    format!("liveloop_module_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_starts_with_the_magic_and_differs_by_build() {
        let token = AbiToken::CURRENT;
        assert_eq!(token.bytes()[..8], MAGIC);
        let other = AbiToken {
            build: token.build ^ 1,
            ..token
        };
        assert_ne!(token.bytes(), other.bytes());
        assert_eq!(token.bytes(), AbiToken::CURRENT.bytes());
    }
}
