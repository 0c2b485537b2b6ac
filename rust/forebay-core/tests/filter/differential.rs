//! The compiled plan beside the interpreter, on generated expressions and records.
//!
//! `FOREBAY_FILTER_CASES` sets the number of expressions (default 1,500), each with [`RECORDS`] records, and
//! `FOREBAY_FILTER_SEED` where the sequence begins. A failure prints the seed of its one expression.

use forebay_core::json::validate;
use forebay_core::predicate::MAX_FAILURE_BYTES;
use forebay_core::record::Record;
use forebay_core::{Evaluation, Filter, Offset, PartitionId, Timestamp};

use crate::generate::Generator;
use crate::random::setting;

const DEFAULT_CASES: u64 = 1_500;
const RECORDS: usize = 40;
const PLACE: (PartitionId, Offset) = (PartitionId(1), Offset(1000));

/// How often each outcome was met: expressions that fail for every record would agree as well.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    compiled: u64,
    mixed: u64,
    matches: u64,
    misses: u64,
    failures: u64,
}

fn class(evaluation: &Evaluation<'_>) -> &'static str {
    match evaluation {
        Evaluation::Match => "match",
        Evaluation::NoMatch => "no match",
        Evaluation::Failed(_) => "failed",
    }
}

#[test]
fn the_plan_and_the_interpreter_agree() {
    let cases = setting("FOREBAY_FILTER_CASES", DEFAULT_CASES);
    let first = setting("FOREBAY_FILTER_SEED", 1);
    let mut tally = Tally::default();
    for seed in first..first.saturating_add(cases) {
        check(seed, &mut tally);
    }
    println!("{cases} expressions from seed {first}: {tally:?}");
    if cases >= 1_000 {
        let (all, evaluations) = (tally.compiled + tally.mixed, tally.matches + tally.misses + tally.failures);
        assert!(tally.refused < cases / 10 && tally.compiled > all / 4 && tally.mixed > all / 4, "{tally:?}");
        assert!(
            [tally.matches, tally.misses, tally.failures].iter().all(|count| *count > evaluations / 8),
            "{tally:?}"
        );
    }
}

fn check(seed: u64, tally: &mut Tally) {
    let mut generator = Generator::new(seed);
    let expression = generator.expression();
    let Ok(filter) = Filter::new(&expression) else {
        tally.refused += 1;
        return;
    };
    let interpreter = Filter::new(&expression).unwrap().uncompiled();
    *if filter.is_compiled() { &mut tally.compiled } else { &mut tally.mixed } += 1;
    for _ in 0..RECORDS {
        let (value, headers, key) = (generator.value(), generator.headers(), generator.key());
        assert_eq!(validate(value.as_bytes()), Ok(()), "{value}");
        let record = Record {
            timestamp: Timestamp(1_500_000),
            key: key.as_deref(),
            headers: headers.as_bytes(),
            value: value.as_bytes(),
        };
        let evaluation = filter.evaluate(PLACE.0, PLACE.1, &record);
        let wanted = interpreter.evaluate(PLACE.0, PLACE.1, &record);
        assert_eq!(
            class(&evaluation),
            class(&wanted),
            "FOREBAY_FILTER_SEED={seed} FOREBAY_FILTER_CASES=1: {expression}\n{evaluation:?}\n{wanted:?}\n{record:?}\n{value}\n{headers}"
        );
        match &evaluation {
            Evaluation::Match => tally.matches += 1,
            Evaluation::NoMatch => tally.misses += 1,
            Evaluation::Failed(why) => {
                tally.failures += 1;
                let why = why.to_string();
                assert!((10..=MAX_FAILURE_BYTES).contains(&why.len()), "{expression}: {why}");
            }
        }
    }
}

/// Stored JSON is valid; what a defect made of it may be evaluated to anything, but ends nothing.
#[test]
fn damaged_records_do_no_harm() {
    for seed in 0..200 {
        let mut generator = Generator::new(seed);
        let Ok(filter) = Filter::new(&generator.expression()) else { continue };
        for _ in 0..5 {
            let value = generator.value().into_bytes();
            for cut in 0..value.len() {
                let mut torn = value.clone();
                torn[cut] = [b'"', b'\\', b'{', b']', 0xff, 0][(cut + value.len()) % 6];
                for value in [&value[..cut], &value[cut..], &torn] {
                    let record = Record { timestamp: Timestamp(0), key: None, headers: value, value };
                    let _any = filter.evaluate(PLACE.0, PLACE.1, &record);
                }
            }
        }
    }
}
