//! The text axis: how well a clip fits its prompt, from quantised cosines of image and text vectors.
//!
//! Nothing here sees a float: cosines come in 1/1024 from the embedding lane, settled there so that every machine has
//! the same ones. A raw likelihood of CLIP is easy to push (text in the picture, a busy frame, the first frame alone),
//! so four defences stand between a cosine and a score:
//!
//! 1. a prompt is judged against other prompts ([`distractors`], [`likelihood`]), and by rank among the real clip's own
//!    frames ([`relevance`]);
//! 2. the least of several views counts ([`view`]): mirrored, without detail, and in parts;
//! 3. only change away from the given frame earns credit ([`change`]): a freeze has none;
//! 4. what shows another scene than the real clip is capped, and what shows the same one earns nothing ([`anchor`]).

pub mod anchor;
pub mod axis;
pub mod card;
pub mod change;
pub mod distractors;
pub mod likelihood;
pub mod relevance;
pub mod sentences;
pub mod task;
pub mod view;

#[cfg(test)]
mod tests;
