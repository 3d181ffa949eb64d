//! Scores beside people's ratings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    judge::Reading,
    ladder::score_of,
    plans::Axis,
    stats::{PairCount, rated_pairs, spearman},
};

/// Most ratings that are read.
pub const MAX_RATINGS: usize = 100_000;

/// One line of a ratings file.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Rating {
    /// Path of the clip, from the ratings file's folder.
    pub clip: String,
    /// What was rated: an axis, `overall`, or a term.
    pub dimension: String,
    /// The rating; larger is better.
    pub rating: f64,
    /// Path of the given first frame (PNG); without one the clip's own first frame is the given one.
    #[serde(default)]
    pub first_frame: Option<String>,
    /// Path of the real clip; without one motion is not judged.
    #[serde(default)]
    pub reference: Option<String>,
    /// The prompt.
    #[serde(default)]
    pub prompt: Option<String>,
}

/// Why a ratings file was refused.
#[derive(Debug, thiserror::Error)]
pub enum RatingsError {
    /// Not CSV with the columns of a rating.
    #[error(
        "line {line}: {cause}: columns are clip, dimension, rating and, if you have them, first_frame, reference, prompt"
    )]
    Line {
        /// Line of the file.
        line: u64,
        /// What is wrong.
        cause: csv::Error,
    },
    /// A rating that is no number.
    #[error("the rating of `{clip}` is no finite number")]
    NotFinite {
        /// The clip.
        clip: String,
    },
    /// Nothing to correlate.
    #[error("no rating in the file")]
    Empty,
    /// More lines than are read.
    #[error("more than {MAX_RATINGS} ratings: split the file")]
    TooMany,
}

/// Reads a ratings file: comma-separated with a header line.
///
/// # Errors
/// Names the first line that is no rating.
pub fn parse(text: &[u8]) -> Result<Vec<Rating>, RatingsError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let mut ratings = Vec::new();
    for row in reader.deserialize::<Rating>() {
        let line = |cause: &csv::Error| cause.position().map_or(0, csv::Position::line);
        let mut rating = row.map_err(|cause| RatingsError::Line { line: line(&cause), cause })?;
        if !rating.rating.is_finite() {
            return Err(RatingsError::NotFinite { clip: rating.clip });
        }
        for cell in [&mut rating.first_frame, &mut rating.reference, &mut rating.prompt] {
            *cell = cell.take().filter(|text| !text.is_empty());
        }
        ratings.push(rating);
        if ratings.len() > MAX_RATINGS {
            return Err(RatingsError::TooMany);
        }
    }
    if ratings.is_empty() { Err(RatingsError::Empty) } else { Ok(ratings) }
}

/// What a dimension of a ratings file is set against.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The axis of that name.
    Axis,
    /// The term of that name.
    Term,
    /// The overall score: the dimension is `overall` or unknown to the rules.
    Overall,
}

/// Agreement on one dimension.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DimensionFigures {
    /// The dimension as the file names it.
    pub dimension: String,
    /// What it was set against.
    pub against: Against,
    /// Ratings of clips with a score.
    pub ratings: usize,
    /// Ratings left out because the clip has no such score (no reference, no text model).
    pub unjudged: usize,
    /// Spearman's rank correlation, ties sharing the mean of their ranks; `None` where ratings or scores never change.
    pub spearman: Option<f64>,
    /// Pairs whose ratings differ.
    pub pairs: PairCount,
    /// Pairs left out because their ratings are equal.
    pub equal_ratings: usize,
}

/// The score that a dimension is set against, 0..=10000. Gates and caps count: a rejected clip has 0 overall; axes and
/// terms are read with gates off.
pub fn score(reading: &Reading, dimension: &str) -> (Against, Option<f64>) {
    if let Some(axis) = Axis::ALL.into_iter().find(|axis| axis.name() == dimension) {
        return (Against::Axis, score_of(&reading.axes, axis));
    }
    match reading.scores.get(dimension) {
        Some(score) => (Against::Term, score.map(|score| f64::from(score.get()))),
        None => (Against::Overall, Some(f64::from(reading.overall))),
    }
}

