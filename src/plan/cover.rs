//! The fewest places that together show a set of pairs.

/// Places tried in all combinations; with more, the busiest is taken again and again, which may take one too many.
pub(super) const EXACT: usize = 12;

/// One candidate: which pairs it shows (one flag per pair), candidates in the order of preference.
pub(super) type Shows = Vec<bool>;

/// Indices of the fewest candidates that show every pair that any of them shows, in order; and whether no smaller choice
/// exists. Of several smallest choices the one with the most preferred candidates, compared from the front.
pub(super) fn fewest(candidates: &[Shows]) -> (Vec<usize>, bool) {
    let pairs = candidates.iter().map(Vec::len).max().unwrap_or(0);
    let shown_by = |chosen: &[usize], pair: usize| {
        chosen.iter().any(|&c| candidates.get(c).and_then(|s| s.get(pair)).copied().unwrap_or_default())
    };
    let everyone: Vec<usize> = (0..candidates.len()).collect();
    let wanted: Vec<usize> = (0..pairs).filter(|&p| shown_by(&everyone, p)).collect();
    let covers = |chosen: &[usize]| wanted.iter().all(|&p| shown_by(chosen, p));
    if candidates.len() > EXACT {
        return (greedy(candidates, &wanted), wanted.is_empty());
    }
    for size in 0..=candidates.len() {
        let mut found = None;
        combinations(candidates.len(), size, &mut Vec::new(), &mut |chosen| {
            if found.is_none() && covers(chosen) {
                found = Some(chosen.to_vec());
            }
        });
        if let Some(chosen) = found {
            return (chosen, true);
        }
    }
    (everyone, true)
}

/// All ascending choices of `size` out of `n`, those with the smallest indices first.
fn combinations(n: usize, size: usize, chosen: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize])) {
    if chosen.len() == size {
        return visit(chosen);
    }
    for next in chosen.last().map_or(0, |last| last + 1)..n {
        chosen.push(next);
        combinations(n, size, chosen, visit);
        chosen.pop();
    }
}

fn greedy(candidates: &[Shows], wanted: &[usize]) -> Vec<usize> {
    let mut left: Vec<usize> = wanted.to_vec();
    let mut chosen = Vec::new();
    let shows = |c: usize, p: usize| candidates.get(c).and_then(|s| s.get(p)).copied().unwrap_or_default();
    while !left.is_empty() {
        let gain = |c: usize| left.iter().filter(|&&p| shows(c, p)).count();
        let Some(best) = (0..candidates.len()).max_by_key(|&c| (gain(c), std::cmp::Reverse(c))) else { break };
        left.retain(|&p| !shows(best, p));
        chosen.push(best);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(pairs: &[usize], of: usize) -> Shows {
        (0..of).map(|p| pairs.contains(&p)).collect()
    }

    #[test]
    fn the_smallest_choice_wins_and_then_the_preferred_one() {
        let candidates = [shows(&[0, 1], 4), shows(&[2], 4), shows(&[0, 1, 2], 4), shows(&[3], 4), shows(&[2, 3], 4)];
        assert_eq!(fewest(&candidates), (vec![0, 4], true), "two do; of the pairs of two the earliest");
        assert_eq!(fewest(&[shows(&[0], 2), shows(&[0], 2)]), (vec![0], true), "what nobody shows is not asked for");
        assert_eq!(fewest(&[]), (vec![], true));
    }

    #[test]
    fn many_candidates_still_cover_everything() {
        let candidates: Vec<Shows> = (0..20).map(|i| shows(&[i, (i + 1) % 20], 20)).collect();
        let (chosen, exact) = fewest(&candidates);
        assert!(!exact && (0..20).all(|p| chosen.iter().any(|&c| candidates[c][p])), "{chosen:?}");
    }
}
