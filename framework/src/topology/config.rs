//! How a topology is built: which rewrites, which names.

use std::str::FromStr;

/// Which rewrites save topics and stores when a topology is built; none by default, as in Kafka Streams.
///
/// A rewrite changes the internal topics: one that is switched on or off for an application that has run
/// needs a new application id, or a reset.
///
/// # Examples
/// Kafka's texts are read as well:
/// ```
/// use kstream::TopologyOptimization;
///
/// let both = TopologyOptimization::none().reuse_ktable_source_topics().merge_repartition_topics();
/// assert_eq!("reuse.ktable.source.topics,merge.repartition.topics".parse(), Ok(both));
/// assert_eq!("all".parse(), Ok(TopologyOptimization::all()));
/// ```
///
/// # Source
/// `StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG` (`topology.optimization`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices, not a state")]
pub struct TopologyOptimization {
    pub(crate) reuse_source_topics: bool,
    pub(crate) merge_repartitions: bool,
    pub(crate) self_joins: bool,
}

impl TopologyOptimization {
    /// No rewrite; `none`.
    pub const fn none() -> Self {
        Self { reuse_source_topics: false, merge_repartitions: false, self_joins: false }
    }

    /// Every rewrite; `all`.
    pub const fn all() -> Self {
        Self { reuse_source_topics: true, merge_repartitions: true, self_joins: true }
    }

    /// The store of a table read from a topic has no changelog: it is restored from the topic, which should
    /// be compacted. `reuse.ktable.source.topics`.
    #[must_use]
    pub const fn reuse_ktable_source_topics(mut self) -> Self {
        self.reuse_source_topics = true;
        self
    }

    /// Behind an operator that changes keys there is one repartition topic for all that need one.
    /// `merge.repartition.topics`.
    #[must_use]
    pub const fn merge_repartition_topics(mut self) -> Self {
        self.merge_repartitions = true;
        self
    }

    /// A stream that is joined with itself is kept once. `single.store.self.join`.
    #[must_use]
    pub const fn single_store_self_join(mut self) -> Self {
        self.self_joins = true;
        self
    }
}

/// A text that is no value of `topology.optimization`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no topology optimization; there are `none`, `all`, and lists of `reuse.ktable.source.topics`, \
     `merge.repartition.topics` and `single.store.self.join`"
)]
pub struct UnknownOptimization(String);

impl FromStr for TopologyOptimization {
    type Err = UnknownOptimization;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "none" => return Ok(Self::none()),
            "all" => return Ok(Self::all()),
            _ => {}
        }
        text.split(',').map(str::trim).try_fold(Self::none(), |wanted, name| match name {
            "reuse.ktable.source.topics" => Ok(wanted.reuse_ktable_source_topics()),
            "merge.repartition.topics" => Ok(wanted.merge_repartition_topics()),
            "single.store.self.join" => Ok(wanted.single_store_self_join()),
            other => Err(UnknownOptimization(other.to_owned())),
        })
    }
}

/// How [`StreamsBuilder::build_with`](crate::StreamsBuilder::build_with) makes a topology.
///
/// # Examples
/// ```
/// use kstream::{KStream, StreamsBuilder, TopologyConfig, TopologyOptimization};
///
/// let builder = StreamsBuilder::new();
/// let views: KStream<String, String> = builder.stream("views");
/// views.group_by(|_, page| page.clone()).count().to_stream().to("counts");
/// let config = TopologyConfig::new()
///     .optimization(TopologyOptimization::all())
///     .ensure_explicit_names(true);
/// let mistakes = builder.build_with(&config).unwrap_err();
/// assert_eq!(mistakes.iter().count(), 2, "a store and a repartition topic have no name: {mistakes}");
/// ```
///
/// # Source
/// `org.apache.kafka.streams.TopologyConfig`, and the properties given to `StreamsBuilder.build(Properties)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopologyConfig {
    pub(crate) optimization: TopologyOptimization,
    pub(crate) explicit_names: bool,
}

impl TopologyConfig {
    /// No rewrites; generated names are allowed.
    pub const fn new() -> Self {
        Self { optimization: TopologyOptimization::none(), explicit_names: false }
    }

    /// Which rewrites are done (`topology.optimization`); none by default.
    #[must_use]
    pub const fn optimization(mut self, optimization: TopologyOptimization) -> Self {
        self.optimization = optimization;
        self
    }

    /// Refuses generated names of stores, changelogs and repartition topics
    /// (`ensure.explicit.internal.resource.naming`, KIP-1111): an operator added in front changes them, and
    /// the application would begin anew. Off by default.
    #[must_use]
    pub const fn ensure_explicit_names(mut self, ensure: bool) -> Self {
        self.explicit_names = ensure;
        self
    }
}
