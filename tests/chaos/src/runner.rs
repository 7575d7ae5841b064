//! Runs a script: a cluster, instances, a feeder, faults, and the checker in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{Broker, NewTopic};
use kstream::time::{Clock, SystemClock};
use kstream_test_support::{KafkaCluster, wait_until};

use crate::checker::{self, Verdict};
use crate::feeder::{Feeder, send_all};
use crate::history::History;
use crate::instances::{AppOptions, Instances};
use crate::model::Input;
use crate::monitor::Monitor;
use crate::reader::{read_topic, wait_until_closed};
use crate::script::{Fault, Plan, Step, Strike, script};
use crate::summary::Summary;
use crate::wire::{CHAINS, INPUTS, OUTPUTS, PARTITIONS};
use crate::workload::Workload;
use crate::{ChaosError, FailedRun};

/// What a run is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides about script and records.
    pub seed: u64,
    /// How many faults, instances and brokers.
    pub plan: Plan,
    /// How instances are started.
    pub app: AppOptions,
    /// Records sent each second.
    pub rate: u64,
    /// A folder for state, logs and history; it has to exist.
    pub folder: PathBuf,
}

/// How long the application may take to go on after a fault.
const RECOVERY: Duration = Duration::from_mins(3);
/// How often is noted what the run waits for.
const NOTE: Duration = Duration::from_secs(10);
/// Nothing comes out for so long: everything is processed, or nothing goes on.
const QUIET: Duration = Duration::from_secs(4);
/// Nothing comes out for so long: nothing will.
const GIVEN_UP: Duration = Duration::from_mins(1);

/// Makes a run and judges it.
///
/// # Errors
/// When the run could not be made: no cluster, no topics, an input that is not complete, an application that does not
/// start. What the application did wrong afterwards is in the summary.
pub fn run(options: &Options) -> Result<Summary, FailedRun> {
    let history = History::begin(&options.folder);
    let mut history =
        history.map_err(|error| FailedRun { error: error.into(), history: String::new() })?;
    let result = run_noting(options, &mut history);
    let history = history.text().to_owned();
    match result {
        Ok(summary) => Ok(Summary { history, ..summary }),
        Err(error) => Err(FailedRun { error: error.into(), history }),
    }
}

fn run_noting(options: &Options, history: &mut History) -> Result<Summary, ChaosError> {
    history.note(format_args!("seed {}, {}", options.seed, options.app.guarantee));
    let cluster = KafkaCluster::start(options.plan.brokers)?;
    let bootstrap = cluster.bootstrap().to_owned();
    create_topics(&bootstrap)?;
    history.note(format_args!("{} brokers run", options.plan.brokers));
    let instances = Instances::new(options.app.clone(), &bootstrap, &options.folder);
    let monitor = Monitor::start(&bootstrap)?;
    let workload = Workload::new(options.seed);
    let mut run = Run {
        options,
        bootstrap,
        cluster,
        instances,
        monitor,
        feeder: None,
        history,
        faults: BTreeMap::new(),
        recoveries: BTreeMap::new(),
        problems: Vec::new(),
    };
    let result = run.play(workload);
    if !result.as_ref().is_ok_and(Summary::is_good) {
        let data = run.cluster.keep_data().display();
        run.history.note(format_args!("the data of the brokers stays in {data}"));
    }
    result
}

fn create_topics(bootstrap: &str) -> Result<(), ChaosError> {
    let admin = KafkaBroker::new(bootstrap, KafkaSettings::default())?.admin()?;
    let topic = |name: &str| NewTopic {
        name: name.to_owned(),
        partitions: PARTITIONS,
        replication_factor: -1,
        configs: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
    };
    let topics: Vec<_> = INPUTS.iter().chain(&OUTPUTS).map(|name| topic(name)).collect();
    for created in admin.create_topics(&topics)? {
        created?;
    }
    Ok(())
}

struct Run<'a> {
    options: &'a Options,
    bootstrap: String,
    // ORDER: processes end before the brokers that they talk to.
    feeder: Option<Feeder>,
    monitor: Monitor,
    instances: Instances,
    cluster: KafkaCluster,
    history: &'a mut History,
    faults: BTreeMap<Fault, usize>,
    recoveries: BTreeMap<Fault, Vec<Duration>>,
    problems: Vec<String>,
}

