//! The listening socket, its connections, and the faults that meet every call.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use jsonrpsee::{
    core::{
        BoxError,
        middleware::{Batch, Notification},
    },
    server::{
        BatchRequestConfig, Methods, Server, ServerConfig,
        middleware::rpc::{RpcServiceBuilder, RpcServiceT},
        serve as serve_stream, stop_channel,
    },
    types::Request,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::chain::devnet::{
    error::DevnetError,
    faults::{Fault, Faults},
};

/// Largest request, in bytes.
const MAX_REQUEST_BYTES: u32 = 2 * 1024 * 1024;
/// Largest response, in bytes: the metadata as hexadecimal is under 1 MiB.
const MAX_RESPONSE_BYTES: u32 = 16 * 1024 * 1024;
/// Most connections at once.
const MAX_CONNECTIONS: u32 = 128;
/// Most subscriptions of one connection.
const MAX_SUBSCRIPTIONS: u32 = 64;
/// Most calls in one batch.
const MAX_BATCH: u32 = 64;
/// Messages that wait for a slow client before its subscriptions wait too.
const MESSAGE_BUFFER: u32 = 256;
/// Pause before the socket is tried again, when it failed.
const SOCKET_PAUSE: Duration = Duration::from_millis(50);

/// The running server; dropping it closes the port and cuts every connection.
pub struct Door {
    address: SocketAddr,
    acceptor: JoinHandle<()>,
    listening: watch::Receiver<bool>,
}

impl Door {
    /// Opens the port and serves the methods on it.
    pub async fn open(
        listen: SocketAddr,
        methods: Methods,
        faults: Arc<Faults>,
        cuts: watch::Receiver<u64>,
    ) -> Result<Self, DevnetError> {
        let refused = |source| DevnetError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let config = ServerConfig::builder()
            .max_request_body_size(MAX_REQUEST_BYTES)
            .max_response_body_size(MAX_RESPONSE_BYTES)
            .max_connections(MAX_CONNECTIONS)
            .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
            .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
            .set_message_buffer_capacity(MESSAGE_BUFFER)
            .build();
        let faulty = {
            let faults = faults.clone();
            RpcServiceBuilder::new().layer_fn(move |inner| Faulty { inner, faults: faults.clone() })
        };
        let builder = Server::builder().set_config(config).set_rpc_middleware(faulty).to_service_builder();
        let (stop, running) = stop_channel();
        let connect = move |socket: Cuttable| {
            // The server runs as long as its handle lives.
            let _running = &running;
            serve_stream(socket, builder.clone().build(methods.clone(), stop.clone()))
        };
        let (told, listening) = watch::channel(true);
        let acceptor = tokio::spawn(accept(listener, address, faults, cuts, told, connect));
        Ok(Self { address, acceptor, listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the port is open, or closed.
    pub async fn until_listening(&self, listening: bool) {
        // Fails only when the server ended.
        let _ = self.listening.clone().wait_for(|now| *now == listening).await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

fn is_deaf(faults: &[Fault]) -> bool {
    faults.iter().any(|fault| matches!(fault, Fault::NotListening { .. }))
}

/// Accepts connections for ever, cuts them when asked to, and closes the port while a fault says so.
async fn accept<F, Fut>(
    mut listener: TcpListener,
    address: SocketAddr,
    faults: Arc<Faults>,
    mut cuts: watch::Receiver<u64>,
    told: watch::Sender<bool>,
    connect: F,
) where
    F: Fn(Cuttable) -> Fut,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    // Dropped with this task, or for a new one, it cuts every connection that was made under it.
    let mut generation = CancellationToken::new().drop_guard();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    // Without it small messages wait for each other; a failure costs only that.
                    let _ = socket.set_nodelay(true);
                    let token = generation.token().clone();
                    let cut = Box::pin(token.clone().cancelled_owned());
                    // How a connection ended is its client's affair.
                    tokio::spawn(connect(Cuttable { socket, token, cut }));
                }
                Err(error) => {
                    tracing::warn!(%error, "development chain: a connection could not be accepted");
                    tokio::time::sleep(SOCKET_PAUSE).await;
                }
            },
            Ok(()) = cuts.changed() => generation = CancellationToken::new().drop_guard(),
            () = faults.until(is_deaf) => {
                drop(listener);
                generation = CancellationToken::new().drop_guard();
                told.send_replace(false);
                listener = hear_again(address, &faults).await;
                told.send_replace(true);
            }
        }
    }
}

/// A socket that can be cut from outside, wherever the library has moved it: WebSockets live in
/// tasks of their own.
struct Cuttable {
    socket: TcpStream,
    token: CancellationToken,
    /// Polled by the reader only: a connection always reads, and one future wakes one task.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.token.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Waits for the end of the deafness, then opens the same port.
async fn hear_again(address: SocketAddr, faults: &Faults) -> TcpListener {
    let mut ends = None;
    for fault in faults.list() {
        if let Fault::NotListening { for_ms: Some(ms) } = fault {
            ends = Some(Duration::from_millis(ms));
        }
    }
    let healed = faults.until(|faults| !is_deaf(faults));
    match ends {
        None => healed.await,
        Some(time) => {
            if tokio::time::timeout(time, healed).await.is_err() {
                faults.heal(Some(Fault::NotListening { for_ms: None }.name()));
            }
        }
    }
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%error, %address, "development chain: the port cannot be opened again yet");
                tokio::time::sleep(SOCKET_PAUSE).await;
            }
        }
    }
}

/// Every call passes here: it is held as long as faults say.
#[derive(Clone)]
struct Faulty<S> {
    inner: S,
    faults: Arc<Faults>,
}

impl<S> RpcServiceT for Faulty<S>
where
    S: RpcServiceT + Clone + Send + Sync + 'static,
{
    type MethodResponse = S::MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
        let Self { inner, faults } = self.clone();
        async move {
            faults.hold_call(request.method_name()).await;
            inner.call(request).await
        }
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        let Self { inner, faults } = self.clone();
        async move {
            for entry in requests.iter().flatten() {
                faults.hold_call(entry.method_name()).await;
            }
            inner.batch(requests).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
