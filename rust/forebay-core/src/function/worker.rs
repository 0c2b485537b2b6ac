//! One thread with a process of its own: it takes calls, and has each record answered whatever becomes of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::call::Call;
use super::call_queue::closed;
use super::functions::Shared;
use super::hello::Hello;
use super::process::{Process, Trouble, Wait};
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
            let outcome = self.run(&call);
            call.finish(outcome);
        }
    }

    fn run(&mut self, call: &Call) -> Result<Answer> {
        let names = &self.started()?.1.functions;
        if !names.iter().any(|name| **name == *call.function) {
            return Err(unknown(&call.function, names));
        }
        let timeout = self.shared.options.timeout;
        match self.ask(&call.body(), call.values.len(), timeout)? {
            Ok(answer) => Ok(answer),
            Err(why) if call.values.len() == 1 => {
                let mut answer = Answer::default();
                answer.push_failure(&why);
                Ok(answer)
            }
            Err(_) => self.run_alone(call),
        }
    }

    /// Tries each record alone: one that hangs or ends the process harms no other.
    fn run_alone(&mut self, call: &Call) -> Result<Answer> {
        let mut answer = Answer::default();
        for body in call.bodies() {
            match self.ask(&body, 1, ALONE_TIMEOUT.min(self.shared.options.timeout))? {
                Ok(one) => answer.append(&one),
                Err(why) => answer.push_failure(&why),
            }
        }
        Ok(answer)
    }

    /// Asks the process. The inner error says why it gave no answer; the process is gone then.
    ///
    /// # Errors
    /// There is no process to ask.
    fn ask(&mut self, body: &[u8], count: usize, timeout: Duration) -> Result<std::result::Result<Answer, String>> {
        let shared = Arc::clone(&self.shared);
        let wait = Wait { deadline: Instant::now() + timeout, is_closed: &|| shared.queue.is_closed() };
        let process = &mut self.started()?.0;
        // The time begins when the process has started.
        let wait = Wait { deadline: wait.deadline.max(Instant::now() + timeout), ..wait };
        let answered = process.call(body, wait);
        let answered = answered.and_then(|body| Answer::read(&body, count).map_err(Trouble::Confused));
        let is_large = process.memory().is_some_and(|bytes| bytes > shared.options.worker_bytes);
        if answered.is_err() || is_large {
            self.process = None;
        }
        match answered {
            Ok(answer) => Ok(Ok(answer)),
            Err(Trouble::Closed) => Err(closed()),
            Err(Trouble::TimedOut) => Ok(Err(format!("the function took longer than {} ms", timeout.as_millis()))),
            Err(Trouble::Ended(why) | Trouble::Confused(why)) => Ok(Err(format!("the function gave no answer: {why}"))),
        }
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
            Trouble::Ended(why) | Trouble::Confused(why) => refuse(&why),
        })?;
        let hello = Hello::read(&frame).map_err(|why| refuse(&why))?;
        Ok((process, hello))
    }
}

/// Says that there is no such function, and which there are.
pub(super) fn unknown(function: &str, names: &[String]) -> Error {
    let known = match names {
        [] => "none is registered; name its module in the setting functions".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Error::new(ErrorKind::NotFound, format!("there is no function {function:?}: {known}"))
}
