//! Configuration layers, rules file and secrets.
