//! Reaching images in a process of a few words.

use super::super::memory::parse_maps;
use super::*;
use crate::proof::footprint::Area;

const MAPS: &str = "\
1000-1280 rw-p 00000000 00:00 0                          [heap]
9000-9100 rw-p 00000000 fe:00 1 /target/libgame.so
a000-a180 rw-p 00000000 fe:00 1 /target/libold.so
f000-f100 rw-p 00000000 fe:00 1 /lib/libc.so
";
/// Content of the heap's blocks.
const BLOCKS: [u64; 4] = [0x1010, 0x1090, 0x1110, 0x1190];
/// What the heap has not given out yet.
const LAST: u64 = 0x1210;

const NOTHING: [Vec<String>; 2] = [Vec::new(), Vec::new()];

fn image(start: u64) -> Footprint {
    Footprint {
        image: Area::new("image", start, start + 0x100),
        aside: None,
        areas: vec![Area::new(".data", start, start + 0x100)],
        thread_locals: None,
    }
}

/// Two images, four blocks, and data of another library, with these words written to these
/// addresses. For each image, where it is referred to.
fn ask(words: &[(u64, u64)]) -> [Vec<String>; 2] {
    ask_for(true, words)
}

fn ask_for(heap: bool, words: &[(u64, u64)]) -> [Vec<String>; 2] {
    let mut memory: Vec<(u64, Vec<u64>)> = vec![
        (0x1000, vec![0; 80]),
        (0x9000, vec![0; 32]),
        (0xa000, vec![0; 48]),
        (0xf000, vec![0; 32]),
    ];
    let mut write = |at: u64, word: u64| {
        let part = memory.iter_mut().rev().find(|(start, _)| *start <= at);
        let (start, words) = part.unwrap();
        words[(at - *start) as usize / 8] = word;
    };
    let sizes = BLOCKS.iter().chain([&LAST]);
    sizes.for_each(|block| write(block - 8, 0x81));
    for (at, word) in words {
        write(*at, *word);
    }
    let memory: Vec<_> = memory.iter().map(|(at, words)| (*at, &**words)).collect();
    let images = [image(0x9000), image(0xa000)];
    let verdicts = reach(&Scene {
        snapshot: &Snapshot::of(&memory),
        mappings: &parse_maps(MAPS),
        threads: &[],
        images: &images,
        targets: &Targets::new(&images, 0),
        ignored: &HashMap::from([(0xf080, 0), (0xf090, 1)]),
        thread_locals: &[(1, BLOCKS[3] + 0x10..BLOCKS[3] + 0x30)],
        heap,
    });
    let places = |verdict: Verdict| match verdict {
        Verdict::Referenced { found, .. } => found.into_iter().map(|found| found.place).collect(),
        _ => Vec::new(),
    };
    <[_; 2]>::try_from(verdicts).unwrap().map(places)
}

#[test]
fn what_only_an_image_owns_goes_with_it() {
    // A static owns a block that refers back, through another one.
    let own = [
        (0x9010, BLOCKS[0]),
        (BLOCKS[0], BLOCKS[1] + 8),
        (BLOCKS[1], 0x9020),
    ];
    assert_eq!(ask(&own), NOTHING);
    // Garbage that refers to it, and to itself.
    assert_eq!(
        ask(&[(BLOCKS[2], 0x9020), (BLOCKS[2] + 8, BLOCKS[2])]),
        NOTHING
    );
    // Somebody else gets hold of the first block.
    let held = [&own[..], &[(0xf000, BLOCKS[0] + 0x20)]].concat();
    let place = "heap, held by data of `libc.so`".to_owned();
    assert_eq!(ask(&held), [vec![place], vec![]]);
}

#[test]
fn images_that_are_reached_reach_others() {
    let words = [(0xa000, BLOCKS[3]), (BLOCKS[3] + 0x68, 0x9000)];
    assert_eq!(ask(&words), NOTHING, "the other one goes as well");
    let held = [&words[..], &[(0xf008, 0xa010)]].concat();
    let places = [
        vec!["heap, held by data of `libold.so`".to_owned()],
        vec!["data of `libc.so`".to_owned()],
    ];
    assert_eq!(ask(&held), places);
}

