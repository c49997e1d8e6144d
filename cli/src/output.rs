//! Printing keys and values, and taking them from the command line.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt;

use clap::Args;

use crate::escape::{escape, unescape};
use crate::failure::{Failure, Result};

/// Standard output for results.
pub(crate) fn results() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Whether keys and values are written as text or as they are.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Take and print keys and values as they are, without escapes
    #[arg(long)]
    raw: bool,
}

impl Form {
    /// The bytes that an argument means.
    pub(crate) fn take(self, argument: &OsStr) -> Result<Vec<u8>> {
        let bytes = argument.as_bytes();
        if self.raw {
            return Ok(bytes.to_vec());
        }
        unescape(bytes).map_err(|why| {
            let shown = argument.display();
            Failure::Usage(format!("`{shown}`: {why} (or pass --raw)"))
        })
    }

    /// The bytes that an argument means, if it is there.
    pub(crate) fn take_optional(self, argument: Option<&OsString>) -> Result<Option<Vec<u8>>> {
        argument.map(|argument| self.take(argument)).transpose()
    }

    /// Prints fields of one line.
    pub(crate) fn print_line(self, out: &mut impl Write, fields: &[&[u8]]) -> io::Result<()> {
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                out.write_all(b"\t")?;
            }
            match self.raw {
                true => out.write_all(field)?,
                false => out.write_all(escape(field).as_bytes())?,
            }
        }
        out.write_all(b"\n")
    }

    /// Prints one value: raw means that nothing is added, not even the end of a line.
    pub(crate) fn print_value(self, out: &mut impl Write, value: &[u8]) -> io::Result<()> {
        match self.raw {
            true => out.write_all(value),
            false => self.print_line(out, &[value]),
        }
    }
}
