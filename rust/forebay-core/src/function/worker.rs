//! One thread with a process of its own: it takes calls, and has each record answered whatever becomes of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::call::Call;
use super::call_queue::closed;
use super::functions::Shared;
use super::hello::Hello;
use super::process::{MAX_ANSWER_BYTES, Process, Trouble, Wait};
use crate::error::{Error, ErrorKind, Result};

/// The time that a process has until it has imported everything.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The time of a record that is tried alone.
const ALONE_TIMEOUT: Duration = Duration::from_secs(1);

/// A thread's process, when it runs.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    process: Option<(Process, Hello)>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, process: None }
    }

    /// Runs calls until the queue is closed.
    pub(super) fn work(mut self) {
        while let Ok(Some(call)) = self.shared.queue.take(None) {
            if call.is_cancelled() {
                call.finish(Err(closed()));
                continue;
            }
            match self.run(&call) {
                Ok(Some(answer)) => call.finish(Ok(answer)),
                // Others have their turn.
                Ok(None) => self.shared.queue.push(call),
                Err(error) => call.finish(Err(error)),
            }
        }
    }

    /// Returns what becomes of the values; `None` when there is more to do.
    fn run(&mut self, call: &Call) -> Result<Option<Answer>> {
        let names = &self.started()?.1.functions;
        if !names.iter().any(|name| **name == *call.function) {
            return Err(unknown(&call.function, names));
        }
        if call.alone.lock().is_some() {
            return self.run_alone(call);
        }
        let (count, timeout) = (call.values.len(), self.shared.options.timeout);
        match self.ask(call, &call.body(), count, timeout)? {
            Asked::Answered(answer) => Ok(Some(answer)),
            Asked::TooLarge(_) if count > 1 => Ok(Some(Answer::too_large())),
            Asked::TooLarge(bytes) => Ok(Some(failed(&too_large(bytes)))),
            Asked::Failed(why) if count == 1 => Ok(Some(failed(&why))),
            Asked::Failed(_) => {
                *call.alone.lock() = Some(Answer::default());
                Ok(None)
            }
        }
    }

    /// Tries records alone: one that hangs or ends the process harms no other, and after each such one other calls have
    /// their turn.
    fn run_alone(&mut self, call: &Call) -> Result<Option<Answer>> {
        let mut answer = call.alone.lock().take().unwrap_or_default();
        for body in call.bodies(answer.len()) {
            if answer.bytes() > MAX_ANSWER_BYTES {
                return Ok(Some(Answer::too_large()));
            }
            let why = match self.ask(call, &body, 1, ALONE_TIMEOUT.min(self.shared.options.timeout))? {
                Asked::Answered(one) => {
                    answer.append(&one);
                    continue;
                }
                Asked::TooLarge(bytes) => too_large(bytes),
                Asked::Failed(why) => why,
            };
            answer.push_failure(&why);
            if answer.len() < call.values.len() {
                *call.alone.lock() = Some(answer);
                return Ok(None);
            }
        }
        Ok(Some(answer))
    }

    /// Asks the process. It is gone when it gave no answer.
    ///
    /// # Errors
    /// There is no process to ask, or nobody waits for the answer.
    fn ask(&mut self, call: &Call, body: &[u8], count: usize, timeout: Duration) -> Result<Asked> {
        let shared = Arc::clone(&self.shared);
        let process = &mut self.started()?.0;
        // The time begins when the process has started.
        let is_over = || shared.queue.is_closed() || call.is_cancelled();
        let wait = Wait { deadline: Instant::now() + timeout, is_closed: &is_over };
        let answered = process.call(body, wait);
        let answered = answered.and_then(|body| Answer::read(&body, count).map_err(Trouble::Confused));
        let is_large = process.memory().is_some_and(|bytes| bytes > shared.options.worker_bytes);
        if answered.is_err() || is_large {
            self.process = None;
        }
        Ok(match answered {
            Ok(answer) => Asked::Answered(answer),
            Err(Trouble::Closed) => return Err(closed()),
            Err(Trouble::TooLarge(bytes)) => Asked::TooLarge(bytes),
            Err(Trouble::TimedOut) => {
                Asked::Failed(format!("the function took longer than {} ms", timeout.as_millis()))
            }
            Err(Trouble::Ended(why)) => Asked::Failed(format!("the function gave no answer: {why}")),
            Err(Trouble::Confused(why)) => Asked::Failed(format!("the function's answer: {why}")),
        })
    }

    /// Returns the process, which is started when there is none.
    fn started(&mut self) -> Result<&mut (Process, Hello)> {
        if self.process.is_none() {
            let started = self.start();
            self.shared.tell(started.as_ref().map(|(_, hello)| hello.functions.clone()).map_err(Clone::clone));
            self.process = Some(started?);
        }
        self.process.as_mut().ok_or_else(closed)
    }

    fn start(&self) -> Result<(Process, Hello)> {
        let refuse = |why: &str| Error::new(ErrorKind::StorageUnavailable, format!("functions cannot run: {why}"));
        let command = &self.shared.options.command;
        let mut process = Process::start(command)
            .map_err(|error| refuse(&format!("{:?} cannot be started: {error}", command.first())))?;
        let is_closed = || self.shared.queue.is_closed();
        let wait = Wait { deadline: Instant::now() + START_TIMEOUT, is_closed: &is_closed };
        let frame = process.read_frame(wait).map_err(|trouble| match trouble {
            Trouble::Closed => closed(),
            Trouble::TimedOut => refuse("the modules take longer than a minute to be imported"),
            Trouble::TooLarge(bytes) => refuse(&too_large(bytes)),
            Trouble::Ended(why) | Trouble::Confused(why) => refuse(&why),
        })?;
        let hello = Hello::read(&frame).map_err(|why| refuse(&why))?;
        Ok((process, hello))
    }
}

/// What became of a question to a process.
enum Asked {
    Answered(Answer),
    TooLarge(usize),
    Failed(String),
}

/// Returns the answer about one value that failed.
fn failed(why: &str) -> Answer {
    let mut answer = Answer::default();
    answer.push_failure(why);
    answer
}

fn too_large(bytes: usize) -> String {
    format!("its results have {bytes} bytes, more than the {MAX_ANSWER_BYTES} of an answer")
}

/// Says that there is no such function, and which there are.
pub(super) fn unknown(function: &str, names: &[String]) -> Error {
    let known = match names {
        [] => "none is registered; name its module in the setting functions".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Error::new(ErrorKind::NotFound, format!("there is no function {function:?}: {known}"))
}
