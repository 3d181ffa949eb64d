//! Which build this is.

/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `debug` or `release`.
pub const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// The commit that the builder named in `BUILD_COMMIT`, `unknown` where it named none.
pub fn commit() -> &'static str {
    option_env!("BUILD_COMMIT").unwrap_or("unknown")
}

/// Version, commit, profile and platform in one line.
pub fn describe() -> &'static str {
    static LINE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        format!("{VERSION} (commit {}, {PROFILE}, {arch}-{os})", commit())
    });
    &LINE
}
