//! The script of a run: which faults, at whom, in which order, all drawn from a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An instance is killed (`SIGKILL`) and started again.
    Kill,
    /// The same, and its disk is gone.
    KillAndWipe,
    /// An instance is stopped (`SIGSTOP`) until the group has given its tasks away, and goes on.
    Stop,
    /// An instance is stopped in the orderly way (`SIGTERM`) and started again.
    Restart,
    /// The same, and it comes back as the next release of the application.
    Upgrade,
    /// An instance more.
    Add,
    /// An instance less, in the orderly way.
    Remove,
    /// A broker is killed and started again.
    BrokerKill,
    /// A broker is stopped in the orderly way and started again.
    BrokerRestart,
}

impl Fault {
    /// All of them, with how often they are drawn.
    pub const WEIGHTS: [(Self, usize); 9] = [
        (Self::Kill, 28),
        (Self::KillAndWipe, 6),
        (Self::Stop, 20),
        (Self::Restart, 10),
        (Self::Upgrade, 6),
        (Self::Add, 9),
        (Self::Remove, 9),
        (Self::BrokerKill, 6),
        (Self::BrokerRestart, 6),
    ];

    /// Whether it happens to a broker.
    pub fn is_of_broker(self) -> bool {
        matches!(self, Self::BrokerKill | Self::BrokerRestart)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill -9",
            Self::KillAndWipe => "kill -9, state wiped",
            Self::Stop => "stop and continue",
            Self::Restart => "restart",
            Self::Upgrade => "upgrade",
            Self::Add => "add an instance",
            Self::Remove => "remove an instance",
            Self::BrokerKill => "kill -9 of a broker",
            Self::BrokerRestart => "restart of a broker",
        })
    }
}

/// A fault and whom it strikes: the number of an instance or of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// What happens.
    pub fault: Fault,
    /// To whom.
    pub target: usize,
}

/// Faults that happen at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long nothing happens before.
    pub pause: Duration,
    /// What happens.
    pub strikes: Vec<Strike>,
    /// How long it stays so. A stop lasts as long as the session timeout and this.
    pub down: Duration,
    /// Whether to wait until everything runs again before the next step.
    pub settle: bool,
}

impl std::fmt::Display for Strike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = if self.fault.is_of_broker() { "broker" } else { "instance" };
        write!(f, "{}: {who} {}", self.fault, self.target)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strikes: Vec<_> = self.strikes.iter().map(Strike::to_string).collect();
        let (pause, down) = (self.pause.as_secs_f64(), self.down.as_secs_f64());
        write!(f, "after {pause:.2} s, for {down:.2} s: {}", strikes.join(", "))?;
        f.write_str(if self.settle { "; then all goes on" } else { "" })
    }
}

/// What a script is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many faults, at least.
    pub faults: usize,
    /// How many instances run at the start.
    pub instances: usize,
    /// The fewest and the most that ever do.
    pub bounds: (usize, usize),
    /// How many brokers.
    pub brokers: usize,
}

/// Of a hundred steps so many have one fault, two, and three.
const AT_ONCE: [usize; 3] = [65, 25, 10];
/// Of a hundred steps so many end with everything running again.
const SETTLED: usize = 60;
const MAX_PAUSE_MS: u64 = 2000;
const MAX_DOWN_MS: u64 = 3000;

/// The steps of this seed. Each kind of fault is among the first ones, as far as there are so many.
pub fn script(seed: u64, plan: &Plan) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let mut kinds: Vec<Fault> = Fault::WEIGHTS.iter().map(|(fault, _)| *fault).collect();
    rng.shuffle(&mut kinds);
    let mut drawing = Drawing { running: (0..plan.instances).collect(), due: kinds, rng, plan };
    let (mut steps, mut faults) = (Vec::new(), 0);
    while faults < plan.faults {
        let step = drawing.step(plan.faults - faults);
        faults += step.strikes.len();
        steps.push(step);
    }
    steps
}

struct Drawing<'a> {
    rng: Rng,
    plan: &'a Plan,
    /// The instances that run between two steps.
    running: BTreeSet<usize>,
    /// Kinds that have not been drawn yet.
    due: Vec<Fault>,
}

