import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data.images.splits import split

# every class that occurs has two examples or more
labellings = st.lists(st.integers(2, 30), min_size=1, max_size=6).flatmap(
    lambda sizes: st.permutations([label for label, size in enumerate(sizes) for _ in range(size)])
)
fractions = st.floats(0.01, 0.5)
seeds = st.integers(0, 2**32 - 1)


@given(labellings, fractions, seeds)
def test_a_split_is_disjoint_and_complete(labels, fraction, seed):
    kept, cut = split(torch.tensor(labels), fraction, seed)
    assert sorted(kept.tolist() + cut.tolist()) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept.tolist())
    assert cut.tolist() == sorted(cut.tolist())


@given(labellings, fractions, seeds)
def test_a_split_takes_the_same_share_of_every_class(labels, fraction, seed):
    counts = torch.bincount(torch.tensor(labels))
    _, cut = split(torch.tensor(labels), fraction, seed)
    n_cut = torch.bincount(torch.tensor(labels)[cut], minlength=len(counts))
    assert (n_cut >= 1).all()
    assert (n_cut < counts).all()
    assert ((n_cut - counts * fraction).abs() <= 1).all()


@given(labellings, fractions, seeds)
def test_the_seed_decides_the_split(labels, fraction, seed):
    first, again = (split(torch.tensor(labels), fraction, seed)[1] for _ in range(2))
    assert torch.equal(first, again)


def test_another_seed_gives_another_split():
    labels = torch.arange(200) % 2
    assert not torch.equal(split(labels, 0.2, 0)[1], split(labels, 0.2, 1)[1])


def test_labels_that_do_not_occur_are_no_matter():
    kept, cut = split(torch.tensor([3, 3, 7, 7]), 0.5, 0)
    assert len(kept) == len(cut) == 2
