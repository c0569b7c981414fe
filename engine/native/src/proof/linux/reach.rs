//! What of the images can still be reached.
//!
//! The roots are stacks, registers, and all memory that is neither a block of the heap nor part
//! of an image that is asked about. From there every word is followed that could be a pointer to
//! a block or an image; an image that is reached is followed itself. What is not reached in the
//! end, nobody can get hold of any more. This is the marking of a conservative garbage collector
//! (Boehm and Weiser, 1988), with images in the place of garbage.

use std::collections::HashMap;
use std::ops::Range;

use super::heap::Heap;
use super::memory::Mapping;
use super::places::Places;
use super::snapshot::Snapshot;
use super::targets::{Form, Targets};
use super::threads::Thread;
use engine_runtime::backend::Hidden;

use crate::proof::footprint::Footprint;
use crate::proof::prover::{Found, Verdict};

/// References to one image that are told one by one; further ones are only counted.
const TOLD: usize = 64;
/// How many steps of the way to a root are told.
const STEPS: usize = 12;
/// Kinds of functions in glibc's list for `atexit` (`struct exit_function` in stdlib/exit.h).
const KINDS_AT_EXIT: Range<u64> = 2..5;

/// All that is known of a process.
pub(crate) struct Scene<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) mappings: &'a [Mapping],
    pub(crate) threads: &'a [Thread],
    pub(crate) images: &'a [Footprint],
    pub(crate) targets: &'a Targets,
    /// Words of the loader that lead to an image's thread-locals: no references.
    pub(crate) ignored: &'a HashMap<u64, usize>,
    /// Where these are, with the image that they belong to.
    pub(crate) thread_locals: &'a [(usize, Range<u64>)],
    /// Whether what is on the heap counts, as far as it can be reached.
    pub(crate) heap: bool,
}

impl Scene<'_> {
    fn is_stack(&self, mapping: &Mapping) -> bool {
        let mut stacks = self.threads.iter().filter_map(|thread| thread.stack);
        mapping.name == "[stack]" || stacks.any(|stack| mapping.contains(stack))
    }
}

/// Says of every image whether it can be reached, and from where.
pub(crate) fn reach(scene: &Scene<'_>) -> Vec<Verdict> {
    let aside = scene.images.iter().filter_map(|image| image.aside.as_ref());
    let aside: Vec<Range<u64>> = aside.map(|area| area.range().0..area.range().1).collect();
    let heap = Heap::find(scene.snapshot, scene.mappings, &aside);
    let count = scene.images.len();
    let mut marking = Marking {
        scene,
        places: Places::new(scene.mappings, scene.threads),
        parents: vec![0; heap.len()],
        heap,
        found: vec![Vec::new(); count],
        more: vec![0; count],
        reached: Vec::new(),
    };
    marking.roots();
    marking.follow();
    let left: Vec<bool> = (0..count)
        .map(|image| marking.reaches_aside(image))
        .collect();
    let all = marking.found.into_iter().zip(marking.more).zip(left);
    all.map(|((found, more), left)| {
        if found.is_empty() {
            Verdict::Free { aside: !left }
        } else {
            Verdict::Referenced { found, more }
        }
    })
    .collect()
}

/// What of a range lies in none of `parts`.
fn without<'a>(range: &Range<u64>, parts: impl Iterator<Item = &'a Range<u64>>) -> Vec<Range<u64>> {
    let is_in = |part: &&Range<u64>| part.start < range.end && range.start < part.end;
    let mut parts: Vec<&Range<u64>> = parts.filter(is_in).collect();
    parts.sort_by_key(|part| part.start);
    let mut rest = Vec::new();
    let mut at = range.start;
    for part in parts {
        rest.push(at..part.start.max(at));
        at = at.max(part.end);
    }
    rest.push(at..range.end.max(at));
    rest
}

/// Something whose words have to be looked at.
enum Reached {
    Block(usize),
    Image(usize),
}

struct Marking<'a> {
    scene: &'a Scene<'a>,
    places: Places<'a>,
    heap: Heap,
    /// The word by which each block was reached first; 0 for those that were not.
    parents: Vec<u64>,
    found: Vec<Vec<Found>>,
    more: Vec<usize>,
    reached: Vec<Reached>,
}

