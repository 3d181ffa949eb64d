//! The same bundle behind an address.

use std::{net::SocketAddr, path::PathBuf};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};

use super::{Packed, verify};

/// Serves a folder's files, redirects below `/moved/`, and never ends below `/endless/`.
async fn serve(folder: PathBuf) -> SocketAddr {
    async fn answer(State(folder): State<PathBuf>, uri: Uri) -> Response {
        let path = uri.path().trim_start_matches('/');
        if let Some(rest) = path.strip_prefix("moved/") {
            return Redirect::temporary(&format!("/{rest}")).into_response();
        }
        if path.starts_with("endless/") {
            let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'{'; 1 << 20]));
            return axum::body::Body::from_stream(chunks).into_response();
        }
        match std::fs::read(folder.join(path)) {
            Ok(bytes) => bytes.into_response(),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("address");
    let app = Router::new().fallback(answer).with_state(folder);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

pub async fn is_read_over_http_and_no_redirect_is_followed(packed: &Packed) {
    let address = serve(packed.world.path("bundles")).await;
    let round = packed.round.round;
    for place in [format!("http://{address}/{round}"), format!("http://{address}/{round}/round.json")] {
        assert_eq!(verify(&place).await, (0, Vec::new()), "{place}");
    }
    let (place, newest) = (format!("http://{address}"), round.to_string());
    let window =
        ["replay", "--scorer", "cpu", "--window", "2", "--against", &place, "--newest", &newest, "--json"];
    let output = super::leoma(&window).await;
    let last = String::from_utf8(output.stdout).expect("text").lines().last().map(str::to_owned);
    let found: serde_json::Value = serde_json::from_str(&last.expect("a line")).expect("JSON");
    let told = (output.status.code(), &found["same"], found["missing"][0].as_u64());
    assert_eq!(told, (Some(0), &true.into(), Some(round.0 - 1)), "{found:#}");
    for (place, wanted) in [("moved/", "307"), ("endless/", "more than"), ("none/", "not there")] {
        let (code, told) = verify(&format!("http://{address}/{place}{round}")).await;
        assert!(code == 3 && told[0].contains(wanted), "{place}: {code} {told:?}");
    }
}
