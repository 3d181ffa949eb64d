//! CLIP's tokens: byte pairs merged by a fixed list (Sennrich et al., "Neural Machine Translation of Rare Words with
//! Subword Units", 2016).
//!
//! The ids are those of `CLIPTokenizer` in the `transformers` library, with one wanted difference: `<|startoftext|>` and
//! `<|endoftext|>` in a prompt are letters and marks like any other, so that a prompt cannot end itself. open_clip
//! also resolves HTML entities and mends wrongly decoded text first; this does not (`tests/golden/clip`).

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use regex::Regex;
use unicode_normalization::UnicodeNormalization as _;

use crate::{error::EmbedError, manifest::Manifest};

/// Name of the list of merges in `config/models.toml`.
pub const MERGES: &str = "clip-merges";

/// Merges that CLIP's vocabulary has; the list goes on.
const MOST_MERGES: usize = 49_152 - 256 - 2;
/// Bytes, each alone and at the end of a word.
const BYTES: u16 = 256;
/// Before every text.
pub const START: u16 = 49_406;
/// After every text.
pub const END: u16 = 49_407;
/// Most bytes of a text that are read; merging takes time by the square of a word.
pub const MOST_BYTES: usize = 8192;

/// Turns text into tokens.
#[derive(Debug)]
pub struct Tokenizer {
    /// Two tokens beside each other and what they become; a lower token was learnt earlier and goes first.
    merges: HashMap<(u16, u16), u16>,
    /// Token of a byte within a word.
    bytes: [u16; 256],
    words: Regex,
}

impl Tokenizer {
    /// Reads the list of merges in a folder of models, after its digest was found right.
    ///
    /// # Errors
    /// When it is missing or changed.
    pub fn load(folder: &Path) -> Result<Self, EmbedError> {
        let path = Manifest::embedded()?.model(MERGES)?.verify(folder)?;
        let refuse =
            |error: std::io::Error| EmbedError::Unreadable { path: path.clone(), reason: error.to_string() };
        let file = std::fs::File::open(&path).map_err(refuse)?;
        // The digest is right, so the size of what unfolds is known: 3.2 MB.
        Self::from_merges(BufReader::new(flate2::read::GzDecoder::new(file).take(4 << 20)))
    }

    /// Reads merges, one pair in a line after the first line.
    ///
    /// # Errors
    /// When a line is no pair of known tokens, or there are too few lines.
    pub fn from_merges(lines: impl BufRead) -> Result<Self, EmbedError> {
        let refuse = |reason: String| EmbedError::Checkpoint { model: MERGES, reason };
        let letters = letters();
        let mut bytes = [0; 256];
        let mut tokens = HashMap::new();
        for (token, &(byte, letter)) in (0..BYTES).zip(&letters) {
            bytes[usize::from(byte)] = token;
            tokens.insert(letter.to_string(), token);
            tokens.insert(format!("{letter}</w>"), token + BYTES);
        }
        let mut merges = HashMap::with_capacity(MOST_MERGES);
        for (line, merged) in lines.lines().skip(1).take(MOST_MERGES).zip(2 * BYTES..) {
            let line = line.map_err(|error| refuse(error.to_string()))?;
            let pair = line.split_once(' ').and_then(|(first, second)| {
                Some((format!("{first}{second}"), (*tokens.get(first)?, *tokens.get(second)?)))
            });
            let (text, pair) = pair.ok_or_else(|| refuse(format!("`{line}` is no pair of tokens")))?;
            tokens.insert(text, merged);
            merges.insert(pair, merged);
        }
        if merges.len() != MOST_MERGES {
            return Err(refuse(format!("it has {} merges, not {MOST_MERGES}", merges.len())));
        }
        let words = Regex::new(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self { merges, bytes, words })
    }

    /// Tokens of a text without its start and end.
    pub fn tokens(&self, text: &str) -> Vec<u16> {
        let text: String = text.get(..text.floor_char_boundary(MOST_BYTES)).unwrap_or(text).nfc().collect();
        // Letter by letter: the end of a word does not change a letter's small form.
        let text: String = text.chars().flat_map(char::to_lowercase).collect();
        self.words.find_iter(&text).flat_map(|word| self.merge(word.as_str())).collect()
    }

    /// A text as the text tower takes it: start, at most `context - 2` tokens, end.
    pub fn encode(&self, text: &str, context: usize) -> Vec<u16> {
        let inner = self.tokens(text).into_iter().take(context.saturating_sub(2));
        std::iter::once(START).chain(inner).chain([END]).collect()
    }

    fn merge(&self, word: &str) -> Vec<u16> {
        let mut tokens: Vec<u16> = word.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
        if let Some(last) = tokens.last_mut() {
            *last += BYTES;
        }
        while let Some(merged) =
            tokens.windows(2).filter_map(|pair| self.merges.get(&(pair[0], pair[1])).copied()).min()
        {
            let mut shorter = Vec::with_capacity(tokens.len());
            let mut at = 0;
            while at < tokens.len() {
                let pair = tokens.get(at + 1).and_then(|&next| self.merges.get(&(tokens[at], next)));
                let joined = pair == Some(&merged);
                shorter.push(if joined { merged } else { tokens[at] });
                at += 1 + usize::from(joined);
            }
            tokens = shorter;
        }
        tokens
    }
}

/// Bytes with the letters that stand for them in the list, in the order of their tokens: printable ones for themselves,
/// then the others by letters from U+0100 on.
fn letters() -> Vec<(u8, char)> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let (shown, hidden): (Vec<u8>, Vec<u8>) = (0..=255u8).partition(printable);
    let hidden = hidden.into_iter().zip('\u{100}'..);
    shown.into_iter().map(|byte| (byte, char::from(byte))).chain(hidden).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_letters_of_their_own() {
        let letters = letters();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[0], letters[93], letters[94]), ((b'!', '!'), (b'~', '~'), (0xa1, '¡')));
        assert_eq!((letters[188], letters[220], letters[255]), ((0, 'Ā'), (b' ', 'Ġ'), (0xad, 'Ń')));
    }

    #[test]
    fn a_list_that_is_too_short_or_unknown_is_refused() {
        let read =
            |text: &str| Tokenizer::from_merges(text.as_bytes()).map(|_| ()).map_err(|e| e.to_string());
        assert!(read("#version\na b\n").is_err_and(|error| error.contains("1 merges")));
        assert!(read("#version\na bc\n").is_err_and(|error| error.contains("`a bc`")));
    }
}
