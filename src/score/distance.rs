//! Edit distance of long sequences.
//!
//! The cost of an alignment is lexicographic: the number of edits, then the number of insertions and deletions among
//! them ("gaps"). [`plain`] fills the whole table, row by row. [`long`] needs two steps:
//!
//! 1. The number of edits, 64 cells at a time (Myers 1999, in the form of Hyyrö 2003).
//! 2. The number of gaps, from a band of the table. An alignment with g gaps stays within a band whose width follows
//!    from g, so a band that is wide enough for its own result has the result of the whole table. Texts that differ in
//!    single words need a narrow band, whatever the number of these words is.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Add;

/// An element of the hypothesis that the reference does not contain.
const ABSENT: u32 = u32::MAX;

/// Additional diagonals on each side of the first band, and the factor of its growth.
const FIRST_BAND: usize = 32;
const GROWTH: usize = 8;

/// Edits and gaps of the best alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edits {
    pub edits: u64,
    pub gaps: u64,
}

/// Both criteria in one integer: edits above, gaps below.
trait Cost: Copy + Ord + Add<Output = Self> {
    const ZERO: Self;
    /// A substitution.
    const EDIT: Self;
    /// An insertion or deletion.
    const GAP: Self;
    /// More than any alignment costs, with room for one more step.
    const INFINITE: Self;
    /// Lengths up to this one do not overflow.
    const MAX_LENGTH: usize;

    fn times_gap(count: usize) -> Self;
    fn split(self) -> Edits;
}

macro_rules! cost {
    ($integer:ty, $bits:literal) => {
        impl Cost for $integer {
            const ZERO: Self = 0;
            const EDIT: Self = 1 << $bits;
            const GAP: Self = Self::EDIT + 1;
            const INFINITE: Self = Self::MAX / 2;
            // The fewest edits and their gaps are at most the longer length.
            const MAX_LENGTH: usize = (1 << ($bits - 1)) - 1;

            fn times_gap(count: usize) -> Self {
                count as Self * Self::GAP
            }

            fn split(self) -> Edits {
                Edits { edits: (self >> $bits) as u64, gaps: (self & (Self::EDIT - 1)) as u64 }
            }
        }
    };
}

// 32 bits are twice as fast: a vector has twice as many.
cost!(i32, 15);
cost!(i64, 31);

/// Fills the whole table.
pub(super) fn plain<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Edits {
    // row[j]: cost of turning the reference so far into the first j elements of the hypothesis.
    let mut row: Vec<i64> = (0..=hypothesis.len()).map(i64::times_gap).collect();
    for r in reference {
        let mut diagonal = row[0];
        row[0] += i64::GAP;
        for (j, h) in hypothesis.iter().enumerate() {
            let replaced = if r == h { diagonal } else { diagonal + i64::EDIT };
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + i64::GAP).min(diagonal + i64::GAP);
        }
    }
    row[hypothesis.len()].split()
}

/// The same for long sequences, of which neither is empty.
pub(super) fn long<T: Eq + Hash>(reference: &[T], hypothesis: &[T]) -> Edits {
    let mut ids = HashMap::with_capacity(reference.len());
    let reference: Vec<u32> = reference
        .iter()
        .map(|element| {
            let next = ids.len() as u32;
            *ids.entry(element).or_insert(next)
        })
        .collect();
    let hypothesis: Vec<u32> =
        hypothesis.iter().map(|element| ids.get(element).copied().unwrap_or(ABSENT)).collect();
    let edits = edits(&reference, &hypothesis, ids.len());
    if reference.len().max(hypothesis.len()) <= i32::MAX_LENGTH {
        gaps::<i32>(&reference, &hypothesis, edits)
    } else {
        gaps::<i64>(&reference, &hypothesis, edits)
    }
}

/// The fewest edits. `ids` of the reference are below `distinct`.
///
/// A column of the table is stored as the differences of vertical neighbours, which are -1, 0 or 1, in two bit vectors.
fn edits(reference: &[u32], hypothesis: &[u32], distinct: usize) -> u64 {
    let blocks = reference.len().div_ceil(64);
    // equal[id * blocks + block]: the places of an element in the reference.
    let mut equal = vec![0_u64; distinct * blocks];
    for (at, id) in reference.iter().enumerate() {
        equal[*id as usize * blocks + at / 64] |= 1 << (at % 64);
    }
    let nowhere = vec![0_u64; blocks];
    let last = 1_u64 << ((reference.len() - 1) % 64);
    let mut columns = vec![(u64::MAX, 0_u64); blocks];
    let mut distance = reference.len() as u64;
    for id in hypothesis {
        let row = if *id == ABSENT { &nowhere } else { &equal[*id as usize * blocks..][..blocks] };
        // The difference of horizontal neighbours above the block. It is 1 in the first row of the table.
        let (mut more, mut less) = (1_u64, 0_u64);
        for (at, ((positive, negative), equal)) in columns.iter_mut().zip(row).enumerate() {
            let vertical = equal | *negative;
            let equal = equal | less;
            let diagonal = (((equal & *positive).wrapping_add(*positive)) ^ *positive) | equal;
            let mut up = *negative | !(diagonal | *positive);
            let mut down = *positive & diagonal;
            if at + 1 == blocks {
                distance += u64::from(up & last != 0);
                distance -= u64::from(down & last != 0);
            }
            let (more_below, less_below) = (up >> 63, down >> 63);
            up = (up << 1) | more;
            down = (down << 1) | less;
            *positive = down | !(vertical | up);
            *negative = up & vertical;
            (more, less) = (more_below, less_below);
        }
    }
    distance
}

