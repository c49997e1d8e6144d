//! What happens while a page is on its way to the file.

use std::io;

use vellum_base::Timestamp;
use vellum_disk::{Disk, DiskTraits, File, Lock, LockMode, Mapped, OpenMode};
use vellum_sync::atomic::{AtomicBool, Ordering};

use super::*;

const ID: TreeId = TreeId(3);

/// What is done in the middle of each write.
type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A disk whose writes can be met.
struct Met(SimDisk, Hook);

struct MetFile(Arc<dyn File>, Hook);

impl Disk for Met {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.0.open(name, mode)?;
        Ok(Arc::new(MetFile(file, Arc::clone(&self.1))))
    }
    fn map(&self, name: &str, len: u64) -> io::Result<Arc<dyn Mapped>> {
        self.0.map(name, len)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }
    fn lock(&self, mode: LockMode) -> io::Result<Box<dyn Lock>> {
        self.0.lock(mode)
    }
    fn traits(&self) -> DiskTraits {
        self.0.traits()
    }
}

impl File for MetFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let hook = self.1.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        self.0.write_at(bytes, offset)
    }
    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_durable(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
}

fn open_met() -> (Arc<Base>, Found, Hook) {
    let hook = Hook::default();
    let options = BaseOptions {
        opening: opening(),
        pool_bytes: SMALL,
    };
    let disk = Met(SimDisk::new(1), Arc::clone(&hook));
    let (base, found) = Base::open(&disk, options).unwrap();
    (Arc::new(base), found, hook)
}

/// Rules 5 of the base and 2 of the list.
#[test]
fn no_place_comes_free_while_its_page_is_being_written() {
    let (base, _found, hook) = open_met();
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..300, 90)).unwrap();
    let alive = work.publish().unwrap();
    let work = base.work();
    work.drop_tree(&tree, &root).unwrap();
    let _next = work.publish().unwrap();
    drop(alive);
    // All of it may go, and its first pages are on their way.
    let (begun, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let early = Arc::new(AtomicBool::new(false));
    let collector = Arc::new(Mutex::new(None));
    let hooked = {
        let (base, begun, done) = (Arc::clone(&base), Arc::clone(&begun), Arc::clone(&done));
        let (early, collector) = (Arc::clone(&early), Arc::clone(&collector));
        move || {
            let of_collector = Arc::clone(&done);
            *collector.lock() = Some(vellum_sync::thread::spawn(move || {
                begun.store(true, Ordering::Release);
                let freed = base.collect().unwrap();
                of_collector.store(true, Ordering::Release);
                freed
            }));
            // However long this takes, it cannot be done before the write is.
            for _ in 0..200 {
                vellum_sync::thread::sleep(std::time::Duration::from_millis(1));
                early.fetch_or(done.load(Ordering::Acquire), Ordering::Relaxed);
            }
        }
    };
    *hook.lock() = Some(Box::new(hooked));
    base.write_out(0).unwrap();
    assert!(!early.load(Ordering::Relaxed), "collected while writing");
    let collector = collector.lock().take().unwrap();
    assert!(collector.join().unwrap() > 3);
    assert!(begun.load(Ordering::Acquire) && done.load(Ordering::Acquire));
}

#[test]
fn a_unit_goes_on_while_a_checkpoint_writes_and_its_pages_stay_out_of_it() {
    let (base, _found, hook) = open_met();
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..300, 90)).unwrap();
    let alive = work.publish().unwrap();
    let other = Arc::clone(&base);
    *hook.lock() = Some(Box::new(move || {
        // In the middle of the checkpoint's first batch: place, give up, publish.
        let tree = other.tree(TreeId(4));
        let work = other.work();
        let root = merge(&work, (&tree, &Root::EMPTY), &records(0..100, 90)).unwrap();
        work.drop_tree(&tree, &root).unwrap();
        merge(&work, (&tree, &Root::EMPTY), &records(0..50, 90)).unwrap();
        drop(work.publish().unwrap());
    }));
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    assert!(hook.lock().is_none());
    let report = base.verify(&alive, &[(ID, root)], &[]).unwrap();
    assert!(report.is_clean() && report.space.is_some(), "{report:?}");
    assert!(base.stats().unwritten_pages > 0);
    assert_eq!(Timestamp(1), base.store().durable().2);
}
