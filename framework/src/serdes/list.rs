//! Lists, byte for byte as Kafka's list serde writes them.

use std::fmt;
use std::sync::Arc;

use super::{ArcSerde, Serde, SerdeError};

/// Lists of values of one type.
///
/// Elements that all take the same number of bytes in Java (16-, 32- and 64-bit numbers, UUIDs) stand side by
/// side, after the places of the null ones; others have their length in front, −1 for null. All numbers are
/// big-endian `i32`.
///
/// # Examples
/// ```
/// use kstream::serdes::{DefaultSerde, Serde, list};
///
/// let numbers = list(i64::default_serde());
/// let mut bytes = Vec::new();
/// numbers.serialize(&vec![7, 8], &mut bytes)?;
/// assert_eq!(bytes.len(), 1 + 4 + 4 + 2 * 8);
/// assert_eq!(numbers.deserialize(&bytes)?, [7, 8]);
/// # Ok::<(), kstream::serdes::SerdeError>(())
/// ```
///
/// # Source
/// `Serdes.ListSerde` (KIP-466).
pub struct ListSerde<T>(ArcSerde<T>);

/// A serde of lists over `inner`, to pass to an option.
pub fn list<T: 'static>(inner: ArcSerde<T>) -> ArcSerde<Vec<T>> {
    Arc::new(ListSerde(inner))
}

/// The first byte: how elements are written.
const FIXED: u8 = 0;
const WITH_LENGTH: u8 = 1;
/// The length of a null element.
const NULL: i32 = -1;

impl<T> fmt::Debug for ListSerde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListSerde").finish_non_exhaustive()
    }
}

impl<T: 'static> Serde<Vec<T>> for ListSerde<T> {
    fn serialize(&self, list: &Vec<T>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        let fixed = self.0.fixed_bytes().is_some();
        bytes.push(if fixed { FIXED } else { WITH_LENGTH });
        if fixed {
            let nulls = list.iter().enumerate().filter(|(_, element)| self.0.is_null(element));
            let places: Vec<usize> = nulls.map(|(place, _)| place).collect();
            write_int(places.len(), bytes)?;
            places.into_iter().try_for_each(|place| write_int(place, bytes))?;
        }
        write_int(list.len(), bytes)?;
        for element in list {
            if self.0.is_null(element) {
                if !fixed {
                    bytes.extend_from_slice(&NULL.to_be_bytes());
                }
                continue;
            }
            let start = bytes.len();
            if fixed {
                self.0.serialize(element, bytes)?;
                continue;
            }
            bytes.extend_from_slice(&[0; 4]);
            self.0.serialize(element, bytes)?;
            let length = i32::try_from(bytes.len() - start - 4)?.to_be_bytes();
            if let Some(place) = bytes.get_mut(start..start + 4) {
                place.copy_from_slice(&length);
            }
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Vec<T>, SerdeError> {
        let mut rest = Rest(bytes);
        let fixed = match (rest.take(1)?, self.0.fixed_bytes()) {
            ([FIXED], Some(length)) => Some(length),
            ([FIXED], None) => return Err("the list's elements have no fixed length".into()),
            ([WITH_LENGTH], _) => None,
            (flag, _) => return Err(format!("{flag:?} begins no list").into()),
        };
        let nulls = match fixed {
            Some(_) => (0..rest.int()?).map(|_| rest.int()).collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        let count = rest.int()?;
        // A wrong count is found out by what follows; it reserves nothing.
        let mut list = Vec::new();
        for place in 0..count {
            let length = match fixed {
                Some(_) if nulls.contains(&place) => None,
                Some(length) => Some(length),
                None => match rest.int()? {
                    NULL => None,
                    length => Some(usize::try_from(length)?),
                },
            };
            list.push(match length {
                Some(length) => self.0.deserialize(rest.take(length)?)?,
                None => self.0.null().ok_or("the list has a null, which the elements have not")?,
            });
        }
        Ok(list)
    }

    fn memory_bytes(&self, list: &Vec<T>) -> usize {
        size_of::<Vec<T>>() + list.iter().map(|element| self.0.memory_bytes(element)).sum::<usize>()
    }
}

fn write_int(number: usize, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
    bytes.extend_from_slice(&i32::try_from(number)?.to_be_bytes());
    Ok(())
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SerdeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("the list ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32, SerdeError> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serdes::DefaultSerde;

    fn bytes_of<T: 'static>(serde: &ArcSerde<Vec<T>>, list: &Vec<T>) -> Vec<u8> {
        let mut bytes = Vec::new();
        serde.serialize(list, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn bytes_are_javas() {
        let numbers = list(<Option<i16>>::default_serde());
        let expected = [&[0][..], &[0, 0, 0, 1], &[0, 0, 0, 1], &[0, 0, 0, 3], &[0, 7, 0, 9]];
        assert_eq!(bytes_of(&numbers, &vec![Some(7), None, Some(9)]), expected.concat());
        let texts = list(<Option<String>>::default_serde());
        let expected = [&[1][..], &[0, 0, 0, 2], &[0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 2], b"ab"];
        assert_eq!(bytes_of(&texts, &vec![None, Some("ab".to_owned())]), expected.concat());
    }

    proptest! {
        #[test]
        fn lists_come_back(
            numbers: Vec<Option<i64>>,
            texts in prop::collection::vec(prop::option::of("[a-z]{0,3}"), 0..8),
        ) {
            let serde = list(<Option<i64>>::default_serde());
            prop_assert_eq!(serde.deserialize(&bytes_of(&serde, &numbers)).unwrap(), numbers);
            let serde = list(<Option<String>>::default_serde());
            prop_assert_eq!(serde.deserialize(&bytes_of(&serde, &texts)).unwrap(), texts);
        }

        #[test]
        fn any_bytes_are_a_list_or_an_error(bytes: Vec<u8>) {
            drop(list(i64::default_serde()).deserialize(&bytes));
            drop(list(String::default_serde()).deserialize(&bytes));
        }
    }
}
