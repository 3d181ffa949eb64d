//! The simulation beside the validator: service stand-ins and miners. Demo only.

pub mod services;
