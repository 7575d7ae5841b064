//! Compares our topologies with recorded runs of Kafka Streams and reports passed, failed and missing.
//!
//! The recordings are the vector files in the folder `CONFORMANCE_VECTORS`, else in
//! `../shared/conformance` beside the repository. Arguments are names of topologies; none means all.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use kstream_conformance::vectors::{Report, topologies};

const DEFAULT_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance");

fn main() -> ExitCode {
    let named = std::env::var_os("CONFORMANCE_VECTORS").map(PathBuf::from);
    let folder = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FOLDER));
    if named.is_none() && !folder.is_dir() {
        say("no recorded runs here: CONFORMANCE_VECTORS can name their folder; nothing compared");
        return ExitCode::SUCCESS;
    }
    // Some topologies panic on purpose; the report names those that should not.
    std::panic::set_hook(Box::new(|_| ()));
    let only: Vec<String> = std::env::args().skip(1).collect();
    match Report::of_folder(&folder, &only, topologies::topology) {
        Ok(report) => {
            say(&report.to_string());
            if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("conformance: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    // The exit code says the same to whoever closed the output.
    drop(writeln!(io::stdout(), "{text}"));
}
