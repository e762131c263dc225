//! Merkle trees: the right edge, proofs, and their verification (RFC 9162 section 2.1).
//!
//! An [`Edge`] holds the roots of the perfect subtrees that make up a tree of
//! its size, no more and no fewer, so it can always grow and always tell its
//! root. Proofs are made from any [`Hashes`] and are verified by the step-by-step
//! algorithms of RFC 9162 2.1.3.2 and 2.1.4.2, which share no code with the
//! making.
//!
//! A *level* here is binary: a hash of level 3 covers 8 leaves. Tile levels are
//! the business of [`crate::log::tile`].

use std::fmt;

use crate::domain::digest::Digest;

/// Where the hashes of perfect subtrees are read.
pub trait Hashes {
    /// The hash over the leaves `index * 2^level .. (index + 1) * 2^level`, or `None` where it is not kept.
    fn hash(&self, level: u8, index: u64) -> Option<Digest>;
}

/// The right edge of a tree: the roots of its perfect subtrees, largest first.
///
/// There are always exactly as many as the size has one bits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edge {
    size: u64,
    roots: Vec<Digest>,
}

impl Edge {
    /// The edge of the empty tree.
    pub const fn empty() -> Self {
        Self { size: 0, roots: Vec::new() }
    }

    /// An edge that was kept before.
    ///
    /// # Errors
    /// [`MerkleError::EdgeShape`] when the size does not call for that many roots,
    /// [`MerkleError::SizeTooLarge`] above 2^63 - 1.
    pub fn new(size: u64, roots: Vec<Digest>) -> Result<Self, MerkleError> {
        if size > SIZE_MAX {
            return Err(MerkleError::SizeTooLarge);
        }
        if u32::try_from(roots.len()) != Ok(size.count_ones()) {
            return Err(MerkleError::EdgeShape);
        }
        Ok(Self { size, roots })
    }

    /// The edge of the tree of that size, read from its hashes.
    ///
    /// # Errors
    /// [`MerkleError::HashMissing`] when one is not kept.
    pub fn load(size: u64, hashes: &dyn Hashes) -> Result<Self, MerkleError> {
        if size > SIZE_MAX {
            return Err(MerkleError::SizeTooLarge);
        }
        Ok(Self { size, roots: perfect_subtrees(0, size, hashes)? })
    }

    /// Adds a leaf hash.
    pub fn push(&mut self, leaf: Digest) {
        self.push_telling(leaf, |_, _, _| ());
    }

