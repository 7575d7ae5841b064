//! Kafka's jars: fetched once with Maven into the user's cache, whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::SupportError;
use crate::process::run;

/// The version of Apache Kafka that tests run against.
pub const KAFKA_VERSION: &str = "4.3.1";
const LOG4J_VERSION: &str = "2.25.1";

const LOGGING: &str = "\
rootLogger.level=WARN
rootLogger.appenderRefs=out
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
";

/// The project's folder in the user's cache.
pub(super) fn cache_dir() -> PathBuf {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("kstream")
}

/// The folder with the jars and the logging configuration; fetches them if they are not there.
pub(super) fn kafka_jars() -> Result<PathBuf, SupportError> {
    let kafka = |artifact: &'static str| ("org.apache.kafka", artifact, KAFKA_VERSION);
    jars("kafka", &[kafka("kafka_2.13"), kafka("kafka-tools")])
}

/// The folder with the jars of Kafka Streams, of the same version, for comparisons; fetches them if they are
/// not there.
///
/// # Errors
/// When Maven is missing or the artifacts cannot be fetched.
pub fn kafka_streams_jars() -> Result<PathBuf, SupportError> {
    jars("kafka-streams", &[("org.apache.kafka", "kafka-streams", KAFKA_VERSION)])
}

/// Group, artifact and version.
type Dependency = (&'static str, &'static str, &'static str);

fn jars(name: &str, dependencies: &[Dependency]) -> Result<PathBuf, SupportError> {
    let cache = cache_dir();
    let jars = cache.join(format!("{name}-{KAFKA_VERSION}"));
    if jars.exists() {
        return Ok(jars);
    }
    std::fs::create_dir_all(&cache)
        .map_err(SupportError::io(format!("create {}", cache.display())))?;
    // Test processes run side by side; the first one fetches and the others wait here.
    let lock = File::create(cache.join(format!("{name}-{KAFKA_VERSION}.lock")))
        .map_err(SupportError::io(format!("write to {}", cache.display())))?;
    lock.lock().map_err(SupportError::io(format!("lock {}", cache.display())))?;
    if !jars.exists() {
        fetch(dependencies, &cache.join(format!("{name}-{KAFKA_VERSION}.part")), &jars)?;
    }
    Ok(jars)
}

/// Fetches into `part` and renames it, so that `jars` exists only when it is complete.
fn fetch(dependencies: &[Dependency], part: &Path, jars: &Path) -> Result<(), SupportError> {
    let write = |name: &str, text: &str| {
        let path = part.join(name);
        std::fs::write(&path, text).map_err(SupportError::io(format!("write {}", path.display())))
    };
    std::fs::create_dir_all(part)
        .map_err(SupportError::io(format!("create {}", part.display())))?;
    write("pom.xml", &pom(dependencies))?;
    write("log4j2.properties", LOGGING)?;
    run(Command::new("mvn")
        .args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "--file"])
        .arg(part.join("pom.xml"))
        .arg(format!("-DoutputDirectory={}", part.display())))?;
    std::fs::rename(part, jars).map_err(SupportError::io(format!("create {}", jars.display())))
}

fn pom(dependencies: &[Dependency]) -> String {
    let logging = [
        ("org.apache.logging.log4j", "log4j-core", LOG4J_VERSION),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    ];
    let dependency = |(group, artifact, version): &Dependency| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>\n"
        )
    };
    let dependencies: String = dependencies.iter().chain(&logging).map(dependency).collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>\
         <packaging>pom</packaging>\n<dependencies>\n{dependencies}</dependencies></project>\n",
    )
}
