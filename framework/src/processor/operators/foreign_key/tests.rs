//! Hashes and bytes of foreign-key joins, against what Kafka Streams 4.3 has written.

use proptest::prelude::*;

use super::murmur3::murmur3_128;
use super::wire::{
    Instruction, Response, ResponseSerde, Subscription, SubscriptionSerde, behind_prefix,
    write_combined_key,
};
use crate::serdes::{DefaultSerde, Serde};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn bytes<T>(serde: &impl Serde<T>, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    serde.serialize(value, &mut bytes).unwrap();
    bytes
}

fn subscriptions() -> SubscriptionSerde<String> {
    SubscriptionSerde { primary_key: String::default_serde() }
}

fn responses() -> ResponseSerde<String> {
    ResponseSerde { value: String::default_serde() }
}

#[test]
fn hashes_are_those_of_kafka_streams() {
    let hash = |text: &str| format!("{:032x}", murmur3_128(text.as_bytes()));
    assert_eq!(hash("c:53"), "81371073bacc9f03f2f23596ebe7754f");
    assert_eq!(hash("-:7"), "3d5bedcea66d0fdcf737f74eec77cdb3");
    assert_eq!(hash("self"), "3f9f7247467bb987f336f007dafd6ca9");
}

/// A transcription of Kafka Streams' algorithm, byte by byte, for every length of the tail.
fn naive(data: &[u8]) -> u128 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let (mut h1, mut h2) = (104_729_u64, 104_729_u64);
    let mut rest = data;
    while rest.len() >= 16 {
        h1 ^= word(&rest[..8]).wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= word(&rest[8..16]).wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
        rest = &rest[16..];
    }
    if rest.len() > 8 {
        h2 ^= word(&rest[8..]).wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    }
    if !rest.is_empty() {
        h1 ^= word(&rest[..rest.len().min(8)]).wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    }
    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    for h in [&mut h1, &mut h2] {
        *h = (*h ^ (*h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        *h = (*h ^ (*h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        *h ^= *h >> 33;
    }
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    u128::from(h1) << 64 | u128::from(h2)
}

#[test]
fn subscriptions_are_written_as_kafka_streams_does() {
    let subscription = |text: Option<&str>, instruction| Subscription {
        hash: text.map(|text| murmur3_128(text.as_bytes())),
        instruction,
        primary_key: "k1".to_owned(),
        primary_partition: Some(0),
    };
    let insert = subscription(Some("c:53"), Instruction::SubscribeAndAnswerIfFound);
    assert_eq!(
        hex(&bytes(&subscriptions(), &insert)),
        "010381371073bacc9f03f2f23596ebe7754f6b3100000000"
    );
    let delete = subscription(None, Instruction::UnsubscribeAndAnswer);
    assert_eq!(hex(&bytes(&subscriptions(), &delete)), "81016b3100000000");
    // Version 0 does not know the partition.
    let old = Subscription { primary_partition: None, ..delete };
    assert_eq!(hex(&bytes(&subscriptions(), &old)), "80016b31");
}

#[test]
fn responses_are_written_as_kafka_streams_does() {
    let hash = Some(murmur3_128(b"a:76"));
    let response = |hash, value: Option<&str>| Response {
        hash,
        value: value.map(str::to_owned),
        primary_partition: Some(3),
    };
    let found = bytes(&responses(), &response(hash, Some("R37")));
    assert_eq!(hex(&found), "000260fc1776ca2f166d0a3e1173b22d5d523337");
    assert_eq!(hex(&bytes(&responses(), &response(None, None))), "80");
    let read = responses().deserialize(&found).unwrap();
    assert_eq!(read, Response { primary_partition: None, ..response(hash, Some("R37")) });
}

#[test]
fn bytes_that_are_none_of_ours_are_refused() {
    for bad in
        [&b""[..], b"\x01", b"\x01\x02short", b"\x81\x04k\0\0\0\0", b"\x82\x01k", b"\x81\x01\0"]
    {
        assert!(subscriptions().deserialize(bad).is_err(), "{bad:?}");
    }
    for bad in [&b""[..], b"\x00short", b"\x81"] {
        assert!(responses().deserialize(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn combined_keys_begin_with_the_length_of_the_foreign_key() {
    let (text, number) = (String::default_serde(), i64::default_serde());
    let mut bytes = Vec::new();
    let primary = Some((&*number, &1_i64));
    write_combined_key((&*text, &"ab".to_owned()), primary, &mut bytes).unwrap();
    assert_eq!(hex(&bytes), "0000000261620000000000000001");
    write_combined_key::<_, i64>((&*text, &"ab".to_owned()), None, &mut bytes).unwrap();
    assert_eq!(hex(&bytes), "000000026162");
}

#[test]
fn behind_a_prefix_is_the_next_one() {
    assert_eq!(behind_prefix(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(behind_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
    assert_eq!(behind_prefix(b"\xff"), None);
}

fn instruction() -> impl Strategy<Value = Instruction> {
    prop_oneof![
        Just(Instruction::Unsubscribe),
        Just(Instruction::UnsubscribeAndAnswer),
        Just(Instruction::Subscribe),
        Just(Instruction::SubscribeAndAnswerIfFound),
    ]
}

proptest! {
    #[test]
    fn hashes_are_those_of_the_naive_algorithm(data in prop::collection::vec(any::<u8>(), 0..70)) {
        prop_assert_eq!(murmur3_128(&data), naive(&data));
    }

    #[test]
    fn what_is_written_is_read_back(
        hash in any::<Option<u128>>(),
        instruction in instruction(),
        primary_key in ".*",
        primary_partition in any::<Option<i32>>(),
        value in prop::option::of(".+"),
    ) {
        let subscription = Subscription { hash, instruction, primary_key, primary_partition };
        let written = bytes(&subscriptions(), &subscription);
        prop_assert_eq!(subscriptions().deserialize(&written).unwrap(), subscription);
        let response = Response { hash, value, primary_partition: None };
        let written = bytes(&responses(), &response);
        prop_assert_eq!(responses().deserialize(&written).unwrap(), response);
    }
}
