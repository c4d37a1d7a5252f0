//! Maps, sets and short lists in order, without the standard library's sorts: each of those comes with some four kilobytes of
//! code for every type, and `collect` into an ordered map is one of them. Edge builds are small.

/// As `collect`, but entry by entry.
pub(crate) fn gather<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}

/// As `sort_by`, for lists that are short, or nearly in order: its time grows with the square of their length.
pub(crate) fn sort_short<T>(list: &mut [T], mut comes_before: impl FnMut(&T, &T) -> bool) {
    for end in 1..=list.len() {
        let Some((mut rest, _)) = list.split_at_mut_checked(end) else { return };
        while let [.., one, two] = rest
            && comes_before(two, one)
        {
            core::mem::swap(one, two);
            let Some((_, shorter)) = rest.split_last_mut() else { return };
            rest = shorter;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, vec::Vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_the_standard_library_does(list: Vec<(u8, u8)>) {
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            let mut sorted = list.clone();
            sort_short(&mut sorted, |(one, _), (two, _)| one < two);
            prop_assert_eq!(sorted, expected);
            let gathered: BTreeMap<u8, u8> = gather(list.clone());
            prop_assert_eq!(gathered, list.into_iter().collect::<BTreeMap<u8, u8>>());
        }
    }
}
