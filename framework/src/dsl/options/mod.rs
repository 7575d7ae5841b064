//! The options that operators take, one object each, as in Kafka Streams.
//!
//! An option object comes with default serdes (`new`, `named`) where the types have them, or with serdes
//! of one's own (`with`).

mod async_calls;
mod branched;
mod consumed;
mod distinct;
mod emit_strategy;
mod grouped;
mod joined;
mod materialized;
mod named;
mod printed;
mod produced;
mod repartitioned;
mod stream_joined;
pub(crate) mod suppressed;
pub(crate) mod table_joined;

pub use async_calls::{AsyncCalls, CallOrder};
pub use branched::Branched;
pub use consumed::Consumed;
pub use distinct::Distinct;
pub use emit_strategy::EmitStrategy;
pub use grouped::Grouped;
pub use joined::Joined;
pub use materialized::Materialized;
pub use named::Named;
pub use printed::Printed;
pub use produced::Produced;
pub use repartitioned::Repartitioned;
pub(crate) use stream_joined::JoinStore;
pub use stream_joined::StreamJoined;
pub use suppressed::{
    BufferConfig, Eager, EagerBufferConfig, Strict, StrictBufferConfig, Suppressed,
};
pub use table_joined::TableJoined;

/// Hides serdes in `Debug` output.
macro_rules! debug_by_name {
    ($type:ident<$($param:ident),+> { $($field:ident),* }) => {
        impl<$($param),+> std::fmt::Debug for $type<$($param),+> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use debug_by_name;
