//! Leases: which member reads which partitions of one stream in one group. In memory only: a restart ends every lease,
//! and members come back with their next call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::ids::PartitionId;
use crate::options::MAX_PARTITIONS;

/// A member keeps its partitions for this long after its last call: well beyond the pauses of a living consumer, and
/// short enough that the partitions of a dead one do not wait long.
pub const LEASE: Duration = Duration::from_secs(30);
/// Members that share one stream in one group: more than a stream can have partitions would only wait.
pub const MAX_MEMBERS: usize = MAX_PARTITIONS as usize;

/// The leases on one stream.
#[derive(Debug)]
pub(crate) struct Leases {
    until: BTreeMap<Arc<str>, Instant>,
    owners: Vec<Option<Arc<str>>>,
}

impl Leases {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { until: BTreeMap::new(), owners: vec![None; partitions] }
    }

    /// Returns whether the member's lease runs at `now`.
    pub(crate) fn is_live(&self, member: &str, now: Instant) -> bool {
        self.until.get(member).is_some_and(|until| *until > now)
    }

    /// Returns whether any member's lease runs at `now`.
    pub(crate) fn any_live(&self, now: Instant) -> bool {
        self.until.values().any(|until| *until > now)
    }

    /// Returns whether a lease has run out that was not taken away yet.
    pub(crate) fn any_expired(&self, now: Instant) -> bool {
        self.until.values().any(|until| *until <= now)
    }

    /// When the next lease of another member runs out: what it holds may then be taken over.
    pub(crate) fn next_expiry(&self, member: &str) -> Option<Instant> {
        self.until.iter().filter(|(name, _)| &***name != member).map(|(_, until)| *until).min()
    }

    /// A member that is there stays until `until`.
    pub(crate) fn renew(&mut self, member: &str, until: Instant) {
        if let Some(lease) = self.until.get_mut(member) {
            *lease = until;
        }
    }

    /// A member that is there stays at least until `until`.
    pub(crate) fn prolong(&mut self, member: &str, until: Instant) {
        if let Some(lease) = self.until.get_mut(member) {
            *lease = until.max(*lease);
        }
    }

    /// Takes in a new member, takes away what has run out, and shares the partitions anew.
    ///
    /// # Errors
    /// `Saturated` when there are too many members.
    pub(crate) fn join(&mut self, member: &str, now: Instant, until: Instant) -> Result<()> {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= MAX_MEMBERS && !self.until.contains_key(member) {
            self.balance();
            let detail = format!("the group has {MAX_MEMBERS} members on this stream, which is the limit");
            return Err(Error::new(ErrorKind::Saturated, detail));
        }
        self.until.insert(member.into(), until);
        self.balance();
        Ok(())
    }

    /// Takes away what has run out, and shares the partitions anew.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        self.balance();
    }

    /// Gives a member's lease back; `false` when it had none.
    pub(crate) fn leave(&mut self, member: &str) -> bool {
        let left = self.until.remove(member).is_some();
        if left {
            self.balance();
        }
        left
    }

    /// Returns the number of partitions that are shared.
    pub(crate) fn partitions(&self) -> usize {
        self.owners.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// Returns the member that holds a partition.
    pub(crate) fn owner(&self, partition: PartitionId) -> Option<&Arc<str>> {
        self.owners.get(partition.0 as usize)?.as_ref()
    }

    /// Returns the partitions that a member holds, in order.
    pub(crate) fn owned(&self, member: &str) -> Vec<PartitionId> {
        let holds = |owner: &Option<Arc<str>>| owner.as_deref() == Some(member);
        (0..).map(PartitionId).zip(&self.owners).filter(|(_, owner)| holds(owner)).map(|(at, _)| at).collect()
    }

    /// Returns every member with the end of its lease.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Arc<str>, Instant)> {
        self.until.iter().map(|(member, until)| (member, *until))
    }

    /// Every member gets as many partitions as any other, or one less, and as few as possible move.
    fn balance(&mut self) {
        let Some(floor) = self.owners.len().checked_div(self.until.len()) else {
            self.owners.fill(None);
            return;
        };
        let mut extras = self.owners.len() % self.until.len();
        let mut held: BTreeMap<Arc<str>, usize> = self.until.keys().map(|member| (Arc::clone(member), 0)).collect();
        let mut free = Vec::new();
        for (at, owner) in self.owners.iter_mut().enumerate() {
            let keeps = match owner.as_ref().and_then(|owner| held.get_mut(owner)) {
                Some(count) if *count < floor => {
                    *count += 1;
                    true
                }
                Some(count) if *count == floor && extras > 0 => {
                    *count += 1;
                    extras -= 1;
                    true
                }
                Some(_) | None => false,
            };
            if !keeps {
                *owner = None;
                free.push(at);
            }
        }
        let mut free = free.into_iter();
        for (member, count) in held {
            let more = usize::from(count <= floor && extras > 0);
            extras -= more;
            for at in free.by_ref().take((floor + more).saturating_sub(count)) {
                self.owners[at] = Some(Arc::clone(&member));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shares(leases: &Leases) -> Vec<usize> {
        leases.members().map(|(member, _)| leases.owned(member).len()).collect()
    }

    fn assert_balanced(leases: &Leases) {
        let shares = shares(leases);
        let (Some(least), Some(most)) = (shares.iter().min(), shares.iter().max()) else { return };
        assert!(most - least <= 1, "{shares:?}");
        assert_eq!(shares.iter().sum::<usize>(), leases.owners.len());
    }

    #[test]
    fn partitions_are_shared_evenly_and_stay_where_they_can() {
        let now = Instant::now();
        for partitions in [1, 2, 7, 64] {
            let mut leases = Leases::new(partitions);
            for count in 1..=9_usize {
                let before = leases.owners.clone();
                leases.join(&format!("m{count}"), now, now + LEASE).unwrap();
                assert_balanced(&leases);
                let moved = before.iter().zip(&leases.owners).filter(|(was, is)| was.is_some() && was != is).count();
                assert!(moved <= partitions / count, "{moved} of {partitions} moved to {count} members");
            }
            for count in 1..=9 {
                let before = leases.owners.clone();
                let left = format!("m{count}");
                assert!(leases.leave(&left));
                assert_balanced(&leases);
                let kept =
                    |(was, is): (&Option<Arc<str>>, &Option<Arc<str>>)| was == is || was.as_deref() == Some(&left);
                assert!(before.iter().zip(&leases.owners).all(kept), "a leave moves only what the leaver held");
            }
            assert!(leases.is_empty());
        }
    }

    #[test]
    fn what_ran_out_goes_to_others() {
        let now = Instant::now();
        let mut leases = Leases::new(4);
        leases.join("a", now, now + LEASE).unwrap();
        leases.join("b", now, now + 2 * LEASE).unwrap();
        assert_eq!(leases.next_expiry("b"), Some(now + LEASE));
        let later = now + LEASE;
        assert!(!leases.is_live("a", later) && leases.is_live("b", later) && leases.any_expired(later));
        leases.expire(later);
        assert_eq!(shares(&leases), [4]);
        assert!(!leases.any_expired(later));
    }

    #[test]
    fn members_are_bounded() {
        let now = Instant::now();
        let mut leases = Leases::new(1);
        for member in 0..MAX_MEMBERS {
            leases.join(&format!("m{member}"), now, now + LEASE).unwrap();
        }
        assert_eq!(leases.join("more", now, now + LEASE).unwrap_err().kind(), ErrorKind::Saturated);
        leases.join("m0", now, now + LEASE).unwrap();
        leases.join("more", now + LEASE, now + 2 * LEASE).unwrap();
        assert_eq!(shares(&leases), [1]);
    }
}
