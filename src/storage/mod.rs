//! Where rounds are published: a folder, or a bucket of any S3-compatible service.
//!
//! A round is packed into the [`outbox`] first and [`upload`]ed from there, write-once and verified; [`sweep`] removes the
//! oldest by rounds and bytes from what the outbox's own records say, so no bucket is ever listed. The [`publisher`] does
//! all that beside the actors: scoring and weights never wait for it. `docs/storage.md` is for operators.

pub mod outbox;
pub mod place;
pub mod publisher;
pub mod sweep;
pub mod upload;

pub use outbox::{Outbox, OutboxError, Published};
pub use place::{Place, PlaceError, PlaceOptions, S3Options};
pub use upload::{UploadError, upload};
