//! The `leoma` binary: parses the command line and hands over.

fn main() -> std::process::ExitCode {
    leoma::cli::main()
}