    /// Adds a leaf hash, and tells of every perfect subtree that became whole: level, index, hash.
    ///
    /// The leaf itself is told first, as level 0.
    pub fn push_telling(&mut self, leaf: Digest, mut whole: impl FnMut(u8, u64, Digest)) {
        let (mut level, mut index, mut hash) = (0, self.size, leaf);
        whole(level, index, hash);
        while index % 2 == 1 {
            let left = self.roots.pop().expect("as many roots as the size has one bits");
            (level, index, hash) = (level + 1, index / 2, node_hash(&left, &hash));
            whole(level, index, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// The root of the whole tree; SHA-256 of nothing when it is empty.
    pub fn root(&self) -> Digest {
        join(&self.roots)
    }
}

/// The hash of a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::of(&[&[0], entry])
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root of the tree of that size.
///
/// # Errors
/// [`MerkleError::HashMissing`], [`MerkleError::SizeTooLarge`].
pub fn root(size: u64, hashes: &dyn Hashes) -> Result<Digest, MerkleError> {
    Ok(Edge::load(size, hashes)?.root())
}

/// The proof that the leaf at `index` is in the tree of `size`, leaf to root (RFC 9162 2.1.3.1).
///
/// # Errors
/// [`MerkleError::OutOfRange`] when there is no such leaf, [`MerkleError::HashMissing`].
pub fn inclusion_proof(index: u64, size: u64, hashes: &dyn Hashes) -> Result<Vec<Digest>, MerkleError> {
    if size > SIZE_MAX {
        return Err(MerkleError::SizeTooLarge);
    }
    if index >= size {
        return Err(MerkleError::OutOfRange);
    }
    let (mut start, mut end, mut proof) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_hash(middle, end, hashes)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, hashes)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of size `old` is the beginning of the tree of size `new` (RFC 9162 2.1.4.1).
///
/// Empty when `old` is 0 or equals `new`.
///
/// # Errors
/// [`MerkleError::OutOfRange`] when `old` is larger, [`MerkleError::HashMissing`].
pub fn consistency_proof(old: u64, new: u64, hashes: &dyn Hashes) -> Result<Vec<Digest>, MerkleError> {
    if new > SIZE_MAX {
        return Err(MerkleError::SizeTooLarge);
    }
    if old > new {
        return Err(MerkleError::OutOfRange);
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end, mut proof) = (0, new, Vec::new());
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_hash(middle, end, hashes)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, hashes)?);
            start = middle;
        }
    }
    // The old root itself is known to who asks; any other subtree is not.
    if start != 0 {
        proof.push(range_hash(start, end, hashes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that `leaf` is at `index` in the tree with that size and root (RFC 9162 2.1.3.2).
///
/// # Errors
/// [`MerkleError`], by what is wrong; after any of them nothing is proved.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::OutOfRange);
    }
    if proof.len() > PROOF_MAX {
        return Err(MerkleError::ProofLength);
    }
    let (mut first, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return Err(MerkleError::ProofLength);
        }
        if first % 2 == 1 || first == last {
            hash = node_hash(step, &hash);
            while first % 2 == 0 && first != 0 {
                (first, last) = (first >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, step);
        }
        (first, last) = (first >> 1, last >> 1);
    }
    if last != 0 {
        return Err(MerkleError::ProofLength);
    }
    if hash == *root { Ok(()) } else { Err(MerkleError::RootDiffers) }
}

/// Checks that the tree of `old` is the beginning of the tree of `new`, each a size and a root (RFC 9162 2.1.4.2).
///
/// # Errors
/// [`MerkleError`], by what is wrong; after any of them nothing is proved.
pub fn verify_consistency(
    old: (u64, &Digest),
    new: (u64, &Digest),
    proof: &[Digest],
) -> Result<(), MerkleError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return Err(MerkleError::OutOfRange);
    }
    if proof.len() > PROOF_MAX {
        return Err(MerkleError::ProofLength);
    }
    if old_size == 0 && *old_root != join(&[]) {
        return Err(MerkleError::RootDiffers);
    }
    if old_size == 0 || old_size == new_size {
        if !proof.is_empty() {
            return Err(MerkleError::ProofLength);
        }
        let agree = old_size != new_size || old_root == new_root;
        return if agree { Ok(()) } else { Err(MerkleError::RootDiffers) };
    }
    let mut steps = proof.iter();
    let seed = if old_size.is_power_of_two() { Some(old_root) } else { steps.next() };
    let seed = seed.ok_or(MerkleError::ProofLength)?;
    let (mut first, mut last) = (old_size - 1, new_size - 1);
    while first % 2 == 1 {
        (first, last) = (first >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for step in steps {
        if last == 0 {
            return Err(MerkleError::ProofLength);
        }
        if first % 2 == 1 || first == last {
            old_hash = node_hash(step, &old_hash);
            new_hash = node_hash(step, &new_hash);
            while first % 2 == 0 && first != 0 {
                (first, last) = (first >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        (first, last) = (first >> 1, last >> 1);
    }
    if last != 0 {
        return Err(MerkleError::ProofLength);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(MerkleError::RootDiffers) }
}

/// Why a tree cannot be read or a proof is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MerkleError {
    /// The number of subtree roots does not belong to the size.
    EdgeShape,
    /// A hash that is needed is not kept.
    HashMissing {
        /// Binary level.
        level: u8,
        /// Index on that level.
        index: u64,
    },
    /// The leaf is not in a tree of that size, or the old tree is larger than the new.
    OutOfRange,
    /// The proof is longer or shorter than the sizes call for.
    ProofLength,
    /// The hashes do not lead to the root.
    RootDiffers,
    /// A size above 2^63 - 1.
    SizeTooLarge,
}

impl MerkleError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::EdgeShape => "log/edge-shape",
            Self::HashMissing { .. } => "log/hash-missing",
            Self::OutOfRange => "log/out-of-range",
            Self::ProofLength => "log/proof-length",
            Self::RootDiffers => "log/root-differs",
            Self::SizeTooLarge => "log/size-too-large",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::OutOfRange => Some("ask again with a newer checkpoint"),
            Self::RootDiffers => {
                Some("keep both checkpoints and the proof: together they show that the log was changed")
            }
            _ => None,
        }
    }
}

