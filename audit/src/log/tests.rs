use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use talos_api::audit::{Entry, NotWritten, Notice, Place};
use talos_model::TenantId;
use tempfile::TempDir;

use super::*;
use crate::chain::{ChainKeys, Link};
use crate::rotation;
use crate::samples::{entry, keys};
use crate::sink::Target;
use crate::verify::{Report, Restarts, Verifier};

const PATIENCE: Duration = Duration::from_secs(20);

struct Fixture {
    directory: TempDir,
    options: Options,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            target: Target::File {
                path: directory.path().join("audit.log"),
                rotate_size: 1 << 30,
                keep: 3,
            },
            is_required: true,
            fsync: Fsync::Always,
            node: "node-a".to_owned(),
            keys: keys("secret"),
        };
        Self { directory, options }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn open(&self) -> Audit {
        Audit::open(self.options.clone()).expect("a log")
    }

    fn refused(&self) -> String {
        Audit::open(self.options.clone())
            .expect_err("a refusal")
            .to_string()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// The files of the log, the oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = rotation::archives(&self.path()).unwrap();
        files.push(self.path());
        files
    }

    fn verified(&self) -> Report {
        verify(&self.options.keys, &self.files())
    }

    /// A log without faults.
    #[track_caller]
    fn whole(&self) -> Report {
        let report = self.verified();
        assert!(report.faults.is_empty(), "{report:?}");
        report
    }
}

fn verify(keys: &ChainKeys, files: &[PathBuf]) -> Report {
    let mut verifier = Verifier::new(keys, Restarts::Refused, None);
    for path in files {
        let file = BufReader::new(File::open(path).unwrap());
        verifier.file(&path.display().to_string(), file).unwrap();
    }
    verifier.finish()
}

/// Notes an entry and waits until the answer might be given.
fn note(log: &dyn AuditLog, entry: Entry) -> Result<(), NotWritten> {
    let (sender, receiver) = mpsc::channel();
    let place = log.reserve().expect("a place");
    place.fill(entry, Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("an answer")
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn an_entry_is_in_the_file_when_its_answer_may_be_given() {
    let fixture = Fixture::new();
    let audit = fixture.open();
    for number in 0..3 {
        let id = format!("request-{number}");
        assert_eq!(note(&*audit.log(), entry(&id)), Ok(()));
        assert!(fixture.text().contains(&id));
    }
    let counts = audit.handle();
    audit.close();
    assert_eq!(counts.counts().written, 3);
    assert_eq!((counts.counts().queued, counts.counts().dropped), (0, 0));
    let report = fixture.whole();
    // With the opening and the closing line.
    assert_eq!((report.entries, report.remarks.len()), (5, 0));
    assert!(fixture.text().ends_with('\n'));
}

#[test]
fn the_chain_goes_on_after_a_restart_and_a_torn_line_is_marked() {
    let fixture = Fixture::new();
    for start in 0..3 {
        let audit = fixture.open();
        note(&*audit.log(), entry(&format!("start-{start}"))).unwrap();
        audit.close();
    }
    assert_eq!(fixture.whole().entries, 9);
    for torn in [
        &b"{\"seq\":10,\"time\":\"20"[..],
        b"\0\0\0\0",
        b"one\ntwo\n",
    ] {
        append(&fixture.path(), torn);
        let audit = fixture.open();
        note(&*audit.log(), entry("after")).unwrap();
        audit.close();
        let report = fixture.whole();
        let remark = report.remarks.last().expect("a remark").to_string();
        assert!(remark.contains("not finished"), "{remark}");
    }
    assert_eq!(fixture.whole().remarks.len(), 3);
    // What the server found must stay.
    let cleaned = fixture.text().replace("one\ntwo\n", "");
    fs::write(fixture.path(), cleaned).unwrap();
    let faults = fixture.verified().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].to_string().contains("bytes before it"));
}

