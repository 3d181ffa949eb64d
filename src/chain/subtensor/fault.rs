//! From subxt's errors to ours: was it the wire, or do we not understand what came over it?

use std::{fmt::Display, future::Future, time::Duration};

use subxt::{
    error::{
        AccountNonceError, BackendError, Error, ExtrinsicError, OnlineClientAtBlockError, RpcError,
        RuntimeApiError, StorageError,
    },
    rpcs,
};

use crate::chain::port::ChainError;

/// Longest error text of a node that we pass on.
const DETAIL_CHARS: usize = 400;

/// Text of a foreign error, bounded.
pub(super) fn detail(error: impl Display) -> String {
    error.to_string().chars().take(DETAIL_CHARS).collect()
}

/// A transport error.
pub(super) fn transport(endpoint: &str, error: impl Display) -> ChainError {
    ChainError::Transport { endpoint: endpoint.to_owned(), detail: detail(error) }
}

/// Runs `work` under a deadline.
pub(super) async fn within<T>(
    deadline: Duration,
    endpoint: &str,
    call: &'static str,
    work: impl Future<Output = Result<T, ChainError>>,
) -> Result<T, ChainError> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(ChainError::Deadline { endpoint: endpoint.to_owned(), call, seconds: deadline.as_secs() })
    })
}

/// Whether the connection, rather than the chain, is to blame, so that a new one may help.
pub(super) fn is_connection_trouble(error: &ChainError) -> bool {
    matches!(error, ChainError::Transport { .. } | ChainError::Deadline { .. })
}

/// An error of a read or of building an extrinsic. `what` names the item, `spec` the runtime.
pub(super) fn read_fault(endpoint: &str, what: &str, spec: u32, error: impl Into<Error>) -> ChainError {
    let error = error.into();
    let text = describe(&error);
    if is_wire(&error) {
        transport(endpoint, format_args!("{what}: {text}"))
    } else {
        ChainError::Metadata { what: what.to_owned(), spec, detail: detail(text) }
    }
}

/// The node's own JSON-RPC error in a failed submission, when there is one: the node answered, so
/// we know that it did not take the extrinsic.
pub(super) fn node_refusal(error: &ExtrinsicError) -> Option<&rpcs::UserError> {
    match error {
        ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
            rpcs::Error::User(refusal),
        ))) => Some(refusal),
        _ => None,
    }
}

fn describe(error: &Error) -> String {
    match error {
        // Its text leaves the reason out.
        Error::ExtrinsicError(ExtrinsicError::AccountNonceError { reason, .. }) => {
            format!("account nonce: {reason}")
        }
        other => other.to_string(),
    }
}

fn is_wire(error: &Error) -> bool {
    match error {
        Error::BackendError(_) | Error::OnlineClientError(_) | Error::OtherRpcClientError(_) => true,
        Error::StorageError(error) => matches!(
            error,
            StorageError::CannotFetchValue(_)
                | StorageError::CannotIterateValues(_)
                | StorageError::StreamFailure(_)
        ),
        Error::RuntimeApiError(error) => matches!(error, RuntimeApiError::CannotCallApi(_)),
        Error::OnlineClientAtBlockError(error) => matches!(
            error,
            OnlineClientAtBlockError::CannotGetCurrentBlock { .. }
                | OnlineClientAtBlockError::CannotGetBlockHash { .. }
                | OnlineClientAtBlockError::BlockNotFound { .. }
                | OnlineClientAtBlockError::CannotGetBlockHeader { .. }
                | OnlineClientAtBlockError::BlockHeaderNotFound { .. }
                | OnlineClientAtBlockError::CannotGetSpecVersion { .. }
                | OnlineClientAtBlockError::CannotGetMetadata { .. }
        ),
        Error::ExtrinsicError(ExtrinsicError::AccountNonceError { reason, .. }) => {
            matches!(reason, AccountNonceError::CouldNotRetrieve(_))
        }
        _ => false,
    }
}
