use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use forebay_core::load::{Anchor, Arrivals, EventRatio, Generator, Schedule};

use crate::LoadError;
use crate::options::{LoadOptions, Pacing};
use crate::progress::Phase;
use crate::report::LoadReport;
use crate::sender::{HttpSender, Observer};
use crate::tally::HttpTally;

/// How long answers are waited for after the last request.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Runs one load: the warm-up, the measured time, and the wait for the last answers.
pub(crate) fn run(options: &LoadOptions, observer: &mut Observer<'_>) -> Result<LoadReport, LoadError> {
    options.check()?;
    let mut sender = HttpSender::connect(options, observer)?;
    let start = Instant::now();
    let from = start + options.warmup;
    let until = from + options.duration;
    let events = options.batch as u64;
    let (anchor, arrivals) = match options.pacing {
        Pacing::Closed => (Anchor::Answered, Arrivals::Closed(events)),
        Pacing::Open { events_per_second } => {
            let rate = events_per_second / options.batch as f64;
            (Anchor::Due, Arrivals::Open(Schedule::new(start, until, rate, EventRatio::fixed(events))))
        }
    };
    sender.begin(start, HttpTally::new(anchor, from, until));
    let mut generator = Generator::new(arrivals);
    let end = if phase(&mut generator, &mut sender, Phase::Warmup, from)?.is_break() {
        from
    } else {
        // The clock tells the end, whether the observer ended the load or not.
        let _ended = phase(&mut generator, &mut sender, Phase::Measuring, until)?;
        Instant::now().min(until)
    };
    sender.tally.load.end_at(end);
    // The observer's answer changes nothing here, because the load has ended.
    let _ended = sender.enter(Phase::Draining);
    let limit = Instant::now() + DRAIN_LIMIT.min(options.answer_timeout);
    generator.finish(&mut sender, end, limit)?;
    Ok(LoadReport::new(options, &sender.tally))
}

/// Sends load until `end`. `Break` when the observer ended it.
fn phase(
    generator: &mut Generator,
    sender: &mut HttpSender<'_>,
    phase: Phase,
    end: Instant,
) -> Result<ControlFlow<()>, LoadError> {
    if sender.enter(phase).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    generator.send_until(sender, end)
}
