//! `forebay-load`: the load generator as a command.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use forebay_load::{Content, LoadError, LoadOptions, Pacing, Phase, run_with_progress};
use lexopt::prelude::*;

const USAGE: &str = "\
usage: forebay-load [options] [URL]      (default http://127.0.0.1:8080/v1/drain)

  --content NAME     drain, publish-batch, publish, event, event-batch, track or fetch (drain)
  --rate N           open loop: N events/s, latency from when each request was due
                     (without it: closed loop, each connection sends when its answer is there)
  --connections N    keep-alive connections, one request in flight each (32)
  --batch N          events in a request (100)
  --duration S       seconds measured (10)
  --warmup S         seconds of load before that (1)
  --timeout S        seconds after which an answer is given up (30)
  --seed N           the same seed gives the same bytes (1)
  --header 'K: V'    a further request header, repeatable
  --json             print the report as JSON
  --marks            print measure-start and measure-end on standard error when they happen
";

struct Command {
    options: LoadOptions,
    json: bool,
    marks: bool,
}

fn parse() -> Result<Option<Command>, lexopt::Error> {
    let mut command = Command { options: LoadOptions::default(), json: false, marks: false };
    let options = &mut command.options;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("content") => options.content = content(&parser.value()?.string()?)?,
            Long("rate") => options.pacing = Pacing::Open { events_per_second: parser.value()?.parse()? },
            Long("connections") => options.connections = parser.value()?.parse()?,
            Long("batch") => options.batch = parser.value()?.parse()?,
            Long("duration") => options.duration = seconds(&mut parser)?,
            Long("warmup") => options.warmup = seconds(&mut parser)?,
            Long("timeout") => options.answer_timeout = seconds(&mut parser)?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("header") => options.headers.push(header(&parser.value()?.string()?)?),
            Long("json") => command.json = true,
            Long("marks") => command.marks = true,
            Long("help") | Short('h') => return Ok(None),
            Value(url) => options.url = url.string()?,
            Short(_) | Long(_) => return Err(argument.unexpected()),
        }
    }
    Ok(Some(command))
}

fn content(name: &str) -> Result<Content, lexopt::Error> {
    Content::named(name).ok_or_else(|| format!("there is no content {name:?}").into())
}

fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    let value: f64 = parser.value()?.parse()?;
    Duration::try_from_secs_f64(value).map_err(|error| lexopt::Error::Custom(Box::new(error)))
}

fn header(text: &str) -> Result<(String, String), lexopt::Error> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("header {text:?} must read 'name: value'"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn execute(command: &Command) -> Result<(), LoadError> {
    let mut phase = None;
    let report = run_with_progress(&command.options, &mut |progress| {
        if command.marks && phase != Some(progress.phase) {
            match progress.phase {
                Phase::Warmup => {}
                Phase::Measuring => eprintln!("measure-start"),
                Phase::Draining => eprintln!("measure-end"),
            }
        }
        phase = Some(progress.phase);
        ControlFlow::Continue(())
    })?;
    if command.json {
        let text = serde_json::to_string(&report).map_err(|error| LoadError::Invalid(error.to_string()))?;
        println!("{text}");
    } else {
        println!("{report}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = match parse() {
        Ok(Some(command)) => command,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("forebay-load: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match execute(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay-load: {error}");
            ExitCode::FAILURE
        }
    }
}
