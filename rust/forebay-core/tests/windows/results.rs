use std::sync::Arc;

use forebay_core::window::{Aggregate, Aggregates, Aggregation, Closing, EventTime, Sample, WindowSpec, Windows};
use proptest::prelude::*;

use crate::case::{Case, at, case};
use crate::reference::{Row, reference};
use crate::run::run;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_records_alone_decide(case in case()) {
        let found = run(&case, case.shards, case.batch, false);
        let counts: Vec<Row> = found
            .iter()
            .map(|(end, key, start, text)| {
                let count = text.split_once("\"count\":").unwrap().1.split(',').next().unwrap();
                (*end, key.clone(), *start, count.parse().unwrap())
            })
            .collect();
        prop_assert_eq!(counts, reference(&case));
        let one_by_one = Case { turns: vec![0], ..case.clone() };
        prop_assert_eq!(run(&one_by_one, 1, 1, false), found.clone());
        prop_assert_eq!(run(&case, case.shards, case.batch, true), found);
    }
}

#[test]
fn a_result_as_it_is_written() {
    let spec = WindowSpec::tumbling(300_000).unwrap();
    let plan = Arc::new(Aggregates::new(&[Aggregate { aggregation: Aggregation::Count, field: None }]).unwrap());
    let mut windows = Windows::new(spec, plan);
    let time = at(1_736_935_199_999);
    let sample = Sample { time, partition: 0, offset: 0, values: &[] };
    windows.add(spec.admit(time, EventTime::MIN).unwrap(), b"\"user-123\"", &sample);
    assert!(windows.bytes() > 0);
    assert_eq!(windows.newest_end(), Some(at(1_736_935_200_000)));
    let mut text = Vec::new();
    assert_eq!(windows.close(at(1_736_935_199_999), 10, |_| panic!("it is open")), Closing::Done);
    assert_eq!(windows.close(at(1_736_935_200_000), 10, |result| result.write(&mut text)), Closing::Done);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        r#"{"windowStart":"2025-01-15T09:55:00.000Z","windowEnd":"2025-01-15T10:00:00.000Z","key":"user-123","count":1}"#
    );
    assert_eq!(windows.bytes(), 0);
}
