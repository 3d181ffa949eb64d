//! A server that says exactly the bytes it is told to, for answers that no HTTP library sends.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

/// What follows the bytes of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// The connection is closed.
    Close,
    /// Nothing, until the client goes away.
    Silence,
    /// The bytes of the piece again and again.
    Repeat(&'static [u8]),
    /// One byte of the piece at a time, for ever, with a pause before each.
    Drip(&'static [u8], Duration),
    /// Our side of the connection is closed, the other one is read until the client goes away.
    HalfClose,
    /// The connection is reset.
    Reset,
    /// The next request on the same connection.
    Next,
}

/// A reply: bytes as they go over the wire, head included.
#[derive(Clone, Debug)]
pub struct Reply {
    pub bytes: Vec<u8>,
    pub after: After,
}

impl Reply {
    /// A status with headers and a body whose length is told truthfully.
    pub fn whole(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
        Self { bytes: text.into_bytes(), after: After::Close }
    }

    /// As it is, with the connection left open for the next request.
    pub fn and_next(self) -> Self {
        Self { after: After::Next, ..self }
    }

    pub fn json(body: &serde_json::Value) -> Self {
        Self::whole(200, "content-type: application/json\r\n", &body.to_string())
    }

    pub fn bytes(bytes: impl Into<Vec<u8>>, after: After) -> Self {
        Self { bytes: bytes.into(), after }
    }
}

/// The server; dropping it ends it with all its connections.
pub struct RawServer {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Replies to each request by its target, e.g. `/chutes/a`.
    pub async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen) = (Arc::new(reply), Arc::clone(&heads));
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (reply, seen) = (Arc::clone(&reply), Arc::clone(&seen));
                connections.spawn(async move {
                    // A client that leaves early is the point of most tests.
                    let _ = converse(stream, &*reply, &seen).await;
                });
            }
        });
        Self { address, heads, connections: accepted, task }
    }

    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).expect("address")
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: TcpStream,
    reply: &(dyn Fn(&str) -> Reply + Send + Sync),
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let after = loop {
        let head = read_request(&mut stream).await?;
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.lock().expect("not poisoned").push(head);
        let Reply { bytes, after } = reply(&target);
        stream.write_all(&bytes).await?;
        if after != After::Next {
            break after;
        }
    };
    match after {
        After::Close | After::Next => stream.shutdown().await,
        After::Silence => {
            while stream.read(&mut [0; 1024]).await? > 0 {}
            Ok(())
        }
        After::HalfClose => {
            stream.shutdown().await?;
            while stream.read(&mut [0; 1024]).await? > 0 {}
            Ok(())
        }
        After::Reset => stream.set_zero_linger(),
        After::Drip(piece, pause) => loop {
            for byte in piece {
                tokio::time::sleep(pause).await;
                stream.write_all(&[*byte]).await?;
            }
        },
        After::Repeat(piece) => loop {
            stream.write_all(piece).await?;
        },
    }
}

/// Reads a request with its body and gives back its head.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => seen.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |value| value.parse().expect("a length"));
    let mut have = seen.len() - end - 4;
    while have < length {
        have += stream.read(&mut buffer).await?;
    }
    Ok(String::from_utf8_lossy(&seen[..end]).into_owned())
}
