//! A long prompt in parts that a text tower can take.

/// Most parts of one prompt; what follows is not read.
pub const MOST_PARTS: usize = 8;

/// Splits a prompt into texts of at most `limit` tokens by `count` (77 with start and end, so 75): whole when it fits,
/// else whole sentences beside each other as long as they fit; a sentence that is too long alone is split between words,
/// and a word that is too long is left whole, for the tokenizer to cut.
pub fn split(prompt: &str, limit: usize, count: impl Fn(&str) -> usize) -> Vec<String> {
    let prompt = prompt.trim();
    if count(prompt) <= limit {
        return vec![prompt.to_owned()];
    }
    let pieces = sentences(prompt).into_iter().flat_map(|sentence| {
        if count(sentence) <= limit {
            vec![sentence.to_owned()]
        } else {
            join(sentence.split_whitespace().map(str::to_owned), limit, &count)
        }
    });
    let mut parts = join(pieces, limit, &count);
    parts.truncate(MOST_PARTS);
    parts
}

/// Puts neighbours together as long as they fit.
fn join(pieces: impl Iterator<Item = String>, limit: usize, count: &impl Fn(&str) -> usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for piece in pieces {
        let longer = parts.last().map(|last| format!("{last} {piece}"));
        match (parts.last_mut(), longer) {
            (Some(last), Some(longer)) if count(&longer) <= limit => *last = longer,
            _ => parts.push(piece),
        }
    }
    parts
}

/// Sentences end after `. ! ? ;` before a space, after their full-width forms, and at a new line.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let end = at + letter.len_utf8();
        let before_space = letters.peek().is_none_or(|(_, next)| next.is_whitespace());
        let ends = match letter {
            '.' | '!' | '?' | ';' => before_space,
            '\u{3002}' | '\u{ff01}' | '\u{ff1f}' | '\u{ff1b}' | '\n' => true,
            _ => false,
        };
        if ends {
            found.push(text[start..end].trim());
            start = end;
        }
    }
    found.push(text[start..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}
