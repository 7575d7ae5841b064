//! Several streams as one.

use std::panic::Location;
use std::rc::Rc;

use crate::dsl::KStream;
use crate::dsl::options::Named;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::merge::PassThrough;
use crate::topology::link::node;

impl<K: Data, V: Data> KStream<K, V> {
    /// One stream of the records of both; in the order in which they are processed.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`. A grouping behind it is repartitioned if either stream's would be.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let web: KStream<String, i64> = builder.stream("web");
    /// let app: KStream<String, i64> = builder.stream("app");
    /// web.merge(&app).to("all");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("web").pipe("w".to_owned(), 1)?;
    /// driver.input_topic::<String, i64>("app").pipe("a".to_owned(), 2)?;
    /// let all = driver.output_topic::<String, i64>("all").read_key_values()?;
    /// assert_eq!(all, [("w".to_owned(), 1), ("a".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn merge(&self, other: &Self) -> Self {
        self.merge_with(other, Named::default())
    }

    /// [`KStream::merge`] with a name.
    #[must_use]
    #[track_caller]
    pub fn merge_with(&self, other: &Self, named: impl Into<Named>) -> Self {
        self.merge_all_with([other], named)
    }

    /// One stream of the records of this one and all others; in the order in which they are processed.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, in one node. A grouping behind it is repartitioned if that of any of the
    /// streams would be.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let [one, two, three] =
    ///     ["one", "two", "three"].map(|topic| builder.stream::<String, i64>(topic));
    /// one.merge_all([&two, &three]).to("all");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for (number, topic) in [(1, "one"), (3, "three"), (2, "two")] {
    ///     driver.input_topic::<String, i64>(topic).pipe("a".to_owned(), number)?;
    /// }
    /// assert_eq!(driver.output_topic::<String, i64>("all").read_values()?, [1, 3, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.merge`, which takes one other stream at a time.
    #[must_use]
    #[track_caller]
    pub fn merge_all<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        self.merge_all_with(others, Named::default())
    }

    /// [`KStream::merge_all`] with a name.
    #[must_use]
    #[track_caller]
    pub fn merge_all_with<'a>(
        &self,
        others: impl IntoIterator<Item = &'a Self>,
        named: impl Into<Named>,
    ) -> Self {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(named.into().0, "KSTREAM-MERGE-");
        let mut parents = vec![self.node];
        let mut repartition_required = self.repartition_required;
        for other in others {
            if !Rc::ptr_eq(&self.plan, &other.plan) {
                let problem = "the streams come from different builders".to_owned();
                plan.report(format!("node {name}"), problem, Location::caller());
            }
            parents.push(other.node);
            repartition_required |= other.repartition_required;
        }
        let supplier = node(|linker| Ok(PassThrough::<K, V> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(parents, kind, Location::caller());
        plan.mark_merge::<(K, V)>(node);
        drop(plan);
        Self::new(Rc::clone(&self.plan), node, repartition_required)
    }
}
