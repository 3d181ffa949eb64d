//! Captions that people wrote: a text file beside each clip, or one CSV file for all.

use std::collections::HashMap;

/// Largest CSV file in bytes.
pub const MAX_CSV_BYTES: u64 = 8 << 20;
/// Largest text file beside a clip, in bytes.
pub const MAX_TEXT_BYTES: u64 = 8 << 10;

/// What somebody wrote of a file or clip.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// What it shows.
    pub caption: String,
    /// Its licence, if not the build's.
    pub licence: Option<String>,
    /// Where it came from, if said.
    pub source: Option<String>,
}

impl Note {
    /// The note of a text file.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let caption = one_line(std::str::from_utf8(text).ok()?);
        (!caption.is_empty()).then(|| Self { caption, ..Self::default() })
    }
}

/// Notes by name: a file's as it lies in the source, or a clip's key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notes(HashMap<String, Note>);

/// Why a CSV file of captions was refused.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// Not CSV, or not UTF-8.
    #[error("captions: {0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error(
        "captions: the first line must name the columns `clip` and `caption` (and may `licence`, `source`), got `{0}`"
    )]
    Columns(String),
    /// A line without name or caption.
    #[error("captions, line {line}: `clip` and `caption` must not be empty")]
    Empty {
        /// Its number.
        line: u64,
    },
    /// Two lines for one name.
    #[error("captions, line {line}: `{name}` stands twice")]
    Twice {
        /// Number of the second.
        line: u64,
        /// The name.
        name: String,
    },
}

impl Notes {
    /// Reads a CSV file with the columns `clip`, `caption` and optionally `licence`, `source`.
    ///
    /// # Errors
    /// Names the first line that cannot be used.
    pub fn from_csv(file: &[u8]) -> Result<Self, NotesError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let headers = reader.headers()?.clone();
        let column = |name: &str| headers.iter().position(|header| header.eq_ignore_ascii_case(name));
        let (Some(clip), Some(caption)) = (column("clip"), column("caption")) else {
            let got = headers.iter().collect::<Vec<_>>().join(",");
            return Err(NotesError::Columns(got.chars().take(200).collect()));
        };
        let (licence, source) = (column("licence"), column("source"));
        let mut notes = HashMap::new();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |at: Option<usize>| {
                at.and_then(|at| record.get(at)).map(one_line).filter(|text| !text.is_empty())
            };
            let (Some(name), Some(caption)) = (field(Some(clip)), field(Some(caption))) else {
                return Err(NotesError::Empty { line });
            };
            let note = Note { caption, licence: field(licence), source: field(source) };
            if notes.insert(name.clone(), note).is_some() {
                return Err(NotesError::Twice { line, name });
            }
        }
        Ok(Self(notes))
    }

    /// The note for this name.
    pub fn get(&self, name: &str) -> Option<&Note> {
        self.0.get(name)
    }
}

/// Text with every run of white space made one space.
fn one_line(text: &str) -> String {
    text.trim_start_matches('\u{feff}').split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_from_text_and_csv() {
        let note = Note::of_text("\u{feff} A ball\nrolls. \n".as_bytes()).expect("text");
        assert_eq!(note.caption, "A ball rolls.");
        assert_eq!(Note::of_text(b" \n"), None);
        assert_eq!(Note::of_text(&[0xff]), None);
        let csv = b"Clip,caption,licence\na.mp4,\"A ball, red, rolls.\",CC0-1.0\nb-2.mp4,Waves.,\n";
        let notes = Notes::from_csv(csv).expect("CSV");
        let ball = notes.get("a.mp4").expect("noted");
        assert_eq!(
            (ball.caption.as_str(), ball.licence.as_deref()),
            ("A ball, red, rolls.", Some("CC0-1.0"))
        );
        assert_eq!(notes.get("b-2.mp4").map(|note| note.licence.is_none()), Some(true));
        assert_eq!(notes.get("c.mp4"), None);
    }

    #[test]
    fn a_csv_that_cannot_be_meant_is_refused_by_line() {
        for (csv, expected) in [
            ("name,caption\na,b\n", "must name the columns"),
            ("clip,caption\na.mp4,\n", "line 2: `clip` and `caption` must not be empty"),
            ("clip,caption\na.mp4,x\na.mp4,y\n", "line 3: `a.mp4` stands twice"),
            ("clip,caption\na.mp4,x,y\n", "captions: "),
        ] {
            let error = Notes::from_csv(csv.as_bytes()).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
