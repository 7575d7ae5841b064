//! Precedence, defaults and the wording of every mistake.

use clap::Parser as _;

use super::*;

fn resolve(args: &[&str]) -> Result<Job, ConfigError> {
    Job::resolve(Cli::try_parse_from(std::iter::once(&"geo-aggregation").chain(args)).unwrap())
}

fn resolve_all_of(args: &[&str]) -> AllConfig {
    match resolve(args).unwrap() {
        Job::All(config) => *config,
        other => panic!("{other:?}"),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

#[track_caller]
fn check_error(args: &[&str], message: &str) {
    assert_eq!(resolve(args).unwrap_err().to_string(), message);
}

#[test]
fn all_needs_nothing_but_a_log() {
    let config = resolve_all_of(&["all", "--log", "access.log"]);
    assert_eq!(config.broker.broker, BrokerChoice::Memory);
    assert_eq!(config.broker.application_id, "geo-aggregation");
    assert_eq!(config.broker.partitions.get(), 4);
    assert_eq!(config.input.log, ["access.log"]);
    assert_eq!(config.storage.interval, Duration::from_secs(5));
    assert_eq!(config.storage.database, "sqlite:geo-aggregation.db");
    assert_eq!(config.listen, Some("127.0.0.1:8080".parse().unwrap()));
}

#[test]
fn flag_outdoes_file_and_file_outdoes_default() {
    let file = file("log = [\"a.log\"]\nthreads = 3\ninterval = \"250ms\"\nbroker = \"k:9092\"\n");
    let path = file.path().to_str().unwrap();
    let config = resolve_all_of(&["all", "--config", path, "--threads", "2"]);
    assert_eq!(config.streams.threads.get(), 2);
    assert_eq!(config.input.log, ["a.log"]);
    assert_eq!(config.storage.interval, Duration::from_millis(250));
    assert_eq!(config.broker.broker, BrokerChoice::Kafka("k:9092".to_owned()));
}

#[test]
fn every_file_key_is_a_flag_and_every_flag_has_its_variable() {
    use clap::CommandFactory as _;
    let command = Cli::command();
    let all = command.get_subcommands().find(|sub| sub.get_name() == "all").unwrap();
    let flags: Vec<_> = all.get_arguments().filter(|arg| arg.get_id() != "config").collect();
    let mut names: Vec<_> = flags.iter().map(|arg| arg.get_long().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, raw::FILE_KEYS);
    for flag in flags {
        let variable = format!("GEO_{}", flag.get_long().unwrap().replace('-', "_").to_uppercase());
        assert_eq!(flag.get_env().unwrap(), variable.as_str());
    }
}

#[test]
fn page_is_off_when_the_job_ends_unless_asked_for() {
    let args = ["all", "--log", "a", "--exit-when-done"];
    assert_eq!(resolve_all_of(&args).listen, None);
    let asked = [&args[..], &["--listen", "127.0.0.1:0"]].concat();
    assert_eq!(resolve_all_of(&asked).listen, Some("127.0.0.1:0".parse().unwrap()));
}

#[test]
fn mistakes_name_the_option_and_the_remedy() {
    check_error(&["all"], "nothing to read: give --log PATH, or `-` for standard input");
    check_error(
        &["import", "--log", "a"],
        "`import` needs Kafka: give --broker HOST:PORT (the embedded broker lives inside one \
         process; `all` uses it)",
    );
    check_error(
        &["all", "--log", "a", "--broker", "kafka"],
        "--broker kafka: give `memory`, or HOST:PORT, several with commas between",
    );
    check_error(&["all", "--log", "a", "--threads", "0"], "--threads 0: give at least 1");
    check_error(
        &["all", "--log", "a", "--interval", "5"],
        "--interval 5: give a time above zero with its unit, such as 5s, 500ms or 1m",
    );
    check_error(
        &["web", "--listen", "8080"],
        "--listen 8080: give ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080",
    );
    check_error(
        &["web", "--database", "mysql://root:secret@h/d"],
        "--database URL: give a URL that begins with sqlite: or postgres://",
    );
    check_error(
        &["web", "--application-id", "a/b"],
        "--application-id a/b: use letters, digits, dots, dashes and underscores",
    );
    check_error(
        &["all", "--log", "a", "--follow", "--exit-when-done"],
        "--follow never ends, so --exit-when-done would never exit: give one of them",
    );
}

#[test]
fn mistakes_in_the_file_name_the_file_and_the_line() {
    let unknown = file("thread = 3\n");
    let path = unknown.path().to_str().unwrap();
    check_error(
        &["all", "--config", path],
        &format!("the configuration file {path} has an unknown key `thread`"),
    );
    let syntax = file("log = []\nthreads = = 3\n");
    let path = syntax.path().to_str().unwrap();
    let error = resolve(&["all", "--config", path]).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("the configuration file {path} is wrong: line 2:")),
        "{error}"
    );
    check_error(
        &["all", "--config", "no/such.toml"],
        "cannot read the configuration file no/such.toml",
    );
}
