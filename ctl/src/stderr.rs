//! Standard error that nobody may be reading.
//!
//! The standard library's macros panic when the reader has gone, as it has when libvirtd is
//! killed while a port is added. What was asked for has been done all the same.

/// Writes a line to standard error, if that is possible.
macro_rules! eprintln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// Writes to standard error, if that is possible.
macro_rules! eprint {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stderr(), $($text)*);
    }};
}
