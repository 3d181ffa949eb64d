//! The evidence as one page without scripts and without requests.

use std::fmt::Write as _;

use super::table::total;
use crate::{
    cli::score::report::page::Escaped,
    evidence::{
        ladder::{Following, LadderFigures},
        plans::Axis,
        whole::Evidence,
    },
};

/// The score page's style, which this page shares, and what is its own.
const STYLE: &str = include_str!("../score/report/style.css");
const OWN_STYLE: &str = ".ladders svg{width:120px;height:40px;display:block}.ladders polyline{fill:none;stroke:var(--accent);stroke-width:2;vector-effect:non-scaling-stroke}.ladders polyline.final{stroke:var(--heat)}.key.final::before{border-top-color:var(--heat)}th.n{text-align:right}.cell{position:relative}.cell i{position:absolute;inset:2px;background:var(--heat);border-radius:3px}.cell b{position:relative;font-weight:400}";
/// Size of a plot in its own units.
const WIDTH: f64 = 100.0;
const HEIGHT: f64 = 36.0;
/// Points lost that are drawn as hottest.
const HOTTEST: f64 = 50.0;

/// The whole page. Writing to a string does not fail.
pub(super) fn of(evidence: &Evidence) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>leoma evidence</title><style>{STYLE}{OWN_STYLE}</style></head><body><h1>Evidence</h1>"
    );
    head(&mut page, evidence);
    ladders(&mut page, evidence);
    cross_talk(&mut page, evidence);
    attacks(&mut page, evidence);
    let _ = write!(
        page,
        "<footer>rules <code>{}</code><br>corpus <code>{}</code></footer></body></html>",
        evidence.rules_digest, evidence.corpus_digest
    );
    page
}

fn head(page: &mut String, evidence: &Evidence) {
    let shape = evidence.shape;
    let names =
        |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let windows: Vec<String> = evidence
        .windows
        .iter()
        .map(|(key, start)| format!("{key} at {:.1} s", *start as f64 / 1e6))
        .collect();
    let rows = [
        (
            "clips",
            format!("{}x{}, {} frames at {} per second", shape.width, shape.height, shape.frames, shape.fps),
        ),
        ("held-out sources", names(&evidence.split.held_out)),
        ("calibration sources", names(&evidence.split.calibration)),
        ("windows", windows.join(", ")),
        ("raw terms, gates off", total(&evidence.summary.raw)),
        ("final score", total(&evidence.summary.overall)),
        ("false rejects of clean clips", evidence.clean.sentence()),
        (
            "attacks caught",
            format!(
                "{} of {}",
                evidence.summary.attacks - evidence.summary.open_attacks,
                evidence.summary.attacks
            ),
        ),
    ];
    let _ = write!(
        page,
        "<p><b>{}</b>{}</p><dl>",
        Escaped(evidence.note),
        if evidence.quick { " A quick run: a small part only." } else { "" }
    );
    for (name, value) in rows {
        let _ = write!(page, "<dt>{name}</dt><dd>{}</dd>", Escaped(&value));
    }
    for clip in &evidence.passed_over {
        let _ = write!(page, "<dt>passed over</dt><dd>{}: {}</dd>", Escaped(&clip.clip), Escaped(&clip.why));
    }
    page.push_str("</dl>");
}

fn ladders(page: &mut String, evidence: &Evidence) {
    page.push_str(
        "<section><h2>Graded damage</h2><p class=\"note\">Share of pairs of levels in the right order, ties counting half, and Kendall's tau-b \
         against the level, mean over windows. Curves from level 0 to 5: <span class=\"key\">raw reading, 0 at its good end</span> \
         <span class=\"key final\">final score</span></p><div class=\"wide\"><table class=\"ladders\"><tr><th>damage<th>curves<th class=\"n\">raw: next<th class=\"n\">2+<th class=\"n\">tau\
         <th class=\"n\">final: next<th class=\"n\">2+<th class=\"n\">tau<th>answered by<th>levels</tr>",
    );
    for figures in &evidence.ladders {
        let _ = write!(
            page,
            "<tr><td><code>{}</code><td>{}{}{}<td>{}<td class=\"meaning\">{}</tr>",
            figures.generator,
            plot(figures),
            following(&figures.raw),
            following(&figures.overall),
            Escaped(&figures.answers.join(", ")),
            Escaped(figures.what)
        );
    }
    page.push_str("</table></div></section>");
}

