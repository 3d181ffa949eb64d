//! Words about the camera: a rule parser from a prompt to the movements that it asks for.
//!
//! English only. A prompt is cut into clauses; a motion word counts when its clause is about the camera: the camera (shot,
//! view, lens, "we") is the subject in front of it, it is part of a compound ("camera pan", "tracking shot"), it stands at
//! the start as a director would write it ("Slow zoom in on ..."), or a word of pace makes it a noun ("with a slow pan
//! left"). So a frying pan left on the stove, a hand that tilts a bottle away from the camera, and a man who zooms past say
//! nothing. What is negated is not asked for, but a camera that does not move is static.
//!
//! Known failures: other languages; metaphors; sequences ("first ... then ...") are read as one wish, of which opposite
//! parts lose their direction.

use super::{Asked, CameraMove, Pace, vocabulary::*};

/// Characters and words of a prompt that are read.
const MOST_CHARACTERS: usize = 10_000;
const MOST_WORDS: usize = 1_000;
/// Words after a motion word in which its direction may stand.
const REACH: usize = 8;

fn is_manner(word: &str) -> bool {
    [SLOW, FAST, MANNER].iter().any(|list| list.contains(&word)) || word == "then" || word == "also"
}

fn verb(word: &str) -> Option<(Verb, Form)> {
    const FORMS: [Form; 3] = [Form::Base, Form::Finite, Form::Participle];
    VERBS.iter().find_map(|(verb, words)| Some((*verb, FORMS[words.iter().position(|w| *w == word)?])))
}

/// How a clause hangs on the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// It stands alone.
    None,
    /// After a comma, "and", "then" or "but": may go on with the subject before.
    Loose,
    /// After "or" and "nor": a negation goes on, too.
    Alternative,
}

struct Clause {
    link: Link,
    words: Vec<String>,
}

/// What a prompt asks of the camera, in the order of [`CameraMove`]; empty when it says nothing of it.
pub fn read(prompt: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    let mut before = State::default();
    for clause in clauses(prompt) {
        before = read_clause(&clause, before, &mut found);
    }
    settle(found)
}

/// One pace per movement; opposites lose their direction; standing does not go with moving.
fn settle(mut found: Vec<Asked>) -> Vec<Asked> {
    use CameraMove::{Down, In, Left, Out, Right, Sideways, Static, Tracking, Up, Vertical};
    for (one, other, both) in [(Left, Right, Sideways), (Up, Down, Vertical), (In, Out, Tracking)] {
        let asks = |movement| found.iter().any(|asked: &Asked| asked.movement == movement);
        if asks(one) && asks(other) {
            let opposite = |asked: &Asked| asked.movement == one || asked.movement == other;
            found.iter_mut().filter(|asked| opposite(asked)).for_each(|asked| asked.movement = both);
        }
    }
    if found.iter().any(|asked| asked.movement != Static) {
        found.retain(|asked| asked.movement != Static);
    }
    found.sort_by_key(|asked| asked.movement);
    found.dedup_by_key(|asked| asked.movement);
    found
}

/// Words in lower case, cut at punctuation, conjunctions and subordinating words.
fn clauses(prompt: &str) -> Vec<Clause> {
    let mut all = vec![Clause { link: Link::None, words: Vec::new() }];
    let start = |all: &mut Vec<Clause>, link| {
        match all.last_mut() {
            // "..., and": the looser link of the two stands, a full stop wins.
            Some(last) if last.words.is_empty() => {
                last.link = if last.link == Link::None { Link::None } else { link };
            }
            _ => all.push(Clause { link, words: Vec::new() }),
        };
    };
    for word in words(prompt).into_iter().take(MOST_WORDS) {
        match word.as_str() {
            "." => start(&mut all, Link::None),
            "," | "and" | "but" | "then" => start(&mut all, Link::Loose),
            "or" | "nor" => start(&mut all, Link::Alternative),
            w if SUBORDINATE.contains(&w) => start(&mut all, Link::None),
            _ => all.last_mut().into_iter().for_each(|clause| clause.words.push(word.clone())),
        }
    }
    all
}

