//! The attributes of `engine_api`: `#[module]` and `#[shared_state]`.
//!
//! `#[module]` leaves the function as it is and adds one exported static,
//! `engine_api::abi::ModuleEntry`, by which the engine finds it in a library. In a
//! crate with the feature `live` it also links the shared engine library, and puts into the
//! static what the crate's sources say about its types (`sources`).

use proc_macro::TokenStream;
use std::path::Path;

use proc_macro2::Span;
use quote::quote;
use syn::{FnArg, Ident, ItemFn, LitStr, parse_macro_input, spanned::Spanned};

mod shared_state;
mod sources;

/// Marks the function that registers what a module offers.
///
/// The function's name is the module's name in `assets/engine.ron`. It takes a
/// `&mut ModuleBuilder` and returns nothing.
#[proc_macro_attribute]
pub fn module(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    if !arguments.is_empty() {
        return error(Span::call_site(), "#[module] takes no arguments");
    }
    let signature = &function.sig;
    let plain = signature.asyncness.is_none()
        && signature.unsafety.is_none()
        && signature.generics.params.is_empty()
        && matches!(signature.output, syn::ReturnType::Default)
        && signature.inputs.len() == 1
        && matches!(signature.inputs.first(), Some(FnArg::Typed(_)));
    if !plain {
        return error(
            signature.span(),
            "a module function looks like `pub fn name(m: &mut ModuleBuilder)`",
        );
    }
    let name = &signature.ident;
    let visibility = &function.vis;
    let entry = Ident::new(
        &format!("LIVELOOP_MODULE_{}", name.to_string().to_uppercase()),
        name.span(),
    );
    let symbol = LitStr::new(&format!("liveloop_module_{name}"), name.span());
    let sources = sources();
    quote! {
        #function

        // Links the shared copy of the ECS and the engine API in live builds.
        #[allow(unexpected_cfgs)]
        const _: () = {
            #[cfg(feature = "live")]
            extern crate engine_dylib as _;
        };

        #[doc(hidden)]
        #[allow(unexpected_cfgs)]
        #[used]
        #[unsafe(export_name = #symbol)]
        #visibility static #entry: ::engine_api::abi::ModuleEntry = ::engine_api::abi::ModuleEntry {
            token: ::engine_api::abi::AbiToken::CURRENT,
            label: ::core::env!("CARGO_PKG_VERSION"),
            build: #name,
            #[cfg(feature = "live")]
            sources: #sources,
            #[cfg(not(feature = "live"))]
            sources: ::engine_api::sources::Sources::NONE,
        };
    }
    .into()
}

/// Marks a struct whose one value lies at a fixed place in the host's shared region, where code
/// of every version and kind finds it and a crash leaves it readable: `#[shared_state(version = 1)]`.
///
/// The struct is `#[repr(C)]`, has named fields of plain types (numbers, arrays of plain types,
/// other shared structs), no padding at its end, and implements `Default` and `Copy`. Later
/// versions may add fields at the end, with a higher `version`, and nothing else. See
/// `engine_api::shared`.
#[proc_macro_attribute]
pub fn shared_state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    shared_state::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// What the sources of the crate that is compiled say, as an expression.
fn sources() -> proc_macro2::TokenStream {
    let variable = |name| std::env::var(name).unwrap_or_default();
    // Cargo names a package, the compiler a crate.
    let name = variable("CARGO_CRATE_NAME");
    let read = sources::Sources::read(&name, Path::new(&variable("CARGO_MANIFEST_DIR")));
    let crates = read.crates.iter();
    let types = read
        .types
        .iter()
        .map(|(name, number)| quote!((#name, #number)));
    let (macros, dependencies) = (read.macros, read.dependencies);
    let elsewhere = read.elsewhere.iter();
    let elsewhere = elsewhere.map(|(name, number)| quote!((#name, #number)));
    quote! {
        ::engine_api::sources::Sources {
            crates: &[#(#crates),*],
            types: &[#(#types),*],
            macros: #macros,
            dependencies: #dependencies,
            elsewhere: &[#(#elsewhere),*],
        }
    }
}

fn error(span: Span, message: &str) -> TokenStream {
    syn::Error::new(span, message).into_compile_error().into()
}
