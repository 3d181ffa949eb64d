//! A vision service on loopback that answers well, wrongly, slowly, not at all, or without end.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Response, StatusCode, header},
    routing::post,
};
use serde_json::{Value, json};
use url::Url;

/// How the next request is answered.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// With a caption that says how many requests came before.
    Caption,
    /// With this status and no wait asked for.
    Status(u16),
    /// With this status and `Retry-After: 0`.
    BusyNow(u16),
    /// With a page instead of JSON.
    Page,
    /// With a caption that is none.
    OneWord,
    /// With a redirect to itself.
    Redirect,
    /// With a head and a body that never ends.
    Endless,
    /// With a head that says 40 bytes, and fewer.
    Truncated,
    /// Never.
    Never,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its JSON.
    pub body: Value,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Answer>,
    asked: Vec<Asked>,
}

/// The running service; it answers by its script, then with captions.
pub struct Endpoint {
    pub url: Url,
    script: Arc<Mutex<Script>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Endpoint {
    pub async fn start(answers: &[Answer]) -> Self {
        let script = Arc::new(Mutex::new(Script { next: answers.iter().copied().collect(), asked: vec![] }));
        let app = Router::new()
            .route("/v1/chat/completions", post(answer))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        let url = Url::parse(&format!("http://{address}/v1")).expect("address");
        Self { url, script, server }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().expect("not poisoned").asked.clone()
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let (answer, before) = {
        let mut script = script.lock().expect("not poisoned");
        let authorization = headers.get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.to_str().expect("ASCII").to_owned());
        let body = serde_json::from_slice(&body).expect("JSON");
        script.asked.push(Asked { body, authorization });
        (script.next.pop_front().unwrap_or(Answer::Caption), script.asked.len() - 1)
    };
    let head = |status: u16| Response::builder().status(StatusCode::from_u16(status).expect("status"));
    let said = |content: &str| {
        let reply = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]});
        head(200).body(Body::from(reply.to_string())).expect("answer")
    };
    match answer {
        Answer::Caption => {
            said(&json!({"caption": format!("A drawn scene moves, seen after {before} others.")}).to_string())
        }
        Answer::OneWord => said(&json!({"caption": "Scene."}).to_string()),
        Answer::Page => head(200).body(Body::from("<html>welcome</html>")).expect("answer"),
        Answer::Status(status) => head(status).body(Body::from("no\u{7}!")).expect("answer"),
        Answer::BusyNow(status) => {
            head(status).header(header::RETRY_AFTER, "0").body(Body::empty()).expect("answer")
        }
        Answer::Redirect => {
            head(307).header(header::LOCATION, "/v1/chat/completions").body(Body::empty()).expect("answer")
        }
        Answer::Endless => {
            let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 16 << 10]));
            let endless = futures::stream::repeat_with(chunk);
            head(200).body(Body::from_stream(endless)).expect("answer")
        }
        Answer::Truncated => {
            let cut = futures::stream::iter([
                Ok(Bytes::from_static(b"{\"choices\":")),
                Err(std::io::Error::other("the line is cut")),
            ]);
            head(200).body(Body::from_stream(cut)).expect("answer")
        }
        Answer::Never => std::future::pending().await,
    }
}