#[test]
fn a_crash_at_the_first_line_of_a_file_goes_on_after_the_full_one() {
    let fixture = Fixture::new();
    let audit = fixture.open();
    note(&*audit.log(), entry("first")).unwrap();
    audit.close();
    let full = rotation::archive(&fixture.path(), 3);
    fs::rename(fixture.path(), full).unwrap();
    fs::write(fixture.path(), "{\"seq\":4,\"ti").unwrap();
    let audit = fixture.open();
    note(&*audit.log(), entry("second")).unwrap();
    audit.close();
    assert_eq!(fixture.whole().entries, 6);
    // Without any new file: the crash came between two renamings.
    fs::rename(fixture.path(), rotation::archive(&fixture.path(), 6)).unwrap();
    fs::write(rotation::next(&fixture.path()), "").unwrap();
    fixture.open().close();
    assert_eq!(fixture.whole().entries, 8);
}

#[test]
fn a_log_that_cannot_be_continued_stops_the_start() {
    let mut fixture = Fixture::new();
    let audit = fixture.open();
    note(&*audit.log(), entry("first")).unwrap();
    assert!(fixture.refused().contains("another server"));
    audit.close();
    let original = fixture.text();

    let altered = original.replace("AuditLogClosed", "AuditLogClOsed");
    fs::write(fixture.path(), altered).unwrap();
    let refused = fixture.refused();
    assert!(refused.contains("entry 3 was altered"), "{refused}");
    assert!(refused.contains("audit.file: "), "{refused}");

    fs::write(fixture.path(), &original).unwrap();
    fixture.options.keys = keys("another secret");
    let refused = fixture.refused();
    assert!(refused.contains("secrets.hmac.retired"), "{refused}");
    fixture.options.keys = keys("secret");

    for foreign in ["root:x:0:0:root:/root:/bin/bash\n", "x", "{\"a\":1}\n"] {
        fs::write(fixture.path(), foreign).unwrap();
        let refused = fixture.refused();
        assert!(refused.contains("something else"), "{refused}");
        assert_eq!(fixture.text(), foreign, "it is not touched");
    }
}

#[test]
fn files_are_rotated_while_many_write_and_the_oldest_go() {
    let mut fixture = Fixture::new();
    let path = fixture.path();
    fixture.options.target = Target::File {
        path,
        rotate_size: 16 << 10,
        keep: 10_000,
    };
    let audit = fixture.open();
    let log = audit.log();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..50 {
                    note(&**log, entry(&format!("{thread}-{number}"))).unwrap();
                }
            });
        }
    });
    audit.close();
    let report = fixture.whole();
    assert_eq!((report.entries, report.remarks.len()), (402, 0));
    let files = fixture.files();
    assert!(files.len() > 10, "{files:?}");
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 16 << 10, "{file:?}");
    }
    let texts: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for thread in 0..8 {
        assert_eq!(texts.matches(&format!("\"{thread}-")).count(), 50);
    }

    // A smaller number of files takes effect at the next rotation.
    let path = fixture.path();
    fixture.options.target = Target::File {
        path,
        rotate_size: 16 << 10,
        keep: 3,
    };
    let audit = fixture.open();
    for number in 0..60 {
        note(&*audit.log(), entry(&format!("later-{number}"))).unwrap();
    }
    audit.close();
    assert_eq!(fixture.files().len(), 4);
    let report = fixture.whole();
    assert!(report.remarks[0].text.contains("earlier ones are not here"));
}

#[test]
fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
    let fixture = Fixture::new();
    let audit = fixture.open();
    note(&*audit.log(), entry("before")).unwrap();
    let moved = fixture.directory.path().join("moved");
    fs::rename(fixture.path(), &moved).unwrap();
    note(&*audit.log(), entry("after")).unwrap();
    fs::remove_file(fixture.path()).unwrap();
    note(&*audit.log(), entry("after removal")).unwrap();
    audit.close();
    let report = verify(&fixture.options.keys, &[moved, fixture.path()]);
    let faults: Vec<_> = report.faults.iter().map(|fault| &fault.problem).collect();
    assert_eq!(
        faults,
        [&crate::verify::Problem::Missing { from: 3, to: 3 }],
        "what was removed is missed"
    );
}