impl fmt::Display for MerkleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EdgeShape => f.write_str("the right edge does not belong to the size of the tree"),
            Self::HashMissing { level, index } => {
                write!(f, "the hash at level {level}, index {index} of the log is missing")
            }
            Self::OutOfRange => f.write_str("the tree is not that large"),
            Self::ProofLength => f.write_str("the proof has the wrong length"),
            Self::RootDiffers => f.write_str("the proof does not lead to the root"),
            Self::SizeTooLarge => f.write_str("a tree has at most 2^63 - 1 leaves"),
        }
    }
}

impl std::error::Error for MerkleError {}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root over `start..end`, a range that [`split`] can reach.
fn range_hash(start: u64, end: u64, hashes: &dyn Hashes) -> Result<Digest, MerkleError> {
    Ok(join(&perfect_subtrees(start, end, hashes)?))
}

/// The roots of the perfect subtrees of `start..end`, largest first.
fn perfect_subtrees(start: u64, end: u64, hashes: &dyn Hashes) -> Result<Vec<Digest>, MerkleError> {
    let (mut start, mut roots) = (start, Vec::new());
    while start < end {
        let bit = (end - start).ilog2();
        let level = u8::try_from(bit).expect("a bit of 64");
        let index = start >> bit;
        roots.push(hashes.hash(level, index).ok_or(MerkleError::HashMissing { level, index })?);
        start += 1 << bit;
    }
    Ok(roots)
}

/// One root from those of perfect subtrees, largest first.
fn join(roots: &[Digest]) -> Digest {
    let Some((last, before)) = roots.split_last() else { return Digest::of(&[]) };
    before.iter().rev().fold(*last, |right, left| node_hash(left, &right))
}

/// Leaves of a tree. C2SP tlog-cosignature and Go count in 63 bits.
pub const SIZE_MAX: u64 = (1 << 63) - 1;

