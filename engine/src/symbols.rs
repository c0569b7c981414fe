//! Names and lines of addresses in the code of modules, read from the debug information of the
//! file that the code was loaded from.
//!
//! This happens in the supervisor, long after the code ran: nothing of it can stop a frame, fail
//! because the process is broken, or keep a version from being unloaded.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use addr2line::gimli::{self, EndianSlice, NativeEndian};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _};

/// A call in a backtrace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Path of the function, without hash.
    pub(crate) function: String,
    /// Source file; empty if unknown.
    pub(crate) file: PathBuf,
    /// Line, from 1; 0 if unknown.
    pub(crate) line: u32,
    /// Column, from 1; 0 if unknown.
    pub(crate) column: u32,
}

/// The calls that led somewhere, with names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Backtrace {
    /// Innermost first.
    pub(crate) innermost: Vec<Frame>,
    /// How many were not taken.
    pub(crate) left_out: u64,
    /// Those around them.
    pub(crate) outermost: Vec<Frame>,
}

/// Names addresses in a library: for each one the call that was inlined innermost, and those
/// around it. Addresses that nothing is known of are left out.
///
/// # Errors
/// What is wrong with the library.
pub(crate) fn frames(library: &[u8], offsets: &[u64]) -> Result<Vec<Frame>, String> {
    let file = object::File::parse(library).map_err(|error| error.to_string())?;
    let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let data = file.section_by_name(id.name());
        let data = data.and_then(|section| section.uncompressed_data().ok());
        Ok(data.unwrap_or(Cow::Borrowed(&[])))
    };
    let sections = gimli::DwarfSections::load(section).map_err(|error| error.to_string())?;
    let dwarf = sections.borrow(|data| EndianSlice::new(data, NativeEndian));
    let context = addr2line::Context::from_dwarf(dwarf).map_err(|error| error.to_string())?;
    // What offsets are counted from: the first page that is mapped.
    let first = file.segments().map(|segment| segment.address()).min();
    let base = first.unwrap_or(0) & !0xfff;
    let mut found = Vec::new();
    for offset in offsets {
        let address = base + offset;
        let count = found.len();
        let mut inlined = context
            .find_frames(address)
            .skip_all_loads()
            .map_err(|error| error.to_string())?;
        while let Ok(Some(frame)) = inlined.next() {
            let name = frame.function.as_ref();
            let name = name.and_then(|name| name.raw_name().ok());
            let place = frame.location.as_ref();
            found.push(Frame {
                function: name.map_or(String::new(), |name| demangled(&name)),
                file: place
                    .and_then(|place| place.file)
                    .map(PathBuf::from)
                    .unwrap_or_default(),
                line: place.and_then(|place| place.line).unwrap_or(0),
                column: place.and_then(|place| place.column).unwrap_or(0),
            });
        }
        // The function itself: line tables may not name it.
        let symbol = symbol_at(&file, address).map(|name| demangled(&name));
        match (found[count..].last_mut(), symbol) {
            (Some(outermost), Some(symbol)) => outermost.function = symbol,
            (None, Some(symbol)) => found.push(Frame {
                function: symbol,
                ..Frame::default()
            }),
            (_, None) => {}
        }
    }
    Ok(found)
}

/// The function that an address lies in, by the table of symbols.
fn symbol_at<'a>(file: &object::File<'a>, address: u64) -> Option<Cow<'a, str>> {
    let mut symbols = file.symbols().chain(file.dynamic_symbols());
    let symbol = symbols.find(|symbol| {
        let range = symbol.address()..symbol.address() + symbol.size();
        symbol.kind() == object::SymbolKind::Text && range.contains(&address)
    })?;
    symbol.name().ok().map(Cow::Borrowed)
}

fn demangled(name: &str) -> String {
    // The alternate form has no hash.
    format!("{:#}", rustc_demangle::demangle(name))
}

