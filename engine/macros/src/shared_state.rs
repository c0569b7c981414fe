//! The `#[shared_state]` attribute.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Fields, Item, ItemStruct, Lit, Meta, Result, Token};

/// The struct as it is, with implementations of `Plain` and `SharedState`.
pub fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let version = version(arguments)?;
    let item = a_struct(item)?;
    check_representation(&item)?;
    if !item.generics.params.is_empty() {
        return Err(Error::new(
            item.generics.span(),
            "a shared struct has one layout, so it cannot have generics or lifetimes",
        ));
    }
    let Fields::Named(fields) = &item.fields else {
        return Err(Error::new(
            item.ident.span(),
            "a shared struct names its fields: `struct Name { field: u32 }`; versions are compared by \
             those names",
        ));
    };
    let Some(last) = fields.named.last() else {
        return Err(Error::new(
            item.ident.span(),
            "a shared struct needs a field",
        ));
    };

    let name = &item.ident;
    let fields_described = fields.named.iter().map(|field| {
        let ident = &field.ident;
        let text = ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let ty = &field.ty;
        let type_name = type_text(ty);
        // At the field's type, so that errors of types that do not fit point there.
        let kind = quote_spanned!(ty.span()=> <#ty as ::engine_api::shared::Plain>::KIND);
        quote! {
            ::engine_api::shared::SharedField {
                name: #text,
                type_name: #type_name,
                offset: ::core::mem::offset_of!(#name, #ident),
                size: ::core::mem::size_of::<#ty>(),
                align: ::core::mem::align_of::<#ty>(),
                kind: #kind,
            }
        }
    });
    let last_name = &last.ident;
    let last_type = &last.ty;
    let padding = format!(
        "shared struct `{name}` ends in padding, where fields of later versions would be \
         overwritten: add a last field that fills it (`reserved: [u8; 4]`)"
    );
    let name_text = name.to_string();
    let implementations = quote_spanned! {name.span()=>
        // SAFETY: the struct is `repr(C)`, each field is `Plain` since its `KIND` is asked for,
        // and the description is the compiler's own.
        #[automatically_derived]
        unsafe impl ::engine_api::shared::Plain for #name {
            const KIND: ::engine_api::shared::PlainKind = ::engine_api::shared::PlainKind::Struct {
                name: <#name as ::engine_api::shared::SharedState>::NAME,
                size: ::core::mem::size_of::<#name>(),
                fields: <#name as ::engine_api::shared::SharedState>::FIELDS,
            };
        }
        // SAFETY: as above.
        #[automatically_derived]
        unsafe impl ::engine_api::shared::SharedState for #name {
            const NAME: &'static str =
                ::core::concat!(::core::module_path!(), "::", #name_text);
            const VERSION: u32 = #version;
            const FIELDS: &'static [::engine_api::shared::SharedField] = &[#(#fields_described),*];
        }
        const _: () = ::core::assert!(
            ::core::mem::offset_of!(#name, #last_name) + ::core::mem::size_of::<#last_type>()
                == ::core::mem::size_of::<#name>(),
            #padding
        );
    };
    Ok(quote! {
        #item
        #implementations
    })
}

fn version(arguments: TokenStream) -> Result<u32> {
    const FORM: &str = "write `#[shared_state(version = 1)]`, with a higher number whenever fields \
                        are added";
    let arguments = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(arguments)?;
    let (Some(Meta::NameValue(argument)), 1) = (arguments.first(), arguments.len()) else {
        let span = arguments
            .first()
            .map_or_else(Span::call_site, Spanned::span);
        return Err(Error::new(span, FORM));
    };
    if !argument.path.is_ident("version") {
        return Err(Error::new(argument.path.span(), FORM));
    }
    match &argument.value {
        syn::Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse(),
            other => Err(Error::new(other.span(), FORM)),
        },
        other => Err(Error::new(other.span(), FORM)),
    }
}

