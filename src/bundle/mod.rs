//! Round bundles: a round's document, signed, with the files that it rests on, and the round judged anew from them.
//!
//! [`pack`] writes a folder once; [`read`] takes a document only whole, canonical and signed; [`verify`] checks all that
//! follows without decoding; [`replay`] decodes and scores again. Only [`pack`] and [`packer`] hold a key, and they parse
//! nothing at all: miners' files are copied as bytes, and a document that is there already is compared as bytes.
//! `docs/bundle.md` is for readers.

pub mod gather;
pub mod location;
pub mod pack;
pub mod packer;
pub mod read;
pub mod replay;
pub mod sealed;
pub mod verify;
pub mod views;

pub use location::{FetchError, Opened};
pub use pack::{PackError, PackRequest, Packed, pack};
pub use read::{ReadError, parse};
pub use sealed::SignedBundle;
