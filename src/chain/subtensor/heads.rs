//! Finalized heads: every block once, in order, over reconnections and changes of endpoint.
//!
//! The subscription is only a bell: what is emitted is decided by number. Each head must name the
//! one before it as its parent, so a node that serves another fork can not slip its blocks in.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use subxt::rpcs::client::RpcSubscription;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    connection::{Connection, Header, Link, head_of},
    fault::{transport, within},
};
use crate::{
    chain::port::{ChainError, Head},
    domain::ids::BlockRef,
};

/// Headers fetched at once while a gap is filled.
const GAP_PARALLEL: usize = 8;
/// Headers of a gap that are fetched before the first of them is emitted.
const GAP_CHUNK: u64 = 64;
/// Longest pause between attempts to subscribe again.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Subscribes and returns the stream. Its first item is the finalized head of this moment.
///
/// # Errors
/// When the first subscription fails; later failures are items of the stream.
pub(super) async fn follow(
    link: Arc<Link>,
    watchdog: Duration,
) -> Result<BoxStream<'static, Result<Head, ChainError>>, ChainError> {
    let mut follower = Follower {
        link,
        watchdog,
        subscription: None,
        last: None,
        target: 0,
        ready: VecDeque::new(),
        last_progress: Instant::now(),
        failures: 0,
        ended: false,
    };
    follower.subscribe().await?;
    Ok(stream::unfold(follower, |mut follower| async move {
        let item = follower.next().await?;
        Some((item, follower))
    })
    .boxed())
}

struct Subscription {
    connection: Arc<Connection>,
    headers: RpcSubscription<Header>,
}

struct Follower {
    link: Arc<Link>,
    watchdog: Duration,
    subscription: Option<Subscription>,
    /// The last head that was queued for emission.
    last: Option<BlockRef>,
    /// The highest number that a node called final.
    target: u64,
    ready: VecDeque<Head>,
    last_progress: Instant,
    failures: u32,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Head, ChainError>> {
        loop {
            if let Some(head) = self.ready.pop_front() {
                self.link.note_finalized(head.block.number);
                return Some(Ok(head));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance().await {
                return Some(Err(self.failed(error)));
            }
        }
    }

    /// One step: subscribe, fill a part of a gap, or wait for the bell.
    async fn advance(&mut self) -> Result<(), ChainError> {
        let Some(subscription) = &mut self.subscription else {
            sleep(self.pause()).await;
            return self.subscribe().await;
        };
        if self.last.is_some_and(|last| last.number.0 < self.target) {
            return self.fill_gap().await;
        }
        let endpoint = &subscription.connection.endpoint;
        // Progress, not talk, keeps the watchdog quiet: a node that is stuck or far behind may still
        // send headers.
        let item = timeout_at(self.last_progress + self.watchdog, subscription.headers.next()).await;
        match item {
            Ok(Some(Ok(header))) => self.heard(&header),
            Ok(Some(Err(error))) => Err(transport(endpoint, error)),
            Ok(None) => Err(transport(endpoint, "the subscription to finalized heads ended")),
            Err(_) => {
                subscription.connection.mark_stale();
                Err(ChainError::Deadline {
                    endpoint: endpoint.clone(),
                    call: "the next finalized block",
                    seconds: self.watchdog.as_secs(),
                })
            }
        }
    }

    /// Takes a header of the subscription: the next one directly, a later one as a target.
    fn heard(&mut self, header: &Header) -> Result<(), ChainError> {
        self.target = self.target.max(header.number);
        match self.last {
            Some(last) if header.number == last.number.0 + 1 => self.queue(head_of(header)),
            _ => Ok(()),
        }
    }

    fn queue(&mut self, head: Head) -> Result<(), ChainError> {
        if let Some(last) = self.last
            && (head.parent != last.hash || head.block.number.0 != last.number.0 + 1)
        {
            let connection = self.subscription.as_ref().map(|open| &open.connection);
            if let Some(connection) = connection {
                connection.mark_stale();
            }
            return Err(transport(
                connection.map_or("?", |connection| &connection.endpoint),
                format_args!(
                    "finalized block {} does not follow block {} {} that was final before: another fork",
                    head.block.number, last.number, last.hash
                ),
            ));
        }
        self.last = Some(head.block);
        self.last_progress = Instant::now();
        self.failures = 0;
        self.ready.push_back(head);
        Ok(())
    }

    async fn fill_gap(&mut self) -> Result<(), ChainError> {
        let (Some(open), Some(last)) = (&self.subscription, self.last) else {
            return Ok(());
        };
        let connection = open.connection.clone();
        let end = self.target.min(last.number.0 + GAP_CHUNK);
        let fetching = async {
            let mut heads = stream::iter(last.number.0 + 1..=end)
                .map(|number| {
                    let connection = connection.clone();
                    async move { connection.header(connection.hash_at(number).await?).await }
                })
                .buffered(GAP_PARALLEL);
            let mut found = Vec::new();
            while let Some(head) = heads.next().await {
                found.push(head?);
            }
            Ok(found)
        };
        let deadline = self.link.settings.call_deadline;
        for head in within(deadline, &connection.endpoint, "missed headers", fetching).await? {
            self.queue(head)?;
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<(), ChainError> {
        let connection = self.link.connection().await?;
        let opening = async {
            // The client may have reconnected by itself to something else under the same address.
            let found = connection.genesis_now().await?;
            // Not the end yet: another endpoint may serve the right chain. When none does, opening
            // the next connection says so.
            if found != self.link.genesis {
                return Err(transport(&connection.endpoint, format_args!("now serves genesis {found}")));
            }
            let headers = connection.methods.chain_subscribe_finalized_heads().await;
            let headers = headers.map_err(|error| transport(&connection.endpoint, error))?;
            Ok((headers, connection.finalized_head().await?))
        };
        let deadline = self.link.settings.call_deadline;
        let opened =
            within(deadline, &connection.endpoint, "the subscription to finalized heads", opening).await;
        let (headers, head) = opened.inspect_err(|_| connection.mark_stale())?;
        self.subscription = Some(Subscription { connection, headers });
        self.target = head.block.number.0;
        self.last_progress = Instant::now();
        match self.last {
            None => self.queue(head),
            Some(_) => Ok(()),
        }
    }

    /// Drops the subscription after a failure. A broken socket gets one chance to reconnect by
    /// itself; `subscribe` asks for a new connection when that fails too.
    fn failed(&mut self, error: ChainError) -> ChainError {
        self.subscription = None;
        self.failures += 1;
        self.ended = matches!(error, ChainError::WrongGenesis { .. });
        tracing::warn!(%error, failures = self.failures, "finalized heads interrupted");
        error
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            failures => Duration::from_millis(50 << failures.min(10)).min(MAX_PAUSE),
        }
    }
}
