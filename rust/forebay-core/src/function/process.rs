//! A process that runs functions.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// The largest answer that is read: several times what a step of a processor holds.
pub(super) const MAX_ANSWER_BYTES: usize = 16 << 20;
/// A wait is cut into parts of this length, between which the engine's end is noticed.
const PART: Duration = Duration::from_millis(50);
/// The time that a process has for ending after its standard output has ended.
const LEAVE: Duration = Duration::from_secs(1);

/// Why a process gave no answer. It is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It took too long.
    TimedOut,
    /// It has ended, and how.
    Ended(String),
    /// Its answer has so many bytes, more than are read.
    TooLarge(usize),
    /// What it wrote makes no sense.
    Confused(String),
    /// The engine is closed, or nobody waits for the answer any more.
    Closed,
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Process {
    /// Starts one. Its standard error is that of this process.
    pub(super) fn start(command: &[String]) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C in a terminal is for the engine, which ends it then.
        let mut child = command.process_group(0).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no standard input or output"));
        };
        for descriptor in [input.as_fd(), output.as_fd()] {
            fcntl_setfl(descriptor, fcntl_getfl(descriptor)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { child, input, output })
    }

    /// Sends a frame and returns the one that comes back.
    pub(super) fn call(&mut self, body: &[u8], wait: Wait<'_>) -> Result<Vec<u8>, Trouble> {
        let length = u32::try_from(body.len()).map_err(|_| Trouble::Confused("the call is too large".to_owned()))?;
        self.write(&length.to_le_bytes(), wait)?;
        self.write(body, wait)?;
        self.read_frame(wait)
    }

    /// Reads a frame.
    pub(super) fn read_frame(&mut self, wait: Wait<'_>) -> Result<Vec<u8>, Trouble> {
        let mut length = [0; 4];
        self.read(&mut length, wait)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_ANSWER_BYTES {
            return Err(Trouble::TooLarge(length));
        }
        let mut body = vec![0; length];
        self.read(&mut body, wait)?;
        Ok(body)
    }

    fn write(&mut self, mut bytes: &[u8], wait: Wait<'_>) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            match self.input.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait.until(&self.input, PollFlags::OUT)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.ended()),
            }
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8], wait: Wait<'_>) -> Result<(), Trouble> {
        let mut at = 0;
        while let Some(rest) = into.get_mut(at..).filter(|rest| !rest.is_empty()) {
            match self.output.read(rest) {
                Ok(0) => return Err(self.ended()),
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait.until(&self.output, PollFlags::IN)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.ended()),
            }
        }
        Ok(())
    }

    /// Says how it has ended.
    fn ended(&mut self) -> Trouble {
        let deadline = Instant::now() + LEAVE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    return Trouble::Ended(match (status.code(), status.signal()) {
                        (Some(code), _) => format!("its process ended with code {code}"),
                        (None, Some(signal)) => format!("its process was ended by signal {signal}"),
                        (None, None) => "its process ended".to_owned(),
                    });
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        Trouble::Ended("its process closed its output".to_owned())
    }

    /// Returns the memory that it has, in bytes; `None` where the operating system does not tell.
    pub(super) fn memory(&self) -> Option<u64> {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).ok()?;
        let resident: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(resident.saturating_mul(rustix::param::page_size() as u64))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left of it.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// How long to wait for a process, and what ends that early.
#[derive(Clone, Copy)]
pub(super) struct Wait<'w> {
    pub(super) deadline: Instant,
    pub(super) is_closed: &'w dyn Fn() -> bool,
}

impl Wait<'_> {
    /// Waits until the descriptor is ready.
    fn until(&self, descriptor: impl AsFd, events: PollFlags) -> Result<(), Trouble> {
        loop {
            if (self.is_closed)() {
                return Err(Trouble::Closed);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::TimedOut);
            }
            let part = Timespec::try_from(left.min(PART)).unwrap_or_default();
            let ready = poll(&mut [PollFd::new(&descriptor, events)], Some(&part));
            // An interrupted wait is taken up again.
            if ready.unwrap_or(0) > 0 {
                return Ok(());
            }
        }
    }
}
