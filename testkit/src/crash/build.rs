//! Putting a state together. Plain data.
//!
//! 1. A file is the certain one, with the sectors of the options chosen, at the length chosen.
//! 2. Where the length chosen is older than a cut, so are the sectors beyond it; else they are not.
//! 3. Only files that bear a name after the crash are made; everything in them is on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::choices::{Axis, Choices, LengthOption, SectorOption};
use super::recipes::Recipe;
use crate::sim::{Content, Directory, Inode, SECTOR_BYTES, Sector, World};

/// The world that a power cut left, decided by `recipe`.
pub(super) fn build(world: &World, choices: &Choices, recipe: &Recipe) -> World {
    let axes = &choices.axes;
    let mut reached = Vec::new();
    let mut contents: Vec<Content> = choices
        .files
        .iter()
        .map(|file| file.certain.clone())
        .collect();
    let certain = |len| LengthOption { sequence: 0, len };
    let mut lengths: Vec<LengthOption> =
        choices.files.iter().map(|file| certain(file.len)).collect();
    for (number, axis) in axes.iter().enumerate() {
        let option = recipe.option(number, axis, axes);
        match axis {
            Axis::Name { .. } => reached.push(option == 1),
            Axis::Length { file, options } => lengths[*file] = options[option],
            Axis::Sector {
                file,
                sector,
                options,
            } => {
                let (first, end) = admitted(options, lengths[*file].sequence);
                let option = option.clamp(first, end - 1);
                let torn = torn(recipe, number, options, option, first);
                let bytes = torn.as_ref().unwrap_or(&options[option].bytes);
                if option > 0 || torn.is_some() {
                    contents[*file].set_sector(*sector, bytes);
                }
            }
        }
    }
    let names = world.directory.names_with(&reached);
    let mut nodes = BTreeMap::new();
    for ((file, mut content), length) in choices.files.iter().zip(contents).zip(lengths) {
        if names.values().any(|node| *node == file.node) {
            content.set_len(length.len);
            nodes.insert(file.node, Arc::new(Inode::settled(content)));
        }
    }
    World::settled(nodes, Directory::settled(names), world)
}

/// Rule 2: the options that go with a length of that age, as a range that is not empty.
fn admitted(options: &[SectorOption], length: u64) -> (usize, usize) {
    let cut = |option: &&SectorOption| option.cut;
    let first = options
        .iter()
        .rposition(|option| cut(&option) && option.sequence <= length);
    let end = options
        .iter()
        .position(|option| cut(&option) && option.sequence > length);
    (first.unwrap_or(0), end.unwrap_or(options.len()))
}

/// The torn sector, if the recipe tears this one.
fn torn(
    recipe: &Recipe,
    number: usize,
    options: &[SectorOption],
    option: usize,
    first: usize,
) -> Option<Sector> {
    let Recipe::Torn {
        axis,
        at,
        new_first,
        ..
    } = recipe
    else {
        return None;
    };
    if *axis != number || option == first {
        return None;
    }
    let bytes = |option: usize| options[option].bytes.as_deref().copied();
    let new = bytes(option).unwrap_or([0; SECTOR_BYTES]);
    let old = bytes(option - 1).unwrap_or([0; SECTOR_BYTES]);
    let (head, tail) = if *new_first { (new, old) } else { (old, new) };
    let mut mixed = head;
    mixed[*at..].copy_from_slice(&tail[*at..]);
    Some(Some(Arc::new(mixed)))
}
