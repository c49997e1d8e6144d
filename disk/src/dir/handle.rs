//! Descriptors: opening the directory, and files in it (rules 1 to 3 of [`super`]).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::FILE_FLAGS;
use crate::name::check_name;

const DIRECTORY_FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
const DIRECTORY_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Opens the directory at `path`.
pub(super) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    above_standard(rustix::fs::openat(
        CWD,
        path,
        DIRECTORY_FLAGS,
        Mode::empty(),
    )?)
}

/// Opens the directory at `path`, creating it if it is missing.
pub(super) fn open_or_create_directory(path: &Path) -> io::Result<OwnedFd> {
    match open_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match rustix::fs::mkdirat(CWD, path, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => open_directory(path),
        Err(error) => Err(error.into()),
    }
}

/// Makes a directory where nothing is.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(CWD, path, DIRECTORY_MODE)?)
}

/// Makes the directory's own name durable; where its parent may not be read, with everything
/// else on the file system.
pub(super) fn sync_parent(directory: &OwnedFd) -> io::Result<()> {
    match rustix::fs::openat(directory, "..", DIRECTORY_FLAGS, Mode::empty()) {
        Ok(parent) => Ok(rustix::fs::fsync(above_standard(parent)?)?),
        Err(Errno::ACCESS) => Ok(rustix::fs::syncfs(directory)?),
        Err(error) => Err(error.into()),
    }
}

/// Whether anything bears that name.
pub(super) fn exists(directory: &OwnedFd, name: &str) -> io::Result<bool> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a regular file, with `flags` beside [`FILE_FLAGS`].
pub(super) fn open_file(
    directory: &OwnedFd,
    name: &str,
    flags: OFlags,
) -> io::Result<(OwnedFd, FileId)> {
    let opened = rustix::fs::openat(directory, name, flags | FILE_FLAGS, FILE_MODE);
    let file = above_standard(opened?)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        let message = format!("{name} is not a regular file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok((file, FileId::of(&stat)))
}

/// Which file a descriptor leads to, whatever its name is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The identity in `stat`.
    #[expect(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "widths differ by target"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino.into(),
        }
    }
}

/// Rule 2: a descriptor above 2 for what `descriptor` leads to.
pub(super) fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > 2 {
        return Ok(descriptor);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&descriptor, 3)?)
}

/// The directory's regular files whose names the trait takes.
pub(super) fn list(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if check_name(name).is_ok() && is_regular(directory, name, entry.file_type())? {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Whether `name` is a regular file; some file systems do not say it in the listing.
fn is_regular(directory: &OwnedFd, name: &str, listed: FileType) -> io::Result<bool> {
    if listed != FileType::Unknown {
        return Ok(listed == FileType::RegularFile);
    }
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
