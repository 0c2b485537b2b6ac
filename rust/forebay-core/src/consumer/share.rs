//! Sharing a limit among partitions, so that a busy one does not starve the others.

/// Returns how many records each partition may give, when each has `available[i]` and all together may give `limit`: as
/// even as what is there allows. With less than one for each, those from `turn` on come first.
pub(crate) fn share(available: &[u64], limit: usize, turn: usize) -> Vec<usize> {
    let count = available.len();
    let mut quotas = vec![0; count];
    let mut left = limit;
    let mut order: Vec<usize> = (0..count).map(|at| (turn + at) % count).filter(|at| available[*at] > 0).collect();
    while left > 0 && !order.is_empty() {
        let each = (left / order.len()).max(1);
        order.retain(|at| {
            let wants = usize::try_from(available[*at]).unwrap_or(usize::MAX) - quotas[*at];
            let given = wants.min(each).min(left);
            quotas[*at] += given;
            left -= given;
            given < wants
        });
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_partition_leaves_room_for_the_others() {
        assert_eq!(share(&[1_000_000, 3, 0, 50], 100, 0), [49, 3, 0, 48]);
        assert_eq!(share(&[1_000_000, 3], 100, 0), [97, 3]);
        assert_eq!(share(&[2, 3], 100, 1), [2, 3]);
        assert_eq!(share(&[], 100, 5), Vec::<usize>::new());
    }

    #[test]
    fn with_too_little_for_all_they_take_turns() {
        assert_eq!(share(&[9, 9, 9], 1, 0), [1, 0, 0]);
        assert_eq!(share(&[9, 9, 9], 1, 1), [0, 1, 0]);
        assert_eq!(share(&[9, 9, 9], 2, 2), [1, 0, 1]);
        assert_eq!(share(&[9, 0, 9], 1, 4), [0, 0, 1]);
    }
}
