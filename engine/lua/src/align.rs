//! Functions within one function, before and after an edit, by what is written.
//!
//! Names come first, whatever their order: whole ones, then their last parts, as a local
//! `step` that becomes `M.step` is the same function. What has no name, or one of several equal ones,
//! is aligned as a sequence: functions that take and capture the same fit best, ones that
//! capture more or less of the same still fit, others never do.

use std::collections::{BTreeMap, BTreeSet};

use crate::declared::View;

/// Pairs prototypes by their numbers; `old` and `new` in the order of the sources.
pub(crate) fn align(
    old_view: &View,
    old: &[usize],
    new_view: &View,
    new: &[usize],
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut groups = group(old_view, old, new_view, new, |name| name);
    // Names that are on one side alone.
    let single = |groups: &BTreeMap<Option<&str>, (Vec<usize>, Vec<usize>)>| {
        let lone = groups
            .iter()
            .filter(|(name, (old, new))| name.is_some() && (old.is_empty() || new.is_empty()));
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (before, after) in lone.map(|(_, group)| group) {
            old.extend(before);
            new.extend(after);
        }
        (old, new)
    };
    let (old, new) = single(&groups);
    let last_part = |name| str::rsplit(name, '.').next().unwrap_or(name);
    for (name, group) in group(old_view, &old, new_view, &new, last_part) {
        if let (Some(_), [old], [new]) = (name, group.0.as_slice(), group.1.as_slice()) {
            pairs.push((*old, *new));
        }
    }
    groups.retain(|_, (old, new)| !old.is_empty() && !new.is_empty());
    for (name, (old, new)) in groups {
        match (name, old.as_slice(), new.as_slice()) {
            (Some(_), [old], [new]) => pairs.push((*old, *new)),
            _ => pairs.extend(sequence(old_view, &old, new_view, &new)),
        }
    }
    pairs
}

/// Old and new functions by a part of their names.
fn group<'v>(
    old_view: &'v View,
    old: &[usize],
    new_view: &'v View,
    new: &[usize],
    part: impl Fn(&'v str) -> &'v str,
) -> BTreeMap<Option<&'v str>, (Vec<usize>, Vec<usize>)> {
    let mut groups: BTreeMap<Option<&str>, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for number in old {
        let name = old_view.written[*number].name.as_deref().map(&part);
        groups.entry(name).or_default().0.push(*number);
    }
    for number in new {
        let name = new_view.written[*number].name.as_deref().map(&part);
        groups.entry(name).or_default().1.push(*number);
    }
    groups
}

/// The alignment of two sequences with the greatest sum of likenesses (Needleman and Wunsch).
fn sequence(old_view: &View, old: &[usize], new_view: &View, new: &[usize]) -> Vec<(usize, usize)> {
    // best[i][j]: greatest sum for what follows from `old[i]` and `new[j]`.
    let mut best = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    let like = |i: usize, j: usize| likeness(old_view, old[i], new_view, new[j]);
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let paired = match like(i, j) {
                0 => 0,
                likeness => likeness + best[i + 1][j + 1],
            };
            best[i][j] = paired.max(best[i + 1][j]).max(best[i][j + 1]);
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < old.len() && j < new.len() {
        let likeness = like(i, j);
        if likeness > 0 && best[i][j] == likeness + best[i + 1][j + 1] {
            pairs.push((old[i], new[j]));
            (i, j) = (i + 1, j + 1);
        } else if best[i][j] == best[i + 1][j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// How much two functions look like the same one: 0 for not at all.
fn likeness(old_view: &View, old: usize, new_view: &View, new: usize) -> u32 {
    let (before, after) = (&old_view.protos[old], &new_view.protos[new]);
    if before.parameters != after.parameters {
        return 0;
    }
    let names = |captures: &[crate::layout::Capture]| -> BTreeSet<String> {
        let names = captures.iter().map(|capture| capture.name.clone());
        names.filter(|name| name != "_ENV").collect()
    };
    let (before, after) = (names(&before.captures), names(&after.captures));
    let same_text = old_view.written[old].text == new_view.written[new].text;
    match () {
        () if before == after && same_text => 4,
        () if before == after => 3,
        () if before.is_subset(&after) || after.is_subset(&before) => 1,
        () => 0,
    }
}
