//! Decoding through the real binary: files as encoders write them pass, everything else meets its
//! gate, and no worker outlives its job.

mod fixtures;
mod gates;
mod honest;
mod hostile;
mod process;
mod source;
mod speed;
