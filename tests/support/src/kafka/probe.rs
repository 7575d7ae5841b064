//! Asks a broker how it sees its cluster.

use std::io;

use super::wire::{Answer, ask};

/// Metadata request, version 1, for all topics: API key 3, version, correlation id, client id, no list of
/// topics.
const REQUEST: &[u8] = b"\0\x03\0\x01\0\0\0\x07\0\x05probe\xff\xff\xff\xff";

/// A cluster as one of its brokers sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The ids of the brokers that are alive.
    pub(super) brokers: Vec<i32>,
    /// The partitions, as `topic-partition`, that have no leader, or fewer copies in sync than they should.
    pub(super) incomplete: Vec<String>,
}

/// The cluster as the broker on this loopback port sees it.
pub(super) fn view(port: u16) -> io::Result<View> {
    Answer(&ask(port, REQUEST)?).view()
}

impl Answer<'_> {
    fn view(mut self) -> io::Result<View> {
        self.int32()?; // the correlation id
        let brokers = self.list(|answer| {
            let id = answer.int32()?;
            answer.string()?; // host
            answer.int32()?; // port
            answer.string()?; // rack
            Ok(id)
        })?;
        self.int32()?; // the controller
        let topics = self.list(|answer| {
            answer.int16()?; // the topic's error; its partitions have their own
            let topic = answer.string()?;
            answer.take(1)?; // whether it is internal
            let partitions = answer.list(Self::partition)?;
            let incomplete = partitions.into_iter().flatten();
            Ok(incomplete.map(move |partition| format!("{topic}-{partition}")))
        })?;
        Ok(View { brokers, incomplete: topics.into_iter().flatten().collect() })
    }

    /// The number of a partition that is incomplete.
    fn partition(&mut self) -> io::Result<Option<i32>> {
        let error = self.int16()?;
        let partition = self.int32()?;
        let leader = self.int32()?;
        let copies = self.list(Self::int32)?;
        let in_sync = self.list(Self::int32)?;
        let complete = error == 0 && leader >= 0 && in_sync.len() == copies.len();
        Ok((!complete).then_some(partition))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Error, number, leader, copies, copies in sync.
    type Partition<'a> = (i16, i32, i32, &'a [i32], &'a [i32]);

    /// What a broker would send: correlation id, one broker per id, controller 1, one topic `t`.
    fn answer(brokers: &[i32], partitions: &[Partition<'_>]) -> Vec<u8> {
        let mut bytes = 7_i32.to_be_bytes().to_vec();
        let ids = |bytes: &mut Vec<u8>, ids: &[i32]| {
            bytes.extend(i32::try_from(ids.len()).unwrap().to_be_bytes());
            bytes.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
        };
        bytes.extend(i32::try_from(brokers.len()).unwrap().to_be_bytes());
        for id in brokers {
            bytes.extend(id.to_be_bytes());
            bytes.extend(b"\0\x04host\0\0\0\x09\xff\xff"); // port 9, no rack
        }
        bytes.extend(b"\0\0\0\x01\0\0\0\x01\0\0\0\x01t\0");
        bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
        for (error, partition, leader, copies, in_sync) in partitions {
            bytes.extend(error.to_be_bytes());
            bytes.extend(partition.to_be_bytes());
            bytes.extend(leader.to_be_bytes());
            ids(&mut bytes, copies);
            ids(&mut bytes, in_sync);
        }
        bytes
    }

    #[test]
    fn answer_of_a_broker_is_read_over_the_wire() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer(&[1, 2], &[]);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut vec![0; 4 + REQUEST.len()]).unwrap();
            stream.write_all(&i32::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        });
        assert_eq!(view(port).unwrap(), View { brokers: vec![1, 2], incomplete: Vec::new() });
        server.join().unwrap();
    }

    #[test]
    fn partition_without_a_leader_or_a_copy_is_incomplete() {
        let (three, two): (&[i32], &[i32]) = (&[1, 2, 3], &[1, 3]);
        let partitions = [(0, 0, 1, three, three), (0, 1, 1, three, two), (5, 2, -1, three, three)];
        let view = Answer(&answer(&[1], &partitions)).view().unwrap();
        assert_eq!(view.incomplete, ["t-1", "t-2"]);
    }

    #[test]
    fn answer_that_is_cut_off_is_an_error() {
        let whole = answer(&[1], &[(0, 0, 1, &[1], &[1])]);
        for end in 0..whole.len() {
            assert!(Answer(&whole[..end]).view().is_err(), "{end}");
        }
    }

    #[test]
    fn closed_port_is_an_error() {
        assert!(view(crate::free_port().unwrap()).is_err());
    }
}
