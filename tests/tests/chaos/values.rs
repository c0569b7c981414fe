//! Values of fields: how the game makes them, and what the README says becomes of them when
//! their type changes.

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    U8,
    U32,
    I64,
    F64,
    Text,
    Many,
    Maybe,
}

pub const KINDS: [Kind; 7] = [
    Kind::U8,
    Kind::U32,
    Kind::I64,
    Kind::F64,
    Kind::Text,
    Kind::Many,
    Kind::Maybe,
];

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Whole(i64),
    Real(f64),
    Text(String),
    Many(Vec<u32>),
    Maybe(Option<u32>),
}

/// What a field of an entity is made of; `place` tells fields apart. The game has the same
/// function.
pub fn number(id: u32, salt: u32, place: u32) -> u32 {
    (id * 31 + salt * 17 + place * 7) % 1000
}

impl Kind {
    /// The type in the source.
    pub fn rust(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::F64 => "f64",
            Self::Text => "String",
            Self::Many => "Vec<u32>",
            Self::Maybe => "Option<u32>",
        }
    }

    /// The source that makes a value of the number `n`.
    pub fn expression(self, n: &str) -> String {
        match self {
            Self::U8 => format!("({n} % 256) as u8"),
            Self::U32 => n.to_owned(),
            Self::I64 => format!("i64::from({n}) - 500"),
            Self::F64 => format!("f64::from({n}) / 4.0"),
            Self::Text => format!("format!(\"s{{}}\", {n})"),
            Self::Many => format!("vec![{n}, {n} + 1]"),
            Self::Maybe => format!("({n} % 3 != 0).then_some({n})"),
        }
    }

    /// What that source makes.
    pub fn value(self, n: u32) -> Value {
        match self {
            Self::U8 => Value::Whole((n % 256).into()),
            Self::U32 => Value::Whole(n.into()),
            Self::I64 => Value::Whole(i64::from(n) - 500),
            Self::F64 => Value::Real(f64::from(n) / 4.0),
            Self::Text => Value::Text(format!("s{n}")),
            Self::Many => Value::Many(vec![n, n + 1]),
            Self::Maybe => Value::Maybe((!n.is_multiple_of(3)).then_some(n)),
        }
    }
}

impl Value {
    /// The value in another type; `None` where that would lose something.
    pub fn fit(&self, kind: Kind) -> Option<Self> {
        match (self, kind) {
            (Self::Text(_), Kind::Text) | (Self::Many(_), Kind::Many) => Some(self.clone()),
            (Self::Maybe(maybe), Kind::Maybe) => Some(Self::Maybe(*maybe)),
            // What is there fits as it would without its `Some`.
            (Self::Maybe(maybe), _) => Self::Whole((*maybe)?.into()).fit(kind),
            (Self::Real(real), Kind::F64) => Some(Self::Real(*real)),
            (Self::Real(real), _) => {
                let whole = *real as i64;
                (whole as f64 == *real)
                    .then_some(Self::Whole(whole))?
                    .fit(kind)
            }
            (Self::Whole(whole), Kind::U8) => u8::try_from(*whole).ok().map(|_| self.clone()),
            (Self::Whole(whole), Kind::U32) => u32::try_from(*whole).ok().map(|_| self.clone()),
            (Self::Whole(_), Kind::I64) => Some(self.clone()),
            (Self::Whole(whole), Kind::F64) => Some(Self::Real(*whole as f64)),
            (Self::Whole(whole), Kind::Maybe) => u32::try_from(*whole)
                .ok()
                .map(|whole| Self::Maybe(Some(whole))),
            _ => None,
        }
    }

    /// As `{:?}` shows it in the game.
    pub fn shown(&self) -> String {
        match self {
            Self::Whole(whole) => format!("{whole:?}"),
            Self::Real(real) => format!("{real:?}"),
            Self::Text(text) => format!("{text:?}"),
            Self::Many(many) => format!("{many:?}"),
            Self::Maybe(maybe) => format!("{maybe:?}"),
        }
    }
}
