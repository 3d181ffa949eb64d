//! A door in front of a server on loopback that a test can slam, jam and open again.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Forwards connections of one port to a server. Closing it cuts every connection and frees the
/// port, as the death of a server does; the port can be opened again.
pub struct Gate {
    address: SocketAddr,
    upstream: Arc<Mutex<SocketAddr>>,
    flowing: watch::Sender<bool>,
    doorman: Option<JoinHandle<()>>,
}

impl Gate {
    /// An open gate on a free port.
    pub async fn open(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut gate = Self {
            address: listener.local_addr().expect("an address"),
            upstream: Arc::new(Mutex::new(address_of(upstream))),
            flowing: watch::channel(true).0,
            doorman: None,
        };
        gate.serve(listener);
        gate
    }

    /// WebSocket URL of the gate.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Cuts every connection and stops listening.
    pub async fn close(&mut self) {
        if let Some(doorman) = self.doorman.take() {
            doorman.abort();
            // Aborted, so it ends with an error; with it goes the listener.
            let _ = doorman.await;
        }
    }

    /// Listens on the same port again, in front of this server.
    pub async fn reopen(&mut self, upstream: &str) {
        *self.upstream.lock().expect("not poisoned") = address_of(upstream);
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.serve(listener);
    }

    /// Keeps connections open but lets nothing through any more.
    pub fn jam(&self) {
        self.flowing.send_replace(false);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (upstream, flowing) = (self.upstream.clone(), self.flowing.subscribe());
        self.doorman = Some(tokio::spawn(async move {
            // Dropped with this task, and every connection with it.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = *upstream.lock().expect("not poisoned");
                connections.spawn(forward(client, server, flowing.clone()));
            }
        }));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(doorman) = &self.doorman {
            doorman.abort();
        }
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.trim_start_matches("ws://").trim_end_matches('/').parse().expect("an address")
}

async fn forward(mut client: TcpStream, server: SocketAddr, mut flowing: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let jammed = async { flowing.wait_for(|flowing| !flowing).await.is_ok() };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
        _ = jammed => {}
    }
    // Both sockets stay open, and silent.
    std::future::pending::<()>().await;
}
