//! The six actors of the card: they route typed messages and compute nothing.