/// The fewest gaps among the alignments with the given number of edits, which is the fewest.
fn gaps<C: Cost>(reference: &[u32], hypothesis: &[u32], edits: u64) -> Edits {
    let backwards: Vec<u32> = reference.iter().rev().copied().collect();
    let (rows, columns) = (reference.len(), hypothesis.len());
    // Every alignment has at least these.
    let least = rows.abs_diff(columns);
    let (mut more, all) = (FIRST_BAND, rows.max(columns));
    loop {
        let below = rows.saturating_sub(columns) + more;
        let above = columns.saturating_sub(rows) + more;
        let found = band::<C>(&backwards, hypothesis, below, above);
        // An alignment that leaves the band on one side returns, and has at least `outside` gaps.
        let outside = (least + 2 * (more + 1)) as u64;
        if more >= all || (found.edits == edits && found.gaps <= outside) {
            return found;
        }
        let next = GROWTH * more;
        // With the right number of edits, this band is enough.
        let enough = if found.edits == edits { (found.gaps as usize - least) / 2 } else { all };
        more = next.min(enough.max(more + 1)).min(all);
    }
}

/// The best alignment within a band of the table: cells (i, j) with -below <= j - i <= above. The band contains the
/// first and the last cell. `backwards` is the reversed reference.
///
/// The cells of an antidiagonal i + j = t depend only on the two before it, so the compiler vectorises the loop over
/// them. A cell is stored by its diagonal j - i, in one array for even diagonals and one for odd ones. A diagonal needs
/// one element, because the cell before it on the diagonal is the one that it replaces.
fn band<C: Cost>(backwards: &[u32], hypothesis: &[u32], below: usize, above: usize) -> Edits {
    let (rows, columns) = (backwards.len() as isize, hypothesis.len() as isize);
    let (below, above) = (below.next_multiple_of(2) as isize, above as isize);
    // Diagonal 2m is even[m + start], diagonal 2m + 1 is odd[m + start + 1]. Those outside the band stay infinite.
    let start = below / 2;
    let mut even = vec![C::INFINITE; (start + (above + 1) / 2 + 1) as usize];
    let mut odd = vec![C::INFINITE; (start + above / 2 + 2) as usize];
    even[start as usize] = C::ZERO;
    for t in 1..=rows + columns {
        // i = half - m and j = half + m + rest.
        let (half, rest) = (t / 2, t % 2);
        let first = (half - rows).max(1 - half - rest).max(-start);
        let last = (half - 1).min(columns - half - rest).min((above - rest) / 2);
        if first <= last {
            let length = (last - first + 1) as usize;
            let r = &backwards[(rows - half + first) as usize..][..length];
            let h = &hypothesis[(half + first + rest - 1) as usize..][..length];
            let at = (first + start) as usize;
            if rest == 0 {
                relax(&mut even[at..][..length], &odd[at..][..=length], r, h);
            } else {
                relax(&mut odd[at + 1..][..length], &even[at..][..=length], r, h);
            }
        }
        // The first row and the first column of the table.
        let edge = C::times_gap(t as usize);
        let cells = if rest == 0 { &mut even } else { &mut odd };
        if t <= above.min(columns) {
            cells[(half + start + rest) as usize] = edge;
        }
        if t <= below.min(rows) {
            cells[(start - half) as usize] = edge;
        }
    }
    let difference = columns - rows;
    let rest = (rows + columns) % 2;
    let cells = if rest == 0 { even } else { odd };
    cells[((difference - rest) / 2 + start + rest) as usize].split()
}

/// Computes cells of one antidiagonal from the two before it.
fn relax<C: Cost>(cells: &mut [C], neighbours: &[C], r: &[u32], h: &[u32]) {
    let (left, right) = (neighbours, &neighbours[1..]);
    for ((((cell, left), right), r), h) in cells.iter_mut().zip(left).zip(right).zip(r).zip(h) {
        let replaced = *cell + if r == h { C::ZERO } else { C::EDIT };
        *cell = replaced.min(*left.min(right) + C::GAP);
    }
}
