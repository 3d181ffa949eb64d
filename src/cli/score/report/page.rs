//! The page itself.

use std::fmt::{self, Write as _};

use rayon::prelude::*;

use super::{
    super::{
        Scene,
        judged::{ClipVerdict, Judged},
    },
    change,
    chart::{strip, timeline},
    opponents,
    picture::{self, DIFFERENCE_GAIN, Picture},
    readings::{Readings, Series, series},
    terms::{self, TermRow},
};
use crate::{
    domain::score::{GateId, GateReading, Score, ScoreCard},
    quality::{
        embeddings::{FrameModels, Likeness, ModelReading},
        frame::Yuv420Clip,
    },
};

/// Widest picture of the pair of first frames, in pixels.
const LARGE: usize = 416;
/// Widest picture of the film strip.
const SMALL: usize = 208;
/// Pictures of a film strip.
const FILM: usize = 6;
/// Mean change of a 16-row band that is drawn as hottest, in 1/256 level.
const HOTTEST_CHANGE: i64 = 16 * 256;

/// Text as it may stand in HTML, between tags and in quoted attributes.
pub(in crate::cli) struct Escaped<'a>(pub(in crate::cli) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c if c.is_control() => f.write_char(' '),
            c => f.write_char(c),
        })
    }
}

/// The page while clips come in.
pub(in super::super) struct ReportPage {
    reference: Option<Readings>,
    likeness: Option<Likeness>,
    /// One row a clip with its place in the ranking's order.
    rows: Vec<(Standing, String)>,
    clips: String,
    count: usize,
}

impl ReportPage {
    /// A page without clips; reads the reference frame by frame.
    ///
    /// # Errors
    /// When networks gave no answer.
    pub(in super::super) fn new(scene: &Scene) -> anyhow::Result<Self> {
        let frames = scene.rules.rules.request.frames as usize;
        let read = |clip: &Yuv420Clip| Readings::of(clip, &scene.first_frame, frames);
        let (models, reference) = (scene.models.as_deref(), scene.reference.as_deref());
        let likeness = models.zip(reference);
        let likeness = likeness.map(|(models, real)| models.likeness(&scene.first_frame, real, frames));
        Ok(Self {
            reference: reference.map(read),
            likeness: likeness.transpose()?,
            rows: Vec::new(),
            clips: String::new(),
            count: 0,
        })
    }

    /// Adds a clip.
    ///
    /// # Errors
    /// When a picture cannot be encoded or networks gave no answer.
    pub(in super::super) fn add(&mut self, judged: &Judged, scene: &Scene) -> anyhow::Result<()> {
        self.count += 1;
        let name = Escaped(&judged.name);
        let id = format!("clip-{}", self.count);
        let row = format!(
            "<td class=\"name\"><a href=\"#{id}\"><bdi>{name}</bdi></a></td>{}",
            summary_cells(&judged.verdict)
        );
        self.rows.push((standing(&judged.verdict), row));
        let _ = write!(
            self.clips,
            "<section id=\"{id}\"><h2><bdi>{name}</bdi> {}</h2>{}",
            badge(&judged.verdict),
            headline(&judged.verdict)
        );
        let given = picture::frame(&scene.first_frame, 0, LARGE)?;
        match &judged.planes {
            Some(planes) if same_size(planes, &scene.first_frame) && planes.len() > 1 => {
                self.clips.push_str(&pictures(&given, planes, scene)?);
                self.read(judged, planes, scene)?;
            }
            _ => {
                let _ = write!(
                    self.clips,
                    "<div class=\"pair\">{}<p class=\"empty\">No frame of the file was accepted.</p></div>",
                    figure(&given, "given first frame")
                );
            }
        }
        self.clips.push_str(&digests(judged));
        self.clips.push_str("</section>");
        Ok(())
    }

