//! Metrics that are read when the page is asked for, instead of being kept up to date.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

use super::{MetricKind, MetricSpec, catalog, process, register};
use crate::state::persistent::StateEnv;

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are floats")]
pub(super) fn register_pulled(registry: &Registry, state: &StateEnv) {
    let (cache, memtables) = (state.clone(), state.clone());
    let pulled = |spec, read| register(registry, Pulled::new(spec, read));
    pulled(
        &catalog::ROCKSDB_BLOCK_CACHE_BYTES,
        Arc::new(move || Some(cache.block_cache_bytes() as f64)),
    );
    pulled(
        &catalog::ROCKSDB_MEMTABLE_BYTES,
        Arc::new(move || Some(memtables.memtable_bytes() as f64)),
    );
    pulled(&catalog::PROCESS_RESIDENT_MEMORY, Arc::new(process::resident_memory_bytes));
    pulled(&catalog::PROCESS_CPU, Arc::new(process::cpu_seconds));
}

type Read = Arc<dyn Fn() -> Option<f64> + Send + Sync>;

#[derive(Clone)]
struct Pulled {
    spec: &'static MetricSpec,
    desc: Desc,
    read: Read,
}

impl Pulled {
    fn new(spec: &'static MetricSpec, read: Read) -> prometheus::Result<Self> {
        let desc =
            Desc::new(spec.name.to_owned(), spec.help.to_owned(), Vec::new(), HashMap::new())?;
        Ok(Self { spec, desc, read })
    }
}

impl Collector for Pulled {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(value) = (self.read)() else {
            return Vec::new();
        };
        let mut metric = Metric::default();
        let mut family = MetricFamily::default();
        if self.spec.kind == MetricKind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
            family.set_field_type(MetricType::COUNTER);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
            family.set_field_type(MetricType::GAUGE);
        }
        family.set_name(self.spec.name.to_owned());
        family.set_help(self.spec.help.to_owned());
        family.set_metric(vec![metric]);
        vec![family]
    }
}
