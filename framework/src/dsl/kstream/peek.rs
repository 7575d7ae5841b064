//! `peek` and `for_each`: the user looks at records.

use std::sync::Arc;

use super::{KStream, Operator};
use crate::dsl::options::Named;
use crate::processor::Data;
use crate::processor::operators::peek::{Action, Peek};
use crate::topology::link::{NodeSupplier, node};

impl<K: Data, V: Data> KStream<K, V> {
    /// Calls `action` with each record and passes it on.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, one per record. After a failure records are processed again, and so
    /// the action may see a record more than once.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// stream.peek(|page, visits| println!("{page}: {visits}")).to("out");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("/about".to_owned(), 7)?;
    /// let out = driver.output_topic::<String, i64>("out").read_key_values()?;
    /// assert_eq!(out, [("/about".to_owned(), 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::return_self_not_must_use, reason = "the action runs either way")]
    #[track_caller]
    pub fn peek(&self, action: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        self.peek_with(action, Named::default())
    }

    /// [`KStream::peek`] with a name.
    #[expect(clippy::return_self_not_must_use, reason = "the action runs either way")]
    #[track_caller]
    pub fn peek_with(
        &self,
        action: impl Fn(&K, &V) + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        let named = named.into();
        self.add(
            Operator { prefix: "KSTREAM-PEEK-", named, changes_key: false },
            Self::peek_supplier(action),
        )
    }

    /// Calls `action` with each record; the stream ends here. See [`KStream::peek`].
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicI64, Ordering};
    /// use std::sync::Arc;
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let sum = Arc::new(AtomicI64::new(0));
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// let seen = Arc::clone(&sum);
    /// stream.for_each(move |_, visits| _ = seen.fetch_add(*visits, Ordering::Relaxed));
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("a".to_owned(), 3)?;
    /// input.pipe("b".to_owned(), 4)?;
    /// assert_eq!(sum.load(Ordering::Relaxed), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn for_each(&self, action: impl Fn(&K, &V) + Send + Sync + 'static) {
        self.for_each_with(action, Named::default());
    }

    /// [`KStream::for_each`] with a name.
    #[track_caller]
    pub fn for_each_with(
        &self,
        action: impl Fn(&K, &V) + Send + Sync + 'static,
        named: impl Into<Named>,
    ) {
        let named = named.into();
        let operator = Operator { prefix: "KSTREAM-FOREACH-", named, changes_key: false };
        self.add::<K, V>(operator, Self::peek_supplier(action));
    }

    pub(super) fn peek_supplier(action: impl Fn(&K, &V) + Send + Sync + 'static) -> NodeSupplier {
        let action: Action<K, V> = Arc::new(action);
        node(move |linker| Ok(Peek { action: Arc::clone(&action), next: linker.outlet()? }))
    }
}
