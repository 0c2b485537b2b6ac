//! One queue: its jobs in their order, by status.

use super::count::Minutes;
use super::job::{Job, JobStatus};
use super::ordered::Ordered;

/// Where a job stands in the order of its status: when it is due, its number, its slot in the table.
pub(super) type Place = (i64, u64, u32);

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) paused: bool,
    pub(super) completed: Minutes,
    by_status: [Ordered<Place>; 4],
}

impl Queue {
    pub(super) fn jobs(&self, status: JobStatus) -> &Ordered<Place> {
        &self.by_status[status as usize]
    }

    pub(super) fn insert(&mut self, job: &Job, slot: u32) {
        self.by_status[job.status as usize].insert((job.due.0, job.number, slot));
    }

    pub(super) fn remove(&mut self, job: &Job, slot: u32) {
        self.by_status[job.status as usize].remove(&(job.due.0, job.number, slot));
    }

    /// The slots of a page: those of a status in the order in which they are due, ended ones newest first; of all statuses
    /// one after the other.
    pub(super) fn page(&self, status: Option<JobStatus>, offset: usize, limit: usize) -> Vec<u32> {
        let (mut slots, mut skip) = (Vec::new(), offset);
        for of in JobStatus::ALL.into_iter().filter(|of| status.is_none_or(|status| status == *of)) {
            let jobs = self.jobs(of);
            let from = skip.min(jobs.len());
            skip -= from;
            for place in from..jobs.len().min(from.saturating_add(limit - slots.len())) {
                let place = if of.is_open() { place } else { jobs.len() - 1 - place };
                slots.extend(jobs.get(place).map(|(_, _, slot)| slot));
            }
        }
        slots
    }

    pub(super) fn total(&self, status: Option<JobStatus>) -> usize {
        let of = JobStatus::ALL.into_iter().filter(|of| status.is_none_or(|status| status == *of));
        of.map(|of| self.jobs(of).len()).sum()
    }
}
