//! The state folder: journal, spool of received files, and the lock that keeps a second instance out.

pub mod archive;
pub mod book;
pub mod journal;
pub mod lock;
pub mod spool;
