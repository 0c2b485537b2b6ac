//! Removes groups that nobody calls any more, and offsets of deleted streams.

use std::time::{Duration, Instant};

use super::group::Group;
use super::groups::Groups;
use super::rows::delete_offset;
use crate::clock::LogTime;
use crate::ids::Timestamp;
use crate::table::TableOp;

/// A group that nobody has called for this long is deleted.
pub const GROUP_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The time after a start in which nothing expires: after a week's outage the consumers come back first.
pub const IDLE_GRACE: Duration = Duration::from_secs(3600);
/// A group's row is written again when its last call is this much later than what the row says. Idleness counts from
/// there after a restart, so a group may expire this much too early.
const NOTE_EVERY: Duration = Duration::from_secs(3600);

impl Groups {
    /// Does what is due by the log's time, `uptime` after the start; what fails is tried again at the next call.
    pub fn sweep(&self, uptime: Duration) {
        let now = self.clock.time();
        let mut ops = Vec::new();
        let mut noted = Vec::new();
        for group in self.all() {
            if uptime >= IDLE_GRACE && self.expire(&group, &now) {
                continue;
            }
            ops.extend(self.tidy(&group));
            let mut state = group.state();
            let (row, used) = (state.noted, state.used);
            // A leap of the log's time makes a row that was written before it older than the call that was not noted.
            if since(row, used) >= NOTE_EVERY || since(written(&now, row), written(&now, used)) >= NOTE_EVERY {
                ops.push(state.row().put(&group.name));
                noted.push((group.clone(), state.noted));
                state.noted = state.used;
            }
        }
        if !ops.is_empty() && self.status.refusal().is_none() && self.change_in_parts(ops).is_err() {
            for (group, before) in noted {
                group.state().noted = before;
            }
        }
    }

    /// Returns the time since the process started.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn expire(&self, group: &Group, now: &LogTime) -> bool {
        let idle = || {
            let state = group.state();
            since(written(now, state.used), now.proven) >= GROUP_IDLE && !state.has_members(Instant::now())
        };
        if !idle() {
            return false;
        }
        let _one_at_a_time = self.changing.lock();
        // Whoever called meanwhile keeps it.
        idle() && self.remove(group).is_ok()
    }

    /// Forgets leases that have run out, and deleted streams; gives the operations that delete their rows. Identities
    /// are never used again, so these are only garbage.
    fn tidy(&self, group: &Group) -> Vec<TableOp> {
        let now = Instant::now();
        let order = group.order();
        let mut state = group.settled_state(&order);
        for stream in state.streams.values_mut() {
            if let Some(leases) = &mut stream.leases {
                leases.expire(now);
            }
            stream.leases.take_if(|leases| leases.is_empty());
        }
        let gone: Vec<_> = state.streams.keys().copied().filter(|id| self.catalog.by_id(*id).is_none()).collect();
        if gone.is_empty() || state.deleted {
            state.recount();
            return Vec::new();
        }
        let places = state.places();
        for id in &gone {
            drop(state.streams.remove(id));
        }
        state.recount();
        let of_gone = places.iter().filter(|(stream, _)| gone.contains(stream));
        of_gone.map(|(stream, partition)| delete_offset(&group.name, *stream, *partition)).collect()
    }
}

/// When a call was that has this stamp. One that is still to come counts as now.
fn written(now: &LogTime, stamp: Timestamp) -> Timestamp {
    now.of_stamp(stamp).unwrap_or(now.proven)
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}
