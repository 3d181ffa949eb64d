//! Captions from a service that behaves and misbehaves, and what a question costs.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use leoma::{
    config::Secret,
    corpus::vision::{DescribeError, Described, Describer, Subject, VisionOptions},
    domain::ids::Digest,
};

use super::endpoint::{Answer, Endpoint};

fn subject(number: u8) -> Subject {
    Subject { sha256: Digest::of(&[number]), start_us: 40_000, planes: Digest::of(b"planes") }
}

fn pictures() -> Vec<Bytes> {
    (0..4u8).map(|n| Bytes::from(vec![n; 8])).collect()
}

fn options(endpoint: &Endpoint, cache: &Path) -> VisionOptions {
    VisionOptions {
        budget: 6,
        answer_within: Duration::from_secs(20),
        longest_wait: Duration::ZERO,
        ..VisionOptions::new(endpoint.url.clone(), "describer-7b", cache.to_owned())
    }
}

struct Case {
    endpoint: Endpoint,
    describer: Describer,
    _folder: tempfile::TempDir,
}

impl Case {
    async fn new(answers: &[Answer], change: impl FnOnce(&mut VisionOptions)) -> Self {
        let (endpoint, folder) = (Endpoint::start(answers).await, tempfile::tempdir().expect("folder"));
        let mut options = options(&endpoint, folder.path());
        change(&mut options);
        Self { describer: Describer::new(options).expect("usable"), endpoint, _folder: folder }
    }

    async fn ask(&self, number: u8) -> Result<Described, DescribeError> {
        self.describer.describe(&subject(number), &pictures()).await
    }
}

#[tokio::test]
async fn a_question_has_frames_schema_and_key_and_its_answer_names_where_it_came_from() {
    let case = Case::new(&[], |options| options.key = Some(Secret::literal("sk-1"))).await;
    let told = case.ask(1).await.expect("a caption");
    assert_eq!(told.text, "A drawn scene moves, seen after 0 others.");
    assert_eq!(told.by.model, "describer-7b");
    let asked = &case.endpoint.asked()[0];
    assert_eq!(asked.authorization.as_deref(), Some("Bearer sk-1"));
    assert_eq!((&asked.body["model"], &asked.body["temperature"]), (&"describer-7b".into(), &0.into()));
    let format = &asked.body["response_format"];
    assert_eq!((&format["type"], &format["json_schema"]["strict"]), (&"json_schema".into(), &true.into()));
    assert_eq!(format["json_schema"]["schema"]["required"][0], "caption");
    let content = asked.body["messages"][0]["content"].as_array().expect("parts");
    assert_eq!(content.len(), 5, "words and four pictures");
    assert_eq!(content[1]["image_url"]["url"], "data:image/png;base64,AAAAAAAAAAA=");
}

#[tokio::test]
async fn what_is_known_is_not_asked_again_not_even_by_the_next_build() {
    let case = Case::new(&[], |_| ()).await;
    assert_eq!(case.describer.remembered(&subject(1)), None);
    let told = case.ask(1).await.expect("a caption");
    assert_eq!(case.describer.remembered(&subject(1)), Some(told.clone()));
    assert_eq!(case.describer.remembered(&subject(2)), None);
    let later = Describer::new(options(&case.endpoint, case._folder.path())).expect("usable");
    assert_eq!(later.remembered(&subject(1)), Some(told));
    let other_model = VisionOptions { model: "other".into(), ..options(&case.endpoint, case._folder.path()) };
    assert_eq!(Describer::new(other_model).expect("usable").remembered(&subject(1)), None);
    assert_eq!(case.endpoint.asked().len(), 1);
}

#[tokio::test]
async fn a_busy_service_is_asked_again_within_the_attempts_and_the_budget() {
    let busy = [Answer::BusyNow(429), Answer::Status(503)];
    let case = Case::new(&busy, |_| ()).await;
    assert!(case.ask(1).await.is_ok());
    assert_eq!(case.describer.sent(), 3);

    let case = Case::new(&[Answer::BusyNow(429); 9], |_| ()).await;
    let error = case.ask(1).await.expect_err("busy each time");
    assert!(matches!(&error, DescribeError::Busy(why) if why.starts_with("status 429")), "{error}");
    assert!(case.ask(2).await.is_err());
    let error = case.ask(3).await.expect_err("the budget");
    assert_eq!(error, DescribeError::Budget { budget: 6 });
    assert_eq!(
        (case.describer.sent(), case.endpoint.asked().len()),
        (6, 6),
        "nothing is sent over the budget"
    );
}

#[tokio::test]
async fn a_refusal_that_would_meet_every_question_ends_the_asking() {
    for status in [401, 402, 403, 404] {
        let case = Case::new(&[Answer::Status(status)], |_| ()).await;
        let first = case.ask(1).await.expect_err("refused");
        assert_eq!(first, DescribeError::Refused(format!("status {status}: no !")));
        assert_eq!(case.ask(2).await, Err(first), "known without a request");
        assert_eq!(case.endpoint.asked().len(), 1);
    }
    // One bad question is no reason not to ask another.
    let case = Case::new(&[Answer::Status(400)], |_| ()).await;
    assert!(matches!(case.ask(1).await, Err(DescribeError::Refused(_))));
    assert!(case.ask(2).await.is_ok());
}

#[tokio::test]
async fn answers_of_no_use_cost_their_clip_and_nothing_else() {
    let within = |options: &mut VisionOptions| options.answer_within = Duration::from_millis(300);
    type Expected = fn(&DescribeError) -> bool;
    let cases: [(Answer, Expected); 6] = [
        (
            Answer::Page,
            |error| matches!(error, DescribeError::Useless(why) if why.contains("no chat completion")),
        ),
        (Answer::OneWord, |error| matches!(error, DescribeError::Useless(why) if why.contains("1 words"))),
        (
            Answer::Redirect,
            |error| matches!(error, DescribeError::Refused(why) if why.starts_with("status 307")),
        ),
        (Answer::Endless, |error| *error == DescribeError::TooLarge),
        (Answer::Truncated, |error| matches!(error, DescribeError::Unreachable(_))),
        (Answer::Never, |error| *error == DescribeError::Late(Duration::from_millis(300))),
    ];
    for (answer, expected) in cases {
        let slow = matches!(answer, Answer::Never);
        let case = Case::new(&[answer], |options| {
            options.attempts = 1;
            if slow {
                within(options);
            }
        })
        .await;
        let error = case.ask(1).await.expect_err("of no use");
        assert!(expected(&error), "{answer:?}: {error}");
        assert_eq!(case.endpoint.asked().len(), 1, "{answer:?}");
        assert_eq!(case.describer.remembered(&subject(1)), None, "{answer:?} is not remembered");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let case = Case::new(&[], |options| {
        options.attempts = 2;
        options.endpoint = "http://127.0.0.1:1/v1".parse().expect("address");
    })
    .await;
    assert!(matches!(case.ask(1).await, Err(DescribeError::Unreachable(_))));
    assert_eq!(case.describer.sent(), 2);
}