    /// Timelines, strips, terms and gates of a decoded clip.
    fn read(&mut self, judged: &Judged, planes: &Yuv420Clip, scene: &Scene) -> anyhow::Result<()> {
        let scoring = &scene.rules.rules.scoring;
        let frames = scene.rules.rules.request.frames as usize;
        let readings = Readings::of(planes, &scene.first_frame, frames);
        if let ClipVerdict::Scored(card) = &judged.verdict {
            let measures = (&readings.measures, self.reference.as_ref().map(|real| &real.measures));
            let read =
                |models: &dyn FrameModels| ModelReading::of(models, &scene.first_frame, planes, frames);
            let clip = scene.models.as_deref().map(read).transpose()?;
            let likeness = (clip.as_ref(), self.likeness.as_ref());
            let raw = terms::raw(
                (&scene.first_frame, planes),
                measures,
                likeness,
                (&scene.prompt, &scene.rules.rules),
            );
            let rows = terms::rows(&card.terms, &raw, scoring);
            self.clips.push_str("<h3>What decided</h3><ul class=\"change\">");
            for sentence in change::sentences(card, &rows, scoring) {
                let _ = write!(self.clips, "<li>{}</li>", Escaped(&sentence));
            }
            self.clips.push_str("</ul>");
            self.clips.push_str(&term_table(&rows));
            self.clips.push_str(&gate_table(card.gates.iter().map(|(gate, reading)| (*gate, reading))));
            self.clips.push_str(&card.opponents.as_ref().map(opponents::table).unwrap_or_default());
        }
        if let ClipVerdict::Rejected { gate, reading: Some(reading), .. } = &judged.verdict {
            self.clips.push_str(&gate_table([(*gate, reading)].into_iter()));
        }
        let all = series(&readings, self.reference.as_ref(), scoring);
        self.clips.push_str(&timelines(&all, self.reference.is_some()));
        let mut maps = figure(&picture::map(&readings.change, HOTTEST_CHANGE)?, "this clip");
        if let Some(real) = &self.reference {
            maps.push_str(&figure(&picture::map(&real.change, HOTTEST_CHANGE)?, "reference"));
        }
        let _ = write!(
            self.clips,
            "<h3>Where it changes</h3><p class=\"note\">Mean luma difference of each 16-row band (top to bottom) \
             from frame to frame (left to right); the hottest colour is {} levels and more.</p>\
             <div class=\"maps\">{maps}</div>",
            HOTTEST_CHANGE / 256
        );
        Ok(())
    }

    /// The whole page.
    pub(in super::super) fn finish(self, scene: &Scene) -> String {
        let request = &scene.rules.rules.request;
        let reference = match scene.reference {
            Some(_) => "given",
            None => "none: terms that need one are null and nothing passes",
        };
        let facts = facts(&[
            ("Prompt", format!("<bdi>{}</bdi>", Escaped(&scene.prompt))),
            (
                "Asked",
                format!(
                    "{} frames of {}x{}, {} per second",
                    request.frames, request.width, request.height, request.fps
                ),
            ),
            ("Reference", reference.to_owned()),
            ("Rules", format!("<code>{}</code>", scene.rules.digest)),
            (
                "Scorer",
                format!(
                    "{} <small>({})</small>",
                    Escaped(&scene.adapter.name),
                    Escaped(&scene.adapter.backend)
                ),
            ),
        ]);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">\
             <title>Leoma score report</title><style>{style}</style></head>\n<body><header><h1>Leoma score report</h1>{facts}</header>\
             <div class=\"wide\"><table class=\"summary\"><thead><tr><th>Rank</th><th class=\"name\">Clip</th><th>Verdict</th><th>Overall</th><th>First frame</th>\
             <th>Prompt</th><th>Temporal</th><th>Artifacts</th></tr></thead><tbody>{rows}</tbody></table></div>\n{clips}\n\
             <footer>Scores run from 0 to 100 in hundredths. Pictures and timelines are made from the decoded planes by the CPU \
             twins; <code>docs/scoring.md</code> explains terms and gates.</footer></body></html>\n",
            style = include_str!("style.css"),
            rows = ranked(self.rows),
            clips = self.clips,
        )
    }
}

/// Passed before not passed before rejected, then by the overall score.
type Standing = (u8, std::cmp::Reverse<Option<Score>>);

fn standing(verdict: &ClipVerdict) -> Standing {
    match verdict {
        ClipVerdict::Scored(card) => (u8::from(!card.passed), std::cmp::Reverse(Some(card.overall))),
        ClipVerdict::Rejected { .. } => (2, std::cmp::Reverse(None)),
    }
}

/// The rows best first, each with its rank; equals share one and stand as they were given.
fn ranked(mut rows: Vec<(Standing, String)>) -> String {
    rows.sort_by_key(|(standing, _)| *standing);
    let rank = |standing: &Standing| 1 + rows.iter().filter(|(other, _)| other < standing).count();
    rows.iter()
        .map(|(standing, row)| format!("<tr><td class=\"n\">{}</td>{row}</tr>", rank(standing)))
        .collect()
}

fn same_size(a: &Yuv420Clip, b: &Yuv420Clip) -> bool {
    (a.width(), a.height()) == (b.width(), b.height())
}

/// A score as a number from 0 to 100.
pub(in crate::cli) fn percent(score: Score) -> String {
    format!("{}.{:02}", score.get() / 100, score.get() % 100)
}

