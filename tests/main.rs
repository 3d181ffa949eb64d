
mod chain;
