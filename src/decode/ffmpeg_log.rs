//! Counts what ffmpeg calls an error in its log.
//!
//! Some damage never becomes an error code: the decoder conceals it, logs a line and returns a
//! whole-looking frame. The log is the only witness, so a clip with a logged error is refused.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use ffmpeg_next::ffi;

static ERRORS: AtomicU32 = AtomicU32::new(0);
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// ffmpeg's callback. `Arguments` is the platform's `va_list` as a parameter, whose type differs
/// between targets and is inferred: the arguments are never touched, only the format string is.
unsafe extern "C" fn on_line<Arguments>(
    _context: *mut c_void,
    level: c_int,
    format: *const c_char,
    _arguments: Arguments,
) {
    // Bits above the low byte colour the line.
    if level < 0 || (level & 0xff) > ffi::AV_LOG_ERROR || format.is_null() {
        return;
    }
    if ERRORS.fetch_add(1, Ordering::Relaxed) == 0 {
        // SAFETY: ffmpeg passes a nul-terminated format string.
        let text = unsafe { CStr::from_ptr(format) }.to_string_lossy().trim().to_owned();
        FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }
}

/// Sends ffmpeg's log lines here instead of stderr, and forgets those of before. Process-wide.
pub(super) fn capture() {
    ERRORS.store(0, Ordering::Relaxed);
    *FIRST.lock().unwrap_or_else(PoisonError::into_inner) = None;
    // SAFETY: the callback has the signature that ffmpeg expects and lives for the whole process.
    unsafe { ffi::av_log_set_callback(Some(on_line)) }
}

/// The first error line since [`capture`] as its format string, with the number of error lines.
pub(super) fn first_error() -> Option<String> {
    let count = ERRORS.load(Ordering::Relaxed);
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    first.map(|line| format!("{count} decoder errors, the first: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(level: c_int, line: &CStr) {
        // SAFETY: a null context is allowed and the format takes one integer.
        unsafe { ffi::av_log(std::ptr::null_mut(), level, line.as_ptr(), 7 as c_int) }
    }

    #[test]
    fn errors_are_counted_and_the_first_is_kept_as_its_format() {
        capture();
        log(ffi::AV_LOG_WARNING, c"only a warning %d\n");
        assert_eq!(first_error(), None);
        log(ffi::AV_LOG_ERROR, c"error while decoding MB %d\n");
        log(ffi::AV_LOG_FATAL, c"worse %d\n");
        let seen = first_error();
        assert_eq!(seen.as_deref(), Some("2 decoder errors, the first: error while decoding MB %d"));
        capture();
        assert_eq!(first_error(), None);
    }
}
