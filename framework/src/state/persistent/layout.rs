//! The bytes inside a column family: a namespace byte before every key, and the position row.
//!
//! Users' rows live under [`ROWS`], the store's own row under a byte that sorts before it, so that no
//! user key can meet it and no scan of users' rows can show it.

use crate::ids::TopicId;
use crate::state::StorePosition;

/// The namespace of users' rows.
const ROWS: u8 = 0x01;

/// The first key after all users' rows.
pub(super) const AFTER_ROWS: [u8; 1] = [ROWS + 1];

/// Where the position row lives.
pub(super) const POSITION_KEY: [u8; 1] = [0x00];

/// The version of everything in this file. A store of a version that is not known is restored from its
/// changelog.
const FORMAT_VERSION: u8 = 2;

const POSITION_BYTES: usize = 1 + 8 + 8 + 16;

/// The version before, whose position row ends before the topic's id. The store's next batch brings it to
/// the present one: all else is the same.
const WITHOUT_TOPIC_ID: u8 = 1;

const POSITION_BYTES_WITHOUT_TOPIC_ID: usize = 1 + 8 + 8;

/// Overwrites `buffer` with the stored form of a user's key.
pub(super) fn write_row_key(buffer: &mut Vec<u8>, key: &[u8]) {
    buffer.clear();
    buffer.push(ROWS);
    buffer.extend_from_slice(key);
}

/// The stored form of a user's key.
pub(super) fn row_key(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + key.len());
    write_row_key(&mut stored, key);
    stored
}

/// A key below `stored_key`, with next to nothing between the two. RocksDB deletes files up to and
/// including a key; our ranges exclude their end.
pub(super) fn just_below(mut stored_key: Vec<u8>) -> Vec<u8> {
    const LONGEST_USUAL_TAIL: [u8; 16] = [0xff; 16];
    match stored_key.pop() {
        None | Some(0) => {}
        Some(last) => {
            stored_key.push(last - 1);
            stored_key.extend_from_slice(&LONGEST_USUAL_TAIL);
        }
    }
    stored_key
}

/// Position row: format version, next offset, written at, the changelog's topic id or zeros; numbers
/// big-endian.
pub(super) fn encode_position(position: StorePosition) -> [u8; POSITION_BYTES] {
    let mut row = [FORMAT_VERSION; POSITION_BYTES];
    let (_, rest) = row.split_at_mut(1);
    let (offset, rest) = rest.split_at_mut(8);
    let (time, topic_id) = rest.split_at_mut(8);
    offset.copy_from_slice(&position.next_offset.to_be_bytes());
    time.copy_from_slice(&position.written_at_ms.to_be_bytes());
    topic_id.copy_from_slice(&position.topic_id.map_or([0; 16], TopicId::to_bytes));
    row
}

/// Reads a position row; the error says what is wrong with it.
pub(super) fn decode_position(row: &[u8]) -> Result<StorePosition, String> {
    let Some((&version, numbers)) = row.split_first() else {
        return Err("its position row is empty".to_owned());
    };
    let expected = match version {
        FORMAT_VERSION => POSITION_BYTES,
        WITHOUT_TOPIC_ID => POSITION_BYTES_WITHOUT_TOPIC_ID,
        _ => {
            return Err(format!(
                "its format version is {version}, this program reads versions {WITHOUT_TOPIC_ID} to {FORMAT_VERSION}"
            ));
        }
    };
    let position = numbers.split_first_chunk::<8>().and_then(|(offset, rest)| {
        let (time, topic_id) = rest.split_first_chunk::<8>()?;
        let topic_id = match version {
            WITHOUT_TOPIC_ID => topic_id.is_empty().then_some(None)?,
            _ => TopicId::from_bytes(topic_id.try_into().ok()?),
        };
        let (next_offset, written_at_ms) = (i64::from_be_bytes(*offset), i64::from_be_bytes(*time));
        Some(StorePosition { next_offset, written_at_ms, topic_id })
    });
    position
        .ok_or_else(|| format!("its position row has {} bytes instead of {expected}", row.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_row_keeps_its_bytes() {
        let id: [u8; 16] = *b"0123456789abcdef";
        let topic_id = TopicId::from_bytes(id);
        let position = StorePosition { next_offset: 0x0102, written_at_ms: -1, topic_id };
        let row = encode_position(position);
        assert_eq!(row[..9], [2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((&row[9..17], &row[17..]), (&[255; 8][..], &id[..]));
        assert_eq!(decode_position(&row), Ok(position));
        let unnamed = StorePosition { topic_id: None, ..position };
        assert_eq!(decode_position(&encode_position(unnamed)), Ok(unnamed));
    }

    #[test]
    fn position_row_without_topic_id_is_read() {
        let row = [1, 0, 0, 0, 0, 0, 0, 1, 2, 255, 255, 255, 255, 255, 255, 255, 255];
        let position = StorePosition { next_offset: 0x0102, written_at_ms: -1, topic_id: None };
        assert_eq!(decode_position(&row), Ok(position));
    }

    #[test]
    fn other_version_or_length_is_refused_by_name() {
        for version in [0, 3, 255] {
            let row = [version; 33];
            let found = format!("version is {version}");
            assert!(decode_position(&row).unwrap_err().contains(&found));
        }
        assert!(decode_position(&[1, 0]).unwrap_err().contains("has 2 bytes instead of 17"));
        assert!(decode_position(&[1; 18]).unwrap_err().contains("has 18 bytes instead of 17"));
        assert!(decode_position(&[2; 17]).unwrap_err().contains("has 17 bytes instead of 33"));
        assert!(decode_position(&[2; 34]).unwrap_err().contains("has 34 bytes instead of 33"));
        assert!(decode_position(&[]).is_err());
    }

    #[test]
    fn just_below_is_below_the_key_and_above_shorter_tails() {
        for key in [&[0u8, 5][..], &[7, 0], &[1], &[0xff], &[3, 3, 0, 0]] {
            let end = row_key(key);
            let below = just_below(end.clone());
            assert!(below < end, "{below:?} < {end:?}");
            assert!(below >= row_key(&[]));
        }
        assert!(just_below(row_key(&[9])) > row_key(&[8, 0xff, 0xff]));
    }

    #[test]
    fn position_sorts_before_every_row_and_the_end_after() {
        assert!(POSITION_KEY[..] < row_key(&[])[..]);
        assert!(AFTER_ROWS[..] > row_key(&[0xff; 40])[..]);
    }
}