impl Run<'_> {
    fn play(&mut self, workload: Workload) -> Result<Summary, ChaosError> {
        self.start(workload)?;
        for step in script(self.options.seed, &self.options.plan) {
            self.step(&step)?;
        }
        self.finish()
    }

    fn start(&mut self, workload: Workload) -> Result<(), ChaosError> {
        for number in 0..self.options.plan.instances {
            self.instances.start(number)?;
        }
        let clock = SystemClock::new();
        while !(0..self.options.plan.instances).all(|number| self.instances.is_ready(number)) {
            self.revive()?;
            if clock.monotonic() > RECOVERY {
                return Err(ChaosError::Application(format!(
                    "the application did not start within {RECOVERY:?}; see {}",
                    self.options.folder.display()
                )));
            }
            Self::pause(Duration::from_millis(20))?;
        }
        self.history.note("all instances are ready");
        self.feeder = Some(Feeder::start(&self.bootstrap, workload, self.options.rate)?);
        self.wait_until_beyond(0, "the start")?;
        self.history.note("all partitions are processed");
        Ok(())
    }

    fn last_event(&self) -> u64 {
        self.feeder.as_ref().map_or(0, Feeder::last_event)
    }

    fn step(&mut self, step: &Step) -> Result<(), ChaosError> {
        Self::pause(step.pause)?;
        let begin = self.history.elapsed();
        let last_event = self.last_event();
        for strike in &step.strikes {
            *self.faults.entry(strike.fault).or_default() += 1;
            self.history.note(strike);
            self.begin(*strike)?;
        }
        for strike in &step.strikes {
            self.wait_for_stop(*strike)?;
        }
        let stops = step.strikes.iter().any(|strike| strike.fault == Fault::Stop);
        let stopped_for = if stops { self.options.app.session_timeout } else { Duration::ZERO };
        Self::pause(stopped_for + step.down)?;
        for strike in &step.strikes {
            self.heal(*strike)?;
            self.history.note(format_args!("over: {strike}"));
        }
        self.revive()?;
        if step.settle {
            let goes_on = self.wait_until_beyond(last_event, "a fault")?;
            let took = self.history.elapsed().saturating_sub(begin);
            if goes_on {
                self.history.note(format_args!("all goes on, after {:.2} s", took.as_secs_f64()));
            }
            if let ([strike], true) = (step.strikes.as_slice(), goes_on) {
                self.recoveries.entry(strike.fault).or_default().push(took);
            }
        }
        Ok(())
    }

    fn begin(&mut self, Strike { fault, target }: Strike) -> Result<(), ChaosError> {
        match fault {
            Fault::Kill => self.instances.kill(target),
            Fault::KillAndWipe => {
                self.instances.kill(target)?;
                self.instances.wipe(target)
            }
            Fault::Stop => self.instances.suspend(target),
            Fault::Restart | Fault::Upgrade | Fault::Remove => self.instances.ask_to_stop(target),
            Fault::Add => self.instances.start(target),
            Fault::BrokerKill | Fault::BrokerRestart => {
                // With another broker's copies incomplete, this one may be the only one to have a record.
                self.cluster.wait_until_complete()?;
                let broker = self.cluster.broker(target);
                Ok(if fault == Fault::BrokerKill { broker.kill() } else { broker.stop() }?)
            }
        }
    }

    fn wait_for_stop(&mut self, Strike { fault, target }: Strike) -> Result<(), ChaosError> {
        if matches!(fault, Fault::Restart | Fault::Upgrade | Fault::Remove)
            && let Some(problem) = self.instances.wait_for_stop(target)?
        {
            self.problem(problem);
        }
        Ok(())
    }

    fn heal(&mut self, Strike { fault, target }: Strike) -> Result<(), ChaosError> {
        match fault {
            Fault::Kill | Fault::KillAndWipe | Fault::Restart => self.instances.start(target),
            Fault::Upgrade => self.instances.start_upgraded(target),
            Fault::Stop => self.instances.resume(target),
            Fault::Add | Fault::Remove => Ok(()),
            Fault::BrokerKill | Fault::BrokerRestart => {
                Ok(self.cluster.broker(target).restart()?)
            }
        }
    }

    fn problem(&mut self, problem: String) {
        self.history.note(format_args!("PROBLEM: {problem}"));
        self.problems.push(problem);
    }

    fn revive(&mut self) -> Result<(), ChaosError> {
        for problem in self.instances.revive()? {
            self.problem(problem);
        }
        Ok(())
    }

    /// Lets time pass, for the script.
    fn pause(time: Duration) -> Result<(), ChaosError> {
        let clock = SystemClock::new();
        Ok(wait_until(time + GIVEN_UP, "the clock", || clock.monotonic() >= time)?)
    }

    /// Waits until later events than this one have come out everywhere.
    fn wait_until_beyond(&mut self, event: u64, after: &str) -> Result<bool, ChaosError> {
        let clock = SystemClock::new();
        let mut next_note = NOTE;
        while !self.monitor.is_beyond(event) {
            self.revive()?;
            if clock.monotonic() > next_note {
                next_note += NOTE;
                let behind = self.monitor.behind(event).join(", ");
                self.history.note(format_args!("not beyond event {event}: {behind}"));
            }
            if clock.monotonic() > RECOVERY {
                let behind = self.monitor.behind(event).join(", ");
                self.problem(format!(
                    "not everything goes on within {RECOVERY:?} after {after}; not beyond event {event}: \
                     {behind}"
                ));
                return Ok(false);
            }
            Self::pause(Duration::from_millis(20))?;
        }
        Ok(true)
    }

    /// Waits until nothing comes out any more.
    fn wait_until_quiet(&mut self) -> Result<(), ChaosError> {
        let clock = SystemClock::new();
        let (mut seen, mut since) = (self.monitor.records(), clock.monotonic());
        while clock.monotonic().saturating_sub(since) < QUIET {
            self.revive()?;
            Self::pause(Duration::from_millis(100))?;
            let records = self.monitor.records();
            if records != seen {
                (seen, since) = (records, clock.monotonic());
            }
        }
        Ok(())
    }

    /// Replaces, one by one, the instances that are still of the first release, while records come in.
    fn upgrade_all(&mut self) -> Result<(), ChaosError> {
        for target in self.instances.running() {
            if self.instances.is_upgraded(target) {
                continue;
            }
            let strike = Strike { fault: Fault::Upgrade, target };
            let last_event = self.last_event();
            self.history.note(format_args!("in the end: {strike}"));
            self.begin(strike)?;
            self.wait_for_stop(strike)?;
            self.heal(strike)?;
            self.wait_until_beyond(last_event, "an upgrade")?;
        }
        Ok(())
    }

    /// Ends the input, waits for the rest of the output, stops everything and judges.
    fn finish(&mut self) -> Result<Summary, ChaosError> {
        for number in 0..self.options.plan.instances {
            if !self.instances.running().contains(&number) {
                // A process that has just been started does not know yet that it is to stop in an orderly way.
                self.instances.start_upgraded(number)?;
            }
        }
        self.upgrade_all()?;
        let feeder = self.feeder.take();
        let feeder = feeder.ok_or_else(|| ChaosError::Runner("no feeder".to_owned()))?;
        let mut workload = feeder.stop()?;
        self.history.note(format_args!("{} events sent, waiting for the rest", workload.events()));
        // ORDER: the last events must meet the last version of each row.
        self.wait_for_all()?;
        send_all(&self.bootstrap, &workload.last_events())?;
        self.history.note("the last events are sent");
        self.wait_for_all()?;
        self.history.note("stopping");
        let running = self.instances.running();
        for number in &running {
            self.instances.ask_to_stop(*number)?;
        }
        for number in running {
            if let Some(problem) = self.instances.wait_for_stop(number)? {
                self.problem(problem);
            }
        }
        if let Err(error) = wait_until_closed(&self.bootstrap, &OUTPUTS) {
            self.problem(error.report());
        }
        let (input, verdicts) = self.judge()?;
        self.history.note("judged");
        Ok(Summary {
            seed: self.options.seed,
            guarantee: self.options.app.guarantee,
            took: self.history.elapsed(),
            input_records: input.records(),
            repeated_events: input.repeated(),
            faults: std::mem::take(&mut self.faults),
            recoveries: std::mem::take(&mut self.recoveries),
            verdicts,
            problems: std::mem::take(&mut self.problems),
            // It goes on until the run is over.
            history: String::new(),
            history_file: self.history.path().to_owned(),
        })
    }

    /// Waits until nothing is missing, or nothing has come out for a minute.
    fn wait_for_all(&mut self) -> Result<(), ChaosError> {
        let mut since = self.history.elapsed();
        loop {
            let records = self.monitor.records();
            self.wait_until_quiet()?;
            if self.monitor.records() != records {
                since = self.history.elapsed();
            }
            let (_, verdicts) = self.judge()?;
            let lost: usize = verdicts.values().map(|verdict| verdict.lost.count).sum();
            self.history.note(format_args!("quiet; {lost} lost so far"));
            if lost == 0 || self.history.elapsed().saturating_sub(since) > GIVEN_UP {
                return Ok(());
            }
        }
    }

    fn judge(&self) -> Result<(Input, BTreeMap<&'static str, Verdict>), ChaosError> {
        let [events, profiles, orders, products] =
            INPUTS.map(|topic| read_topic(&self.bootstrap, topic));
        let input = Input::new(&events?, &profiles?, &orders?, &products?)
            .map_err(|problems| ChaosError::Input(problems.join("\n  ")))?;
        let mut verdicts = BTreeMap::new();
        // ORDER: a copy is read after what it was made from, so it may have more and not less.
        let mut records = BTreeMap::new();
        for topic in OUTPUTS {
            records.insert(topic, read_topic(&self.bootstrap, topic)?);
        }
        let chains = records.get(CHAINS).map_or(&[][..], Vec::as_slice);
        for (topic, entries) in &records {
            let guarantee = self.options.app.guarantee;
            let verdict = checker::check(guarantee, &input, chains, topic, entries);
            verdicts.insert(*topic, verdict);
        }
        Ok((input, verdicts))
    }
}
