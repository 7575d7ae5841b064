//! `transform_values` on a table: values from a transformer of the user's own, which may use stores.

use std::panic::Location;
use std::sync::Arc;

use super::KTable;
use super::derive::{Derivation, DerivedRows, RowOperator};
use super::origin::DerivedSupplier;
use crate::dsl::options::{Materialized, Named};
use crate::dsl::processor_supplier::ValueTransformerWithKeySupplier;
use crate::graph::UserStores;
use crate::processor::Data;
use crate::processor::operators::table_transform::{
    TableTransform, TransformedGetter, Transformer,
};
use crate::processor::value_transformer::ValueTransformerWithKey;
use crate::topology::link::{Linker, NodeSupplier, flushing_processor};

impl<K: Data, V: Data> KTable<K, V> {
    /// Makes a new value of each row's value, with a transformer of the user's own.
    ///
    /// **Shape**: `(K, V)` rows → `(K, VOut)` rows; the key does not change. Unlike a mapper, the transformer
    /// also sees deletions. If another operator reads the table, a second transformer works its rows out on
    /// each read, and a deletion in it may be a row that is not there; keep the table with
    /// [`KTable::transform_values_materialized`] if the transformer remembers anything.
    ///
    /// # Errors
    /// What the transformer fails with stops the application, or goes to its handler, with the node's name.
    ///
    /// # Examples
    /// ```
    /// use kstream::{
    ///     KTable, ProcessorError, StreamsBuilder, TransformContext, ValueTransformerWithKey,
    /// };
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// /// Says when each value came.
    /// struct Dated;
    ///
    /// impl ValueTransformerWithKey<String, i64, String> for Dated {
    ///     fn transform(
    ///         &mut self,
    ///         context: &mut TransformContext<'_>,
    ///         _key: &String,
    ///         value: Option<i64>,
    ///     ) -> Result<Option<String>, ProcessorError> {
    ///         let now = context.current_stream_time_ms();
    ///         Ok(value.map(|value| format!("{value} at {now}")))
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices: KTable<String, i64> = builder.table("prices");
    /// prices.transform_values(|| Dated).to_stream().to("dated");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("prices").pipe_at("tea".to_owned(), 3, 70)?;
    /// let dated = driver.output_topic::<String, Option<String>>("dated");
    /// assert_eq!(dated.read_key_values()?, [("tea".to_owned(), Some("3 at 70".to_owned()))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.transformValues`.
    #[track_caller]
    pub fn transform_values<VOut: Data>(
        &self,
        supplier: impl ValueTransformerWithKeySupplier<K, V, VOut>,
    ) -> KTable<K, VOut> {
        self.transform_values_with(supplier, Named::default(), &[])
    }

    /// [`KTable::transform_values`] with a name, and with the names of the stores that the transformer uses;
    /// see [`KStream::process_with`](crate::KStream::process_with).
    #[track_caller]
    pub fn transform_values_with<VOut: Data>(
        &self,
        supplier: impl ValueTransformerWithKeySupplier<K, V, VOut>,
        named: impl Into<Named>,
        stores: &[&str],
    ) -> KTable<K, VOut> {
        self.add_transform(supplier, named.into(), stores, None)
    }

    /// [`KTable::transform_values`] with a name, with the names of the stores that the transformer uses, and
    /// with a store for the rows, if `materialized` names one.
    #[track_caller]
    pub fn transform_values_materialized<VOut: Data>(
        &self,
        supplier: impl ValueTransformerWithKeySupplier<K, V, VOut>,
        named: impl Into<Named>,
        stores: &[&str],
        materialized: Materialized<K, VOut>,
    ) -> KTable<K, VOut> {
        self.add_transform(supplier, named.into(), stores, Some(materialized))
    }

    #[track_caller]
    fn add_transform<VOut: Data>(
        &self,
        supplier: impl ValueTransformerWithKeySupplier<K, V, VOut>,
        named: Named,
        stores: &[&str],
        materialized: Option<Materialized<K, VOut>>,
    ) -> KTable<K, VOut> {
        let location = Location::caller();
        let used = UserStores::new(stores, supplier.stores());
        let make: MakeTransformer<K, V, VOut> = Arc::new(move || Box::new(supplier.get()));
        let (prefix, operator) = ("KTABLE-TRANSFORMVALUES-", Transforming(make));
        let derivation = Derivation { prefix, named, operator, materialized, value_serde: None };
        let table = self.derive(derivation, location);
        self.plan.borrow_mut().connect(table.node, used, location);
        table
    }
}

/// Makes the transformers of a node, one per task.
type MakeTransformer<K, P, V> =
    Arc<dyn Fn() -> Box<dyn ValueTransformerWithKey<K, P, V>> + Send + Sync>;

struct Transforming<K, P, V>(MakeTransformer<K, P, V>);

fn transformer<K: Data, P: Data, V: Data>(
    make: &MakeTransformer<K, P, V>,
    linker: &Linker<'_>,
) -> Transformer<K, P, V> {
    Transformer::new(make(), linker.processor_node())
}

impl<K: Data, P: Data, V: Data> RowOperator<K, P, V> for Transforming<K, P, V> {
    const IS_FILTER: bool = false;
    const NUMBERS_UNMADE_STORE: bool = false;

    fn supplier(&self, rows: DerivedRows<K>) -> NodeSupplier {
        let make = Arc::clone(&self.0);
        flushing_processor(move |linker| {
            Ok(TableTransform {
                transformer: transformer(&make, linker),
                kept: rows.link(linker)?,
                send_old: rows.send_old.is_enabled(),
                next: linker.outlet()?,
            })
        })
    }

    fn getter(self) -> DerivedSupplier<K, P, V> {
        let make = self.0;
        Arc::new(move |linker, parent| {
            Ok(Box::new(TransformedGetter {
                parent,
                transformer: transformer(&make, linker),
                started: false,
                no_topic: "".into(),
            }))
        })
    }
}