fn a_struct(item: TokenStream) -> Result<ItemStruct> {
    let span = item.span();
    match syn::parse2(item) {
        Ok(Item::Struct(item)) => Ok(item),
        Ok(Item::Enum(item)) => Err(Error::new(
            item.enum_token.span(),
            "an enum cannot be shared: not every number is one of its variants; share a struct with a \
             number",
        )),
        _ => Err(Error::new(span, "#[shared_state] goes on a struct")),
    }
}

fn check_representation(item: &ItemStruct) -> Result<()> {
    let mut is_c = false;
    for attribute in item
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("repr"))
    {
        let parts = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        for part in parts {
            if part.path().is_ident("packed") {
                return Err(Error::new(
                    part.span(),
                    "a shared struct cannot be packed: references to its fields would not be aligned",
                ));
            }
            is_c |= part.path().is_ident("C");
        }
    }
    if is_c {
        return Ok(());
    }
    Err(Error::new(
        item.ident.span(),
        "a shared struct needs `#[repr(C)]`: otherwise the compiler may order its fields anew in \
         each version",
    ))
}

/// The type as one writes it: `[f32; 3]`, not `[f32 ; 3]`.
fn type_text(ty: &syn::Type) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (from, to) in [
        (" ;", ";"),
        (" :: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
    ] {
        text = text.replace(from, to);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(arguments: &str, item: &str) -> String {
        let arguments = arguments.parse().unwrap();
        expand(arguments, item.parse().unwrap())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_cannot_be_shared_is_said() {
        const GOOD: &str = "#[repr(C)] struct A { a: u32 }";
        for (arguments, item, expected) in [
            ("", GOOD, "write `#[shared_state(version = 1)]`"),
            ("1", GOOD, "expected identifier"),
            ("layout = 1", GOOD, "write `#[shared_state(version = 1)]`"),
            (
                "version = \"1\"",
                GOOD,
                "write `#[shared_state(version = 1)]`",
            ),
            (
                "version = 1, version = 2",
                GOOD,
                "write `#[shared_state(version = 1)]`",
            ),
            ("version = 5000000000", GOOD, "number too large"),
            ("version = 1", "struct A { a: u32 }", "needs `#[repr(C)]`"),
            (
                "version = 1",
                "#[repr(transparent)] struct A { a: u32 }",
                "needs `#[repr(C)]`",
            ),
            (
                "version = 1",
                "#[repr(C, packed)] struct A { a: u32 }",
                "cannot be packed",
            ),
            (
                "version = 1",
                "#[repr(C)] struct A<T> { a: T }",
                "cannot have generics",
            ),
            (
                "version = 1",
                "#[repr(C)] struct A<'a> { a: &'a u32 }",
                "cannot have generics",
            ),
            (
                "version = 1",
                "#[repr(C)] struct A(u32);",
                "names its fields",
            ),
            ("version = 1", "#[repr(C)] struct A;", "names its fields"),
            ("version = 1", "#[repr(C)] struct A {}", "needs a field"),
            (
                "version = 1",
                "#[repr(C)] enum A { B }",
                "an enum cannot be shared",
            ),
            (
                "version = 1",
                "#[repr(C)] union A { b: u32 }",
                "goes on a struct",
            ),
            ("version = 1", "fn a() {}", "goes on a struct"),
        ] {
            let error = error(arguments, item);
            assert!(error.contains(expected), "{arguments} {item}: {error}");
        }
    }

    #[test]
    fn the_struct_stays_and_types_are_written_well() {
        let item = "#[derive(Clone)] #[repr(C, align(8))] pub struct A { pub a: [f32; 3] }";
        let expanded = expand("version = 2".parse().unwrap(), item.parse().unwrap()).unwrap();
        let item: TokenStream = item.parse().unwrap();
        let text = expanded.to_string();
        assert!(text.starts_with(&item.to_string()), "{text}");
        assert!(text.contains("\"[f32; 3]\""), "{text}");
        assert!(text.contains("2u32"), "{text}");
    }
}
