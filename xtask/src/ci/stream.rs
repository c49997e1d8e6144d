//! A step's output: passed on while the step runs, its end kept.
//!
//! 1. Output and errors go to one file, in the order in which they were written, and from there on:
//!    a moment later while the step runs, and all that is there when it has ended.
//! 2. A file, not a pipe: a command that is killed may leave children of its own, and these would
//!    hold a pipe open, and its reader, for ever.
//! 3. The file has no name while it is in use: nothing is left behind, whatever becomes of this
//!    program, and what an orphan still writes reaches no other step.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Context, Result};
use crate::tail::Tail;

const PIECE: usize = 64 * 1024;

/// Where one step's commands print.
#[derive(Debug)]
pub(super) struct Stream<W> {
    file: File,
    /// What was passed on of the file.
    passed: u64,
    to: W,
    tail: Tail,
}

impl<W: Write> Stream<W> {
    /// An empty one, with its file in `folder`, which passes on `to` and keeps the last `lines`.
    pub(super) fn new(folder: &Path, to: W, lines: usize) -> Result<Self> {
        fs::create_dir_all(folder).during(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("ci-{}.out", std::process::id()));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options
            .open(&path)
            .during(|| format!("cannot create {}", path.display()))?;
        fs::remove_file(&path).during(|| format!("cannot remove {}", path.display()))?;
        Ok(Self {
            file,
            passed: 0,
            to,
            tail: Tail::new(lines),
        })
    }

    /// Makes `command` print here. The copies share one place in the file, so nothing is overwritten.
    pub(super) fn attach(&self, command: &mut Command) -> Result<()> {
        let copy = || {
            self.file
                .try_clone()
                .during(|| "cannot share a step's output".into())
        };
        command.stdout(Stdio::from(copy()?));
        command.stderr(Stdio::from(copy()?));
        Ok(())
    }

    /// Says something in the step's own output.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        self.pass_on()?;
        self.emit(format!("{line}\n").as_bytes())
    }

    /// Passes on what has come so far; what comes meanwhile waits for the next time.
    pub(super) fn pass_on(&mut self) -> Result<()> {
        let cannot = || "cannot read a step's output".to_owned();
        let end = self.file.metadata().during(cannot)?.len();
        let mut piece = vec![0; PIECE];
        while self.passed < end {
            let left = usize::try_from(end - self.passed).unwrap_or(PIECE);
            let room = &mut piece[..left.min(PIECE)];
            let read = self.file.read_at(room, self.passed).during(cannot)?;
            if read == 0 {
                break;
            }
            self.passed += read as u64;
            self.emit(&piece[..read])?;
        }
        Ok(())
    }

    fn emit(&mut self, bytes: &[u8]) -> Result<()> {
        self.tail.write(bytes);
        let written = self.to.write_all(bytes).and_then(|()| self.to.flush());
        written.during(|| "cannot pass on a step's output".into())
    }

    /// The last lines of all that was passed on.
    pub(super) fn into_tail(self) -> Tail {
        self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("xtask-stream-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn shell(stream: &Stream<&mut Vec<u8>>, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        stream.attach(&mut command).unwrap();
        command
    }

    #[test]
    fn output_and_errors_keep_their_order_over_all_commands() {
        let (folder, mut seen) = (Folder::new("order"), Vec::new());
        let mut stream = Stream::new(&folder.0, &mut seen, 2).unwrap();
        for script in ["echo one; echo two >&2; echo three", "echo four >&2"] {
            assert!(shell(&stream, script).status().unwrap().success());
        }
        stream.say("five").unwrap();
        let tail = stream.into_tail().to_string();
        assert_eq!(tail, "    … 3 lines before\n    four\n    five\n");
        assert_eq!(seen, b"one\ntwo\nthree\nfour\nfive\n");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    }

    #[test]
    fn what_is_longer_than_a_piece_is_passed_on_whole() {
        let (folder, mut seen) = (Folder::new("long"), Vec::new());
        let mut stream = Stream::new(&folder.0, &mut seen, 1).unwrap();
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done";
        assert!(shell(&stream, script).status().unwrap().success());
        stream.pass_on().unwrap();
        let tail = stream.into_tail().to_string();
        assert_eq!(tail, "    … 19999 lines before\n    line 20000\n");
        let lines = seen.split(|byte| *byte == b'\n');
        assert!(seen.len() > 3 * PIECE && lines.count() == 20_001);
    }

    #[test]
    fn output_is_passed_on_before_the_command_ends() {
        let (folder, mut seen) = (Folder::new("live"), Vec::new());
        let mut stream = Stream::new(&folder.0, &mut seen, 1).unwrap();
        // It ends only after its output has been seen here.
        let mut command = shell(&stream, "echo begun; read word; echo \"$word\"");
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        while stream.passed < 6 {
            stream.pass_on().unwrap();
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        assert!(child.try_wait().unwrap().is_none());
        child.stdin.take().unwrap().write_all(b"ended\n").unwrap();
        assert!(child.wait().unwrap().success());
        stream.pass_on().unwrap();
        assert_eq!(seen, b"begun\nended\n");
    }
}