/// Words and the marks "." and ","; "doesn't" is two words, hyphens part words, "back and forth" is one.
fn words(prompt: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(prompt.len().min(4 * MOST_CHARACTERS));
    let mut last = ' ';
    for c in prompt.chars().take(MOST_CHARACTERS).flat_map(char::to_lowercase) {
        match c {
            '\'' | '\u{2019}' | '\u{2018}' => spaced.push('\''),
            c if c.is_alphanumeric() => spaced.push(c),
            '.' | ';' | '!' | '?' | '\n' | '(' | ')' | '\u{2014}' | '\u{2013}' => spaced.push_str(" . "),
            ',' => spaced.push_str(" , "),
            '-' if last.is_whitespace() => spaced.push_str(" , "),
            _ => spaced.push(' '),
        }
        last = c;
    }
    for (phrase, one) in
        [("back and forth", "toandfro"), ("side to side", "toandfro"), ("left and right", "toandfro")]
    {
        spaced = spaced.replace(phrase, one);
    }
    let mut out = Vec::new();
    for word in spaced.split_whitespace() {
        match word.split_once('\'') {
            Some((stem, "t")) => {
                out.push(stem.strip_suffix('n').unwrap_or(stem).to_owned());
                out.push("not".to_owned());
            }
            Some((stem, _)) if !stem.is_empty() => out.push(stem.to_owned()),
            Some(_) => {}
            None => out.push(word.to_owned()),
        }
    }
    out
}

/// What a clause leaves to the one that goes on after it.
#[derive(Clone, Copy, Default)]
struct State {
    camera: bool,
    negated: bool,
}

fn read_clause(clause: &Clause, before: State, found: &mut Vec<Asked>) -> State {
    let words: Vec<&str> = clause.words.iter().map(String::as_str).collect();
    let subject = subject(&words);
    let lead = words.iter().position(|word| !is_manner(word));
    let first = lead.map(|at| words[at]);
    let goes_on = first.is_some_and(|word| {
        verb(word).is_some()
            || STATE.contains(&word)
            || STANDING.contains(&word)
            || ["not", "does", "do"].contains(&word)
    });
    let carried = clause.link != Link::None && before.camera && subject.is_none() && goes_on;
    let finite = first.and_then(verb).is_some_and(|(_, form)| form == Form::Finite);
    let keeps_negation = match clause.link {
        Link::None => false,
        Link::Alternative => true,
        Link::Loose => !finite,
    };
    let mut negated = before.negated && keeps_negation && (carried || clause.link == Link::Alternative);
    // The camera does what the next verb says; whom it shows may do what it likes.
    let ties = |at: usize, list: &dyn Fn(&str) -> bool| {
        let start = if carried { Some(0) } else { subject.map(|place| place + 1) };
        start.is_some_and(|start| start <= at && words[start..at].iter().all(|word| list(word)))
    };
    for at in 0..words.len() {
        negated |= is_negation(&words, at);
        let stays = ties(at, &|word| STATE.contains(&word) || LINKING.contains(&word) || is_manner(word));
        let acts = ties(at, &|word| LINKING.contains(&word) || is_manner(word));
        if stands(&words, at, stays, negated) {
            found.push(Asked { movement: CameraMove::Static, pace: Pace::Plain });
        } else if let Some(asked) = movement(&words, at, acts, clause.link).filter(|_| !negated) {
            found.push(asked);
        }
    }
    State { camera: carried || subject.is_some(), negated }
}

/// Place of the camera as the subject of a clause.
fn subject(words: &[&str]) -> Option<usize> {
    let starts = words.iter().take_while(|word| BEFORE_CAMERA.contains(word)).count();
    match words.get(starts) {
        // "A view of ..." is about what it shows.
        Some(word)
            if CAMERA.contains(word) && !words.get(starts + 1).is_some_and(|next| OBJECTS.contains(next)) =>
        {
            return Some(starts);
        }
        Some(&"we") => return Some(starts),
        _ => {}
    }
    // "In this clip the camera pans": not after what is done with or to a camera.
    let is_subject = |&at: &usize| {
        let done_with = |word: &str| {
            PREPOSITIONS.contains(&word) || ["s", "ing", "ed"].iter().any(|ending| word.ends_with(ending))
        };
        words[at] == "camera" && at >= 2 && words[at - 1] == "the" && {
            let with =
                words[at - 2] == "with" && words.get(at + 1).is_some_and(|next| participle_ahead(next));
            with || !done_with(words[at - 2])
        }
    };
    (0..words.len()).find(is_subject)
}

fn participle_ahead(word: &str) -> bool {
    is_manner(word)
        || verb(word).is_some_and(|(_, form)| form == Form::Participle)
        || STANDING.contains(&word)
}