#[test]
fn images_that_are_reached_reach_their_thread_locals() {
    // The loader's table leads to them, which is no reference by itself.
    let words = [(0xf090, BLOCKS[3] + 0x10), (BLOCKS[3] + 0x20, 0x9000)];
    assert_eq!(ask(&words), NOTHING);
    let held = [&words[..], &[(0xf008, 0xa010)]].concat();
    let places = [
        vec!["heap, held by data of `libold.so`".to_owned()],
        vec!["data of `libc.so`".to_owned()],
    ];
    assert_eq!(ask(&held), places);
    assert_eq!(ask_for(false, &held), places);
    // What refers to itself is not told.
    let own = [&held[..], &[(BLOCKS[3] + 0x28, 0xa010)]].concat();
    assert_eq!(ask(&own), places);
    // What hangs on them, too.
    let further = [
        (0xf008, 0xa010),
        (BLOCKS[3] + 0x18, BLOCKS[0]),
        (BLOCKS[0] + 0x18, 0x9000),
    ];
    assert_eq!(ask(&further), places);
}

/// The kernel may make one mapping of an image's last pages and of what lies behind.
#[test]
fn what_lies_behind_an_image_is_not_part_of_it() {
    let places = [vec!["data of `libold.so`".to_owned()], vec![]];
    assert_eq!(ask(&[(0xa0f8, 0x9000)]), NOTHING, "its last word");
    assert_eq!(ask(&[(0xa100, 0x9000)]), places, "the first one behind");
    assert_eq!(ask(&[(0xa178, 0x9000)]), places);
    assert_eq!(ask(&[(0xa178, 0xa010)]), [vec![], places[0].clone()]);
}

#[test]
fn the_rest_of_a_range_is_what_lies_in_no_part() {
    let rest = |parts: &[(u64, u64)]| {
        let parts: Vec<Range<u64>> = parts.iter().map(|(start, end)| *start..*end).collect();
        let mut rest = without(&(10..50), parts.iter());
        rest.retain(|rest| !rest.is_empty());
        let ends = rest.into_iter().map(|rest| (rest.start, rest.end));
        ends.collect::<Vec<_>>()
    };
    assert_eq!(rest(&[]), [(10, 50)]);
    assert_eq!(rest(&[(30, 40), (5, 20), (60, 70)]), [(20, 30), (40, 50)]);
    assert_eq!(rest(&[(15, 20), (16, 18), (45, 90)]), [(10, 15), (20, 45)]);
    assert_eq!(rest(&[(0, 90)]), []);
}

#[test]
fn images_are_followed_without_the_heap() {
    let words = [(0xa000, 0x9000), (0xf008, 0xa010)];
    let places = [
        vec!["data of `libold.so`".to_owned()],
        vec!["data of `libc.so`".to_owned()],
    ];
    assert_eq!(ask_for(false, &words), places);
}

#[test]
fn the_heap_can_be_left_out() {
    let words = [(0xf000, BLOCKS[0]), (BLOCKS[0], 0x9000)];
    assert_eq!(ask_for(false, &words), NOTHING);
    let words = [&words[..], &[(0xf008, 0x9000)]].concat();
    let place = "data of `libc.so`".to_owned();
    assert_eq!(ask_for(false, &words), [vec![place], vec![]]);
}

#[test]
fn the_loader_does_not_count_by_itself() {
    assert_eq!(ask(&[(0xf080, 0x9000)]), NOTHING);
    assert_eq!(ask(&[(0xf080, BLOCKS[0]), (BLOCKS[0], 0x9000)]), NOTHING);
    assert_eq!(ask(&[(0xf088, 0x9000)])[0].len(), 1);
    assert_eq!(ask(&[(0xf080, 0xa000)])[1].len(), 1, "it is another's");
}
