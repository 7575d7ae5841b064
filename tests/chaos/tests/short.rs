//! The short form of a run: few faults, of all kinds as far as there is room. `make chaos` is the long one.

use std::collections::BTreeSet;
use std::time::Duration;

use kstream_chaos::script::{Fault, Plan};
use kstream_chaos::{AppOptions, Guarantee, Options, run};

/// Its script has a kill, a lost disk, a stop, an upgrade, an instance less and a broker.
const SEED: u64 = 6;
const FAULTS: usize = 6;
const KINDS: [Fault; 6] = [
    Fault::Kill,
    Fault::KillAndWipe,
    Fault::Stop,
    Fault::Upgrade,
    Fault::Remove,
    Fault::BrokerRestart,
];

#[test]
fn guarantees_are_kept() {
    // One after the other: three brokers and three instances are enough at a time.
    for guarantee in [Guarantee::ExactlyOnceV2, Guarantee::AtLeastOnce] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            seed: SEED,
            plan: Plan { faults: FAULTS, instances: 3, bounds: (2, 4), brokers: 3 },
            app: AppOptions {
                program: env!("CARGO_BIN_EXE_kstream-chaos-app").into(),
                guarantee,
                threads: 2,
                commit_interval: Duration::from_millis(100),
                session_timeout: Duration::from_secs(5),
            },
            rate: 300,
            folder: folder.path().to_owned(),
        };
        let summary = run(&options).unwrap_or_else(|failed| panic!("{failed}"));
        assert!(summary.is_good(), "{}\n{summary}", summary.history);
        assert_eq!(summary.faults.values().sum::<usize>(), FAULTS);
        let kinds: BTreeSet<Fault> = summary.faults.into_keys().collect();
        assert_eq!(kinds, KINDS.into());
    }
}
