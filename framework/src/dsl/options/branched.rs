//! What a branch is called and where it goes.

use crate::dsl::KStream;

/// What happens to a branch's stream: it may end where it goes, or come out of it.
type Chain<K, V> = Box<dyn FnOnce(KStream<K, V>) -> Option<KStream<K, V>>>;

/// A branch's name and what is done with it.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Branched` (KIP-418).
pub struct Branched<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) chain: Option<Chain<K, V>>,
}

impl<K, V> Branched<K, V> {
    /// A branch of this name; it is found under the splitter's name followed by this one.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), chain: None }
    }

    /// A branch whose stream goes through `function`; the result is what is found under its name.
    pub fn with_function(function: impl FnOnce(KStream<K, V>) -> KStream<K, V> + 'static) -> Self {
        Self { name: None, chain: Some(Box::new(|stream| Some(function(stream)))) }
    }

    /// A branch that `consumer` deals with; it is not among the results.
    pub fn with_consumer(consumer: impl FnOnce(KStream<K, V>) + 'static) -> Self {
        let chain = |stream| {
            consumer(stream);
            None
        };
        Self { name: None, chain: Some(Box::new(chain)) }
    }

    /// Names the branch.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<K, V> std::fmt::Debug for Branched<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Branched").field("name", &self.name).finish_non_exhaustive()
    }
}
