//! A real single-node Apache Kafka on loopback, for trying things out.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kstream_test_support::{LocalKafka, SupportError};

/// A real single-node Apache Kafka on loopback; its jars come from Maven Central once.
#[derive(Debug, Parser)]
struct Cli {
    /// The port for clients; the controller takes the port 1000 above.
    #[arg(long, default_value_t = 9092, value_parser = clap::value_parser!(u16).range(1..64_000))]
    port: u16,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start it on its data, or without any the first time, and wait until it answers.
    Start,
    /// Stop it gracefully and start it again on the same data.
    Restart,
    /// Stop it gracefully; the data stay.
    Stop,
    /// Kill it as a crash would; the data stay.
    Kill,
    /// Stop it and delete its data.
    Clean,
    /// Run a command-line class of Kafka, for example `org.apache.kafka.tools.TopicCommand --list`.
    Tool {
        /// The class, then its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to do when the error stream itself is closed.
            drop(writeln!(io::stderr(), "kafka-local: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, SupportError> {
    let kafka = LocalKafka::on_port(cli.port);
    match &cli.action {
        Action::Start => announce(&kafka.start()?),
        Action::Restart => {
            kafka.stop()?;
            announce(&kafka.start()?);
        }
        Action::Stop => kafka.stop()?,
        Action::Kill => kafka.kill()?,
        Action::Clean => kafka.clean()?,
        Action::Tool { command } => {
            let Some((class, arguments)) = command.split_first() else {
                return Ok(ExitCode::FAILURE);
            };
            let status = LocalKafka::tool(class, arguments)?;
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn announce(address: &str) {
    drop(writeln!(io::stdout(), "{address}"));
}
