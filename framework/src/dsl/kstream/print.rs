//! Records as text, for whoever develops a topology.

use std::fmt::Debug;

use crate::dsl::KStream;
use crate::dsl::options::Printed;
use crate::processor::Data;

impl<K: Data + Debug, V: Data + Debug> KStream<K, V> {
    /// Writes each record as a line of text; the stream ends here. What cannot be written is logged once, and
    /// holds up nothing.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, Printed, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let sizes: KStream<String, i64> = builder.stream("sizes");
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("sizes.txt");
    /// sizes.print(Printed::to_file(&path).with_label("sizes"));
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("sizes").pipe("a".to_owned(), 7)?;
    /// assert_eq!(std::fs::read_to_string(&path)?, "[sizes]: \"a\", 7\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.print`; there keys and values print themselves by `toString`.
    #[track_caller]
    pub fn print(&self, printed: Printed<K, V>) {
        let Printed { target, name, label, mapper } = printed;
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(name, "KSTREAM-PRINTER-");
        let label = label.unwrap_or_else(|| plan.node_name(self.node).to_owned());
        drop(plan);
        let action = move |key: &K, value: &V| match &mapper {
            Some(mapper) => target.line(&label, &mapper(key, value)),
            None => target.line(&label, &format!("{key:?}, {value:?}")),
        };
        self.add_named::<K, V>(name, Self::peek_supplier(action));
    }
}
