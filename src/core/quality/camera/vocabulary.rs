//! The words that the parser knows.

/// Families of motion words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Pan,
    Tilt,
    Zoom,
    Push,
    Pull,
    Dolly,
    Truck,
    Move,
    Turn,
    Lift,
    Rise,
    Sink,
    Orbit,
    Track,
}

/// Grammatical form, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// "pan", also a noun.
    Base,
    /// "pans".
    Finite,
    /// "panning".
    Participle,
}

/// Base, third person and participle of each motion word.
pub(super) const VERBS: &[(Verb, [&str; 3])] = &[
    (Verb::Pan, ["pan", "pans", "panning"]),
    (Verb::Tilt, ["tilt", "tilts", "tilting"]),
    (Verb::Zoom, ["zoom", "zooms", "zooming"]),
    (Verb::Push, ["push", "pushes", "pushing"]),
    (Verb::Pull, ["pull", "pulls", "pulling"]),
    (Verb::Dolly, ["dolly", "dollies", "dollying"]),
    (Verb::Truck, ["truck", "trucks", "trucking"]),
    (Verb::Move, ["move", "moves", "moving"]),
    (Verb::Move, ["glide", "glides", "gliding"]),
    (Verb::Move, ["drift", "drifts", "drifting"]),
    (Verb::Move, ["slide", "slides", "sliding"]),
    (Verb::Move, ["travel", "travels", "travelling"]),
    (Verb::Move, ["travel", "travels", "traveling"]),
    (Verb::Move, ["float", "floats", "floating"]),
    (Verb::Move, ["fly", "flies", "flying"]),
    (Verb::Move, ["sweep", "sweeps", "sweeping"]),
    (Verb::Move, ["advance", "advances", "advancing"]),
    (Verb::Turn, ["turn", "turns", "turning"]),
    (Verb::Turn, ["rotate", "rotates", "rotating"]),
    (Verb::Turn, ["swing", "swings", "swinging"]),
    (Verb::Lift, ["crane", "cranes", "craning"]),
    (Verb::Lift, ["boom", "booms", "booming"]),
    (Verb::Lift, ["pedestal", "pedestals", "pedestaling"]),
    (Verb::Rise, ["rise", "rises", "rising"]),
    (Verb::Rise, ["ascend", "ascends", "ascending"]),
    (Verb::Sink, ["lower", "lowers", "lowering"]),
    (Verb::Sink, ["descend", "descends", "descending"]),
    (Verb::Orbit, ["orbit", "orbits", "orbiting"]),
    (Verb::Orbit, ["circle", "circles", "circling"]),
    (Verb::Orbit, ["arc", "arcs", "arcing"]),
    (Verb::Orbit, ["revolve", "revolves", "revolving"]),
    (Verb::Track, ["track", "tracks", "tracking"]),
    (Verb::Track, ["follow", "follows", "following"]),
];

/// What films: as a subject it makes a clause one about the camera.
pub(super) const CAMERA: &[&str] =
    &["camera", "cam", "shot", "view", "lens", "viewpoint", "perspective", "framing", "frame"];
/// What may stand before the camera at the start of a clause.
pub(super) const BEFORE_CAMERA: &[&str] = &[
    "the",
    "a",
    "an",
    "our",
    "this",
    "in",
    "with",
    "and",
    "then",
    "here",
    "now",
    "finally",
    "first",
    "static",
    "fixed",
    "stationary",
    "still",
    "moving",
    "handheld",
    "hand",
    "held",
    "drone",
    "aerial",
    "wide",
    "close",
    "closeup",
    "up",
    "low",
    "high",
    "angle",
    "overhead",
    "medium",
    "long",
    "single",
    "cinematic",
    "smooth",
    "steady",
    "slow",
    "fast",
    "slowly",
    "gently",
    "smoothly",
    "suddenly",
    "gradually",
    "continuous",
    "tracking",
    "establishing",
    "virtual",
];
/// Words of a camera that stands.
pub(super) const STANDING: &[&str] = &[
    "static",
    "stationary",
    "fixed",
    "motionless",
    "unmoving",
    "still",
    "immobile",
    "locked",
    "unmoved",
    "tripod",
];
/// Verbs that say in which state a camera is.
pub(super) const STATE: &[&str] = &[
    "is",
    "remains",
    "stays",
    "keeps",
    "holds",
    "stands",
    "remain",
    "stay",
    "remaining",
    "staying",
    "kept",
    "held",
];
/// What may stand between the camera and what it does.
pub(super) const LINKING: &[&str] = &[
    "is",
    "are",
    "be",
    "being",
    "does",
    "do",
    "did",
    "not",
    "never",
    "will",
    "to",
    "starts",
    "begins",
    "continues",
    "keeps",
    "makes",
    "performs",
    "movement",
    "movements",
    "motion",
    "work",
    "direction",
    "angle",
    "a",
    "an",
    "the",
    "now",
    "just",
    "only",
    "no",
    "on",
    "in",
    "completely",
    "perfectly",
    "entirely",
    "absolutely",
    "totally",
    "mostly",
    "fully",
    "very",
    "always",
    "itself",
    "first",
    "view",
    "lens",
    "without",
    "any",
];
pub(super) const SLOW: &[&str] = &[
    "slow",
    "slowly",
    "gentle",
    "gently",
    "subtle",
    "subtly",
    "slight",
    "slightly",
    "gradual",
    "gradually",
    "softly",
];
pub(super) const FAST: &[&str] = &[
    "fast", "quick", "quickly", "rapid", "rapidly", "whip", "swift", "swiftly", "sudden", "suddenly",
    "sharply",
];
/// Adjectives and adverbs of manner that say nothing of the pace.
pub(super) const MANNER: &[&str] =
    &["smooth", "smoothly", "steady", "steadily", "cinematic", "dramatic", "dramatically"];
/// Words that begin a clause of their own.
pub(super) const SUBORDINATE: &[&str] = &[
    "while", "as", "when", "where", "who", "which", "that", "whose", "until", "because", "before", "after",
    "whilst",
];

pub(super) const OBJECTS: &[&str] =
    &["of", "from", "through", "over", "into", "with", "at", "showing", "shows"];
pub(super) const PREPOSITIONS: &[&str] = &[
    "from", "to", "toward", "towards", "at", "into", "past", "behind", "near", "with", "by", "of", "for",
    "in", "on", "hold", "take", "carry", "use", "point", "aim", "face", "around", "before", "beside",
    "against", "over",
];

pub(super) const DIRECTIONS: &[&str] = &["in", "out", "back", "up", "down", "left", "right", "around"];
