//! Time and memory of this process and of the children that it has waited for.

use std::time::Instant;

/// How long a piece of work took, in milliseconds.
pub struct Time {
    /// By the clock on the wall.
    pub wall_ms: f64,
    /// Of all threads and ended children together, user and system.
    pub processor_ms: f64,
}

/// Runs a piece of work.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Time) {
    let (processor, start) = (processor_ms(), Instant::now());
    let result = work();
    let wall_ms = start.elapsed().as_secs_f64() * 1e3;
    (result, Time { wall_ms, processor_ms: processor_ms() - processor })
}

#[cfg(unix)]
fn usage(who: libc::c_int) -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::zeroed();
    // SAFETY: the pointer is valid for one `rusage`, of which every bit pattern is a value, zeros among them.
    unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    }
}

#[cfg(unix)]
fn processor_ms() -> f64 {
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .map(usage)
        .iter()
        .map(|usage| ms(usage.ru_utime) + ms(usage.ru_stime))
        .sum()
}

/// Largest resident memory of this process so far, in bytes.
pub fn own_peak() -> u64 {
    // Not `getrusage`: there a process counts what its parent held when it was started.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or_default()
        * 1024
}

/// Largest resident memory of an ended child in bytes, at least what this process held when it started the child.
#[cfg(unix)]
pub fn child_peak() -> u64 {
    // Kilobytes, but bytes on macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    usage(libc::RUSAGE_CHILDREN).ru_maxrss as u64 * unit
}

#[cfg(not(unix))]
fn processor_ms() -> f64 {
    f64::NAN
}

/// Not known on this system.
#[cfg(not(unix))]
pub fn child_peak() -> u64 {
    0
}