impl Drawing<'_> {
    fn step(&mut self, at_most: usize) -> Step {
        let pause = Duration::from_millis(self.rng.u64(..MAX_PAUSE_MS));
        let down = Duration::from_millis(self.rng.u64(..MAX_DOWN_MS));
        let at_once = 1 + self.weighted(&AT_ONCE);
        let mut strikes: Vec<Strike> = Vec::new();
        for _ in 0..at_once.min(at_most) {
            let strike = self.strike(&strikes);
            strikes.extend(strike);
        }
        let settle = self.rng.usize(..100) < SETTLED;
        Step { pause, strikes, down, settle }
    }

    /// A fault for somebody to whom nothing happens in this step; `None` when there is nobody.
    fn strike(&mut self, others: &[Strike]) -> Option<Strike> {
        let weights = Fault::WEIGHTS.map(|(_, weight)| weight);
        let fault = self.due.pop().unwrap_or_else(|| {
            let index = self.weighted(&weights);
            Fault::WEIGHTS.get(index).map_or(Fault::Kill, |(fault, _)| *fault)
        });
        let fault = self.within_bounds(fault);
        if fault.is_of_broker() {
            // One broker at a time: with two away, nothing could be written.
            let is_free = !others.iter().any(|other| other.fault.is_of_broker());
            let target = self.rng.usize(..self.plan.brokers);
            return is_free.then_some(Strike { fault, target });
        }
        let is_struck = |instance: &usize| {
            others.iter().any(|other| !other.fault.is_of_broker() && other.target == *instance)
        };
        let candidates: Vec<usize> = if fault == Fault::Add {
            (0..self.plan.bounds.1)
                .filter(|it| !self.running.contains(it) && !is_struck(it))
                .take(1)
                .collect()
        } else {
            self.running.iter().copied().filter(|it| !is_struck(it)).collect()
        };
        let target = self.rng.choice(candidates)?;
        match fault {
            Fault::Add => self.running.insert(target),
            Fault::Remove => self.running.remove(&target),
            Fault::Kill
            | Fault::KillAndWipe
            | Fault::Stop
            | Fault::Restart
            | Fault::Upgrade
            | Fault::BrokerKill
            | Fault::BrokerRestart => true,
        };
        Some(Strike { fault, target })
    }

    fn within_bounds(&self, fault: Fault) -> Fault {
        let (fewest, most) = self.plan.bounds;
        match fault {
            Fault::Add if self.running.len() >= most => Fault::Remove,
            Fault::Remove if self.running.len() <= fewest => Fault::Add,
            Fault::Add
            | Fault::Remove
            | Fault::Kill
            | Fault::KillAndWipe
            | Fault::Stop
            | Fault::Restart
            | Fault::Upgrade
            | Fault::BrokerKill
            | Fault::BrokerRestart => fault,
        }
    }

    fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut drawn = self.rng.usize(..weights.iter().sum::<usize>());
        weights
            .iter()
            .position(|weight| {
                let is_here = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                is_here
            })
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { faults: 300, instances: 3, bounds: (2, 4), brokers: 3 };

    fn strikes(steps: &[Step]) -> Vec<Strike> {
        steps.iter().flat_map(|step| step.strikes.clone()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_script_again() {
        assert_eq!(script(5, &PLAN), script(5, &PLAN));
        assert_ne!(script(5, &PLAN), script(6, &PLAN));
    }

    #[test]
    fn there_are_as_many_faults_as_asked_for() {
        for faults in [1, 8, 100, 300] {
            assert_eq!(strikes(&script(5, &Plan { faults, ..PLAN })).len(), faults);
        }
    }

    #[test]
    fn every_kind_is_among_the_first_unless_the_number_of_instances_forbids_it() {
        for seed in 0..50 {
            let kinds: BTreeSet<Fault> =
                strikes(&script(seed, &PLAN)).iter().take(12).map(|strike| strike.fault).collect();
            assert!(kinds.len() >= 8, "{seed}: {kinds:?}");
        }
    }

    #[test]
    fn nobody_is_struck_twice_at_once_and_only_one_broker() {
        for step in (0..20).flat_map(|seed| script(seed, &PLAN)) {
            let (brokers, instances): (Vec<Strike>, Vec<Strike>) =
                step.strikes.iter().partition(|strike| strike.fault.is_of_broker());
            assert!(brokers.len() <= 1, "{step:?}");
            let targets: BTreeSet<_> = instances.iter().map(|strike| strike.target).collect();
            assert_eq!(targets.len(), instances.len(), "{step:?}");
        }
    }

    #[test]
    fn only_instances_that_run_are_struck_and_only_others_are_added() {
        for seed in 0..20 {
            let mut running: BTreeSet<usize> = (0..PLAN.instances).collect();
            for strike in strikes(&script(seed, &PLAN)) {
                match strike.fault {
                    Fault::Add => assert!(running.insert(strike.target)),
                    Fault::Remove => assert!(running.remove(&strike.target)),
                    Fault::BrokerKill | Fault::BrokerRestart => {
                        assert!(strike.target < PLAN.brokers);
                    }
                    Fault::Kill
                    | Fault::KillAndWipe
                    | Fault::Stop
                    | Fault::Restart
                    | Fault::Upgrade => {
                        assert!(running.contains(&strike.target));
                    }
                }
                assert!((PLAN.bounds.0..=PLAN.bounds.1).contains(&running.len()));
            }
        }
    }
}
