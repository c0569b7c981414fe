//! Which addresses of an image something may refer to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use object::read::{File, Object as _, ObjectSection as _};
use serde::{Deserialize, Serialize};

use crate::image::Image;

/// Sections that only the loader and the unwinder refer to: its own tables (symbols, relocations,
/// unwinding), which a proof need not know, and the templates of thread-locals. All others may be
/// referred to by code and values, whatever they are called: a static can be put into a section
/// of any name.
const OWN: [&str; 24] = [
    ".dynsym",
    ".dynstr",
    ".gnu.hash",
    ".gnu.version",
    ".gnu.version_d",
    ".gnu.version_r",
    ".hash",
    ".rel.dyn",
    ".rel.plt",
    ".rela.dyn",
    ".rela.plt",
    ".relr.dyn",
    ".relro_padding",
    ".dynamic",
    ".eh_frame",
    ".eh_frame_hdr",
    ".gcc_except_table",
    ".note.ABI-tag",
    ".note.gnu.build-id",
    ".note.gnu.property",
    ".interp",
    ".got",
    ".got.plt",
    ".tdata",
];
/// Zero-initialised thread-locals have no place in the image, whatever their section says.
const NO_PLACE: &str = ".tbss";

/// A part of an image.
///
/// Addresses are kept complemented: as they are, this would be a reference itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// Section: `.text`.
    pub name: String,
    not_start: u64,
    not_end: u64,
}

impl Area {
    /// From `start` up to `end`.
    pub fn new(name: &str, start: u64, end: u64) -> Self {
        Self {
            name: name.to_owned(),
            not_start: !start,
            not_end: !end,
        }
    }

    /// First address, and the first one behind it.
    pub fn range(&self) -> (u64, u64) {
        (!self.not_start, !self.not_end)
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        let (start, end) = self.range();
        (start..end).contains(&address)
    }
}

/// What of an image may be referred to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// All of it, as it is mapped.
    pub image: Area,
    /// Memory for what it left behind when it was asked what it offers.
    pub aside: Option<Area>,
    /// Sections that something may refer to.
    pub areas: Vec<Area>,
    /// Number and size of its block of thread-locals, which each thread has one of.
    pub thread_locals: Option<(u64, u64)>,
}

impl Footprint {
    /// The footprint of an opened library with this content; `None` if it has no sections or
    /// the platform does not say where it lies.
    pub fn of(bytes: &[u8], image: &Image, copy: &Path) -> Option<Self> {
        let file = File::parse(bytes).ok()?;
        let loaded = crate::image::loaded(copy)?;
        let areas = areas(&file, loaded.base);
        let image = image.range();
        (!areas.is_empty()).then(|| Self {
            image: Area::new("image", image.start as u64, image.end as u64),
            aside: None,
            areas,
            thread_locals: loaded.thread_locals,
        })
    }
}

/// The footprint of code that is open, under a number; forgotten when this is dropped.
#[derive(Debug)]
pub struct Known {
    /// No other code has or had it.
    pub number: u64,
}

static KNOWN: Mutex<BTreeMap<u64, Footprint>> = Mutex::new(BTreeMap::new());
static LAST: AtomicU64 = AtomicU64::new(0);

impl Known {
    /// Gives code a number, under which its footprint is found if it has one.
    pub fn new(footprint: Option<Footprint>) -> Self {
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(footprint) = footprint {
            known().insert(number, footprint);
        }
        Self { number }
    }

    /// The code owns memory beside its image, too.
    pub fn add(&self, range: Range<usize>) {
        if let Some(footprint) = known().get_mut(&self.number) {
            let area = Area::new("descriptions", range.start as u64, range.end as u64);
            footprint.aside = Some(area);
        }
    }

    /// Something refers to what code has left aside, although nothing refers to the code.
    pub fn leave_aside(number: u64) {
        if let Some(footprint) = known().get_mut(&number) {
            footprint.aside = None;
        }
    }

    /// Whether what the code has left aside goes with it.
    pub fn owns_aside(&self) -> bool {
        known()
            .get(&self.number)
            .is_some_and(|footprint| footprint.aside.is_some())
    }

    /// The footprint of code that is open.
    pub fn find(number: u64) -> Option<Footprint> {
        known().get(&number).cloned()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        known().remove(&self.number);
    }
}

fn known() -> MutexGuard<'static, BTreeMap<u64, Footprint>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn areas(file: &File<'_>, base: u64) -> Vec<Area> {
    let sections = file.sections().filter_map(|section| {
        let name = section.name().ok()?;
        let is_target = !OWN.contains(&name) && name != NO_PLACE;
        let start = base.checked_add(section.address())?;
        let is_loaded = section.address() > 0 && section.size() > 0;
        (is_target && is_loaded).then(|| Area::new(name, start, start + section.size()))
    });
    sections.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In sections whose names begin like those of the loader's own.
    #[used]
    #[cfg_attr(target_os = "linux", unsafe(link_section = ".relay"))]
    static RELAY: [u64; 4] = [0x11; 4];
    #[used]
    #[cfg_attr(target_os = "linux", unsafe(link_section = "game_state"))]
    static STATE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(7);

    #[test]
    #[cfg(target_os = "linux")]
    fn statics_are_found_whatever_their_section_is_called() {
        let image = Image::find(Path::new(""));
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        // The loader calls the program itself so.
        let footprint = Footprint::of(&bytes, &image.unwrap(), Path::new("")).unwrap();
        for (name, address) in [
            (".relay", (&raw const RELAY).addr()),
            ("game_state", (&raw const STATE).addr()),
        ] {
            let address = address as u64;
            let area = footprint.areas.iter().find(|area| area.contains(address));
            assert_eq!(area.map(|area| &*area.name), Some(name));
        }
    }

    /// This program is a library as good as any.
    #[test]
    fn sections_that_are_referred_to_are_found_and_others_are_not() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let file = File::parse(&*bytes).unwrap();
        let areas = areas(&file, 0x1000);
        let area = |name: &str| areas.iter().find(|area| area.name == name);
        for name in [".text", ".rodata", ".data.rel.ro", ".bss"] {
            let section = file.section_by_name(name).unwrap();
            let start = section.address() + 0x1000;
            let range = (start, start + section.size());
            assert_eq!(area(name).map(Area::range), Some(range), "{name}");
        }
        let init = areas.iter().any(|area| area.name == ".init_array");
        assert!(init, "{areas:?}");
        for name in [".dynsym", ".dynamic", ".eh_frame", ".got", ".tbss"] {
            assert!(file.section_by_name(name).is_some(), "there is {name}");
            assert_eq!(area(name), None);
        }
    }

    #[test]
    fn addresses_are_not_kept_as_they_are() {
        let area = Area::new(".text", 0x7f00_1234_5000, 0x7f00_1234_6000);
        assert_eq!(area.range(), (0x7f00_1234_5000, 0x7f00_1234_6000));
        assert!(area.contains(0x7f00_1234_5fff) && !area.contains(0x7f00_1234_6000));
        assert!(!format!("{area:?}").contains(&0x7f00_1234_5000_u64.to_string()));
    }
}
