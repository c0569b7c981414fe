//! What a place in memory is called.

use std::collections::HashMap;

use super::memory::Mapping;
use super::threads::Thread;

/// Where things are in a process.
pub(crate) struct Places<'a> {
    mappings: &'a [Mapping],
    /// The thread whose stack a mapping is, by the mapping's start.
    stacks: HashMap<u64, &'a str>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(mappings: &'a [Mapping], threads: &'a [Thread]) -> Self {
        let stack = |thread: &'a Thread| {
            let at = thread.block.filter(|_| thread.name != "main");
            let mapping = mappings.iter().find(|mapping| {
                let inside = |address| mapping.contains(address);
                at.or(thread.stack).is_some_and(inside)
            })?;
            Some((mapping.start, &*thread.name))
        };
        Self {
            mappings,
            stacks: threads.iter().filter_map(stack).collect(),
        }
    }

    /// Names the place of an address in a mapping: `heap`, "thread `main`, stack".
    pub(crate) fn name(&self, mapping: &Mapping) -> String {
        if let Some(thread) = self.stacks.get(&mapping.start) {
            return format!("thread `{thread}`, stack");
        }
        match &*mapping.name {
            "[stack]" => "thread `main`, stack".to_owned(),
            "[heap]" => "heap".to_owned(),
            "" => self
                .library_before(mapping)
                .unwrap_or_else(|| "memory without a name".to_owned()),
            name => data_of(name),
        }
    }

    /// Zero-initialised data lies behind its library, in memory that has no name.
    fn library_before(&self, mapping: &Mapping) -> Option<String> {
        let before = self
            .mappings
            .iter()
            .find(|before| before.end == mapping.start)?;
        before.name.starts_with('/').then(|| data_of(&before.name))
    }
}

fn data_of(file: &str) -> String {
    let file = file.strip_suffix(" (deleted)").unwrap_or(file);
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("data of `{name}`")
}

#[cfg(test)]
mod tests {
    use super::super::memory::parse_maps;
    use super::*;

    const MAPS: &str = "\
55d0c0000000-55d0c0001000 rw-p 00000000 00:00 0                          [heap]
7f0000001000-7f0000010000 rw-p 00000000 00:00 0 
7f0000010000-7f0000020000 rw-p 00000000 fe:00 1 /target/libgame_1_3.so (deleted)
7f0000020000-7f0000040000 rw-p 00000000 00:00 0 
7f0000050000-7f0000060000 rw-p 00000000 00:00 0 
7ffd00000000-7ffd00010000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn places_have_the_names_that_people_know() {
        let mappings = parse_maps(MAPS);
        let spinner = Thread {
            name: "spinner".to_owned(),
            stack: Some(0x7f00_0005_8000),
            ..Thread::default()
        };
        let threads = [spinner];
        let places = Places::new(&mappings, &threads);
        let names: Vec<_> = mappings
            .iter()
            .map(|mapping| places.name(mapping))
            .collect();
        assert_eq!(
            names,
            [
                "heap",
                "memory without a name",
                "data of `libgame_1_3.so`",
                "data of `libgame_1_3.so`",
                "thread `spinner`, stack",
                "thread `main`, stack",
            ]
        );
    }
}