fn following(figures: &Following) -> String {
    let share = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share));
    format!(
        "<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}",
        share(figures.adjacent.accuracy()),
        share(figures.distant.accuracy()),
        figures.tau.map_or("–".to_owned(), |tau| format!("{tau:.2}"))
    )
}

/// Raw reading and final score by level, each on a scale of its own: bad is down for both.
fn plot(figures: &LadderFigures) -> String {
    let raw: Vec<f64> = figures.raw_by_level.iter().copied().flatten().map(|badness| 1.0 - badness).collect();
    let line = |values: &[f64], low: f64, high: f64, class: &str| {
        let step = WIDTH / (values.len().max(2) - 1) as f64;
        let point = |(level, value): (usize, &f64)| {
            let up = ((value - low) / (high - low).max(1e-9)).clamp(0.0, 1.0);
            format!("{:.1},{:.1}", step * level as f64, HEIGHT - up * HEIGHT)
        };
        let points: Vec<String> = values.iter().enumerate().map(point).collect();
        format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "))
    };
    let least = raw.iter().copied().fold(0.0, f64::min);
    let most = raw.iter().copied().fold(1.0, f64::max);
    format!(
        "<svg role=\"img\" aria-label=\"{} by level\" viewBox=\"-2 -2 {} {}\" preserveAspectRatio=\"none\">{}{}</svg>",
        figures.generator,
        WIDTH + 4.0,
        HEIGHT + 4.0,
        line(&raw, least, most, "raw"),
        line(&figures.overall_by_level, 0.0, 10_000.0, "final")
    )
}

fn cross_talk(page: &mut String, evidence: &Evidence) {
    page.push_str(
        "<section><h2>Cross-talk</h2><p class=\"note\">Points of 100 that the strongest level takes from each axis, gates off, mean over \
         windows. A star marks axes that the damage may touch; on the others every point is cross-talk.</p><div class=\"wide\"><table><tr><th>damage",
    );
    Axis::ALL.iter().for_each(|axis| {
        let _ = write!(page, "<th class=\"n\">{}", axis.name());
    });
    page.push_str("<th class=\"n\">worst untouched, any level</tr>");
    for figures in &evidence.ladders {
        let _ = write!(page, "<tr><td><code>{}</code>", figures.generator);
        for axis in Axis::ALL {
            let star = if figures.touches.contains(&axis) { " *" } else { "" };
            let _ = match figures.lost(axis) {
                None => write!(page, "<td class=\"n\">–{star}"),
                Some(points) => {
                    let heat = (points / HOTTEST).clamp(0.0, 1.0) * 0.6;
                    write!(
                        page,
                        "<td class=\"n cell\"><i style=\"opacity:{heat:.2}\"></i><b>{points:.1}{star}</b>"
                    )
                }
            };
        }
        let worst = figures.cross_talk().map_or("–".to_owned(), |points| format!("{points:.1}"));
        let _ = write!(page, "<td class=\"n\">{worst}</tr>");
    }
    page.push_str("</table></div></section>");
}

fn attacks(page: &mut String, evidence: &Evidence) {
    let stand_ins = &evidence.stand_ins;
    let _ = write!(
        page,
        "<section><h2>Attacks</h2><p class=\"note\">Honest stand-ins: {} of {} rejected, {} pass, median {}. An attack is open where it passes at or \
         above that median. Own gate: windows on which the gate of its row fired, advisory or not.</p><div class=\"wide\"><table><tr><th>gate<th>attack\
         <th class=\"n\">clips<th>rejected by<th class=\"n\">failed<th class=\"n\">below the median<th class=\"n\">open<th class=\"n\">own gate<th class=\"n\">best</tr>",
        stand_ins.rejected, stand_ins.clips, stand_ins.passed, stand_ins.median
    );
    for attack in &evidence.attacks {
        let gates: Vec<String> =
            attack.rejected.iter().map(|(gate, count)| format!("{gate} {count}")).collect();
        let open = if attack.caught() { String::new() } else { " class=\"bad\"".to_owned() };
        let _ = write!(
            page,
            "<tr{open}><td>{}<td>{}<td class=\"n\">{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}</tr>",
            attack.row,
            Escaped(attack.name),
            attack.clips,
            gates.join(", "),
            attack.failed,
            attack.below_honest,
            attack.open,
            attack.own_gate,
            attack.best
        );
    }
    page.push_str("</table></div></section>");
}
