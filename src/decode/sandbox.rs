//! What the child gives up before it looks at an untrusted byte.
//!
//! Order: resource limits, then the watch on the parent. Landlock and seccomp belong at the end of
//! [`enter`]: by then every file, socket and thread that the child needs is there.

use std::io::{self, Read};

use rlimit::Resource;

use super::protocol::Limits;

/// Open files of the child: its three pipes and some air for the C library.
const OPEN_FILES: u64 = 16;

/// Puts this process under `limits`. Called once, before the file is touched.
pub(super) fn enter(limits: Limits) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::AS, limits.memory_bytes),
        (Resource::CPU, limits.cpu_seconds),
        (Resource::NOFILE, OPEN_FILES),
        (Resource::FSIZE, 0), // no file grows; pipes are not files
        (Resource::CORE, 0),
    ] {
        if resource.is_supported() {
            let (_, hard) = resource.get()?;
            let limit = limit.min(hard);
            // SIGXCPU comes at the soft limit, SIGKILL at the hard one: a second between them lets
            // the parent tell a spinning child from one that was killed from outside.
            let hard = if resource == Resource::CPU { limit.saturating_add(1).min(hard) } else { limit };
            resource.set(limit, hard)?;
        }
    }
    Ok(())
}

/// Ends this process when the parent closes its end of the pipe, that is when it dies.
///
/// Not `PR_SET_PDEATHSIG`: that signal follows the death of the *thread* that started the child,
/// and an async runtime's threads come and go; an honest clip would then die with a pool thread.
/// A pipe follows the process, and works on every system.
pub(super) fn leave_with_parent(mut pipe: impl Read + Send + 'static) -> io::Result<()> {
    let watch = move || {
        let mut byte = [0];
        while matches!(pipe.read(&mut byte), Ok(1)) {}
        std::process::exit(3);
    };
    std::thread::Builder::new().name("parent-watch".to_owned()).stack_size(128 * 1024).spawn(watch)?;
    Ok(())
}

/// Widens the pipe behind stdout to 1 MiB, so that a frame crosses in one write; a refusal (the
/// user's pipe budget is spent) only costs time.
pub(super) fn widen_stdout() {
    #[cfg(target_os = "linux")]
    // SAFETY: fcntl on our own descriptor with an integer argument.
    unsafe {
        libc::fcntl(libc::STDOUT_FILENO, libc::F_SETPIPE_SZ, 1 << 20);
    }
}
