//! The stages in order, and their outputs by name for comparison with another device.

use super::{
    BASE_STEPS, Field, FlowPair, IMPROVE_STEPS, Pyramid, SEARCH_STEPS,
    search::{Patches, improve_and_densify, search, search_and_densify},
};

/// What a stage of one direction gives.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// Vectors after the search from the coarser field.
    Search(&'a Patches),
    /// Vectors after taking over better ones from neighbours; not at the base.
    Improve(&'a Patches),
    /// A vector for every pixel.
    Densify(&'a Field),
}

/// Runs one direction, shows every output with its level (0 is the base) as it is made, and gives the base's field.
///
/// # Panics
/// When the two pyramids differ in size.
pub fn run(first: &Pyramid, second: &Pyramid, mut show: impl FnMut(usize, Output<'_>)) -> Field {
    let size = |pyramid: &Pyramid| (pyramid.base().width(), pyramid.base().height());
    assert_eq!(size(first), size(second), "flow needs two frames of one size");
    let mut coarser: Option<Field> = None;
    for (level, (a, b)) in first.levels().iter().zip(second.levels()).enumerate().skip(1).rev() {
        let found = search(a, b, coarser.as_ref(), SEARCH_STEPS);
        show(level, Output::Search(&found));
        let (improved, field) = improve_and_densify(a, b, &found, IMPROVE_STEPS);
        show(level, Output::Improve(&improved));
        show(level, Output::Densify(&field));
        coarser = Some(field);
    }
    let (found, field) = search_and_densify(first.base(), second.base(), coarser.as_ref(), BASE_STEPS);
    show(0, Output::Search(&found));
    show(0, Output::Densify(&field));
    field
}

/// A stage's values in the order of `docs/flow.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Stage, with level and direction where it has one: `pyramid.1.second`, `search.2.forward`, `fates.backward`.
    pub name: String,
    /// Its values: luma and fates one by one, patches as `x, y, cost`, fields as `x, y`, row by row.
    pub values: Vec<i32>,
}

/// Every output of every stage for one pair of frames, both directions, by name.
pub fn named(first: &Pyramid, second: &Pyramid) -> Vec<Named> {
    let mut all = Vec::new();
    for (frame, pyramid) in [("first", first), ("second", second)] {
        for (level, luma) in pyramid.levels().iter().enumerate() {
            let values = luma.rows().flatten().map(|&v| i32::from(v)).collect();
            all.push(Named { name: format!("pyramid.{level}.{frame}"), values });
        }
    }
    for (direction, from, to) in [("forward", first, second), ("backward", second, first)] {
        run(from, to, |level, output| all.push(name_output(level, output, direction)));
    }
    let pair = FlowPair::of(first, second);
    for (direction, fates) in [("forward", pair.forward_fates), ("backward", pair.backward_fates)] {
        let values = fates.into_iter().map(i32::from).collect();
        all.push(Named { name: format!("fates.{direction}"), values });
    }
    all
}

fn name_output(level: usize, output: Output<'_>, direction: &str) -> Named {
    let of_patches = |patches: &Patches| {
        patches.found.iter().flat_map(|found| [found.x, found.y, found.cost as i32]).collect()
    };
    let (stage, values) = match output {
        Output::Search(patches) => ("search", of_patches(patches)),
        Output::Improve(patches) => ("improve", of_patches(patches)),
        Output::Densify(field) => {
            let pairs = field.x.iter().zip(&field.y);
            ("densify", pairs.flat_map(|(&x, &y)| [i32::from(x), i32::from(y)]).collect())
        }
    };
    Named { name: format!("{stage}.{level}.{direction}"), values }
}
