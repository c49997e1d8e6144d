//! Which files are mapped (rule 9 of the contract): a store into a mapping whose file was cut
//! would fault. Any thread may call.
//!
//! 1. A file is entered before its mapping is made, and taken out after it is gone.
//! 2. A cut is done under the registry's mutex, so no mapping begins during it.

use std::io;
use std::sync::Arc;

use vellum_sync::Mutex;

use super::handle::FileId;

/// The mapped files of one disk.
#[derive(Clone, Default)]
pub(super) struct MappedFiles {
    files: Arc<Mutex<Vec<(FileId, u64)>>>,
}

/// A file's entry; dropped after its mapping.
pub(super) struct Claim {
    files: MappedFiles,
    file: FileId,
}

impl MappedFiles {
    /// Enters a file of which `len` bytes are to be mapped.
    pub(super) fn claim(&self, file: FileId, len: u64) -> io::Result<Claim> {
        let mut files = self.files.lock();
        if files.iter().any(|(mapped, _)| *mapped == file) {
            return Err(busy("the file is mapped already"));
        }
        files.push((file, len));
        Ok(Claim {
            files: self.clone(),
            file,
        })
    }

    /// Runs `cut`, which gives the file the length `len`, unless that is less than is mapped.
    pub(super) fn cut(
        &self,
        file: FileId,
        len: u64,
        cut: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let files = self.files.lock();
        if files
            .iter()
            .any(|(mapped, mapped_len)| *mapped == file && len < *mapped_len)
        {
            return Err(busy("the file is mapped beyond that length"));
        }
        cut()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.files
            .files
            .lock()
            .retain(|(mapped, _)| *mapped != self.file);
    }
}

fn busy(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}
