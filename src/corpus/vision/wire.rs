//! The words of question and answer: OpenAI's chat completions with pictures and a JSON schema.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{DescribeError, SNIPPET_BYTES};
use crate::domain::commitment::json_nesting;

/// Longest caption that is taken from a model, in characters.
pub(super) const MAX_CHARS: usize = 400;
/// Fewest words of one.
const MIN_WORDS: usize = 4;
/// Deepest nesting of an answer's JSON.
const MAX_NESTING: usize = 32;

const INSTRUCTION: &str = "The pictures are frames of one filmed clip, in order, over about five seconds. Write the \
    prompt from which the clip could be filmed again: one English sentence of 10 to 40 words that says what is seen, \
    what moves and how, and how the camera moves if it does. Name nobody and no brand. Do not speak of pictures, frames, \
    a clip or a video.";

/// The request's JSON; fields in a fixed order, so that the prompt's digest is the same everywhere.
pub(super) fn body(model: &str, pictures: &[Bytes]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        model: &'a str,
        temperature: u8,
        max_tokens: u32,
        messages: [Message; 1],
        response_format: Format,
    }
    #[derive(Serialize)]
    struct Message {
        role: &'static str,
        content: Vec<Part>,
    }
    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Part {
        Text { text: &'static str },
        ImageUrl { image_url: Address },
    }
    #[derive(Serialize)]
    struct Address {
        url: String,
    }
    #[derive(Serialize)]
    struct Format {
        r#type: &'static str,
        json_schema: Named,
    }
    #[derive(Serialize)]
    struct Named {
        name: &'static str,
        strict: bool,
        schema: Schema,
    }
    #[derive(Serialize)]
    struct Schema {
        r#type: &'static str,
        properties: Properties,
        required: [&'static str; 1],
        #[serde(rename = "additionalProperties")]
        additional: bool,
    }
    #[derive(Serialize)]
    struct Properties {
        caption: Text,
    }
    #[derive(Serialize)]
    struct Text {
        r#type: &'static str,
    }
    let shown = pictures.iter().map(|picture| {
        let url = format!("data:image/png;base64,{}", STANDARD.encode(picture));
        Part::ImageUrl { image_url: Address { url } }
    });
    let content = std::iter::once(Part::Text { text: INSTRUCTION }).chain(shown).collect();
    let schema = Schema {
        r#type: "object",
        properties: Properties { caption: Text { r#type: "string" } },
        required: ["caption"],
        additional: false,
    };
    let body = Body {
        model,
        temperature: 0,
        max_tokens: 300,
        messages: [Message { role: "user", content }],
        response_format: Format {
            r#type: "json_schema",
            json_schema: Named { name: "caption", strict: true, schema },
        },
    };
    // Strings and integers only: serialisation has no way to fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The caption of a chat completion: one line.
///
/// # Errors
/// [`DescribeError::Useless`] says what is wrong with it.
pub fn caption_of(reply: &[u8]) -> Result<String, DescribeError> {
    #[derive(Deserialize)]
    struct Reply {
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        content: Option<String>,
        refusal: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Answer {
        caption: String,
    }
    let useless = |why: String| DescribeError::Useless(why);
    let too_deep = || useless(format!("JSON nested deeper than {MAX_NESTING}"));
    if json_nesting(reply) > MAX_NESTING {
        return Err(too_deep());
    }
    let reply: Reply =
        serde_json::from_slice(reply).map_err(|error| useless(format!("no chat completion: {error}")))?;
    let choice = reply.choices.into_iter().next().ok_or_else(|| useless("no choice in it".into()))?;
    let content = match choice.message {
        Message { refusal: Some(why), .. } => {
            let why: String = why.chars().take(SNIPPET_BYTES).collect();
            return Err(useless(format!("the model refused: {why}")));
        }
        Message { content: Some(content), .. } if !content.trim().is_empty() => content,
        _ => return Err(useless("no content in it".into())),
    };
    if json_nesting(content.as_bytes()) > MAX_NESTING {
        return Err(too_deep());
    }
    let answer: Answer = serde_json::from_str(content.trim())
        .map_err(|error| useless(format!("content not by the schema: {error}")))?;
    let text = answer.caption.split_whitespace().collect::<Vec<_>>().join(" ");
    let (words, chars) = (text.split(' ').count(), text.chars().count());
    if words < MIN_WORDS || chars > MAX_CHARS || text.chars().any(char::is_control) {
        return Err(useless(format!("a caption of {words} words and {chars} characters")));
    }
    Ok(text)
}
