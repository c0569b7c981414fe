//! Texts that are damaged at random, in the same way for the same seed.

/// Numbers at random (`SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another one, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// What a parser or a runtime may take badly.
const NASTY: &[&str] = &[
    "0x7fffffffffffffff",
    "9223372036854775808",
    "-9223372036854775808",
    "1e309",
    "0x1p-1074",
    "0/0",
    "1e",
    "\"\\u{7fffffff}\"",
    "\"\\xff\\",
    "[[",
    "]]",
    "[==[",
    "--[[",
    "\0",
    "\u{feff}",
    "é",
    "end",
    "end end",
    "return",
    "function",
    "local function",
    "repeat",
    "until",
    "goto continue ::continue::",
    "<close>",
    "<const>",
    "...",
    "::",
    "=",
    "(",
    "}",
    "nil",
    "_ENV",
    "_G",
    "self",
    "M",
    "require",
    "require('m')",
    "error()",
    "coroutine.yield()",
    "setmetatable({}, { __gc = error })",
    "setmetatable(_G, nil)",
    "for k in pairs(_G) do _G[k] = nil end",
    "while true do end",
    "string.rep('x', 1e9)",
];

/// What can be put into itself.
const NESTS: &[(&str, &str)] = &[
    ("(", ")"),
    ("{", "}"),
    ("do ", " end"),
    ("if x then ", " end"),
    ("f(", ")"),
    ("-", ""),
    ("not ", ""),
    ("x = function() ", " end"),
    ("a.", ""),
    ("[", "]"),
    ("return function() ", " end"),
    ("x = x .. ", ""),
    ("x = 2 ^ ", ""),
];

/// Damages a text in one to four ways. `other` is what parts are taken from.
pub(super) fn mutate(random: &mut Random, text: &str, other: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            // Bits.
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            // The end is gone, or something in between.
            2 => bytes.truncate(at),
            3 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            // Something else comes in between, or in place of a word.
            4 => insert(&mut bytes, at, random.one_of(NASTY).as_bytes()),
            5 => {
                let (start, end) = word_at(&bytes, at);
                bytes.splice(start..end, random.one_of(NASTY).bytes());
            }
            6 => {
                let start = random.below(other.len() + 1);
                let (start, _) = word_at(other.as_bytes(), start);
                let end = (start + random.below(120)).min(other.len());
                let (_, end) = word_at(other.as_bytes(), end);
                let (at, _) = word_at(&bytes, at);
                insert(&mut bytes, at, &other.as_bytes()[start..end]);
            }
            // Deep.
            _ => {
                let (open, close) = NESTS[random.below(NESTS.len())];
                let depth = 1 << random.below(13);
                let nest = open.repeat(depth) + "1" + &close.repeat(depth);
                let (at, _) = word_at(&bytes, at);
                insert(&mut bytes, at, nest.as_bytes());
            }
        }
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

/// From where to where the word goes that stands at a place.
fn word_at(bytes: &[u8], at: usize) -> (usize, usize) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = bytes[..at].iter().rev().take_while(|byte| is_word(byte));
    let after = bytes[at..].iter().take_while(|byte| is_word(byte));
    (at - before.count(), at + after.count())
}