fn cell(score: Option<Score>) -> String {
    match score {
        Some(score) => format!("<td class=\"n\">{}</td>", percent(score)),
        None => "<td class=\"n none\">null</td>".to_owned(),
    }
}

fn summary_cells(verdict: &ClipVerdict) -> String {
    match verdict {
        ClipVerdict::Scored(card) => {
            let axes = &card.axes;
            let cells =
                [Some(card.overall), axes.first_frame, axes.prompt, axes.temporal, axes.artifacts].map(cell);
            format!("<td>{}</td>{}", badge(verdict), cells.concat())
        }
        ClipVerdict::Rejected { reason, .. } => {
            format!("<td>{}</td><td class=\"why\" colspan=\"5\">{}</td>", badge(verdict), Escaped(reason))
        }
    }
}

fn badge(verdict: &ClipVerdict) -> String {
    match verdict {
        ClipVerdict::Scored(card) if card.passed => "<span class=\"badge good\">passed</span>".to_owned(),
        ClipVerdict::Scored(_) => "<span class=\"badge weak\">not passed</span>".to_owned(),
        ClipVerdict::Rejected { gate, .. } => format!("<span class=\"badge bad\">rejected {gate}</span>"),
    }
}

/// The overall score and the axes as bars, or why there is none.
fn headline(verdict: &ClipVerdict) -> String {
    match verdict {
        ClipVerdict::Rejected { gate, reason, .. } => {
            format!("<p class=\"reason\"><b>{gate}</b> {}</p>", Escaped(reason))
        }
        ClipVerdict::Scored(card) => {
            let axes = &card.axes;
            let bars = [
                ("First frame", axes.first_frame),
                ("Prompt", axes.prompt),
                ("Temporal", axes.temporal),
                ("Artifacts", axes.artifacts),
            ]
            .map(|(name, score)| format!("<div class=\"axisbar\"><span>{name}</span>{}</div>", bar(score)));
            format!(
                "<div class=\"headline\"><div class=\"overall\"><b>{}</b><span>overall</span></div>\
                 <div class=\"bars\">{}</div></div>",
                percent(card.overall),
                bars.concat()
            )
        }
    }
}

fn bar(score: Option<Score>) -> String {
    match score {
        Some(score) => format!(
            "<span class=\"bar\"><i style=\"width:{}%\"></i></span><span class=\"n\">{}</span>",
            percent(score),
            percent(score)
        ),
        None => "<span class=\"bar\"></span><span class=\"n none\">null</span>".to_owned(),
    }
}

fn figure(picture: &Picture, caption: &str) -> String {
    format!(
        "<figure><img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>",
        picture.uri,
        picture.width,
        picture.height,
        caption = Escaped(caption)
    )
}

/// The first frames side by side, and frames of the clip above the reference's.
fn pictures(given: &Picture, planes: &Yuv420Clip, scene: &Scene) -> Result<String, png::EncodingError> {
    let size = (planes.width(), planes.height());
    let returned = picture::frame(planes, 0, LARGE)?;
    let apart = picture::difference(scene.first_frame.frame(0), planes.frame(0), size, LARGE)?;
    let mut html = format!(
        "<div class=\"pair\">{}{}{}</div>",
        figure(given, "given first frame"),
        figure(&returned, "returned first frame"),
        figure(&apart, &format!("their luma difference, {DIFFERENCE_GAIN} times"))
    );
    let frames = (scene.rules.rules.request.frames as usize).min(planes.len());
    let picks: Vec<usize> = (0..FILM).map(|k| k * (frames - 1) / (FILM - 1)).collect();
    let film = |name: &str, clip: &Yuv420Clip| -> Result<String, png::EncodingError> {
        let one = |index: &usize| picture::frame(clip, *index, SMALL);
        let drawn: Vec<Picture> = picks.par_iter().map(one).collect::<Result<_, _>>()?;
        let figures = drawn
            .iter()
            .zip(&picks)
            .map(|(picture, index)| figure(picture, &format!("{name} frame {index}")));
        Ok(format!("<div class=\"film\">{}</div>", figures.collect::<String>()))
    };
    html.push_str("<h3>Frames</h3>");
    html.push_str(&film("clip", planes)?);
    if let Some(reference) = &scene.reference {
        html.push_str(&film("real", reference)?);
    }
    Ok(html)
}

