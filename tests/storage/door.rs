//! A door before the server that passes requests on, or lets them meet a fault.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, Response, StatusCode, header},
};
use tokio::net::TcpListener;

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// 503 with the code of S3.
    SlowDown,
    /// No answer at all.
    Hang,
    /// The connection breaks.
    Reset,
    /// It is done, and its answer is lost.
    LoseAnswer,
    /// It is said to be done.
    Swallow,
}

#[derive(Default)]
struct Plan {
    faults: VecDeque<Fault>,
    no_conditions: bool,
    closed: bool,
}

#[derive(Clone)]
struct Behind {
    server: String,
    client: reqwest::Client,
    plan: Arc<Mutex<Plan>>,
}

/// A running door. Ends when dropped.
pub struct Door {
    pub url: String,
    plan: Arc<Mutex<Plan>>,
    _serving: tokio_util::task::AbortOnDropHandle<()>,
}

impl Door {
    pub async fn before(server: &str) -> Self {
        let plan: Arc<Mutex<Plan>> = Arc::default();
        let behind =
            Behind { server: server.to_owned(), client: reqwest::Client::new(), plan: Arc::clone(&plan) };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(pass).with_state(behind);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, plan, _serving: tokio_util::task::AbortOnDropHandle::new(serving) }
    }

    /// What the next requests meet, in order; those after them pass.
    pub fn then(&self, faults: &[Fault]) {
        self.plan.lock().expect("plan").faults.extend(faults);
    }

    /// Faults that no request has met yet.
    pub fn waiting(&self) -> usize {
        self.plan.lock().expect("plan").faults.len()
    }

    /// Requests with a condition get 501, as some services give it.
    pub fn refuse_conditions(&self) {
        self.plan.lock().expect("plan").no_conditions = true;
    }

    /// Every request meets 503, or none does any more.
    pub fn close(&self, closed: bool) {
        self.plan.lock().expect("plan").closed = closed;
    }
}

async fn pass(State(behind): State<Behind>, request: Request) -> Response<Body> {
    let (fault, conditions_refused) = {
        let mut plan = behind.plan.lock().expect("plan");
        let fault =
            if plan.closed { Fault::SlowDown } else { plan.faults.pop_front().unwrap_or(Fault::Pass) };
        (fault, plan.no_conditions)
    };
    if conditions_refused && request.headers().contains_key(header::IF_NONE_MATCH) {
        return answer(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    }
    match fault {
        Fault::SlowDown => answer(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Fault::Hang => pending().await,
        Fault::Reset => broken(),
        Fault::Swallow if request.method() == Method::PUT => {
            let mut done = answer(StatusCode::OK, "");
            done.headers_mut().insert(header::ETAG, header::HeaderValue::from_static("\"swallowed\""));
            done
        }
        Fault::LoseAnswer => {
            forward(&behind, request).await;
            broken()
        }
        Fault::Pass | Fault::Swallow => forward(&behind, request).await,
    }
}

/// Host and signature stay as they are, so the server checks what the client signed.
async fn forward(behind: &Behind, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("the request's body");
    let url = format!("{}{}", behind.server, parts.uri);
    let sent = behind.client.request(parts.method, url).headers(parts.headers).body(body).send().await;
    let answer = sent.expect("the server answers");
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().expect("fresh") = answer.headers().clone();
    response.body(Body::from(answer.bytes().await.expect("the answer's body"))).expect("a response")
}

fn answer(status: StatusCode, code: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    Response::builder().status(status).body(Body::from(text)).expect("a response")
}

/// Ends the connection without an answer: the unwinding takes its task along, and no panic is reported.
fn broken() -> Response<Body> {
    std::panic::resume_unwind(Box::new("the connection breaks"))
}
