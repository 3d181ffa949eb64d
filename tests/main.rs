mod miners;

mod chain;
