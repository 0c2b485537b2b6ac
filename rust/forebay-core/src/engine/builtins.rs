//! The streams that one API each fills: there from the start, or as soon as the storage takes them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::log::StreamAdmin;
use crate::options::Options;
use crate::status::Mode;
use crate::stream::{ANALYTICS, EVENTS, LOGS, Stream, StreamDefinition};

/// The pause before streams that could not be made are tried again: a full disk gets room within seconds.
const RETRY: Duration = Duration::from_secs(1);

/// Makes the built-in streams. No request does: whoever sends one must not wait for a commit of the server's own.
#[derive(Debug)]
pub(crate) struct Builtins {
    maker: Arc<StreamAdmin>,
    definitions: Vec<StreamDefinition>,
    closed: Mutex<bool>,
    wake: Condvar,
}

impl Builtins {
    /// Lists all of them as not made yet.
    pub(crate) fn new(maker: Arc<StreamAdmin>, options: &Options) -> Self {
        // The order matters: `logs` has the first identity, by which a repair knows it again.
        let definitions = [LOGS, EVENTS, ANALYTICS].map(|name| StreamDefinition::builtin(name, options));
        Self { maker, definitions: definitions.into(), closed: Mutex::default(), wake: Condvar::new() }
    }

    /// Returns the definitions that the options say.
    pub(crate) fn definitions(&self) -> &[StreamDefinition] {
        &self.definitions
    }

    /// Makes those that are missing, in one commit. Waits for it.
    ///
    /// # Errors
    /// Says why nothing can be written.
    pub(crate) fn make(&self) -> Result<()> {
        self.maker.ensure_all(&self.definitions)
    }

    /// Returns the definition of one of them.
    ///
    /// # Errors
    /// `StorageUnavailable` when it could not be made yet, or why nothing can be written.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Stream>> {
        self.maker.catalog.named(name).map_err(|_| {
            self.maker.status.refusal().unwrap_or_else(|| {
                let detail = format!("the stream {name:?} could not be made yet; it is tried again every second");
                Error::new(ErrorKind::StorageUnavailable, detail)
            })
        })
    }

    /// Tries until they are made, nothing can be written until the next start, or [`Builtins::close`].
    pub(crate) fn keep_trying(&self) {
        loop {
            let mut closed = self.closed.lock();
            if !*closed {
                let _due = self.wake.wait_for(&mut closed, RETRY);
            }
            let final_mode = matches!(self.maker.status.mode(), Mode::ReadOnly | Mode::Poisoned | Mode::Closed);
            if *closed || final_mode {
                return;
            }
            drop(closed);
            if self.make().is_ok() {
                return;
            }
        }
    }

    /// Ends the trying.
    pub(crate) fn close(&self) {
        *self.closed.lock() = true;
        self.wake.notify_all();
    }
}
