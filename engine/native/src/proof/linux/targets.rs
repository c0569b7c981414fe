//! What is looked for: addresses in images, as they are and as the C library encodes them.

use crate::proof::footprint::Footprint;

/// Where a reference may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    start: u64,
    end: u64,
    /// Index of the image.
    pub(crate) image: usize,
    /// Section.
    pub(crate) name: String,
}

/// How a word refers to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// It is a pointer.
    Plain,
    /// It is one in the encoding of glibc's `PTR_MANGLE`.
    Mangled,
}

/// All that is looked for at once.
#[derive(Debug)]
pub(crate) struct Targets {
    /// In ascending order; they do not overlap.
    all: Vec<Target>,
    /// From the first to the last of them.
    low: u64,
    span: u64,
    /// glibc's pointer guard.
    guard: u64,
}

impl Targets {
    pub(crate) fn new(images: &[Footprint], guard: u64) -> Self {
        let mut targets = Self {
            all: Vec::new(),
            low: 0,
            span: 0,
            guard,
        };
        for (image, footprint) in images.iter().enumerate() {
            for area in &footprint.areas {
                targets.all.push(Target {
                    start: area.range().0,
                    end: area.range().1,
                    image,
                    name: area.name.clone(),
                });
            }
        }
        targets.settle();
        targets
    }

    /// Looks for the thread-locals of an image, too.
    pub(crate) fn add_block(&mut self, image: usize, start: u64, size: u64) {
        self.all.push(Target {
            start,
            end: start + size,
            image,
            name: "thread-locals".to_owned(),
        });
        self.settle();
    }

    fn settle(&mut self) {
        self.all.sort_by_key(|target| target.start);
        self.low = self.all.first().map_or(0, |first| first.start);
        let high = self.all.iter().map(|target| target.end).max();
        self.span = high.map_or(0, |high| high - self.low);
    }

    /// What a word refers to.
    #[inline]
    pub(crate) fn look(&self, word: u64) -> Option<(Form, &Target)> {
        // Both are rare: the search is only for what lies between the first and the last.
        if word.wrapping_sub(self.low) < self.span
            && let Some(target) = self.find(word)
        {
            return Some((Form::Plain, target));
        }
        let plain = demangle(word, self.guard);
        if plain.wrapping_sub(self.low) < self.span {
            return self.find(plain).map(|target| (Form::Mangled, target));
        }
        None
    }

    fn find(&self, address: u64) -> Option<&Target> {
        let behind = self.all.partition_point(|target| target.start <= address);
        let target = self.all.get(behind.checked_sub(1)?)?;
        (address < target.end).then_some(target)
    }
}

/// Undoes glibc's `PTR_MANGLE` for this architecture: an exclusive or with the guard, then a
/// rotation to the left (sysdeps/unix/sysv/linux/x86_64/pointer_guard.h).
#[inline]
fn demangle(word: u64, guard: u64) -> u64 {
    word.rotate_right(17) ^ guard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::footprint::Area;

    const GUARD: u64 = 0x1bad_b002_cafe_f00d;

    fn footprint(areas: &[(&str, u64, u64)]) -> Footprint {
        let area = |(name, start, end): &(&str, u64, u64)| Area::new(name, *start, *end);
        Footprint {
            image: Area::new("image", 0, 0),
            aside: None,
            areas: areas.iter().map(area).collect(),
            thread_locals: None,
        }
    }

    #[test]
    fn words_that_refer_are_found_in_both_forms() {
        let first = footprint(&[(".text", 0x7000, 0x8000), (".data", 0x9000, 0x9010)]);
        let second = footprint(&[(".rodata", 0x5_0000, 0x5_0100)]);
        let mut targets = Targets::new(&[first, second], GUARD);
        let mangle = |address: u64| (address ^ GUARD).rotate_left(17);
        let look = |targets: &Targets, word| {
            let found = targets.look(word)?;
            Some((found.0, found.1.image, found.1.name.clone()))
        };
        let is = |form, image, name: &str| Some((form, image, name.to_owned()));
        let (plain, mangled) = (Form::Plain, Form::Mangled);
        for (word, expected) in [
            (0x6fff, None),
            (0x7000, is(plain, 0, ".text")),
            (0x8000, None),
            (0x900f, is(plain, 0, ".data")),
            (0x9010, None),
            (0x5_00ff, is(plain, 1, ".rodata")),
            (0x5_0100, None),
            (mangle(0x7abc), is(mangled, 0, ".text")),
            (mangle(0x8abc), None),
            (0x200f, None),
        ] {
            assert_eq!(look(&targets, word), expected, "{word:#x}");
        }
        targets.add_block(1, 0x2000, 0x10);
        assert_eq!(look(&targets, 0x200f), is(plain, 1, "thread-locals"));
        assert_eq!(look(&targets, 0x2010), None);
        assert_eq!(look(&targets, 0x7000), is(plain, 0, ".text"));
    }

    #[test]
    fn nothing_is_found_without_targets() {
        let targets = Targets::new(&[], GUARD);
        for word in [0, 1, u64::MAX, GUARD] {
            assert_eq!(targets.look(word), None);
        }
    }
}
