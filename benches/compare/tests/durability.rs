//! What an engine calls `Buffered` survives SIGKILL: a child process commits and kills itself, and
//! every record that it had been told is committed must be there.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use clap::ValueEnum;
use vellum_compare::data::{KeyKind, Records};
use vellum_compare::engines::EngineName;

const RECORDS: u64 = 5_000;

#[test]
fn acknowledged_records_survive_sigkill() {
    for &name in EngineName::value_variants() {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_vellum-compare"))
            .args([
                "fill",
                "--engine",
                name.label(),
                "--records",
                &RECORDS.to_string(),
            ])
            .arg("--directory")
            .arg(directory.path())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{}: {status}", name.label());

        let engine = name.open(directory.path()).unwrap();
        let records = Records::new(KeyKind::Random);
        engine
            .read(&mut |snapshot| {
                for number in 0..RECORDS {
                    let mut value = Vec::new();
                    snapshot.get(&records.key(number), &mut |v| value = v.to_vec())?;
                    assert_eq!(
                        value,
                        records.value(number),
                        "{}: record {number}",
                        name.label()
                    );
                }
                assert!(!snapshot.get(&records.key(RECORDS), &mut |_| ())?);
                Ok(())
            })
            .unwrap();
        engine.close().unwrap();
    }
}
