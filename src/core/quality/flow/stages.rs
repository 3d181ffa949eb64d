//! The stages in order, and their outputs by name for comparison with another device.

use super::{
    BASE_STEPS, Field, FlowPair, IMPROVE_STEPS, Pyramid, SEARCH_STEPS,
    search::{Patches, densify, improve, search},
};

/// What a stage of one direction gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Vectors after the search from the coarser field.
    Search {
        /// Level, 0 is the base.
        level: usize,
        /// Its patches.
        patches: Patches,
    },
    /// Vectors after taking over better ones from neighbours; not at the base.
    Improve {
        /// Level, 0 is the base.
        level: usize,
        /// Its patches.
        patches: Patches,
    },
    /// A vector for every pixel.
    Densify {
        /// Level, 0 is the base.
        level: usize,
        /// Its field.
        field: Field,
    },
}

/// Runs one direction and shows every output as it is made.
///
/// # Panics
/// When the two pyramids differ in size.
pub fn run(first: &Pyramid, second: &Pyramid, mut show: impl FnMut(Output)) {
    let size = |pyramid: &Pyramid| (pyramid.base().width(), pyramid.base().height());
    assert_eq!(size(first), size(second), "flow needs two frames of one size");
    let mut field: Option<Field> = None;
    for (level, (a, b)) in first.levels().iter().zip(second.levels()).enumerate().rev() {
        let steps = if level == 0 { BASE_STEPS } else { SEARCH_STEPS };
        let mut patches = search(a, b, field.as_ref(), steps);
        if level > 0 {
            let improved = improve(a, b, &patches, IMPROVE_STEPS);
            show(Output::Search { level, patches: std::mem::replace(&mut patches, improved) });
        }
        let found = densify(a, b, &patches);
        show(if level == 0 { Output::Search { level, patches } } else { Output::Improve { level, patches } });
        // The next level needs the field too; the base's is handed over without a copy.
        field = (level > 0).then(|| found.clone());
        show(Output::Densify { level, field: found });
    }
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
        run(from, to, |output| all.push(name_output(output, direction)));
    }
    let pair = FlowPair::of(first, second);
    for (direction, fates) in [("forward", pair.forward_fates), ("backward", pair.backward_fates)] {
        let values = fates.into_iter().map(i32::from).collect();
        all.push(Named { name: format!("fates.{direction}"), values });
    }
    all
}

fn name_output(output: Output, direction: &str) -> Named {
    let of_patches = |patches: &Patches| {
        patches.found.iter().flat_map(|found| [found.x, found.y, found.cost as i32]).collect()
    };
    let (stage, level, values) = match &output {
        Output::Search { level, patches } => ("search", level, of_patches(patches)),
        Output::Improve { level, patches } => ("improve", level, of_patches(patches)),
        Output::Densify { level, field } => {
            let pairs = field.x.iter().zip(&field.y);
            ("densify", level, pairs.flat_map(|(&x, &y)| [i32::from(x), i32::from(y)]).collect())
        }
    };
    Named { name: format!("{stage}.{level}.{direction}"), values }
}