/// "no longer" and "not only" are no negations.
fn is_negation(words: &[&str], at: usize) -> bool {
    let denies = ["not", "never", "without", "no", "neither", "avoid", "zero"].contains(&words[at]);
    denies && !words.get(at + 1).is_some_and(|next| ["only", "just", "merely", "longer"].contains(next))
}

/// Whether the word at a place says that the camera stands; `camera`: it belongs to the camera in front of it.
fn stands(words: &[&str], at: usize, camera: bool, negated: bool) -> bool {
    let word = words[at];
    if negated {
        // "no camera movement", "no movement of the camera", "the camera does not move".
        let noun = ["movement", "movements", "motion"].contains(&word);
        let moving = noun || ["move", "moving", "moves"].contains(&word);
        let of_camera = at > 0 && words[at - 1] == "camera" || noun && words[at..].contains(&"camera");
        return moving && (camera || of_camera);
    }
    if !STANDING.contains(&word) {
        return false;
    }
    let next = &words[at + 1..];
    // "static wide shot", "locked-off camera": what films follows within words that describe it.
    let films = next.iter().take(4).position(|word| CAMERA.contains(word)).is_some_and(|films| {
        next[..films].iter().all(|word| BEFORE_CAMERA.contains(word) || ["off", "down"].contains(word))
    });
    match word {
        "tripod" => camera || films,
        "locked" => films || camera || next.first() == Some(&"off"),
        // A "still" without a camera is a picture; what is fixed has been repaired.
        _ => films || camera,
    }
}

/// A direction as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Left,
    Right,
    Up,
    Down,
    In,
    Out,
    Around,
    ToAndFro,
}

/// What the motion word at a place asks for.
fn movement(words: &[&str], at: usize, camera: bool, link: Link) -> Option<Asked> {
    let (verb, form) = verb(words[at])?;
    let direction = direction(words, at, verb);
    let movement = resolve(verb, direction)?;
    let before = at.checked_sub(1).map(|place| words[place]);
    // "camera pan", "tracking shot", "push-in shot", "orbiting camera".
    let mut after = words[at + 1..].iter().take(2).skip_while(|word| DIRECTIONS.contains(*word));
    let of_shot = form != Form::Finite && after.next() == Some(&"shot");
    let of_camera = form == Form::Base && before == Some("camera");
    let filming = form == Form::Participle && words.get(at + 1) == Some(&"camera");
    let about = camera || of_shot || of_camera || filming;
    let about = about || directed(words, at, (verb, form), direction, link);
    about.then(|| Asked { movement, pace: pace(words, at) })
}

/// Whether a motion word stands as a director would write it, without the camera.
fn directed(
    words: &[&str],
    at: usize,
    (verb, form): (Verb, Form),
    direction: Option<Direction>,
    link: Link,
) -> bool {
    let Some(direction) = direction else { return false };
    let lateral = matches!(direction, Direction::Left | Direction::Right | Direction::Up | Direction::Down);
    let along = matches!(direction, Direction::In | Direction::Out);
    let fits = match verb {
        Verb::Pan | Verb::Tilt => lateral,
        Verb::Zoom | Verb::Dolly | Verb::Push | Verb::Pull => along,
        _ => false,
    };
    let before = at.checked_sub(1).map(|place| words[place]);
    let starts = words[..at].iter().all(|word| is_manner(word));
    let order = match form {
        Form::Base => starts,
        Form::Participle => {
            starts && link == Link::None && matches!(verb, Verb::Pan | Verb::Zoom | Verb::Dolly)
        }
        Form::Finite => false,
    };
    // "with a slow pan left"; "a zoom in". An article alone is not enough for a pan or a dolly: those are things.
    let noun = form == Form::Base
        && (before.is_some_and(is_manner) || (verb == Verb::Zoom && matches!(before, Some("a" | "the"))));
    fits && (order || noun)
}

