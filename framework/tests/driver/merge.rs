//! `merge`.

use kstream::KStream;

use crate::harness::Harness;

#[test]
fn merged_stream_has_the_records_of_all_in_the_order_they_are_processed() {
    let test = Harness::new(|builder| {
        let one: KStream<String, String> = builder.stream("one");
        one.merge(&builder.stream("two")).merge(&builder.stream("three")).to("out");
    });
    test.pipe_to("two", "k", "2", 20);
    test.pipe_to("one", "k", "1", 10);
    test.pipe_to("three", "k", "3", 5);
    test.pipe_to("one", "k", "4", 40);
    assert_eq!(test.out(), ["k=2@20", "k=1@10", "k=3@5", "k=4@40"]);
}

#[test]
fn stream_merged_with_itself_has_every_record_twice() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.merge(&stream).to("out");
    });
    test.pipe("k", "1", 1);
    assert_eq!(test.out(), ["k=1@1", "k=1@1"]);
}

#[test]
fn group_behind_a_merge_is_repartitioned_if_either_side_needs_it() {
    let topics = |rekey_one: bool, rekey_two: bool| {
        let test = Harness::new(|builder| {
            let mut one: KStream<String, String> = builder.stream("one");
            let mut two: KStream<String, String> = builder.stream("two");
            if rekey_one {
                one = one.select_key(|_, value| value.clone());
            }
            if rekey_two {
                two = two.select_key(|_, value| value.clone());
            }
            one.merge(&two).group_by_key().count().to_stream().to("out");
        });
        test.pipe_to("one", "a", "x", 0);
        test.pipe_to("two", "x", "a", 1);
        let repartition_topics = test.driver.task().borrow().repartition_topics().len();
        (repartition_topics, test.out_numbers())
    };
    assert_eq!(topics(false, false), (0, vec!["a=1@0".to_owned(), "x=1@1".to_owned()]));
    assert_eq!(topics(true, false), (1, vec!["x=1@0".to_owned(), "x=2@1".to_owned()]));
    assert_eq!(topics(false, true), (1, vec!["a=1@0".to_owned(), "a=2@1".to_owned()]));
    assert_eq!(topics(true, true), (1, vec!["x=1@0".to_owned(), "a=1@1".to_owned()]));
}
