//! What the compiler says to mistakes: the message has to say what is wrong and what to do.
//!
//! Each case is type-checked against the library that was built for this test.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mistake, and what the compiler's message must have.
struct Case {
    name: &'static str,
    code: &'static str,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a stream of a type without a serde",
        code: "struct View;
            impl Clone for View { fn clone(&self) -> Self { Self } }
            let views: KStream<String, View> = StreamsBuilder::new().stream(\"views\");",
        says: &[
            "View` has no default serde",
            "write `kstream::json_serde!(",
            "or pass a serde with `Consumed::with`",
        ],
    },
    Case {
        name: "an aggregate of a type without a serde",
        code: "#[derive(Clone)] struct Sum(i64);
            let sizes: KStream<String, i64> = StreamsBuilder::new().stream(\"sizes\");
            sizes.group_by_key().aggregate(|| Sum(0), |_, size, sum: Sum| Sum(sum.0 + size));",
        says: &["Sum` has no default serde", "`Materialized::with`"],
    },
    Case {
        name: "a new key of a type without a serde",
        code: "#[derive(Clone)] struct Page(String);
            let sizes: KStream<String, i64> = StreamsBuilder::new().stream(\"sizes\");
            sizes.group_by(|key, _| Page(key.clone()));",
        says: &["Page` has no default serde", "`Grouped::with`"],
    },
    Case {
        name: "tables with other keys joined",
        code: "let builder = StreamsBuilder::new();
            let prices: KTable<String, i64> = builder.table(\"prices\");
            let stock: KTable<u64, i64> = builder.table(\"stock\");
            prices.join(&stock, |price, stock| price * stock);",
        says: &[
            "KTable<u64, i64>` cannot be joined by key here",
            "it is no table with keys of type `String`",
            "a table with `group_by`; or join tables with `join_on_foreign_key`",
        ],
    },
    Case {
        name: "streams with other keys joined",
        code: "let builder = StreamsBuilder::new();
            let clicks: KStream<String, i64> = builder.stream(\"clicks\");
            let views: KStream<u64, i64> = builder.stream(\"views\");
            let windows = JoinWindows::of_time_difference_with_no_grace(std::time::Duration::from_secs(1));
            clicks.join(&views, |click, view| click + view, windows);",
        says: &[
            "KStream<u64, i64>` cannot be joined by key here",
            "it is no stream with keys of type `String`",
            "give one of them other keys first, with `select_key` or `map`",
        ],
    },
    Case {
        name: "a stream joined with a table that has other keys",
        code: "let builder = StreamsBuilder::new();
            let clicks: KStream<String, i64> = builder.stream(\"clicks\");
            let pages: KTable<u64, String> = builder.table(\"pages\");
            clicks.join_table(&pages, |click, page| format!(\"{click} {page}\"));",
        says: &["KTable<u64, String>` cannot be joined by key here", "a stream with `select_key`"],
    },
    Case {
        name: "topics that are none",
        code: "let sizes: KStream<String, i64> = StreamsBuilder::new().stream(7);",
        says: &["names no topics", "the name of one topic, or the names of several as an array"],
    },
    Case {
        name: "windows that a stream is not grouped by",
        code: "let sizes: KStream<String, i64> = StreamsBuilder::new().stream(\"sizes\");
            sizes.group_by_key().windowed_by(std::time::Duration::from_secs(1)).count();",
        says: &["Duration` are no windows that a stream is grouped by", "use `TimeWindows`"],
    },
    Case {
        name: "a processor of other types",
        code: "struct Pass;
            impl Processor<String, i64, String, i64> for Pass {
                fn process(&mut self, context: &mut ProcessorContext<'_, String, i64>, record: Record<String, i64>)
                    -> Result<(), ProcessorError> { Ok(context.forward(record)?) }
            }
            let names: KStream<String, String> = StreamsBuilder::new().stream(\"names\");
            names.process(|| Pass).to(\"out\");",
        says: &["Processor<String, String", "Pass"],
    },
    Case {
        name: "results that are final of a table without windows",
        code: "let sizes: KTable<String, i64> = StreamsBuilder::new().table(\"sizes\");
            sizes.suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));",
        says: &["expected `Suppressed<String>`, found `Suppressed<Windowed<_>>`"],
    },
    Case {
        name: "results that are final from a buffer that gives out early",
        code: "let buffer = BufferConfig::max_records(10).emit_early_when_full();
            let _: Suppressed<Windowed<String>> = Suppressed::until_window_closes(buffer);",
        says: &["expected `BufferConfig<Strict>`, found `BufferConfig<Eager>`"],
    },
    Case {
        name: "a store of another value type",
        code: "let sizes: KStream<String, i64> = StreamsBuilder::new().stream(\"sizes\");
            sizes.group_by_key().count_with(\"count\", Materialized::<String, String>::named(\"counts\"));",
        says: &["expected `Materialized<String, i64>`, found `Materialized<String, String>`"],
    },
];

#[test]
fn messages_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for Case { name, code, says } in CASES {
        let message = message(folder.path(), code);
        for part in *says {
            assert!(message.contains(part), "{name}: `{part}` is not in:\n{message}");
        }
    }
}

#[test]
fn the_same_code_without_the_mistake_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let right = "#[derive(Clone)] struct Sum(i64);
        let sizes: KStream<String, i64> = StreamsBuilder::new().stream(\"sizes\");
        sizes.group_by_key().count_with(\"count\", Materialized::<String, i64>::named(\"counts\"));";
    assert_eq!(message(folder.path(), right), "");
}

/// What the compiler says to the code, warnings left out.
fn message(folder: &Path, code: &str) -> String {
    let file = folder.join("case.rs");
    let text = format!("#![allow(warnings)]\nuse kstream::*;\nfn main() {{\n{code}\n}}\n");
    fs::write(&file, text).unwrap();
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let mut library = OsString::from("kstream=");
    library.push(newest_library(&deps));
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--emit", "metadata", "--crate-name", "case"])
        .arg("--out-dir")
        .arg(folder)
        .arg("-L")
        .arg(&deps)
        .arg("--extern")
        .arg(library)
        .arg(file)
        .output()
        .unwrap();
    // Lines are broken and marked for people; what they say is one text.
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().map(|line| line.trim_matches([' ', '|', '=', '^', '-']));
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The library as it was built last, which is for this test.
fn newest_library(deps: &Path) -> PathBuf {
    let entries = fs::read_dir(deps).unwrap().map(Result::unwrap);
    let libraries = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libkstream-") && name.ends_with(".rlib")
    });
    libraries.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap()).unwrap().path()
}
