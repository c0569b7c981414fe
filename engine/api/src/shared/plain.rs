//! Types whose values are any bits, and their description as constants.

/// Plain data: every pattern of bits is a value, and there is nothing to drop, to borrow or to
/// follow. So values can be read that another version, or a version that crashed, has written.
///
/// Implemented for integers, floats, arrays of plain types, and shared structs. Not for `bool` and
/// `char`, of which most patterns are no value: use `u8` and `u32`.
///
/// # Safety
/// Every pattern of bits is a value of the type, and `KIND` describes how it lies in memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be in a shared struct",
    label = "not plain data",
    note = "fields are integers, floats, arrays of such, and other `#[shared_state]` structs",
    note = "instead of `bool` use `u8`, instead of `char` use `u32`, instead of text `[u8; N]`"
)]
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// What the type is made of.
    const KIND: PlainKind;
}

/// What a plain type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainKind {
    /// A number.
    Primitive(Primitive),
    /// So many of one type.
    Array(&'static PlainKind, usize),
    /// A shared struct.
    Struct {
        /// Its path.
        name: &'static str,
        /// Its size in bytes.
        size: usize,
        /// Its fields, in order.
        fields: &'static [SharedField],
    },
}

/// A field of a shared struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedField {
    /// Its name.
    pub name: &'static str,
    /// Its type as it is written in the source.
    pub type_name: &'static str,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
    /// Its alignment in bytes.
    pub align: usize,
    /// What its type is made of.
    pub kind: PlainKind,
}

macro_rules! primitives {
    ($($ty:ident $variant:ident)*) => {
        /// A number type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Primitive {
            $(#[doc = concat!("`", stringify!($ty), "`")] $variant),*
        }

        impl Primitive {
            /// All of them; their places here are fixed, new ones come last.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The type's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($ty)),*
                }
            }

            /// Its size in bytes.
            pub fn size(self) -> usize {
                match self {
                    $(Self::$variant => size_of::<$ty>()),*
                }
            }

            /// The number that `bytes` are in this machine's order, as text; `None` if there are
            /// too many or too few.
            pub fn text(self, bytes: &[u8]) -> Option<String> {
                match self {
                    $(Self::$variant => {
                        bytes.try_into().ok().map(|bytes| $ty::from_ne_bytes(bytes).to_string())
                    }),*
                }
            }
        }

        $(
            // SAFETY: every pattern of bits is a number.
            unsafe impl Plain for $ty {
                const KIND: PlainKind = PlainKind::Primitive(Primitive::$variant);
            }
        )*
    };
}
primitives!(
    u8 U8 u16 U16 u32 U32 u64 U64 u128 U128 usize Usize
    i8 I8 i16 I16 i32 I32 i64 I64 i128 I128 isize Isize
    f32 F32 f64 F64
);

// SAFETY: an array is its elements without gaps.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    const KIND: PlainKind = PlainKind::Array(&T::KIND, N);
}
