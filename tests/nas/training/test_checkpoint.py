"""A checkpoint is read as it was written, or the one before it is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nas.supernet import Supernet
from nas.training import Checkpoint, load_checkpoint
from nas.training.checkpoint import FILE
from search_spaces import InputError, SearchSpace


def checkpoint(space: SearchSpace, step: int) -> Checkpoint:
    torch.manual_seed(step)
    supernet = Supernet(space)
    supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = {f"{name}.exp_avg": torch.randn_like(parameter) for name, parameter in supernet.named_parameters()}
    optimizer |= {f"{name}.step": torch.tensor(float(step)) for name, _ in supernet.named_parameters()}
    sampling = {"rows": torch.arange(6).reshape(2, 3), "losses": torch.rand(2, dtype=torch.float64)}
    about = space.to_json(), {"epochs": 3}, {"classes": ["a"]}
    return Checkpoint(step, 10, *about, supernet.state_dict(), optimizer, sampling)


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return one.step == other.step and all(
        ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
        for ours, theirs in (
            (getattr(one, kind), getattr(other, kind)) for kind in ("weights", "optimizer", "sampling")
        )
    )


def test_a_checkpoint_is_read_as_it_was_written(tiny: SearchSpace, tmp_path: Path) -> None:
    written = checkpoint(tiny, 1)
    written.save(tmp_path)
    read, damage = load_checkpoint(tmp_path)
    assert damage is None
    assert same(read, written)
    assert (read.n_steps, read.options, read.data) == (10, written.options, written.data)
    supernet = read.supernet()
    assert supernet.space == tiny
    assert all(torch.equal(tensor, written.weights[name]) for name, tensor in supernet.state_dict().items())


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.999])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tiny: SearchSpace, tmp_path: Path, share: float) -> None:
    before = checkpoint(tiny, 1)
    before.save(tmp_path)
    checkpoint(tiny, 2).save(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: int(share * len(content))])
    read, damage = load_checkpoint(tmp_path)
    assert same(read, before)
    assert damage is not None
    assert damage.startswith(f"{tmp_path / FILE} is damaged")
    assert len(damage.splitlines()) == 1


def test_a_kill_between_two_files_leaves_the_one_before(tiny: SearchSpace, tmp_path: Path) -> None:
    checkpoint(tiny, 1).save(tmp_path)
    checkpoint(tiny, 2).save(tmp_path)
    (tmp_path / FILE).unlink()
    read, damage = load_checkpoint(tmp_path)
    assert (read.step, damage) == (1, None)


def test_two_damaged_checkpoints_are_told_in_one_line(tiny: SearchSpace, tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint(tiny, step).save(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="no earlier checkpoint is whole") as error:
        load_checkpoint(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_no_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"holds no {FILE}: train a supernet there first"):
        load_checkpoint(tmp_path)


def test_another_schema_is_told(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / FILE)
    with pytest.raises(InputError, match="follows schema None, expected 'supernet/2'"):
        load_checkpoint(tmp_path)
