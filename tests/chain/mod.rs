//! The chain adapter as its users see it: hotkey files, and a client over a real WebSocket.

mod doctor;
mod faults;
mod gate;
mod subtensor;
mod wallet;