fn term_table(rows: &[TermRow]) -> String {
    let mut body = String::new();
    for row in rows {
        let number = |value: Option<i64>| value.map_or("–".to_owned(), |value| value.to_string());
        let (limits, weight) = match row.rule {
            Some((bad, good, weight)) => (format!("{bad} → {good}"), weight.to_string()),
            None => ("curve".to_owned(), "–".to_owned()),
        };
        let _ = write!(
            body,
            "<tr><td>{}</td><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{limits}</td>\
             <td class=\"n\">{weight}</td><td><div class=\"score\">{}</div></td><td class=\"meaning\">{}</td></tr>",
            row.axis,
            Escaped(&row.name),
            number(row.raw),
            bar(row.score),
            row.meaning
        );
    }
    format!(
        "<h3>Terms</h3><div class=\"wide\"><table class=\"terms\"><thead><tr><th>Axis</th><th>Term</th><th>Reading</th><th>Bad → good</th>\
         <th>Weight</th><th>Score</th><th>What it reads</th></tr></thead><tbody>{body}</tbody></table></div>"
    )
}

fn gate_table<'a>(gates: impl Iterator<Item = (GateId, &'a GateReading)>) -> String {
    let mut body = String::new();
    for (gate, reading) in gates {
        let numbers = reading.numbers.iter().map(|(name, value)| {
            format!("<span class=\"pairing\">{} <b>{value}</b></span> ", Escaped(&name.replace('_', " ")))
        });
        let state = match (reading.fired, reading.decides) {
            (false, _) => "<span class=\"badge good\">clear</span>",
            (true, true) => "<span class=\"badge bad\">fired</span>",
            (true, false) => "<span class=\"badge weak\">fired, advisory</span>",
        };
        let _ = write!(
            body,
            "<tr><td><b>{gate}</b> {}</td><td>{state}</td><td class=\"numbers\">{}</td></tr>",
            gate.catches().replace('_', " "),
            numbers.collect::<String>()
        );
    }
    format!(
        "<h3>Gates</h3><div class=\"wide\"><table class=\"gates\"><thead><tr><th>Gate</th><th>State</th><th>Numbers</th></tr></thead>\
         <tbody>{body}</tbody></table></div>"
    )
}

fn timelines(all: &[Series], with_reference: bool) -> String {
    let real = if with_reference { "<span class=\"key real\">reference</span>" } else { "" };
    let strips: String = all.iter().map(strip).collect();
    let charts: String = all.iter().map(timeline).collect();
    format!(
        "<h3>Heat strips</h3><p class=\"note\">Left to right in time; each reading is hottest where it is most conspicuous in \
         clip or reference.</p><div class=\"strips\">{strips}</div><h3>Timelines</h3><p class=\"note\">\
         <span class=\"key clip\">this clip</span>{real}</p><div class=\"charts\">{charts}</div>"
    )
}

fn digests(judged: &Judged) -> String {
    let none = || "<span class=\"none\">null</span>".to_owned();
    let card: Option<&ScoreCard> = match &judged.verdict {
        ClipVerdict::Scored(card) => Some(card),
        ClipVerdict::Rejected { .. } => None,
    };
    let code = |digest: crate::domain::ids::Digest| format!("<code>{digest}</code>");
    facts(&[
        ("Frame digest", judged.frame_digest.map_or_else(none, code)),
        ("Score digest", card.map_or_else(none, |card| code(card.score_digest))),
    ])
}

/// Name and value (HTML) in two columns.
fn facts(pairs: &[(&str, String)]) -> String {
    let rows: String = pairs.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    format!("<dl>{rows}</dl>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_leave_its_place() {
        let hostile = "<script>alert('x')</script>\" onload=\"y & z\u{0}";
        let shown = Escaped(hostile).to_string();
        assert_eq!(shown, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;y &amp; z ");
    }

    #[test]
    fn clips_are_ranked_and_equals_share_a_rank() {
        let row = |standing: Standing, name: &str| (standing, format!("<td>{name}</td>"));
        let score = |value| std::cmp::Reverse(Some(Score::clamped(value)));
        let rows = vec![
            row((2, std::cmp::Reverse(None)), "rejected"),
            row((1, score(9_000)), "not passed"),
            row((0, score(8_000)), "b"),
            row((0, score(8_000)), "c"),
            row((0, score(8_500)), "a"),
        ];
        let html = ranked(rows);
        let found: Vec<&str> = html.split("<tr><td class=\"n\">").skip(1).collect();
        let wanted =
            ["1</td><td>a", "2</td><td>b", "2</td><td>c", "4</td><td>not passed", "5</td><td>rejected"];
        assert!(found.iter().zip(wanted).all(|(row, start)| row.starts_with(start)), "{found:?}");
    }

    #[test]
    fn scores_are_shown_with_two_decimals() {
        assert_eq!(percent(Score::clamped(10_000)), "100.00");
        assert_eq!(percent(Score::clamped(9_705)), "97.05");
        assert_eq!(percent(Score::ZERO), "0.00");
    }
}
