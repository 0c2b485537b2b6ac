use std::sync::Arc;

use forebay_core::window::{
    Aggregate, Aggregates, Aggregation, Closing, EventTime, Sample, WindowCount, WindowResult, WindowSpec, Windows,
};
use proptest::prelude::*;

use crate::case::{Case, at, case};
use crate::reference::{Row, reference};
use crate::run::{Mode, count_of, run};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_records_alone_decide(case in case()) {
        let found = run(&case, case.shards, case.batch, Mode::Updates);
        let counts: Vec<Row> = found.iter().map(|(end, key, start, text)| (*end, key.clone(), *start, count_of(text))).collect();
        prop_assert_eq!(counts, reference(&case));
        for (end, _, start, text) in &found {
            let is_incomplete = case.missing.iter().any(|(from, to)| from < end && start < to);
            let ending = if is_incomplete { r#","incomplete":true,"final":true}"# } else { r#","final":true}"# };
            prop_assert!(text.ends_with(ending) && text.contains("incomplete") == is_incomplete, "{text}");
        }
        let one_by_one = Case { turns: vec![0], ..case.clone() };
        prop_assert_eq!(run(&one_by_one, 1, 1, Mode::Plain), found.clone());
        prop_assert_eq!(run(&case, case.shards, case.batch, Mode::Crashes), found);
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
    let (mut text, mut counts) = (Vec::new(), Vec::new());
    let open = windows.close(at(1_736_935_199_999), 10, |_| panic!("it is open"), |_| panic!("it is open"));
    assert_eq!(open, Closing::Done);
    let write =
        |result: WindowResult<'_>| [false, true].iter().for_each(|says_final| result.write(*says_final, &mut text));
    assert_eq!(windows.close(at(1_736_935_200_000), 10, write, |count| counts.push(count)), Closing::Done);
    let members =
        r#""windowStart":"2025-01-15T09:55:00.000Z","windowEnd":"2025-01-15T10:00:00.000Z","key":"user-123","count":1"#;
    assert_eq!(String::from_utf8(text).unwrap(), format!(r#"{{{members}}}{{{members},"final":true}}"#));
    assert_eq!(windows.bytes(), 0);
    let (start, end) = (at(1_736_934_900_000), at(1_736_935_200_000));
    assert_eq!(counts, [WindowCount { start, end, events: 1 }]);
}
