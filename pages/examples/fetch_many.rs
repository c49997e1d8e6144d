//! Prints what fetching random pages of a file larger than the pool takes, one by one and together,
//! from the system's cache and from the device:
//! `cargo run --release --example fetch_many [path] [MiB]`.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::Advice;
use vellum_disk::{DirDisk, Disk, OpenMode};
use vellum_pages::file::{FILE_NAME, PageFile, PageRead};
use vellum_pages::page::PageHeader;
use vellum_pages::pool::{Hint, PageReader, Pool};
use vellum_pages::{Epoch, PageError, PageKind, PageRef, PageSize, TreeId};

const SIZE: PageSize = PageSize::K8;
const SALT: u64 = 7;
const POOL: usize = 32 << 20;

struct FromFile(PageFile);

impl PageReader for FromFile {
    fn read(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        self.0.read(at, size, into)
    }

    fn read_many(&self, size: PageSize, pages: &mut [PageRead<'_>]) {
        self.0.read_many(size, pages);
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| "fetch.tmp".into());
    let mib = arguments.next().and_then(|mib| mib.parse().ok());
    let pages = mib.unwrap_or(2048_u64) << 20 >> 13;
    let disk = DirDisk::open(&place)?;
    let _ = disk.remove(FILE_NAME);
    let raw = disk.open(FILE_NAME, OpenMode::CreateNew)?;
    let file = PageFile::new(Arc::clone(&raw), SALT);
    let image = image();
    file.write((0..pages).filter_map(|number| Some((at(number)?, &*image))))?;
    raw.sync()?;
    let pool = Pool::new(POOL, Arc::new(FromFile(file)))?;
    println!(
        "{pages} pages of 8 KiB, {:?}: microseconds a page",
        disk.traits()
    );
    for cold in [false, true] {
        let place = cold.then_some(place.as_ref());
        print!(
            "{}",
            if cold {
                "from the device:"
            } else {
                "from the cache: "
            }
        );
        print!("  one by one {:6.2}", measure(&pool, place, pages, 1)?);
        for together in [4, 8, 16, 32] {
            print!(
                "  {together} together {:6.2}",
                measure(&pool, place, pages, together)?
            );
        }
        println!();
    }
    Ok(disk.remove(FILE_NAME)?)
}

fn at(number: u64) -> Option<PageRef> {
    PageRef::new(2 + number * u64::from(SIZE.steps()), SIZE.steps())
}

fn image() -> Vec<u8> {
    let mut image = vec![0x5A; SIZE.bytes()];
    if let Some(at) = at(0) {
        let header = PageHeader {
            at,
            epoch: Epoch(1),
            salt: SALT,
            kind: PageKind::Leaf,
            size: SIZE,
            tree: TreeId(1),
        };
        header.write(&mut image);
    }
    image
}

/// The best of some rounds, since others share the machine. Each begins with nothing in the system's
/// cache, if `cold` says where the file is.
fn measure(pool: &Pool, cold: Option<&Path>, pages: u64, together: usize) -> Outcome<f64> {
    let count = if cold.is_some() { 4_096 } else { 65_536 };
    let mut random = 3_u64;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        if let Some(place) = cold {
            let file = std::fs::File::open(place.join(FILE_NAME))?;
            rustix::fs::fadvise(file.as_fd(), 0, None, Advice::DontNeed)?;
        }
        let begin = Instant::now();
        for _ in 0..count / together {
            let next = |_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                at((random >> 20) % pages)
            };
            let places: Vec<_> = (0..together).filter_map(next).collect();
            match *places {
                [one] => drop(pool.fetch(one, SIZE, Hint::Normal)?),
                _ => drop(pool.fetch_many(&places, SIZE, Hint::Normal)?),
            }
        }
        best = best.min(begin.elapsed() / count as u32);
    }
    Ok(best.as_secs_f64() * 1e6)
}