/// Hashes in one proof: a tree of 2^63 - 1 leaves has 63 levels of them, and a
/// consistency proof may begin with one more (RFC 9162 2.1.4.1).
pub const PROOF_MAX: usize = 64;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every perfect subtree of the reference tree, computed from the definition.
    pub(in crate::log) struct Leaves(pub(in crate::log) Vec<Digest>);

    impl Leaves {
        pub(in crate::log) fn counted(count: u64) -> Self {
            Self((0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect())
        }
    }

    impl Hashes for Leaves {
        fn hash(&self, level: u8, index: u64) -> Option<Digest> {
            let (count, start) = (1usize << level, usize::try_from(index).ok()? << level);
            self.0.get(start..start + count).map(definition)
        }
    }

    /// RFC 9162 2.1.1, word for word.
    pub(in crate::log) fn definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(&[]),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node_hash(&definition(left), &definition(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_rfc_6962_reference_tree() {
        let entries = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "e3b0c44298fc1c14b855",
            "6e340b9cffb37a98a01d",
            "fac54203e7cc696cc125",
            "aeb6bcfe274b70a16e77",
            "d37ee418976dd95714b7",
            "4e3bbb1f7b478dcf64d4",
            "76e67dadbcdf1e1087ef",
            "ddb89be403809e324c8c",
            "5dc9da79a70659a94328",
        ];
        let mut edge = Edge::empty();
        for (size, expected) in roots.iter().enumerate() {
            let root = edge.root().to_string();
            assert_eq!(format!("{}{}", &root[..16], &root[60..]), *expected, "size {size}");
            if let Some(entry) = entries.get(size) {
                edge.push(leaf_hash(&hex::decode(entry).unwrap()));
            }
        }
    }

    #[test]
    fn an_edge_grown_leaf_by_leaf_equals_the_definition_and_the_loaded_edge() {
        let leaves = Leaves::counted(130);
        let mut edge = Edge::empty();
        for size in 0..=leaves.0.len() {
            assert_eq!(edge.root(), definition(&leaves.0[..size]));
            assert_eq!(Edge::load(edge.size(), &leaves).unwrap(), edge);
            assert_eq!(Edge::new(edge.size(), edge.roots().to_vec()).unwrap(), edge);
            if let Some(leaf) = leaves.0.get(size) {
                edge.push_telling(*leaf, |level, index, hash| {
                    assert_eq!(leaves.hash(level, index), Some(hash), "level {level} index {index}");
                });
            }
        }
        assert_eq!(Edge::new(3, vec![Digest::of(&[])]), Err(MerkleError::EdgeShape));
        assert_eq!(Edge::new(SIZE_MAX + 1, vec![Digest::of(&[])]), Err(MerkleError::SizeTooLarge));
    }

    #[test]
    fn every_leaf_of_every_tree_has_a_proof_and_a_flipped_bit_breaks_it() {
        let leaves = Leaves::counted(130);
        for size in 1..=130 {
            let root = root(size, &leaves).unwrap();
            for index in 0..size {
                let leaf = leaves.hash(0, index).unwrap();
                let proof = inclusion_proof(index, size, &leaves).unwrap();
                assert_eq!(verify_inclusion(&leaf, index, size, &root, &proof), Ok(()));
                let wrong = flipped(&leaf, index);
                assert_eq!(
                    verify_inclusion(&wrong, index, size, &root, &proof),
                    Err(MerkleError::RootDiffers)
                );
                assert!(verify_inclusion(&leaf, index, size, &flipped(&root, index), &proof).is_err());
                for step in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[step] = flipped(&changed[step], index);
                    assert!(verify_inclusion(&leaf, index, size, &root, &changed).is_err());
                    changed = proof.clone();
                    changed.remove(step);
                    assert!(verify_inclusion(&leaf, index, size, &root, &changed).is_err());
                }
                let longer = [&proof[..], &[root]].concat();
                assert_eq!(
                    verify_inclusion(&leaf, index, size, &root, &longer),
                    Err(MerkleError::ProofLength)
                );
            }
            assert_eq!(inclusion_proof(size, size, &leaves), Err(MerkleError::OutOfRange));
        }
    }

    #[test]
    fn every_pair_of_sizes_has_a_consistency_proof_and_a_flipped_bit_breaks_it() {
        let leaves = Leaves::counted(130);
        let roots: Vec<Digest> = (0..=130).map(|size| root(size, &leaves).unwrap()).collect();
        let at = |size: u64| &roots[usize::try_from(size).unwrap()];
        for new in 0..=130 {
            for old in 0..=new {
                let proof = consistency_proof(old, new, &leaves).unwrap();
                let verify = |proof: &[Digest]| verify_consistency((old, at(old)), (new, at(new)), proof);
                assert_eq!(verify(&proof), Ok(()), "{old} to {new}");
                let (wrong_old, wrong_new) = (flipped(at(old), new), flipped(at(new), old));
                assert!(verify_consistency((old, &wrong_old), (new, at(new)), &proof).is_err());
                if old > 0 {
                    assert!(verify_consistency((old, at(old)), (new, &wrong_new), &proof).is_err());
                }
                for step in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[step] = flipped(&changed[step], old);
                    assert!(verify(&changed).is_err(), "{old} to {new}, step {step}");
                    assert!(verify(&proof[..step]).is_err());
                }
                assert!(verify(&[&proof[..], &[*at(new)]].concat()).is_err());
            }
        }
        assert_eq!(consistency_proof(3, 2, &leaves), Err(MerkleError::OutOfRange));
        assert_eq!(verify_consistency((3, at(3)), (2, at(2)), &[]), Err(MerkleError::OutOfRange));
    }

    #[test]
    fn a_proof_of_more_hashes_than_any_tree_has_is_refused_unread() {
        let hash = Digest::of(&[]);
        let long = vec![hash; PROOF_MAX + 1];
        assert_eq!(verify_inclusion(&hash, 0, u64::MAX, &hash, &long), Err(MerkleError::ProofLength));
        assert_eq!(verify_consistency((1, &hash), (u64::MAX, &hash), &long), Err(MerkleError::ProofLength));
    }

    #[test]
    fn a_hash_that_is_not_kept_is_named() {
        let leaves = Leaves::counted(4);
        assert_eq!(root(6, &leaves), Err(MerkleError::HashMissing { level: 1, index: 2 }));
    }

    /// The digest with one of its bits flipped, another one for each seed.
    pub(in crate::log) fn flipped(digest: &Digest, seed: u64) -> Digest {
        let mut bytes = *digest.as_bytes();
        let bit = usize::try_from(seed % 256).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Digest::from_bytes(bytes)
    }
}