impl Backtrace {
    /// What of it is the game's: the calls whose source is below `root` and not the engine's, with
    /// paths from there. All of it if that is nothing.
    pub(crate) fn of_the_game(self, root: &Path) -> Self {
        let shortened = |frames: &[Frame]| -> Vec<Frame> {
            let shortened = frames.iter().filter_map(|frame| {
                let file = frame.file.strip_prefix(root).ok()?;
                let is_other = ["engine", "target"]
                    .iter()
                    .any(|other| file.starts_with(other));
                (!is_other).then(|| Frame {
                    file: file.to_owned(),
                    ..frame.clone()
                })
            });
            shortened.collect()
        };
        let own = Self {
            innermost: shortened(&self.innermost),
            left_out: self.left_out,
            outermost: shortened(&self.outermost),
        };
        if own.innermost.is_empty() && own.outermost.is_empty() {
            self
        } else {
            own
        }
    }

    /// One line for each call: ``   0: game_logic::draw at game_logic/src/lib.rs:41:9``. What
    /// calls itself is told once.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        write_calls(&mut text, 0, &self.innermost);
        if self.left_out > 0 {
            let _ = writeln!(text, "      ... {} calls ...", self.left_out);
        }
        let before = self.innermost.len() as u64 + self.left_out;
        write_calls(&mut text, before, &self.outermost);
        text
    }
}

fn write_calls(text: &mut String, before: u64, frames: &[Frame]) {
    let mut number = before;
    for same in frames.chunk_by(|a, b| a == b) {
        let frame = &same[0];
        let function = match frame.function.as_str() {
            "" => "a function without name",
            name => name,
        };
        let _ = write!(text, "{number:4}: {function}");
        if frame.line > 0 {
            let file = frame.file.display();
            let _ = write!(text, " at {file}:{}:{}", frame.line, frame.column);
        }
        text.push('\n');
        if same.len() > 1 {
            let _ = writeln!(text, "      and {} more of it", same.len() - 1);
        }
        number += same.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame {
            function: function.to_owned(),
            file: file.into(),
            line,
            column: 5,
        }
    }

    #[test]
    fn a_function_of_this_program_is_found_with_its_line() {
        let library = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(&*library).unwrap();
        let name = "a_function_of_this_program_is_found_with_its_line";
        let mut symbols = file.symbols();
        let symbol = symbols.find(|symbol| symbol.name().is_ok_and(|found| found.contains(name)));
        let address = symbol.expect("the test is a function").address();
        let found = frames(&library, &[address + 1, u64::MAX >> 1]).unwrap();
        let [frame] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(
            frame
                .function
                .contains("symbols::tests::a_function_of_this"),
            "{frame:?}"
        );
        assert!(
            frame.file.ends_with("engine/src/symbols.rs") && frame.line > 100,
            "{frame:?}"
        );
        assert!(frames(b"this is no library", &[0]).is_err());
    }

    #[test]
    fn what_is_shown_is_the_game() {
        let game = frame("game::fall", "/game/weather/src/lib.rs", 4);
        let all = vec![
            frame("core::ptr::write", "/rustc/1/library/core/src/ptr.rs", 3),
            game.clone(),
            game,
            frame("game::begin", "/game/weather/src/lib.rs", 9),
            frame("engine_api::run", "/game/engine/api/src/system.rs", 1),
        ];
        let path = Backtrace {
            innermost: all.clone(),
            left_out: 0,
            outermost: Vec::new(),
        };
        let shown = path.clone().of_the_game(Path::new("/game")).text();
        assert_eq!(
            shown,
            "   0: game::fall at weather/src/lib.rs:4:5\n      and 1 more of it\n   \
             2: game::begin at weather/src/lib.rs:9:5\n"
        );
        // Who began what never ended is told as well.
        let deep = Backtrace {
            left_out: 9000,
            outermost: all[2..].to_vec(),
            ..path
        };
        let shown = deep.of_the_game(Path::new("/game")).text();
        assert!(
            shown.ends_with(
                "      ... 9000 calls ...\n9003: game::fall at weather/src/lib.rs:4:5\n\
                 9004: game::begin at weather/src/lib.rs:9:5\n"
            ),
            "{shown}"
        );
        // Nothing of the game is better than nothing.
        let foreign = |frames: &[Frame]| Backtrace {
            innermost: frames.to_vec(),
            ..Backtrace::default()
        };
        let shown = foreign(&all[..1]).of_the_game(Path::new("/game"));
        assert_eq!(shown, foreign(&all[..1]));
        let nameless = foreign(&[Frame::default()]).text();
        assert_eq!(nameless, "   0: a function without name\n");
    }
}
