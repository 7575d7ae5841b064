//! Files, globs, gzip, and a followed file that is appended to, truncated and rotated.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use kstream::time::ManualClock;

use super::*;

/// How long a followed line may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sink that a test reads from another thread.
struct ChannelSink(mpsc::Sender<String>);

impl LineSink for ChannelSink {
    fn send(&mut self, line: &[u8]) -> Result<(), BrokerError> {
        self.0.send(String::from_utf8_lossy(line).into_owned()).unwrap();
        Ok(())
    }
    fn poll(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }
    fn flush(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }
}

fn run_with(config: &InputConfig, sink: &mut ChannelSink, stop: &Stop) -> Result<u64, ImportError> {
    let mut progress = Progress::new(Arc::new(ManualClock::default()));
    run(Inputs::find(config)?, sink, &mut progress, stop)?;
    Ok(progress.lines())
}

fn import(log: &[&Path]) -> Result<Vec<String>, ImportError> {
    let log = log.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    let (sender, receiver) = mpsc::channel();
    let config = InputConfig { log, follow: false };
    let lines = run_with(&config, &mut ChannelSink(sender), &Stop::default())?;
    let sent: Vec<String> = receiver.try_iter().collect();
    assert_eq!(lines, sent.len() as u64);
    Ok(sent)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn lines_come_whole_without_ends_and_blanks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    append(&path, "one\r\n\n  \ntwo\nlast without end");
    assert_eq!(import(&[&path]).unwrap(), ["one", "two", "last without end"]);
}

#[test]
fn empty_file_has_no_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    append(&path, "");
    assert_eq!(import(&[&path]).unwrap(), [""; 0]);
}

#[test]
fn gzip_files_of_several_members_are_read_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log.gz");
    let mut bytes = Vec::new();
    for text in ["one\ntw", "o\nthree\n"] {
        let mut member = GzEncoder::new(&mut bytes, Compression::default());
        member.write_all(text.as_bytes()).unwrap();
        member.finish().unwrap();
    }
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(import(&[&path]).unwrap(), ["one", "two", "three"]);
}

#[test]
fn globs_give_their_files_in_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.log", "a.log", "c.txt"] {
        append(&folder.path().join(name), &format!("{name}\n"));
    }
    assert_eq!(import(&[&folder.path().join("*.log")]).unwrap(), ["a.log", "b.log"]);
}

#[test]
fn name_with_glob_characters_is_taken_as_it_is_when_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a[1].log");
    append(&path, "one\n");
    assert_eq!(import(&[&path]).unwrap(), ["one"]);
}

#[test]
fn overlong_line_is_cut_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    append(&path, &format!("{}\nnext\n", "x".repeat(3_000_000)));
    let lines = import(&[&path]).unwrap();
    assert_eq!((lines[0].len(), lines[1].as_str()), (1_000_000, "next"));
}

#[test]
fn what_cannot_be_read_is_named_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("a.log");
    append(&good, "one\n");
    let missing = folder.path().join("missing.log");
    let (sender, receiver) = mpsc::channel();
    for (bad, message) in [
        (missing.clone(), format!("no file is named {}", missing.display())),
        (folder.path().to_owned(), format!("cannot read {}", folder.path().display())),
    ] {
        let log = [&good, &bad].map(|path| path.to_str().unwrap().to_owned()).into();
        let config = InputConfig { log, follow: false };
        let error = run_with(&config, &mut ChannelSink(sender.clone()), &Stop::default());
        assert_eq!(error.unwrap_err().to_string(), message);
    }
    assert_eq!(receiver.try_iter().count(), 0);
}

#[test]
fn followed_file_is_read_through_appending_truncation_and_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    append(&path, "one\ntw");
    let (sender, receiver) = mpsc::channel();
    let stop = Stop::default();
    let importer = std::thread::spawn({
        let config = InputConfig { log: vec![path.to_str().unwrap().to_owned()], follow: true };
        let stop = stop.clone();
        move || run_with(&config, &mut ChannelSink(sender), &stop).unwrap()
    });
    let next = || receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "one");
    append(&path, "o\n");
    assert_eq!(next(), "two");

    std::fs::write(&path, "new\n").unwrap();
    assert_eq!(next(), "new");

    let rotated = folder.path().join("a.log.1");
    std::fs::rename(&path, &rotated).unwrap();
    append(&rotated, "late\nunended");
    assert_eq!(next(), "late");
    append(&path, "fresh\n");
    assert_eq!(next(), "unended");
    assert_eq!(next(), "fresh");

    stop.request();
    assert_eq!(importer.join().unwrap(), 6);
}