/// The direction that follows a motion word.
fn direction(words: &[&str], at: usize, verb: Verb) -> Option<Direction> {
    let (mut from, mut origin, mut toward) = (false, None, None);
    for place in at + 1..words.len().min(at + 1 + REACH) {
        let next = words.get(place + 1).copied().unwrap_or("");
        let article = ["the", "a", "an", "his", "her", "their", "its", "this"].contains(&next);
        let here = match words[place] {
            // Along the street, not downwards.
            "up" | "down" if verb == Verb::Move && (article || next == "to") => Direction::Around,
            "left" | "leftward" | "leftwards" => Direction::Left,
            "right" | "rightward" | "rightwards" => Direction::Right,
            "up" | "upward" | "upwards" | "top" => Direction::Up,
            "down" | "downward" | "downwards" | "bottom" => Direction::Down,
            // "pans in a kitchen" has a place, "zooms in the picture" a direction.
            "in" if article && verb != Verb::Zoom => break,
            "in" | "inward" | "inwards" | "into" | "closer" | "forward" | "forwards" => Direction::In,
            "on" | "onto" if verb == Verb::Zoom => Direction::In,
            "out" | "outward" | "outwards" | "back" | "backward" | "backwards" | "away" => Direction::Out,
            "toandfro" => Direction::ToAndFro,
            "around" | "across" | "over" | "along" | "alongside" | "through" | "past" | "with" => {
                Direction::Around
            }
            "from" => {
                from = true;
                continue;
            }
            "toward" | "towards" => {
                toward = Some(Direction::In);
                continue;
            }
            "to" | "the" | "side" | "further" | "ever" | "shot" | "camera" => continue,
            word if is_manner(word) => continue,
            _ => break,
        };
        let lateral = matches!(here, Direction::Left | Direction::Right | Direction::Up | Direction::Down);
        if lateral && from {
            (origin, from) = (Some(opposite(here)), false);
        } else if !lateral && (origin.is_some() || toward.is_some()) {
            break;
        } else if !(lateral && next == "to" && ends_opposite(words, place, here)) {
            return Some(here);
        }
    }
    origin.or(toward)
}

/// Whether "to [the] OPPOSITE" follows.
fn ends_opposite(words: &[&str], place: usize, here: Direction) -> bool {
    let names: &[&str] = match opposite(here) {
        Direction::Left => &["left"],
        Direction::Right => &["right"],
        Direction::Up => &["up", "top"],
        _ => &["down", "bottom"],
    };
    words[place + 1..].iter().take(4).any(|word| names.contains(word))
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Left => Direction::Right,
        Direction::Right => Direction::Left,
        Direction::Up => Direction::Down,
        Direction::Down => Direction::Up,
        Direction::In => Direction::Out,
        Direction::Out => Direction::In,
        other => other,
    }
}

/// The movement of a motion word with a direction; `None` where the two make none.
fn resolve(verb: Verb, direction: Option<Direction>) -> Option<CameraMove> {
    let lateral = match direction {
        Some(Direction::Left) => Some(CameraMove::Left),
        Some(Direction::Right) => Some(CameraMove::Right),
        _ => None,
    };
    let upright = match direction {
        Some(Direction::Up) => Some(CameraMove::Up),
        Some(Direction::Down) => Some(CameraMove::Down),
        _ => None,
    };
    let along = match direction {
        Some(Direction::In) => Some(CameraMove::In),
        Some(Direction::Out) => Some(CameraMove::Out),
        _ => None,
    };
    match verb {
        Verb::Pan => lateral.or(upright).or(Some(CameraMove::Sideways)),
        Verb::Tilt if lateral.is_some() => None,
        Verb::Tilt => upright.or(Some(CameraMove::Vertical)),
        Verb::Zoom => along,
        Verb::Push => along.filter(|movement| *movement == CameraMove::In),
        Verb::Pull => along.filter(|movement| *movement == CameraMove::Out),
        Verb::Dolly | Verb::Move | Verb::Track => {
            lateral.or(upright).or(along).or(Some(CameraMove::Tracking))
        }
        Verb::Truck => lateral.or(Some(CameraMove::Sideways)),
        Verb::Turn if direction == Some(Direction::Around) => Some(CameraMove::Orbit),
        Verb::Turn => lateral.or(upright),
        Verb::Lift => upright,
        Verb::Rise => Some(CameraMove::Up),
        Verb::Sink => Some(CameraMove::Down),
        Verb::Orbit => Some(CameraMove::Orbit),
    }
}

/// The pace that words beside a motion word ask for: those in front of it, and those among its direction.
fn pace(words: &[&str], at: usize) -> Pace {
    let before = words[..at].iter().rev().take_while(|word| is_manner(word) || **word == "camera");
    let among = |word: &&&str| is_manner(word) || DIRECTIONS.contains(*word) || ["to", "the"].contains(*word);
    let beside: Vec<&str> = before.chain(words[at + 1..].iter().take_while(among)).copied().collect();
    match beside {
        beside if beside.iter().any(|word| SLOW.contains(word)) => Pace::Slow,
        beside if beside.iter().any(|word| FAST.contains(word)) => Pace::Fast,
        _ => Pace::Plain,
    }
}