impl Marking<'_> {
    fn roots(&mut self) {
        let scene = self.scene;
        let images = scene.images.iter().map(|image| image.image.range());
        let images: Vec<Range<u64>> = images.map(|(start, end)| start..end).collect();
        for mapping in scene.mappings.iter().filter(|it| !scene.is_stack(it)) {
            let whole = mapping.start..mapping.end;
            let parts = self.heap.parts().iter().chain(&images);
            for rest in without(&whole, parts) {
                self.words(rest, Some(mapping));
            }
        }
        self.follow();
        for mapping in scene.mappings.iter().filter(|it| scene.is_stack(it)) {
            self.stack(mapping);
        }
        for thread in scene.threads {
            let place = format!("thread `{}`, registers", thread.name);
            for word in &thread.registers {
                self.word(*word, 0, 0, &|_| place.clone());
            }
        }
    }

    /// A stack, from its beginning on, and what its words lead to one by one: what functions
    /// that last hold is reached through them, and not through what is left further down.
    fn stack(&mut self, mapping: &Mapping) {
        let scene = self.scene;
        let stretches = scene.snapshot.stretches(mapping.start..mapping.end);
        let stretches: Vec<(u64, &[u64])> = stretches.collect();
        for (start, words) in stretches.into_iter().rev() {
            for (index, word) in words.iter().enumerate().rev() {
                let address = start + index as u64 * 8;
                self.word(*word, address, 0, &|marking: &Self| {
                    marking.place(address, Some(mapping))
                });
                self.follow();
            }
        }
    }

    /// Whether something of what an image has left aside was reached.
    fn reaches_aside(&self, image: usize) -> bool {
        let aside = self.scene.images[image].aside.as_ref();
        aside.is_some_and(|aside| {
            let (start, end) = aside.range();
            let blocks = self.heap.blocks_in(start..end);
            blocks.into_iter().any(|block| self.parents[block] != 0)
        })
    }

    fn follow(&mut self) {
        while let Some(next) = self.reached.pop() {
            match next {
                Reached::Block(block) if self.scene.heap => {
                    self.words(self.heap.content(block), None);
                }
                Reached::Block(_) => {}
                Reached::Image(image) => self.image(image),
            }
        }
    }

    /// The statics of an image, and its thread-locals.
    fn image(&mut self, image: usize) {
        let scene = self.scene;
        let (start, end) = scene.images[image].image.range();
        self.words(start..end, None);
        for (_, own) in scene.thread_locals.iter().filter(|(of, _)| *of == image) {
            // What is not on the heap is looked at anyway.
            if let Some(block) = self.heap.block_at(own.start)
                && (self.parents[block] == 0 || !scene.heap)
            {
                self.parents[block] = start;
                self.words(self.heap.content(block), None);
            }
        }
    }

    fn words(&mut self, range: Range<u64>, mapping: Option<&Mapping>) {
        if range.is_empty() {
            return;
        }
        let scene = self.scene;
        for (start, words) in scene.snapshot.stretches(range) {
            let mut before = 0;
            for (address, word) in (start..).step_by(8).zip(words) {
                self.word(*word, address, before, &|marking: &Self| {
                    marking.place(address, mapping)
                });
                before = *word;
            }
        }
    }

    /// Looks at one word. `before` is the one before it in memory.
    #[inline]
    fn word(&mut self, word: u64, address: u64, before: u64, place: &dyn Fn(&Self) -> String) {
        let scene = self.scene;
        if let Some((form, target)) = scene.targets.look(word) {
            let image = target.image;
            let is_own = scene.images[image].image.contains(address);
            if is_own || scene.ignored.get(&address) == Some(&image) {
                return;
            }
            // What an image that is held for other reasons holds itself is none.
            let way = self.way(address);
            if way
                .last()
                .is_some_and(|root| scene.images[image].image.contains(*root))
            {
                return;
            }
            if self.found[image].is_empty() {
                self.reached.push(Reached::Image(image));
            }
            if self.found[image].len() >= TOLD {
                self.more[image] += 1;
                return;
            }
            // Functions of `atexit` follow the kind that they are, destructors do not.
            let place = match form {
                Form::Plain => place(self),
                Form::Mangled if KINDS_AT_EXIT.contains(&before) => {
                    "a function registered with `atexit`".to_owned()
                }
                Form::Mangled => "the destructor of a thread-local".to_owned(),
            };
            let found = Found {
                place,
                address: (address != 0).then(|| Hidden::new(address)),
                held_by: way.into_iter().map(Hidden::new).collect(),
                target: target.name.clone(),
            };
            self.found[image].push(found);
        } else if let Some(block) = self.heap.block_at(word)
            && self.parents[block] == 0
            && !scene.ignored.contains_key(&address)
        {
            // Registers have no address; anything but 0 will do.
            self.parents[block] = address.max(1);
            self.reached.push(Reached::Block(block));
        }
    }

    /// The words that lead from a root to the block in which an address lies, last one first.
    fn way(&self, address: u64) -> Vec<u64> {
        let mut way = Vec::new();
        let mut at = address;
        while let Some(block) = self.heap.block_at(at)
            && way.len() < STEPS
        {
            at = self.parents[block];
            way.push(at);
        }
        way
    }

    /// Names the place of a word, and what it hangs on.
    fn place(&self, address: u64, mapping: Option<&Mapping>) -> String {
        let find = |address: u64| {
            let mut all = self.scene.mappings.iter();
            all.find(|mapping| mapping.contains(address))
        };
        let name = |mapping: Option<&Mapping>| {
            let unknown = || "a register".to_owned();
            mapping.map_or_else(unknown, |mapping| self.places.name(mapping))
        };
        let own = if self.heap.block_at(address).is_some() {
            "heap".to_owned()
        } else {
            name(mapping.or_else(|| find(address)))
        };
        match self.way(address).last() {
            Some(root) if self.heap.block_at(*root).is_none() => {
                format!("{own}, held by {}", name(find(*root)))
            }
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests;
