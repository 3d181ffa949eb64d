//! What is sent, what is read, and where to.

use proptest::prelude::*;

use super::{wire::MAX_CHARS, *};

fn completion(content: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({
        "id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]
    }))
    .expect("JSON")
}

#[test]
fn a_good_reply_gives_one_line_and_others_say_what_is_wrong() {
    let good = completion(r#"{"caption":" A red ball\n rolls over the   floor. "}"#);
    assert_eq!(caption_of(&good).expect("good"), "A red ball rolls over the floor.");
    for (reply, expected) in [
        (b"<html>".to_vec(), "no chat completion"),
        (br#"{"choices":[]}"#.to_vec(), "no choice"),
        (br#"{"choices":[{"message":{"content":null}}]}"#.to_vec(), "no content"),
        (br#"{"choices":[{"message":{"content":"","refusal":"I cannot"}}]}"#.to_vec(), "refused: I cannot"),
        (completion("A red ball rolls over the floor."), "not by the schema"),
        (completion(r#"{"caption":"A ball rolls on.","more":1}"#), "not by the schema"),
        (completion(r#"{"caption":"Ball."}"#), "1 words"),
        (completion(&format!(r#"{{"caption":"{}"}}"#, "ball ".repeat(100))), "100 words"),
        (completion(&format!("{}1{}", "[".repeat(40), "]".repeat(40))), "nested deeper"),
        (format!("{}{}", "[".repeat(40), "]".repeat(40)).into_bytes(), "nested deeper"),
    ] {
        let wrong = caption_of(&reply).expect_err(expected);
        assert!(wrong.to_string().contains(expected), "{wrong}");
    }
}

#[test]
fn addresses_that_would_show_footage_or_key_are_refused() {
    let url = |text: &str| checked(&Url::parse(text).expect("address")).map(|url| url.to_string());
    assert_eq!(url("https://h/v1").expect("usable"), "https://h/v1/chat/completions");
    assert_eq!(
        url("http://127.0.0.1:8000/v1/").expect("usable"),
        "http://127.0.0.1:8000/v1/chat/completions"
    );
    assert_eq!(url("http://[::1]/v1/chat/completions").expect("usable"), "http://[::1]/v1/chat/completions");
    for bad in ["http://10.0.0.2/v1", "ftp://h/v1", "https://u:p@h/v1", "https://h/v1?key=1", "data:x"] {
        assert!(url(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_prompts_digest_is_pinned() {
    // Another prompt gives other captions: this moves with it, on purpose.
    assert_eq!(Digest::of(&body("", &[])).short(), "021c59a5cc36");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,80}") {
        let _any = caption_of(&bytes);
        if let Ok(caption) = caption_of(&completion(&text)) {
            prop_assert!(caption.chars().count() <= MAX_CHARS);
        }
    }
}
