use std::collections::{BTreeMap, BTreeSet};

use forebay_core::window::WindowSpec;

use crate::case::{Case, Event};

pub type Row = (i64, String, i64, u64);

/// (end, key, start, count) of every window, by hand.
pub fn reference(case: &Case) -> Vec<Row> {
    let mut admitted: Vec<(&Event, Option<i64>)> = Vec::new();
    for events in &case.partitions {
        let mut own: Option<i64> = None;
        for event in events {
            admitted.push((event, own));
            own = own.max(Some(event.time - case.lateness));
        }
    }
    let is_open = |end: i64, own: Option<i64>| own.is_none_or(|own| end > own);
    let mut rows = BTreeMap::new();
    match case.spec {
        WindowSpec::Tumbling { size } => count_windows(&admitted, size, size, is_open, &mut rows),
        WindowSpec::Sliding { size, slide } => count_windows(&admitted, size, slide, is_open, &mut rows),
        WindowSpec::Session { gap } => {
            for key in admitted.iter().map(|(event, _)| event.key).collect::<BTreeSet<_>>() {
                let of_key =
                    |(event, own): &&(&Event, Option<i64>)| event.key == key && is_open(event.time + gap, *own);
                let mut times: Vec<i64> = admitted.iter().filter(of_key).map(|(event, _)| event.time).collect();
                times.sort_unstable();
                for session in times.chunk_by(|one, next| next - one < gap) {
                    let (first, last) = (session[0], session[session.len() - 1]);
                    rows.insert((last + gap, key.to_string(), first), session.len() as u64);
                }
            }
        }
    }
    rows.into_iter().map(|((end, key, start), count)| (end, key, start, count)).collect()
}

fn count_windows(
    admitted: &[(&Event, Option<i64>)],
    size: i64,
    slide: i64,
    is_open: impl Fn(i64, Option<i64>) -> bool,
    rows: &mut BTreeMap<(i64, String, i64), u64>,
) {
    for (event, own) in admitted {
        let first = (event.time - size).div_euclid(slide) * slide + slide;
        for start in (first..=event.time).step_by(slide as usize).filter(|start| is_open(start + size, *own)) {
            *rows.entry((start + size, event.key.to_string(), start)).or_default() += 1;
        }
    }
}
