//! What a prompt is judged against: other tasks' prompts, and its own with one word exchanged.

use std::collections::BTreeSet;

use crate::domain::ids::Digest;

/// Distractors of every prompt.
pub const DISTRACTORS: usize = 31;
/// Most of them that are edits of the prompt.
pub const MOST_EDITS: usize = 8;
/// Prompts that share this part of their words, in 1/100, may describe the same clip: they are no distractors.
const MOST_SHARED: usize = 50;

/// Words that exclude each other: an edit puts the next one of its row in the place of a word.
const EXCLUSIVE: [&[&str]; 20] = [
    &["man", "woman"],
    &["men", "women"],
    &["boy", "girl"],
    &["child", "adult"],
    &["dog", "cat", "horse"],
    &["bird", "fish"],
    &["car", "bicycle", "boat"],
    &["red", "blue", "green", "yellow"],
    &["black", "white"],
    &["day", "night"],
    &["sunny", "rainy", "snowy"],
    &["summer", "winter"],
    &["indoors", "outdoors"],
    &["beach", "forest", "desert", "city"],
    &["ocean", "mountains"],
    &["kitchen", "garden"],
    &["walking", "running", "sitting", "jumping"],
    &["walks", "runs", "sits", "jumps"],
    &["young", "old"],
    &["one", "two", "many"],
];

/// Prompts of everyday scenes, which fill up what other tasks do not give.
const EVERYDAY: [&str; 40] = [
    "a bowl of fruit on a wooden table",
    "an empty parking garage at night",
    "a close-up of hands typing on a keyboard",
    "a train crossing a steel bridge over a river",
    "children playing football in a park",
    "a cup of coffee steaming beside a window",
    "an aerial view of a harbour with sailing boats",
    "a woman playing the violin on a stage",
    "a field of sunflowers under a blue sky",
    "a mechanic repairing the engine of a car",
    "snow falling on a mountain village",
    "a cat sleeping on a grey sofa",
    "a crowded subway platform in the morning",
    "a chef slicing vegetables in a restaurant kitchen",
    "a waterfall in a green rainforest",
    "an astronaut floating above the earth",
    "a bookshelf filled with old leather books",
    "a horse galloping along a sandy beach",
    "fireworks above a city skyline",
    "a potter shaping clay on a wheel",
    "a flock of birds over a lake at sunset",
    "a robot arm welding parts in a factory",
    "a campfire burning in a dark forest",
    "an old man reading a newspaper on a bench",
    "a cyclist riding through a narrow street",
    "a goldfish swimming in a glass bowl",
    "a desert road with distant hills",
    "a baby laughing in a high chair",
    "a barista pouring milk into a cup",
    "a lighthouse on a rocky coast in a storm",
    "a dancer turning in an empty studio",
    "a market stall with spices and nuts",
    "a tractor ploughing a brown field",
    "a laptop and a notebook on a white desk",
    "a dog catching a ball on a lawn",
    "clouds drifting across a full moon",
    "a surfer riding a large wave",
    "a hallway with marble columns",
    "a red balloon rising into the sky",
    "bees on purple lavender flowers",
];

/// Words of a text in small letters, without marks.
fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether two texts may describe the same clip: half of the words of both are shared.
fn alike(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    let (shared, all) = (one.intersection(other).count(), one.union(other).count());
    all == 0 || shared * 100 >= all * MOST_SHARED
}

/// The prompt with one word exchanged, for every word that has its opposites, in reading order; at most [`MOST_EDITS`].
pub fn edits(prompt: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(word) = next_word(prompt, start) {
        let small = prompt[word.clone()].to_lowercase();
        let row = EXCLUSIVE.iter().find_map(|row| Some((row, row.iter().position(|&known| known == small)?)));
        if let Some((row, at)) = row {
            let other = row[(at + 1) % row.len()];
            found.push(format!("{}{other}{}", &prompt[..word.start], &prompt[word.end..]));
        }
        start = word.end;
    }
    found.truncate(MOST_EDITS);
    found
}

fn next_word(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let start = from + text[from..].find(char::is_alphanumeric)?;
    let rest = &text[start..];
    let length = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len());
    Some(start..start + length)
}

/// The 31 distractors of a prompt: its edits, then other tasks' prompts in an order drawn from the seed, then everyday
/// scenes likewise. The same for every validator, in whatever order `others` came; none is like the prompt or another.
pub fn choose<'a>(prompt: &str, others: impl IntoIterator<Item = &'a str>, seed: &Digest) -> Vec<String> {
    let set = |text: &str| words(text).into_iter().collect::<BTreeSet<_>>();
    let own = set(prompt);
    let mut chosen = edits(prompt);
    chosen.dedup();
    // Edits share nearly every word with the prompt on purpose; the rest must not.
    let mut taken: Vec<BTreeSet<String>> = Vec::new();
    let drawn = |texts: BTreeSet<&'a str>| {
        let mut texts: Vec<_> = texts
            .into_iter()
            .map(|text| (Digest::of_parts(&[b"leoma distractor", &seed.0, text.as_bytes()]).0, text))
            .collect();
        texts.sort_unstable();
        texts.into_iter().map(|(_, text)| text)
    };
    let others = drawn(others.into_iter().map(str::trim).collect());
    for text in others.chain(drawn(EVERYDAY.into_iter().collect())) {
        if chosen.len() == DISTRACTORS {
            break;
        }
        let words = set(text);
        if !words.is_empty() && !alike(&words, &own) && !taken.iter().any(|other| alike(&words, other)) {
            chosen.push(text.to_owned());
            taken.push(words);
        }
    }
    chosen
}
