//! A second endpoint's word for a block hash that decides something.
//!
//! A round's seed is a block hash: who could make us take another one would choose clip and requests.
//! Where several endpoints are configured, another one than that in use must name the same hash.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{
    connection::{Connection, Link},
    fault::within,
};
use crate::{
    chain::port::ChainError,
    domain::ids::{BlockHash, BlockNumber},
};

/// What one endpoint says of a finalized block.
pub(super) struct Word {
    /// The hash.
    pub(super) hash: BlockHash,
    /// Which of the configured endpoints says so.
    pub(super) index: usize,
    /// Its name.
    pub(super) endpoint: String,
}

/// A connection to another endpoint than the one in use, kept for the next question.
#[derive(Default)]
pub(super) struct Witness(Mutex<Option<Arc<Connection>>>);

impl Witness {
    /// Holds a hash against the first other endpoint that answers. Where none does, the hash stands:
    /// an outage of all others must not stop a validator that has one good endpoint.
    ///
    /// # Errors
    /// `Disagreement` when the other endpoint names another hash.
    pub(super) async fn confirm(
        &self,
        link: &Link,
        number: BlockNumber,
        word: &Word,
    ) -> Result<(), ChainError> {
        let count = link.settings.endpoints.len();
        let mut kept = self.0.lock().await;
        for index in (1..count).map(|offset| (word.index + offset) % count) {
            match self.ask(link, &mut kept, index, number).await {
                Ok(there) if there == word.hash => return Ok(()),
                Ok(there) => {
                    let other = kept.as_ref().map_or_else(String::new, |other| other.endpoint.clone());
                    return Err(ChainError::Disagreement {
                        number,
                        here: word.endpoint.clone(),
                        hash: word.hash,
                        there: other,
                        other: there,
                    });
                }
                Err(cause) => {
                    *kept = None;
                    tracing::warn!("no second word for the hash of block {number}: {cause}");
                }
            }
        }
        Ok(())
    }

    /// The hash as the endpoint with this index names it.
    async fn ask(
        &self,
        link: &Link,
        kept: &mut Option<Arc<Connection>>,
        index: usize,
        number: BlockNumber,
    ) -> Result<BlockHash, ChainError> {
        let settings = &link.settings;
        let connection = match kept.as_ref().filter(|kept| kept.index == index) {
            Some(connection) => connection.clone(),
            None => {
                let opened = Connection::open(index, &settings.endpoints[index], settings).await?;
                if opened.genesis != link.genesis {
                    return Err(ChainError::WrongGenesis { found: opened.genesis, expected: link.genesis });
                }
                kept.insert(Arc::new(opened)).clone()
            }
        };
        let asking = connection.hash_at(number.0);
        within(settings.call_deadline, &connection.endpoint, "a block hash", asking).await
    }
}
