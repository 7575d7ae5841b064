//! The order in which Kafka Streams writes a suppression buffer's changes to its changelog: that of a
//! Java `HashSet` of the keys' bytes. It means nothing to a restore, but makes changelogs comparable to
//! the byte.

use std::rc::Rc;

/// The table of a Java hash set that is filled and cleared again and again.
#[derive(Debug)]
pub(super) struct HashSetOrder {
    /// A power of two; it grows at a load of three quarters and never shrinks.
    buckets: usize,
}

impl HashSetOrder {
    pub(super) const fn new() -> Self {
        Self { buckets: 16 }
    }

    /// Sorts distinct keys, which stand in the order in which they were added.
    pub(super) fn sort(&mut self, keys: &mut [Rc<[u8]>]) {
        while keys.len() > self.buckets / 4 * 3 {
            self.buckets *= 2;
        }
        if keys.len() > 1 {
            let mask = self.buckets - 1;
            keys.sort_by_cached_key(|key| bucket(key, mask));
        }
    }
}

/// `Arrays.hashCode`, its high half folded in as `HashMap` does.
fn bucket(key: &[u8], mask: usize) -> usize {
    let hash = key.iter().fold(1_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add_signed(i32::from(byte.cast_signed()))
    });
    (hash ^ (hash >> 16)) as usize & mask
}
