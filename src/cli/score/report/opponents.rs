//! The clip beside the best cheat of its task.

use std::fmt::Write as _;

use super::page::percent;
use crate::domain::score::{OpponentReading, Score};

/// A table of both sides' quality, life and living quality, and what the rules ask for.
pub(super) fn table(reading: &OpponentReading) -> String {
    let mut body = String::new();
    for (name, ours, theirs) in [
        ("quality: first frame, consistency, artifacts", reading.quality, reading.best_quality),
        ("life: motion that no still has, against the reference's", reading.life, reading.best_life),
        ("living quality", reading.living, reading.best_living),
    ] {
        let _ = write!(
            body,
            "<tr><td>{name}</td><td class=\"numbers\"><b>{}</b></td><td class=\"numbers\">{}</td></tr>",
            percent(ours),
            percent(theirs)
        );
    }
    let state = match (reading.beaten, reading.decides) {
        (true, _) => "<span class=\"badge good\">beaten</span>",
        (false, true) => "<span class=\"badge bad\">not beaten</span>",
        (false, false) => "<span class=\"badge weak\">not beaten, advisory</span>",
    };
    let margin = percent(Score::clamped(reading.margin.into()));
    format!(
        "<h3>Beside the best cheat</h3><p class=\"note\">Cheats made from the given frame are judged as clips are; the best one here \
         is {:?}. Living quality must lead its by {margin}. {state}</p><div class=\"wide\"><table class=\"gates\"><thead><tr><th></th>\
         <th>This clip</th><th>{0:?}</th></tr></thead><tbody>{body}</tbody></table></div>",
        reading.best
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::score::Opponent;

    #[test]
    fn the_table_names_the_cheat_and_says_whether_it_is_beaten() {
        let score = |value: u16| Score::clamped(value.into());
        let mut reading = OpponentReading {
            best: Opponent::ALL[0],
            best_quality: score(9_900),
            best_life: score(0),
            best_living: score(4_950),
            quality: score(9_000),
            life: score(8_000),
            living: score(8_100),
            margin: 1_000,
            beaten: true,
            decides: true,
        };
        let html = table(&reading);
        for text in ["99.00", "49.50", "81.00", "by 10.00", ">beaten<", &format!("{:?}", Opponent::ALL[0])] {
            assert!(html.contains(text), "{text}: {html}");
        }
        reading.beaten = false;
        assert!(table(&reading).contains("not beaten<"));
        reading.decides = false;
        assert!(table(&reading).contains("not beaten, advisory"));
    }
}
