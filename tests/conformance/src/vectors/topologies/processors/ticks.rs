//! Processors that are called by the clock.

use std::time::{Duration, UNIX_EPOCH};

use kstream::PunctuationType::{StreamTime, WallClockTime};
use kstream::state::KeyValueStore;
use kstream::{
    Processor, ProcessorContext, ProcessorError, PunctuationType, Record, ScheduleId, Timestamp,
};

use crate::vectors::topologies::Text;

type Context<'a, V> = ProcessorContext<'a, Text, V>;

/// Counts records by key; every 100 ms forwards the counts and begins anew.
pub(super) struct Counting {
    clock: PunctuationType,
    store: Option<KeyValueStore<String, i64>>,
}

impl Counting {
    pub(super) fn by(clock: PunctuationType) -> Self {
        Self { clock, store: None }
    }
}

impl Processor<Text, Text, Text, String> for Counting {
    fn init(&mut self, context: &mut Context<'_, String>) -> Result<(), ProcessorError> {
        self.store = Some(context.store("p")?);
        context.schedule(Duration::from_millis(100), self.clock)?;
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut Context<'_, String>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        if let (Some(store), Some(key)) = (&self.store, &record.key) {
            let count = store.get(key)?.unwrap_or(0);
            store.put(key, count + 1)?;
        }
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_, String>,
        _: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let Some(store) = &self.store else { return Ok(()) };
        for (key, count) in store.all()? {
            context.forward(Record::new(Some(key.clone()), count.to_string(), timestamp))?;
            store.delete(&key)?;
        }
        Ok(())
    }
}

/// Forwards every record, and one for each call of its five schedules.
#[derive(Default)]
pub(super) struct Ticking {
    schedules: Vec<(ScheduleId, &'static str)>,
}

impl Processor<Text, Text, Text, Text> for Ticking {
    fn init(&mut self, context: &mut Context<'_, Text>) -> Result<(), ProcessorError> {
        let ms = Duration::from_millis;
        self.schedules = vec![
            (context.schedule(ms(70), StreamTime)?, "s70"),
            (context.schedule(ms(250), StreamTime)?, "s250"),
            (context.schedule(ms(60), WallClockTime)?, "w60"),
            (context.schedule_at(UNIX_EPOCH + ms(30), ms(100), StreamTime)?, "sa100"),
            (context.schedule_at(UNIX_EPOCH + ms(45), ms(100), WallClockTime)?, "wa100"),
        ];
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut Context<'_, Text>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        context.forward(record)?;
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_, Text>,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let found = self.schedules.iter().find(|(id, _)| *id == schedule);
        let (_, name) = found.ok_or("a schedule that was never made")?;
        let stream_time = context.current_stream_time_ms();
        let wall_clock = context.current_system_time_ms();
        let present = context.record_metadata().is_some();
        let value = format!("{timestamp}|{stream_time}|{wall_clock}|{present}");
        context.forward(Record::new(Some(format!("tick-{name}")), Some(value), timestamp))?;
        Ok(())
    }
}

/// Forwards records, and a tick every 50 ms, three times; the value `restart` begins the ticks anew.
#[derive(Default)]
pub(super) struct Cancelling {
    schedule: Option<ScheduleId>,
    fired: u32,
}

impl Cancelling {
    fn start(&mut self, context: &mut Context<'_, Text>) -> Result<(), ProcessorError> {
        self.fired = 0;
        self.schedule = Some(context.schedule(Duration::from_millis(50), StreamTime)?);
        Ok(())
    }
}

impl Processor<Text, Text, Text, Text> for Cancelling {
    fn init(&mut self, context: &mut Context<'_, Text>) -> Result<(), ProcessorError> {
        self.start(context)
    }

    fn process(
        &mut self,
        context: &mut Context<'_, Text>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        if record.value.as_deref() != Some("restart") {
            context.forward(record)?;
            return Ok(());
        }
        if let Some(schedule) = self.schedule {
            context.cancel(schedule);
        }
        self.start(context)
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_, Text>,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        self.fired += 1;
        let value = Some(self.fired.to_string());
        context.forward(Record::new(Some("tick".to_owned()), value, timestamp))?;
        if self.fired == 3 {
            context.cancel(schedule);
        }
        Ok(())
    }
}

/// Forwards records, and a tick every 100 ms that then fails.
pub(super) struct FailingTick;

impl Processor<Text, Text, Text, Text> for FailingTick {
    fn init(&mut self, context: &mut Context<'_, Text>) -> Result<(), ProcessorError> {
        context.schedule(Duration::from_millis(100), StreamTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut Context<'_, Text>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        context.forward(record)?;
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_, Text>,
        _: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let value = Some(timestamp.to_string());
        context.forward(Record::new(Some("tick".to_owned()), value, timestamp))?;
        Err("tick".into())
    }
}
