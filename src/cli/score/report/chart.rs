//! Timelines and heat strips as inline SVG.

use std::fmt::Write as _;

use super::{
    page::Escaped,
    readings::{Hot, Place, Series},
};

/// Size of a chart's drawing area in its own units; the page stretches it.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 84.0;

/// A number with as many digits as it deserves.
pub(super) fn short(value: f64) -> String {
    let magnitude = value.abs();
    let digits = match magnitude {
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 || m == 0.0 => 2,
        m if m >= 0.01 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Smallest and largest of all values; a flat series gets room around it.
fn range(series: &Series) -> (f64, f64) {
    let limit = series.limit.map(|(value, _)| value);
    let all = || series.values.iter().chain(series.reference.iter().flatten()).copied().chain(limit);
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    if !low.is_finite() {
        return (0.0, 1.0);
    }
    let room = ((high - low) * 0.06).max(high.abs() * 1e-3).max(1e-6);
    // A reading that starts near nothing is drawn from zero.
    let floor = if low >= 0.0 && low < high * 0.5 { 0.0 } else { low - room };
    (floor, high + room)
}

/// A line chart of a series: the clip, the reference dashed, the limit dotted.
pub(super) fn timeline(series: &Series) -> String {
    let (low, high) = range(series);
    let count = series.values.len().max(2) - 1;
    let y_of = |value: f64| HEIGHT - (value - low) / (high - low) * HEIGHT;
    let points = |values: &[f64]| {
        let mut text = String::new();
        for (index, value) in values.iter().enumerate() {
            let x = index as f64 * WIDTH / count as f64;
            // Writing to a string does not fail.
            let _ = write!(text, "{x:.1},{:.1} ", y_of(*value));
        }
        text.trim_end().to_owned()
    };
    let mut lines = String::new();
    if let Some((value, name)) = series.limit {
        let y = y_of(value);
        let _ = write!(
            lines,
            "<line class=\"limit\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"><title>{} {}</title></line>",
            Escaped(name),
            short(value)
        );
    }
    if let Some(reference) = &series.reference {
        let _ = write!(lines, "<polyline class=\"real\" points=\"{}\"/>", points(reference));
    }
    let _ = write!(lines, "<polyline class=\"clip\" points=\"{}\"/>", points(&series.values));
    let axis = if series.place == Place::Frame { "frame" } else { "step" };
    let limit = series.limit.map_or(String::new(), |(value, name)| {
        format!("<span class=\"key limit\">{} {}</span>", Escaped(name), short(value))
    });
    format!(
        "<figure class=\"chart\"><figcaption>{name}<small>{unit}</small>{limit}</figcaption>\
         <div class=\"plot\"><div class=\"scale\"><span>{top}</span><span>{bottom}</span></div>\
         <svg role=\"img\" aria-label=\"{name} by {axis}: {summary}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">{lines}</svg></div>\
         <div class=\"axis\"><span>{axis} 0</span><span>{count}</span></div><p class=\"note\">{summary}</p></figure>",
        name = Escaped(series.name),
        unit = Escaped(series.unit),
        top = short(high),
        bottom = short(low),
        summary = Escaped(&summary(series)),
    )
}

/// Mean and extreme of the clip's values beside the reference's mean.
fn summary(series: &Series) -> String {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let extreme = match series.hot {
        Hot::High => ("max", series.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        Hot::Low => ("min", series.values.iter().copied().fold(f64::INFINITY, f64::min)),
    };
    let mut text = format!("mean {}", short(mean(&series.values)));
    if extreme.1.is_finite() {
        let _ = write!(text, ", {} {}", extreme.0, short(extreme.1));
    }
    if let Some(reference) = &series.reference {
        let _ = write!(text, " (real {})", short(mean(reference)));
    }
    text
}

/// A strip of cells, one per frame or step: the hotter, the more conspicuous within the range that clip
/// and reference span together.
pub(super) fn strip(series: &Series) -> String {
    let all = || series.values.iter().chain(series.reference.iter().flatten()).copied();
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    let mut cells = String::new();
    for (index, value) in series.values.iter().enumerate() {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        let heat = if series.hot == Hot::Low { 1.0 - share } else { share };
        let place = if series.place == Place::Frame { "frame" } else { "step" };
        let heat = if high > low { heat } else { 0.0 };
        let _ = write!(
            cells,
            "<rect x=\"{index}\" width=\"1.02\" height=\"1\" fill-opacity=\"{:.2}\"><title>{place} {index}: {} {}</title></rect>",
            0.04 + 0.96 * heat,
            short(*value),
            Escaped(series.unit)
        );
    }
    format!(
        "<div class=\"strip\"><span>{name}</span><svg role=\"img\" aria-label=\"{name}, hotter where it is more conspicuous\" \
         viewBox=\"0 0 {count} 1\" preserveAspectRatio=\"none\">{cells}</svg></div>",
        name = Escaped(series.name),
        count = series.values.len().max(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64], reference: Option<Vec<f64>>) -> Series {
        Series {
            name: "a < b",
            unit: "levels",
            place: Place::Step,
            hot: Hot::High,
            values: values.to_vec(),
            reference,
            limit: Some((3.0, "G2 & more")),
        }
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        for (value, text) in
            [(0.0, "0"), (1234.56, "1235"), (99.96, "100"), (12.34, "12.3"), (1.5, "1.5"), (0.0123, "0.012")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn charts_escape_their_texts_and_stay_inside_their_box() {
        for values in [vec![], vec![2.0], vec![2.0; 9], (0..80).map(f64::from).collect()] {
            let drawn = timeline(&series(&values, Some(vec![5.0; values.len()])));
            assert!(drawn.contains("a &lt; b") && drawn.contains("G2 &amp; more"), "{drawn}");
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
            for point in drawn.split("points=\"").skip(1).flat_map(|rest| rest.split('"').next()) {
                for pair in point.split_whitespace() {
                    let (x, y) = pair.split_once(',').expect("x,y");
                    assert!((0.0..=WIDTH).contains(&x.parse::<f64>().expect("number")), "{pair}");
                    assert!((0.0..=HEIGHT).contains(&y.parse::<f64>().expect("number")), "{pair}");
                }
            }
        }
    }

    #[test]
    fn the_hottest_cell_is_the_conspicuous_one() {
        let opacity = |strip: &str| -> Vec<f64> {
            let cells = strip.split("fill-opacity=\"").skip(1);
            cells.map(|rest| rest.split('"').next().expect("value").parse().expect("number")).collect()
        };
        let mut low = series(&[1.0, 0.5, 0.8], None);
        low.hot = Hot::Low;
        assert_eq!(opacity(&strip(&low)), [0.04, 1.0, 0.42]);
        assert_eq!(opacity(&strip(&series(&[1.0, 0.5, 0.8], None))), [1.0, 0.04, 0.62]);
        assert_eq!(opacity(&strip(&series(&[4.0, 4.0], None))), [0.04, 0.04], "nothing stands out");
    }
}