#[test]
fn a_log_that_cannot_be_written_gives_no_place_if_entries_are_required() {
    let fixture = Fixture::new();
    let opened = |path: &str| Opened {
        sink: Sink::StandardOutput(File::options().write(true).open(path).unwrap()),
        last: Link::START,
        torn: 0,
        is_open: false,
    };
    // Every write to it fails, as on a disk that is full.
    let audit = Audit::start(fixture.options.clone(), opened("/dev/full")).unwrap();
    let log = audit.log();
    let failed = || audit.handle().counts().failures > 0;
    while !failed() {
        std::thread::sleep(Duration::from_millis(1));
    }
    while log.reserve().map(Place::release).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(audit.handle().counts().queued, 0);
    drop(log);
    audit.close();

    // Without a requirement nobody notices.
    let options = Options {
        is_required: false,
        ..fixture.options.clone()
    };
    let audit = Audit::start(options, opened("/dev/full")).unwrap();
    for _ in 0..limits::QUEUE + 10 {
        assert_eq!(note(&*audit.log(), entry("x")), Ok(()));
    }
    let counts = audit.handle().counts();
    assert!(counts.dropped >= 10, "{counts:?}");
    audit.close();
}

/// A log that goes into a pipe, which is read by nobody at first.
fn piped(options: Options) -> (Audit, File) {
    let (read, write) = std::io::pipe().unwrap();
    let opened = Opened {
        sink: Sink::StandardOutput(File::from(OwnedFd::from(write))),
        last: Link::START,
        torn: 0,
        is_open: false,
    };
    let audit = Audit::start(options, opened).unwrap();
    (audit, File::from(OwnedFd::from(read)))
}

#[test]
fn entries_that_are_not_taken_are_counted_by_the_next_one() {
    let fixture = Fixture::new();
    let options = Options {
        is_required: false,
        ..fixture.options.clone()
    };
    let (audit, mut pipe) = piped(options);
    // Much more than the pipe, one write and the queue take.
    for number in 0..limits::QUEUE + 2000 {
        note(&*audit.log(), entry(&number.to_string())).unwrap();
    }
    let dropped = audit.handle().counts().dropped;
    assert!(dropped > 0);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    });
    audit.close();
    let text = reader.join().unwrap();
    let mut verifier = Verifier::new(&fixture.options.keys, Restarts::Refused, None);
    verifier.file("pipe", text.as_bytes()).unwrap();
    let report = verifier.finish();
    assert!(report.faults.is_empty(), "{report:?}");
    let told: u64 = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line["missing"].as_u64())
        .sum();
    assert_eq!(told, dropped);
}

#[test]
fn a_place_that_is_never_filled_is_a_missing_entry() {
    let fixture = Fixture::new();
    let audit = fixture.open();
    drop(audit.log().reserve().unwrap());
    audit.log().reserve().unwrap().release();
    note(&*audit.log(), entry("next")).unwrap();
    assert!(fixture.text().contains("\"missing\":1"));
    audit.close();
    assert!(
        fixture.whole().remarks[0]
            .text
            .starts_with("1 entries were not taken")
    );
}

#[test]
fn a_flood_of_strangers_takes_a_few_lines() {
    let fixture = Fixture::new();
    let audit = fixture.open();
    let log = audit.log();
    let mut made = 0;
    for _ in 0..100_000 {
        log.note(Notice::Request, &mut || {
            made += 1;
            entry("flood")
        });
        log.note(Notice::Verification(TenantId::SINGLE), &mut || {
            made += 1;
            entry("flood")
        });
    }
    // At most twice, if a minute ended meanwhile.
    assert!((70..=140).contains(&made), "{made}");
    assert_eq!(note(&*log, entry("an administrator")), Ok(()));
    drop(log);
    audit.close();
    let text = fixture.text();
    assert_eq!(text.matches("\"flood\"").count(), made);
    let told: u64 = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| {
            let suppressed = &line["suppressed"];
            let count = |name: &str| suppressed[name].as_u64().unwrap_or_default();
            count("requests") + count("verifications")
        })
        .sum();
    assert_eq!(told + made as u64, 200_000);
    fixture.whole();
}
