//! The listener: bounded connections, headers and time; stops when its token is cancelled.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::WebError,
    routes::{WebState, router},
};

/// What one client may cost.
#[derive(Clone, Copy)]
struct Limits {
    connections: usize,
    headers: usize,
    head_bytes: usize,
    /// A request's head must be complete this long after the connection opened.
    head_within: Duration,
    /// A connection is closed after this time, between two answers if possible.
    connection_within: Duration,
    /// Open answers may take this long after the connection should close.
    drain_within: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    headers: 64,
    head_bytes: 16 * 1024,
    head_within: Duration::from_secs(10),
    connection_within: Duration::from_secs(300),
    drain_within: Duration::from_secs(5),
};

/// Where to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebOptions {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Serves the pages until `token` is cancelled. Returns the bound address and the task, which ends
/// once open answers were sent or five seconds after cancellation.
pub async fn serve(
    options: WebOptions,
    state: WebState,
    token: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), WebError> {
    let refused = |source| WebError::Bind { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    tracing::info!(address = %bound, "operator pages are served");
    Ok((bound, tokio::spawn(accept(listener, router(state), LIMITS, token))))
}

async fn accept(listener: TcpListener, router: Router, limits: Limits, token: CancellationToken) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    loop {
        // The permit comes first: when all are taken, further clients wait in the system's backlog.
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = token.cancelled() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = converse(stream, router.clone(), limits, token.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "operator pages: a connection was not accepted");
                // Out of file descriptors, most likely: a pause instead of a busy loop.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain_within, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "operator pages: connections were still open at the end");
    }
}

async fn converse(stream: TcpStream, router: Router, limits: Limits, token: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        () = token.cancelled() => Err(()),
        () = tokio::time::sleep(limits.connection_within) => Err(()),
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(()) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits.drain_within, connection).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("operator pages: a client did not take its answer"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "operator pages: a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn served(limits: Limits) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let token = CancellationToken::new();
        let pages = Router::new().route("/", axum::routing::get(async || "hello"));
        (address, token.clone(), tokio::spawn(accept(listener, pages, limits, token)))
    }

    async fn answer_to(address: SocketAddr, head: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("listening");
        // The server may close before it has read everything: that is what some tests ask for.
        let _: std::io::Result<()> = stream.write_all(head).await;
        let mut answer = Vec::new();
        let _: std::io::Result<usize> = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn an_unfinished_head_is_cut_off() {
        let limits = Limits { head_within: Duration::from_millis(30), ..LIMITS };
        let (address, _token, _task) = served(limits).await;
        let answer = answer_to(address, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }

    #[tokio::test]
    async fn an_oversized_head_is_refused() {
        let (address, _token, _task) = served(LIMITS).await;
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(LIMITS.headers + 1));
        assert!(answer_to(address, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(4 * LIMITS.head_bytes));
        let answer = answer_to(address, long.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }

    #[tokio::test]
    async fn a_connection_ends_after_its_time() {
        let limits = Limits { connection_within: Duration::from_millis(30), ..LIMITS };
        let (address, _token, _task) = served(limits).await;
        let answer = answer_to(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_shutdown() {
        let (address, token, task) = served(LIMITS).await;
        let mut idle = TcpStream::connect(address).await.expect("listening");
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("open");
        let mut first = [0; 1];
        idle.read_exact(&mut first).await.expect("answer");
        token.cancel();
        task.await.expect("no panic");
        assert!(TcpStream::connect(address).await.is_err(), "still listening");
    }

    #[tokio::test]
    async fn a_client_beyond_the_limit_waits_for_its_turn() {
        let (address, _token, _task) = served(Limits { connections: 1, ..LIMITS }).await;
        let mut first = TcpStream::connect(address).await.expect("listening");
        first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("open");
        let mut byte = [0; 1];
        first.read_exact(&mut byte).await.expect("answer");
        let second =
            tokio::spawn(answer_to(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        drop(first);
        assert!(second.await.expect("no panic").ends_with("hello"));
    }
}
