//! Names: a prefix and a counter of ten digits, as Kafka Streams gives them. A name that the user chose
//! still uses a number up, so that naming one node renames no other.

use super::Plan;

/// The names around a repartition topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepartitionNames {
    pub(crate) topic: String,
    pub(crate) filter: String,
    pub(crate) sink: String,
    pub(crate) source: String,
}

impl Plan {
    /// A processor name.
    pub(crate) fn processor_name(&mut self, prefix: &str) -> String {
        let number = self.counter;
        self.counter += 1;
        let name = format!("{prefix}{number:010}");
        self.generated.add(&name);
        name
    }

    /// The user's name, or else a generated one; a number is used up either way.
    pub(crate) fn name_or(&mut self, name: Option<String>, prefix: &str) -> String {
        let generated = self.processor_name(prefix);
        name.unwrap_or(generated)
    }

    /// A store name.
    pub(crate) fn store_name(&mut self, prefix: &str) -> String {
        self.processor_name(&format!("{prefix}STATE-STORE-"))
    }

    /// The names around the repartition topic `<prefix>-repartition`. Nodes around a topic whose prefix
    /// is generated have generated names as well.
    pub(crate) fn repartition_names(&mut self, prefix: &str) -> RepartitionNames {
        let sink = self.processor_name("KSTREAM-SINK-");
        let filter = self.processor_name("KSTREAM-FILTER-");
        let source = self.processor_name("KSTREAM-SOURCE-");
        let topic = if prefix.ends_with("-repartition") {
            prefix.to_owned()
        } else {
            format!("{prefix}-repartition")
        };
        if is_generated(prefix) {
            return RepartitionNames { topic, filter, sink, source };
        }
        RepartitionNames {
            filter: format!("{topic}-filter"),
            sink: format!("{topic}-sink"),
            source: format!("{topic}-source"),
            topic,
        }
    }
}

/// Whether a name is one of ours: `KSTREAM…-` and ten digits.
fn is_generated(name: &str) -> bool {
    name.starts_with("KSTREAM")
        && name.rsplit_once('-').is_some_and(|(_, digits)| {
            digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}