/// Agreement by dimension, in the order of their names. `readings` by clip as the file names it.
pub fn agreement(ratings: &[Rating], readings: &BTreeMap<String, Reading>) -> Vec<DimensionFigures> {
    let mut dimensions: BTreeMap<&str, Vec<&Rating>> = BTreeMap::new();
    for rating in ratings {
        dimensions.entry(&rating.dimension).or_default().push(rating);
    }
    let of = |(dimension, rated): (&str, Vec<&Rating>)| {
        let read = |rating: &&Rating| Some((rating.rating, score(readings.get(&rating.clip)?, dimension)));
        let read: Vec<_> = rated.iter().filter_map(read).collect();
        let against = read.first().map_or(Against::Overall, |(_, (against, _))| against.clone());
        let items: Vec<(f64, f64)> =
            read.iter().filter_map(|(rating, (_, score))| Some((*rating, (*score)?))).collect();
        let (people, ours): (Vec<f64>, Vec<f64>) = items.iter().copied().unzip();
        let (pairs, equal_ratings) = rated_pairs(&items);
        DimensionFigures {
            dimension: dimension.to_owned(),
            against,
            ratings: items.len(),
            unjudged: rated.len() - items.len(),
            spearman: spearman(&people, &ours),
            pairs,
            equal_ratings,
        }
    };
    dimensions.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::score::{Axes, Score};

    fn reading(overall: u16, temporal: Option<i64>) -> Reading {
        Reading {
            raw: BTreeMap::new(),
            scores: [("blur".to_owned(), Some(Score::clamped(overall.into())))].into(),
            axes: Axes { temporal: temporal.map(Score::clamped), ..Axes::default() },
            gate: None,
            fired: Vec::new(),
            gates: BTreeMap::new(),
            overall,
            passed: true,
        }
    }

    #[test]
    fn ratings_are_set_against_what_they_name() {
        let file = b"clip, dimension, rating\na.mp4,overall,1\nb.mp4,overall,3\nc.mp4,overall,2\na.mp4,temporal,5\nb.mp4,temporal,4\nb.mp4,aesthetics,1\nc.mp4,aesthetics,1\na.mp4,blur,2\n";
        let ratings = parse(file).expect("ratings");
        assert_eq!((ratings.len(), &ratings[0].reference), (8, &None));
        let readings = [("a.mp4", 1_000, Some(9_000)), ("b.mp4", 9_000, None), ("c.mp4", 5_000, Some(1))]
            .map(|(clip, overall, temporal)| (clip.to_owned(), reading(overall, temporal)))
            .into();
        let found = agreement(&ratings, &readings);
        let names: Vec<&str> = found.iter().map(|figures| figures.dimension.as_str()).collect();
        assert_eq!(names, ["aesthetics", "blur", "overall", "temporal"]);
        assert_eq!(
            (found[0].against.clone(), found[0].equal_ratings, found[0].spearman),
            (Against::Overall, 1, None)
        );
        assert_eq!(found[1].against, Against::Term);
        assert!(found[2].spearman.is_some_and(|rho| (rho - 1.0).abs() < 1e-9));
        assert_eq!(found[2].pairs.accuracy(), Some(1.0));
        assert_eq!((found[3].ratings, found[3].unjudged), (1, 1));
    }

    #[test]
    fn a_line_that_is_no_rating_is_named() {
        let error = parse(b"clip,dimension,rating\na.mp4,overall,good\n").expect_err("no number");
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        assert!(matches!(parse(b"clip,dimension,rating\n"), Err(RatingsError::Empty)));
        assert!(matches!(parse(b"clip,dimension,rating\na,b,NaN\n"), Err(RatingsError::NotFinite { .. })));
        let full = b"clip,dimension,rating,first_frame,reference,prompt\na.mp4,overall,1,f.png,,\"a, b\"\n";
        let full = parse(full).expect("a rating");
        assert_eq!((full[0].first_frame.as_deref(), full[0].reference.as_deref()), (Some("f.png"), None));
        assert_eq!(full[0].prompt.as_deref(), Some("a, b"));
    }
}
